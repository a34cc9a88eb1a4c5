"""When a machine was started last, where its cloud's listing does not tell: by what else is known.

A start names the boot that people are warned of, so it must not change while the machine runs on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from policies.facts import Machine, Scope, Transition
from providers.base import Inventory, TellsNoStarts
from watchdog.gather import Gathered, Watched
from watchdog.remember import scope_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger
    from watchdog.rows import Row


def with_starts(ledger: Ledger, gathered: Gathered, providers: Sequence[Inventory]) -> Gathered:
    """Machines with the start that the audit trail tells, else the one they were known to have."""
    names = {each.name for each in providers if isinstance(each, TellsNoStarts)}
    if not any(each.provider in names for each in gathered.machines):
        return gathered
    rows = {str(row["id"]): row for row in ledger.rows("machines_now")}
    watched = {each.scope: each for each in gathered.watched}
    return replace(
        gathered,
        machines=tuple(
            replace(machine, started_at=_start(machine, gathered, rows, watched))
            if machine.provider in names and machine.started_at is None
            else machine
            for machine in gathered.machines
        ),
    )


def _start(
    machine: Machine, gathered: Gathered, rows: Mapping[str, Row], watched: Mapping[Scope, Watched]
) -> datetime | None:
    place = watched.get(scope_of(machine))
    return start_of(
        machine,
        [each for each in gathered.transitions if each.machine == machine.id],
        rows.get(machine.id),
        trail_is_whole=place is not None and place.history_owed is None,
    )


def start_of(
    machine: Machine, transitions: Sequence[Transition], before: Row | None, *, trail_is_whole: bool
) -> datetime | None:
    """None: it does not run, or nobody can tell.

    `before`: how it was seen last. A machine of whose start a whole trail knows nothing has run
    since before the trail begins, and its creation stands for that start.
    """
    if not (machine.running or machine.metered is True):
        return None
    if transitions:
        last = max(transitions, key=lambda each: each.at)
        return last.at if last.started else None
    if before is not None:
        ran = before["state"] == "running" or before["metered"] is True
        known = before["started_at"]
        if not ran or isinstance(known, datetime):
            return known if ran and isinstance(known, datetime) else None
    return machine.first_launched_at if trail_is_whole else None
