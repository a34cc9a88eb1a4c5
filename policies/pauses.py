"""Pauses: the time between the end of activity and the next, found in runs and judged causally."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.facts import Run, RunOutcome, WorkloadKey, WorkloadKind
from policies.habits import Before, Habits
from policies.maturity import Memory, maturity_at, unknown_maturity
from policies.replay import walk
from policies.track_record import key_of
from policies.verdicts import Maturity, Phase, Verdict

PROTECTION = (Verdict.MATURE, Verdict.UNKNOWN, Verdict.EXPLORATORY)
"""From the most protected to the least."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """One pause of one resource, `[began_at, ended_at)`."""

    resource: str
    began_at: datetime
    ended_at: datetime | None
    """None: it was not seen to end."""
    seen_until: datetime | None
    """Until when it is known to have lasted; None: nothing is known to have ended it."""
    workloads: tuple[str, ...]
    """Names of those that ran last; several where they ended at once."""
    activity_s: float
    """How long the activity lasted that ended when it began."""
    runs: tuple[Run, ...] = ()
    """The runs that ended when it began, where it was found in runs."""
    phase: Phase = Phase.IDLE

    @property
    def length_s(self) -> float | None:
        return None if self.ended_at is None else (self.ended_at - self.began_at).total_seconds()


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedPause:
    """A pause with what was thought of the work when it began."""

    pause: Pause
    maturity: Maturity
    kind: WorkloadKind
    before: Before
    last: Run | None
    """The newest run of that workload."""


def resource_of(run: Run) -> str | None:
    """Where a run ran: its host, else the machine it names. None: it told neither."""
    return run.host or run.machine_id or None


def pauses_of_runs(runs: Iterable[Run]) -> list[Pause]:
    """The pauses of every host, in the order of their beginnings.

    A run without an end hides what follows it, up to the next start on its host; one that still
    runs hides everything. Unknown is never idle.
    """
    hosts: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        host = resource_of(run)
        if host is not None:
            hosts[host].append(run)
    found = [pause for host, told in hosts.items() for pause in _of_host(host, told)]
    return sorted(found, key=lambda pause: (pause.began_at, pause.resource))


def _of_host(host: str, runs: Sequence[Run]) -> Iterator[Pause]:
    ended: list[Run] = []
    """Those with the latest end so far; several where they ended together."""
    hidden = False
    for run in sorted(runs, key=lambda run: (run.started_at, run.run_id)):
        if ended and not hidden and run.started_at > _end(ended[0]):
            yield _pause(host, ended, run.started_at)
        hidden = False
        if run.outcome is RunOutcome.RUNNING:
            return
        if run.ended_at is None:
            hidden = True
        elif not ended or run.ended_at > _end(ended[0]):
            ended = [run]
        elif run.ended_at == ended[0].ended_at:
            ended.append(run)
    if ended and not hidden:
        yield _pause(host, ended, None)


def _end(run: Run) -> datetime:
    if run.ended_at is None:
        raise ValueError(f"run {run.run_id} has no end")
    return run.ended_at


def _pause(host: str, ended: Sequence[Run], until: datetime | None) -> Pause:
    return Pause(
        resource=host,
        began_at=_end(ended[0]),
        ended_at=until,
        seen_until=until,
        workloads=tuple(dict.fromkeys(run.workload for run in ended)),
        activity_s=max(run.duration_s or 0.0 for run in ended),
        runs=tuple(ended),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """What past runs tell of pauses."""

    habits: Habits
    outcomes: Mapping[WorkloadKey, RunOutcome]
    """How the newest run of each workload ended."""

    def before(self, key: WorkloadKey | None, began_at: datetime, activity_s: float) -> Before:
        outcome = None if key is None else self.outcomes.get(key)
        return Before(key=key, began_at=began_at, activity_s=activity_s, outcome=outcome)


def habits_of(runs: Sequence[Run], *, as_of: datetime) -> Learned:
    """The habits that the runs known at `as_of` show: the fold of the replay, up to now."""
    known = [run for run in runs if run.started_at <= as_of]
    habits = Habits()
    over = [pause for pause in pauses_of_runs(known) if pause.ended_at is not None]
    for pause in sorted(over, key=lambda pause: (pause.ended_at, pause.began_at, pause.resource)):
        last = pause.runs[0]
        before = Before(
            key=key_of(last),
            began_at=pause.began_at,
            activity_s=pause.activity_s,
            outcome=last.outcome,
        )
        habits.ended(before, pause.length_s or 0.0)
    ended = sorted(
        (run for run in known if run.ended_at is not None and run.ended_at <= as_of),
        key=lambda run: (run.ended_at, run.run_id),
    )
    return Learned(habits=habits, outcomes={key_of(run): run.outcome for run in ended})


def judged(pauses: Sequence[Pause], runs: Sequence[Run]) -> list[JudgedPause]:
    """Each pause with the maturity of what ran last, as it was known when the pause began."""
    memory = Memory()
    newest: dict[str, list[Run]] = defaultdict(list)
    """By workload name: the newest run that had started, one for each key."""
    found: list[JudgedPause] = []
    waiting = sorted(pauses, key=lambda pause: (pause.began_at, pause.resource), reverse=True)

    def judge_until(moment_s: float) -> None:
        while waiting and waiting[-1].began_at.timestamp() <= moment_s:
            found.append(_judged(waiting.pop(), memory, newest))

    def next_moment() -> float | None:
        return waiting[-1].began_at.timestamp() if waiting else None

    for run, _ in walk(
        runs,
        memory.history,
        memory.judge,
        on_end=memory.ended,
        pause=next_moment,
        on_pause=judge_until,
    ):
        known = newest[run.workload]
        known[:] = [other for other in known if key_of(other) != key_of(run)] + [run]
    return found


def _judged(pause: Pause, memory: Memory, newest: dict[str, list[Run]]) -> JudgedPause:
    as_of = pause.began_at
    last = list(pause.runs or _newest(pause, newest))
    if not last:
        before = Before(key=None, began_at=as_of, activity_s=pause.activity_s)
        unknown = unknown_maturity(as_of)
        return JudgedPause(
            pause=pause, maturity=unknown, kind=WorkloadKind.UNKNOWN, before=before, last=None
        )
    told = [(maturity_at(memory, key_of(run), as_of), run) for run in last]
    maturity, run = min(told, key=lambda each: PROTECTION.index(each[0].verdict))
    service = any(each.kind is WorkloadKind.SERVICE for each in last)
    ended = run.ended_at is not None and run.ended_at <= as_of
    return JudgedPause(
        pause=pause,
        maturity=maturity,
        kind=WorkloadKind.SERVICE if service else run.kind,
        before=Before(
            key=key_of(run),
            began_at=as_of,
            activity_s=pause.activity_s,
            outcome=run.outcome if ended else None,
        ),
        last=run,
    )


def _newest(pause: Pause, newest: dict[str, list[Run]]) -> Iterator[Run]:
    """Of each workload that readings name, the run to judge it by; a name must mean one workload.

    Where readings name none, the runs that name the resource itself stand in.
    """
    for name in pause.workloads:
        known = newest.get(name, [])
        if len(known) == 1:
            yield known[0]
    if pause.workloads:
        return
    here = [
        run
        for known in newest.values()
        for run in known
        if pause.resource == run.host or pause.resource in run.machine_ids
    ]
    if here:
        latest = max(run.started_at for run in here)
        yield from (run for run in here if run.started_at == latest)
