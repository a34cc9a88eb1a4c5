"""Step two of a patrol: facts go to the ledger, and what it knows from before comes back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.episodes import SOURCE
from policies.facts import Gap, Machine, MachineState, Run, Scope, Window
from policies.grids import PhaseLimits
from policies.phases import Earlier
from watchdog import rows
from watchdog.gather import COARSE_S, Gathered
from watchdog.recording.lost import with_lost
from watchdog.rows import moment_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

STORED_AGAIN = timedelta(hours=1)
"""Readings that begin up to this long before the watermark are stored again: metrics come late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What the ledger knows once this pass's facts are in it."""

    runs: tuple[Run, ...]
    """One for each attempt, whoever told of it."""
    episodes: tuple[Run, ...]
    """Every episode that was ever told, explained since or not."""
    episodes_observed: Mapping[str, datetime]
    """When each of them was told last, by its id."""
    observations: Mapping[str, Sequence[rows.Row]]
    """By machine, the rows of the table `machines`, oldest first."""
    earlier: Mapping[str, Earlier]
    """By machine, what is known of its boot from before this pass's readings."""
    gaps: tuple[Gap, ...]
    """Records in the inbox that could not be read."""


def watermarks(ledger: Ledger) -> dict[Scope, datetime]:
    """Until when each scope was watched."""
    return {
        _scope_of_row(row): moment_of(row["watched_until"]) for row in ledger.rows("watermarks")
    }


def history_owed(ledger: Ledger) -> dict[Scope, Window]:
    """The time whose starts and stops were asked for and could not be read, by scope."""
    return {
        _scope_of_row(row): Window(
            started_at=moment_of(row["owed_from"]),
            ended_at=moment_of(row["owed_until"]),
            period_s=COARSE_S,
        )
        for row in ledger.rows("history_owed")
    }


def remember(
    ledger: Ledger,
    gathered: Gathered,
    *,
    before: Mapping[Scope, datetime],
    limits: PhaseLimits,
    now: datetime,
) -> Memory:
    """Store machines and readings, fold in the inbox, and read back what judging needs."""
    folded = ledger.fold_inbox()
    observations = observations_of(ledger)
    known = [several[-1] for several in observations.values()]
    seen = [rows.machine_row(machine, now) for machine in gathered.machines]
    news = rows.changed([*seen, *_gone(gathered, known, now)], known)
    ledger.append("machines", news)
    for row in news:
        observations[str(row["id"])].append(row)
    since = {
        machine.id: before[scope] - STORED_AGAIN
        for machine in gathered.machines
        if (scope := scope_of(machine)) in before and not _backfilled(gathered, scope)
    }
    frame = rows.readings_frame(gathered.readings, since=since, observed_at=now)
    ledger.append("readings", frame)
    unsettled = with_lost(ledger, ledger.rows("runs_unsettled"), now=now)
    episodes = [row for row in unsettled if row["source"] == SOURCE]
    return Memory(
        runs=tuple(rows.run_from(row) for row in ledger.rows("runs")),
        episodes=tuple(rows.run_from(row) for row in episodes),
        episodes_observed={str(row["run_id"]): moment_of(row["observed_at"]) for row in episodes},
        observations=observations,
        earlier=earlier_of(ledger, gathered, limits),
        gaps=(
            *(Gap(provider="ledger", what="inbox", why=problem) for problem in folded.problems),
            *(_wrong_clock(machine, skew) for machine, skew in folded.skews.items()),
        ),
    )


def _wrong_clock(machine: str, skew: timedelta) -> Gap:
    """What it measured was put right by whole intervals, so its times are no longer exact."""
    minutes = abs(skew.total_seconds()) / 60
    side = "ahead of" if skew > timedelta() else "behind"
    why = (
        f"the clock of {machine} is {minutes:.0f} min {side} the ledger's: its readings were moved"
        " by that; switch on time synchronisation there (chrony, systemd-timesyncd)"
    )
    return Gap(provider=machine.partition(":")[0], what="clock", why=why, resource=machine)


def scope_of(machine: Machine) -> Scope:
    return Scope(provider=machine.provider, account=machine.account, region=machine.region)


def _gone(gathered: Gathered, known: Sequence[rows.Row], now: datetime) -> list[dict[str, object]]:
    """Machines that a scope, seen whole, no longer lists: they were terminated, time unknown."""
    listed = {machine.id for machine in gathered.machines}
    whole = {each.scope for each in gathered.watched}
    return [
        {**row, "state": "terminated", "metered": False, "observed_at": now}
        for row in known
        if row["id"] not in listed and _scope_of_row(row) in whole
    ]


def _scope_of_row(row: rows.Row) -> Scope:
    return Scope(
        provider=str(row["provider"]), account=_text(row["account"]), region=_text(row["region"])
    )


def _backfilled(gathered: Gathered, scope: Scope) -> bool:
    return any(each.scope == scope and each.windows.coarse is not None for each in gathered.watched)


def observations_of(ledger: Ledger) -> defaultdict[str, list[rows.Row]]:
    """By machine, its rows, oldest first."""
    found: defaultdict[str, list[rows.Row]] = defaultdict(list)
    for row in sorted(ledger.rows("machines"), key=lambda row: moment_of(row["observed_at"])):
        found[str(row["id"])].append(row)
    return found


def earlier_of(ledger: Ledger, gathered: Gathered, limits: PhaseLimits) -> dict[str, Earlier]:
    """Activity of each machine's current boot from before the finely read hours of its scope."""
    starts = {each.scope: each.windows.fine.started_at for each in gathered.watched}
    by_start: dict[datetime, set[str]] = defaultdict(set)
    for machine in gathered.machines:
        if scope_of(machine) in starts:
            by_start[starts[scope_of(machine)]].add(machine.id)
    return {
        str(row["resource"]): _earlier_from(row)
        for start, machines in by_start.items()
        for row in ledger.rows(
            "last_activity",
            threshold_pct=limits.active_pct,
            transfer_bytes_per_s=limits.transfer_bytes_per_s,
            until=start,
        )
        if row["resource"] in machines
    }


def _earlier_from(row: rows.Row) -> Earlier:
    return Earlier(
        seen_from=_maybe(row["seen_from"]),
        first_active_at=_maybe(row["first_active_at"]),
        last_active_at=_maybe(row["last_active_at"]),
        quiet_measured_s=float(str(row["quiet_measured_s"] or 0.0)),
    )


def _maybe(value: object) -> datetime | None:
    return None if value is None else moment_of(value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def stopped_since(
    machines: Iterable[Machine], observations: Mapping[str, Sequence[rows.Row]]
) -> Mapping[str, datetime]:
    """By machine that is stopped, when it stopped, or was first seen so, where that is known.

    A shutdown from within leaves no time at some clouds; then it stopped before it was seen.
    """
    found = {}
    for machine in machines:
        if machine.state is MachineState.STOPPED:
            seen = observations.get(machine.id, ())
            since = machine.stopped_at or _first_seen_stopped(seen)
            if since is not None:
                found[machine.id] = since
    return found


def _first_seen_stopped(observations: Sequence[rows.Row]) -> datetime | None:
    """Of the newest stretch in which nothing else was seen."""
    since = None
    for row in reversed(observations):
        if row["state"] != MachineState.STOPPED.value:
            break
        since = moment_of(row["observed_at"])
    return since
