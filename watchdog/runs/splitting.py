"""A person's word that a run is an attempt of its own, whatever others seem to tell of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from watchdog.rows import moment_of
from watchdog.runs.showing import one_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

SOURCE = "correction"
"""Rows of the table `runs` that are no run; the view `runs_apart` says the same."""


def split(ledger: Ledger, run_id: str, *, apart: bool, now: datetime) -> str:
    """Keep a told run apart from all others, or no longer; its whole id.

    Nothing that was told is changed: one row more says how to read it, and a newer one the
    opposite. Raises `NoRunError`.
    """
    run = one_of(ledger.rows("runs_told"), run_id)
    name = str(run["run_id"])
    said = [
        moment_of(row["observed_at"])
        for row in ledger.rows("raw_runs")
        if row["run_id"] == f"{SOURCE}:{name}"
    ]
    row = {
        "run_id": f"{SOURCE}:{name}",
        "revision": "apart" if apart else "together",
        "workload": run["workload"],
        "started_at": run["started_at"],
        "outcome": "unknown",
        "source": SOURCE,
        "aliases": name,
        "observed_at": max([now, *(each + timedelta(microseconds=1) for each in said)]),
    }
    ledger.append("runs", [row])
    return name
