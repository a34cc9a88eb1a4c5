"""Recorded runs whose wrapper is gone: nobody will tell their end, so a patrol does."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.facts import Run, RunOutcome
from watchdog import rows
from watchdog.recording.process_id import ProcessId, gone, read, this_place
from watchdog.recording.run_object import SOURCE, row_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

SILENT = timedelta(minutes=35)
"""Three heartbeats of ten minutes, and what sending may take."""

Gone = Callable[[ProcessId], bool | None]


def with_lost(ledger: Ledger, told: Iterable[rows.Row], *, now: datetime) -> list[rows.Row]:
    """The rows of the view `runs`, those that are lost as such; the ledger learns of them."""
    here = this_place()
    several = list(told)
    news = {row["run_id"]: row for row in lost_rows(several, now, lambda each: gone(each, here))}
    ledger.append("runs", list(news.values()))
    return [{**row, **news.get(row["run_id"], {})} for row in several]


def lost_rows(told: Iterable[rows.Row], now: datetime, is_gone: Gone) -> list[dict[str, object]]:
    """Where the wrapper's process can be looked for, that decides; elsewhere its silence.

    The word is hardly newer than the wrapper's last: a wrapper that was only cut off, and speaks
    again, is believed.
    """
    found = []
    for row in told:
        if row["source"] != SOURCE or row["outcome"] != RunOutcome.RUNNING.value:
            continue
        seen_at = rows.moment_of(row["observed_at"])
        run = rows.run_from(row)
        dead = _dead(run, is_gone)
        if dead or (dead is None and now - seen_at > SILENT):
            lost = replace(run, outcome=RunOutcome.LOST, ended_at=max(seen_at, run.started_at))
            found.append(row_of(lost, seen_at + timedelta(microseconds=1)))
    return found


def _dead(run: Run, is_gone: Gone) -> bool | None:
    for alias in (run.aliases or "").split(";"):
        process = read(alias)
        if process is not None:
            return is_gone(process)
    return None
