"""Episodes of this patrol's readings go into the ledger, as runs of the source `episode`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.episodes import (
    SOURCE,
    Bout,
    Plan,
    View,
    episode_id,
    is_episode,
    is_replaced,
    planned,
    replaced_by,
)
from policies.facts import Attribution, Machine, Run, RunOutcome, Scope
from policies.grids import PhaseLimits
from policies.verdicts import Phase
from watchdog.attribution import end_of_run, runs_by_machine, without_runs
from watchdog.gather import COARSE_S, PERIOD_S, Windows
from watchdog.recording.run_object import row_of
from watchdog.remember import STORED_AGAIN, Memory, scope_of
from watchdog.runs.episode_ends import NOTHING_ENDED, Ends, ends_by_machine, with_outcome
from watchdog.runs.episode_figures import NOT_MEASURED, Figures, figures_of
from watchdog.runs.revision import cells_of, revision_of

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.gather import Gathered
    from watchdog.ledger.store import Ledger
    from watchdog.mapping import WorkloadMapping
    from watchdog.timekeeping import Accounted

LETTERS_WAIT = timedelta(days=2)
"""So long after an episode's end an agent's word on it is looked for; letters wait for a day."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """One machine's episodes."""

    machine: Machine
    work: Attribution
    plan: Plan
    view: View
    known: tuple[Run, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What this patrol saw and what it goes by."""

    gathered: Gathered
    accounted: Sequence[Accounted]
    memory: Memory
    watched: Mapping[Scope, datetime]
    """Until when each scope had been watched before."""
    mapping: WorkloadMapping
    limits: PhaseLimits
    now: datetime


def tell_episodes(ledger: Ledger, seen: Seen) -> int:
    """Append what is new of every machine's episodes; how many rows.

    A machine that no rule attributes has none: a run needs a workload. What the GPUs did comes from
    the ledger, where readings stay, so that an episode that lasts longer than what is read again
    has the figures of all its time.
    """
    memory, now = seen.memory, seen.now
    ends = _ends(ledger, seen)
    cases = _cases(seen, ends)
    gone = _gone(seen.gathered, memory)
    readings = _readings(ledger, cases, gone, now)
    told: dict[str, Run] = {}
    for case in cases:
        machine = case.machine.id
        for run in _told(case, readings.get(machine), seen):
            told[run.run_id] = with_outcome(run, ends.get(machine, NOTHING_ENDED))
    for run in gone:
        machine = str(run.machine_id)
        ended = _closed(run, readings.get(machine), until=now, limits=seen.limits)
        told[run.run_id] = with_outcome(ended, ends.get(machine, NOTHING_ENDED))
    older = {run.run_id: revision_of(cells_of(run)) for run in memory.episodes}
    news = [run for run in told.values() if revision_of(cells_of(run)) != older.get(run.run_id)]
    return ledger.append("runs", [row_of(run, _observed(memory, run, now)) for run in news])


def _observed(memory: Memory, run: Run, now: datetime) -> datetime:
    """Newer than what it replaces, even if another patrol's clock was ahead."""
    said = memory.episodes_observed.get(run.run_id)
    return now if said is None else max(now, said + timedelta(microseconds=1))


def _known(machines: Iterable[Machine], episodes: Iterable[Run]) -> dict[str, list[Run]]:
    ids = {machine.id for machine in machines}
    found: dict[str, list[Run]] = defaultdict(list)
    for run in episodes:
        if run.machine_id in ids and not is_replaced(run):
            found[str(run.machine_id)].append(run)
    return found


def _cases(seen: Seen, ends: Mapping[str, Ends]) -> list[_Case]:
    gathered, memory = seen.gathered, seen.memory
    windows = {each.scope: each.windows for each in gathered.watched}
    known = _known(gathered.machines, memory.episodes)
    recorded = [run for run in memory.runs if not is_episode(run)]
    at_work = runs_by_machine(gathered.machines, recorded)
    found = []
    for each in seen.accounted:
        machine = each.machine
        window = windows.get(scope_of(machine))
        work = without_runs(machine, mapping=seen.mapping)
        if window is None or work.workload is None:
            continue
        view = _view(machine, window, seen)
        runs = at_work.get(machine.id, [])
        plan = planned(
            each.timeline.stretches if each.gpus_seen else (),
            explained=[(run.started_at, end_of_run(run, seen.now)) for run in runs],
            known=known[machine.id],
            breaks=[each.ended_at for each in ends.get(machine.id, NOTHING_ENDED).containers],
            view=view,
        )
        own = tuple(known[machine.id])
        found.append(_Case(machine=machine, work=work, plan=plan, known=own, view=view))
    return found


def _view(machine: Machine, windows: Windows, seen: Seen) -> View:
    watched_until = seen.watched.get(scope_of(machine))
    return View(
        seen_from=windows.started_at,
        fine_from=windows.fine.started_at,
        now=seen.now,
        runs=machine.running,
        unbroken=watched_until is not None and watched_until >= windows.started_at,
        at_least=seen.limits.sustained,
        fine=timedelta(seconds=PERIOD_S),
        coarse=timedelta(seconds=COARSE_S),
    )


def _gone(gathered: Gathered, memory: Memory) -> list[Run]:
    """Episodes that went on, of machines that no longer exist."""
    here = {machine.id for machine in gathered.machines}
    return [
        run
        for run in memory.episodes
        if run.outcome is RunOutcome.RUNNING
        and run.machine_id not in here
        and _is_terminated(memory, run.machine_id or "")
    ]


def _is_terminated(memory: Memory, machine: str) -> bool:
    seen = memory.observations.get(machine, ())
    return bool(seen) and seen[-1]["state"] == "terminated"


def _told(case: _Case, readings: pd.DataFrame | None, seen: Seen) -> Iterable[Run]:
    """Every episode of the machine as it is to be told now."""
    ids: dict[Bout, str] = {}
    for bout, older in case.plan.bouts:
        run = _episode(case, bout, older, readings, seen)
        ids[bout] = run.run_id
        yield run
    for run, bout in case.plan.replaced:
        yield replaced_by(_attributed(run, case), ids[bout])
    for run in case.plan.over:
        until = case.view.seen_from if run.started_at < case.view.seen_from else seen.now
        closed = _closed(run, readings, until=until, limits=seen.limits)
        yield _attributed(closed, case)
    changed = {*ids.values(), *(run.run_id for run in case.plan.over)}
    changed |= {run.run_id for run, _ in case.plan.replaced}
    for run in case.known:
        if run.run_id not in changed:
            yield _attributed(run, case)


def _episode(
    case: _Case, bout: Bout, older: Run | None, readings: pd.DataFrame | None, seen: Seen
) -> Run:
    """While it goes on only its beginning is told: its figures are those of all of it."""
    machine = case.machine
    run = Run(
        run_id=episode_id(machine.id, bout.started_at) if older is None else older.run_id,
        workload=str(case.work.workload),
        started_at=bout.started_at,
        outcome=RunOutcome.RUNNING if bout.ongoing else RunOutcome.UNKNOWN,
        ended_at=None if bout.ongoing else bout.ended_at,
        location="local" if machine.provider == "local" else "cloud",
        provider=machine.provider,
        region=machine.region,
        machine_type=machine.machine_type,
        machine_id=machine.id,
        host=machine.host_names[0] if machine.host_names else None,
        gpus=machine.gpus,
        nodes=1,
        gpu_model=machine.gpu_model,
        gpu_memory_mib=machine.gpu_memory_mib,
        setup_seconds=bout.setup_s,
        source=SOURCE,
    )
    run = _attributed(run, case)
    if run.ended_at is None:
        return run
    if older is not None and _is_same(older, run) and seen.now - run.ended_at > STORED_AGAIN:
        return _attributed(older, case)
    figures = _figures(readings, run.started_at, run.ended_at, seen.limits)
    return _measured(run, figures, older)


def _is_same(one: Run, other: Run) -> bool:
    return (one.started_at, one.ended_at) == (other.started_at, other.ended_at)


def _figures(
    readings: pd.DataFrame | None, started_at: datetime, ended_at: datetime, limits: PhaseLimits
) -> Figures:
    if readings is None:
        return NOT_MEASURED
    return figures_of(
        readings, started_at=started_at, ended_at=ended_at, active_pct=limits.active_pct
    )


def _measured(run: Run, figures: Figures, older: Run | None) -> Run:
    """What cannot be measured any more stays as it was told; so does an outcome that was told."""
    run = replace(
        run,
        gpus=run.gpus or figures.gpus,
        gpu_memory_mib=run.gpu_memory_mib or figures.memory_mib,
        peak_gpu_memory_mib=figures.peak_memory_mib,
        gpu_utilisation_mean_pct=figures.utilisation_mean_pct,
        sent_bytes=figures.sent_bytes,
    )
    if older is None:
        return run
    if older.outcome not in {RunOutcome.RUNNING, RunOutcome.UNKNOWN}:
        run = replace(run, outcome=older.outcome, cause=older.cause, error=older.error)
    return replace(
        run,
        peak_gpu_memory_mib=_first(run.peak_gpu_memory_mib, older.peak_gpu_memory_mib),
        gpu_utilisation_mean_pct=_first(
            run.gpu_utilisation_mean_pct, older.gpu_utilisation_mean_pct
        ),
        setup_seconds=_first(run.setup_seconds, older.setup_seconds),
        sent_bytes=run.sent_bytes if run.sent_bytes is not None else older.sent_bytes,
    )


def _first(one: float | None, other: float | None) -> float | None:
    return other if one is None else one


def _closed(
    run: Run, readings: pd.DataFrame | None, *, until: datetime, limits: PhaseLimits
) -> Run:
    """Nothing continues it: it ended with its last activity, or nobody knows when."""
    last = _figures(readings, run.started_at, until, limits).last_active_at
    if last is None:
        return replace(run, outcome=RunOutcome.UNKNOWN)
    ended = replace(run, outcome=RunOutcome.UNKNOWN, ended_at=last)
    return _measured(ended, _figures(readings, run.started_at, last, limits), None)


def _attributed(run: Run, case: _Case) -> Run:
    """Whose work it was, by the rules of today: a tag that is set now re-attributes the past."""
    return replace(
        run,
        workload=str(case.work.workload),
        group=case.work.group,
        owner=case.work.owner,
        kind=case.work.kind,
        data_class=case.work.data_class,
    )


def _readings(
    ledger: Ledger, cases: Sequence[_Case], gone: Sequence[Run], now: datetime
) -> dict[str, pd.DataFrame]:
    """By machine, the rows that cover every episode whose figures are wanted now."""
    wanted: dict[str, datetime] = {}
    for machine, started_at in _wanted(cases, gone, now):
        wanted[machine] = min(started_at, wanted.get(machine, started_at))
    if not wanted:
        return {}
    since = min(wanted.values()) - timedelta(seconds=COARSE_S)
    frame = ledger.query("readings_of", since=since, resources=sorted(wanted))
    return {str(machine): rows for machine, rows in frame.groupby("resource")}


def _wanted(
    cases: Sequence[_Case], gone: Sequence[Run], now: datetime
) -> Iterable[tuple[str, datetime]]:
    for case in cases:
        for bout, older in case.plan.bouts:
            settled = older is not None and older.ended_at == bout.ended_at
            if not bout.ongoing and not (settled and now - bout.ended_at > STORED_AGAIN):
                yield case.machine.id, bout.started_at
        for run in case.plan.over:
            yield case.machine.id, run.started_at
    for run in gone:
        yield str(run.machine_id), run.started_at


def _ends(ledger: Ledger, seen: Seen) -> dict[str, Ends]:
    """What agents told of ends lately. Not asked for where no GPU is or was at work."""
    stretches = (each for one in seen.accounted for each in one.timeline.stretches)
    if not seen.memory.episodes and all(each.phase is not Phase.ACTIVE for each in stretches):
        return {}
    starts = [each.windows.started_at for each in seen.gathered.watched]
    since = min([seen.now - LETTERS_WAIT, *starts])
    return ends_by_machine(ledger.rows("container_ends", since=since))
