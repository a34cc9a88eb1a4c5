"""Rows for the ledger: each test names only what it is about."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
MACHINE = "aws:123456789012:us-east-1:i-1"

Row = dict[str, Any]


def machine(**changes: Any) -> Row:
    """A running machine, seen at `NOW`, that booted two days before."""
    return {
        "observed_at": NOW,
        "id": MACHINE,
        "provider": "aws",
        "account": "123456789012",
        "region": "us-east-1",
        "state": "running",
        "metered": True,
        "gpus": 8,
        "hourly_usd": Decimal("32.7726"),
        "started_at": NOW - timedelta(days=2),
        **changes,
    }


def reading(minutes_ago: float = 5, pct: float | None = 0.0, **changes: Any) -> Row:
    """Five minutes of GPU 0, which began so long before `NOW`."""
    started_at = NOW - timedelta(minutes=minutes_ago)
    return {
        "resource": MACHINE,
        "gpu": "0",
        "source": "cloudwatch:CWAgent",
        "started_at": started_at,
        "ended_at": started_at + timedelta(minutes=5),
        "utilisation_max_pct": pct,
        "observed_at": NOW,
        **changes,
    }


def run(run_id: str = "r1", revision: str = "a", **changes: Any) -> Row:
    return {
        "run_id": run_id,
        "revision": revision,
        "workload": "llama",
        "started_at": NOW - timedelta(hours=2),
        "outcome": "succeeded",
        "observed_at": NOW,
        **changes,
    }


def attribution(**changes: Any) -> Row:
    return {
        "resource": MACHINE,
        "gpu": None,
        "started_at": datetime(1970, 1, 1, tzinfo=UTC),
        "workload": "llama",
        "share": 1.0,
        "rule": "tag spend-watchdog:workload",
        "observed_at": NOW,
        **changes,
    }


def charge(phase: str = "idle", hours_ago: int = 1, **changes: Any) -> Row:
    hour = NOW - timedelta(hours=hours_ago)
    return {
        "ResourceId": MACHINE,
        "ChargePeriodStart": hour,
        "ChargePeriodEnd": hour + timedelta(hours=1),
        "ConsumedQuantity": Decimal("0.5"),
        "ListCost": Decimal("16.3863"),
        "x_Phase": phase,
        "x_Meter": "compute",
        "observed_at": NOW,
        **changes,
    }


def storage(**changes: Any) -> Row:
    """A disk of 100 GB, seen at `NOW`."""
    return {
        "observed_at": NOW,
        "id": "aws:123456789012:us-east-1:vol-1",
        "kind": "volume",
        "state": "present",
        "size_bytes": 100 * 2**30,
        "monthly_cost_usd": Decimal("8.00"),
        **changes,
    }


def price(**changes: Any) -> Row:
    """What AWS lists for an H100 machine, as seen at `NOW`."""
    return {
        "provider": "aws",
        "region": "us-east-1",
        "machine_type": "p5.48xlarge",
        "operating_system": "Linux/UNIX",
        "hourly_usd": Decimal("55.04"),
        "observed_at": NOW,
        **changes,
    }


def spot_price(hours_ago: int = 1, **changes: Any) -> Row:
    """A spot price that held from then until `NOW`."""
    return {
        "provider": "aws",
        "account": "123456789012",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "machine_type": "g5.xlarge",
        "product": "Linux/UNIX",
        "started_at": NOW - timedelta(hours=hours_ago),
        "hourly_usd": Decimal("0.4021"),
        "told_until": NOW,
        "observed_at": NOW,
        **changes,
    }


def event(n: str = "finding/1", **changes: Any) -> Row:
    return {
        "subject": f"{MACHINE}/boot",
        "n": n,
        "at": NOW,
        "kind": "finding",
        "observed_at": NOW,
        **changes,
    }


def patrol(patrol_id: str = "p1", **changes: Any) -> Row:
    return {"patrol_id": patrol_id, "at": NOW, **changes}


ROW_OF = {
    "machines": machine,
    "readings": reading,
    "runs": run,
    "attributions": attribution,
    "charges": charge,
    "storage": storage,
    "prices": price,
    "spot_prices": spot_price,
    "events": event,
    "patrols": patrol,
}
"""A row of each table."""
