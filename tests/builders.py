"""Small builders of facts: each test names only what it is about."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from policies.facts import (
    Accelerator,
    Attribution,
    Machine,
    MachineState,
    Price,
    Purchase,
    Reading,
    Run,
    RunOutcome,
    StopTerms,
)

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
"""A Monday morning."""
FREE_TO_STOP = StopTerms(can_stop=True, why="an on-demand machine on network disks")
NAN = float("nan")


def machine(name: str = "trainer-1", **changes: Any) -> Machine:
    """A running one-GPU machine at 1 USD an hour that booted two days before `NOW`."""
    gpus = changes.pop("gpus", 1)
    values: dict[str, Any] = {
        "id": f"aws:123456789012:us-east-1:i-{name}",
        "provider": "aws",
        "account": "123456789012",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "name": name,
        "state": MachineState.RUNNING,
        "metered": True,
        "machine_type": "g5.xlarge",
        "accelerators": (
            Accelerator(
                model="A10G", count=gpus, kind="gpu", manufacturer="NVIDIA", memory_mib=24576
            ),
        ),
        "purchase": Purchase.ON_DEMAND,
        "first_launched_at": NOW - timedelta(days=2),
        "started_at": NOW - timedelta(days=2),
        "stopped_at": None,
        "group": f"aws:123456789012:us-east-1:i-{name}",
        "stop_terms": FREE_TO_STOP,
        "price": price("1.00"),
    }
    return Machine(**(values | changes))


def price(hourly: str | None) -> Price:
    return Price(
        hourly_usd=None if hourly is None else Decimal(hourly),
        basis="list",
        source="test",
        as_of="2026-11-01",
        saves_usd=None if hourly is None else Decimal(hourly),
    )


def series(values: Sequence[float | None]) -> array[float]:
    return array("d", [NAN if value is None else value for value in values])


def reading(
    utilisation: Sequence[float | None],
    *,
    gpu: str | None = "0",
    started_at: datetime | None = None,
    period_s: int = 300,
    resource: str = "aws:123456789012:us-east-1:i-trainer-1",
    **columns: Sequence[float | None],
) -> Reading:
    """One GPU's series; it ends at `NOW` unless it is told where it starts."""
    start = started_at or NOW - timedelta(seconds=period_s * len(utilisation))
    return Reading(
        resource=resource,
        gpu=gpu,
        source="cloudwatch:CWAgent" if gpu is not None else "cloudwatch:AWS/EC2",
        started_at=start,
        period_s=period_s,
        utilisation_max_pct=series(utilisation),
        **{name: series(values) for name, values in columns.items()},
    )


def attribution(workload: str | None = "llama", **changes: Any) -> Attribution:
    values: dict[str, Any] = {
        "resource": "aws:123456789012:us-east-1:i-trainer-1",
        "started_at": datetime(1970, 1, 1, tzinfo=UTC),
        "ended_at": None,
        "workload": workload,
        "rule": "tag spend-watchdog:workload",
    }
    return Attribution(**(values | changes))


def run(run_id: str = "r1", **changes: Any) -> Run:
    """A one-GPU run of an hour that succeeded a day before `NOW`."""
    values: dict[str, Any] = {
        "run_id": run_id,
        "workload": "llama",
        "started_at": NOW - timedelta(days=1),
        "ended_at": NOW - timedelta(hours=23),
        "outcome": RunOutcome.SUCCEEDED,
        "gpus": 1,
    }
    return Run(**(values | changes))
