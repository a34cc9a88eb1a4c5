"""Rent the burst: work that saturates its cards at home, and queues for them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import mean, median

from policies.facts import Run

WINDOW = timedelta(days=30)
SATURATED_PCT = 80.0
"""Mean GPU utilisation from which on a card at home has no room left."""
LONG_WAIT_S = 600.0
"""A median wait of less is no queue."""
FEW = 3
"""Runs that must tell their use, and as many their wait."""
HOME = "local"


@dataclass(frozen=True, slots=True, kw_only=True)
class Burst:
    """What the queue at home costs in time, over the last thirty days."""

    runs: int
    """Runs at home."""
    waits: int
    """Those that told when they were submitted."""
    median_wait_s: float
    queued_hours: float
    """Waits of all of them together."""
    utilisation_mean_pct: float
    waited: int
    """Runs that waited longer than ten minutes."""
    waited_run_hours: float | None
    """Wall-clock hours of those: what would have been rented. None: none tells its end."""


def burst_of(runs: Sequence[Run], *, as_of: datetime) -> Burst | None:
    """Of one workload's runs; None where its cards are not saturated, nobody waits, or few tell."""
    home = [run for run in runs if run.location == HOME and _lately(run, as_of)]
    used = [r.gpu_utilisation_mean_pct for r in home if r.gpu_utilisation_mean_pct is not None]
    waits = [(run, wait) for run in home if (wait := _wait_s(run)) is not None]
    if len(used) < FEW or len(waits) < FEW or mean(used) < SATURATED_PCT:
        return None
    typical = median(wait for _, wait in waits)
    if typical < LONG_WAIT_S:
        return None
    long = [run for run, wait in waits if wait >= LONG_WAIT_S]
    hours = [run.duration_s / 3600 for run in long if run.duration_s is not None]
    return Burst(
        runs=len(home),
        waits=len(waits),
        median_wait_s=typical,
        queued_hours=sum(wait for _, wait in waits) / 3600,
        utilisation_mean_pct=mean(used),
        waited=len(long),
        waited_run_hours=sum(hours) if hours else None,
    )


def _lately(run: Run, as_of: datetime) -> bool:
    return as_of - WINDOW <= run.started_at <= as_of


def _wait_s(run: Run) -> float | None:
    """From submission to start. A clock that says less than nothing says nothing."""
    if run.submitted_at is None or run.submitted_at > run.started_at:
        return None
    return (run.started_at - run.submitted_at).total_seconds()
