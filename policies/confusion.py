"""Findings of confusion: what a workload does again without having learnt from the last time.

One fold over ended runs, in the order in which their ends became known: what a later run adds can
lengthen a finding and never take one away. Each is a streak of runs with something in common; what
it cost is the time of its repeats, all but the first. `docs/confusion.md` says how the few
constants did on real histories.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from types import MappingProxyType

from policies.confusion_told import told
from policies.error_signatures import signature_of
from policies.facts import Run, RunCause, RunOutcome, WorkloadKey, WorkloadKind
from policies.streaks import Confusion, ConfusionKind, Lead, Piece, Size, Streak
from policies.track_record import counts_against, key_of

AGAIN = 3
"""Runs that make a finding. The second may be chance, or a check; the third learnt nothing."""
STORM = 5
"""Starts that make a storm."""
APART = timedelta(days=7)
"""A repeat that starts so long after the last one belongs to another finding."""
MEANWHILE = 20
"""After so many other runs of the workload it is another story, too: what comes up once in a while
is a flaw, and no confusion."""
STORM_APART = timedelta(minutes=10)
FAST_S = 60.0
"""A failure within a minute: 83 % of the failures in the development histories."""
LONG_S = 300.0
"""Set-up, or waiting for data, that is worth doing once."""

NO_LEADS: Mapping[str, Lead] = MappingProxyType({})
_ENOUGH = {
    ConfusionKind.BIGGER_MACHINE: 2,
    ConfusionKind.RETRY_STORM: STORM,
    ConfusionKind.CAPACITY_STORM: STORM,
}
"""One escalation is one too many: it was paid for in advance."""


def confusions(
    runs: Iterable[Run], *, as_of: datetime, leads: Mapping[str, Lead] = NO_LEADS
) -> tuple[Confusion, ...]:
    """What is found in the runs that had ended by then, of any workloads, oldest first.

    `leads`: by run, what was metered for getting ready for it. A run without an end never becomes
    known, whatever its outcome says.
    """
    watches: dict[WorkloadKey, _Watch] = {}
    for run in sorted(_ended(runs, as_of), key=_when_known):
        key = key_of(run)
        if key not in watches:
            watches[key] = _Watch()
        watches[key].see(run, leads.get(run.run_id))
    found = [
        each
        for key, watch in watches.items()
        for each in _marked([_confusion(key, streak) for streak in watch.found])
    ]
    return tuple(sorted(found, key=lambda each: (each.since, str(each.key), each.name)))


def _ended(runs: Iterable[Run], as_of: datetime) -> Iterator[Run]:
    for run in runs:
        known = run.ended_at is not None and run.ended_at <= as_of
        if known and run.outcome is not RunOutcome.RUNNING:
            yield run


def _when_known(run: Run) -> tuple[datetime, datetime, str]:
    """Ties are broken by what does not depend on the order of the rows."""
    return _end(run), run.started_at, run.run_id


def _end(run: Run) -> datetime:
    return run.ended_at or run.started_at


class _Watch:
    """What is remembered of one workload: its streaks, and which of them are findings."""

    __slots__ = ("_ended", "_streaks", "_won", "found")

    def __init__(self) -> None:
        self._streaks: dict[tuple[ConfusionKind, str], Streak] = {}
        self._ended = 0
        self._won = 0
        self.found: list[Streak] = []

    def see(self, run: Run, lead: Lead | None) -> None:
        """One more run whose end is known."""
        self._ended += 1
        self._won += run.outcome is RunOutcome.SUCCEEDED
        if counts_against(run):
            self._failed(run)
        elif run.outcome is RunOutcome.SUCCEEDED:
            self._calm()
        elif run.outcome is RunOutcome.FAILED and run.cause is RunCause.CAPACITY:
            self._add(ConfusionKind.CAPACITY_STORM, "", run, STORM_APART)
        result = _same_again(run)
        if result is not None:
            self._add(ConfusionKind.SAME_RESULT, result, run, APART)
        self._readied(run, lead or Lead())

    def _failed(self, run: Run) -> None:
        if (run.duration_s or 0.0) <= FAST_S:
            self._add(ConfusionKind.RETRY_STORM, "", run, STORM_APART)
        else:
            self._calm()
        error = signature_of(run)
        if error is None:
            return
        streak = self._add(ConfusionKind.SAME_ERROR, error, run, APART)
        if run.gpus is None:
            return
        size = (run.gpus, run.gpu_memory_mib)
        smaller = _smaller(streak, size, run)
        if smaller is not None:
            self._escalated(error, smaller, run)
        streak.sizes.setdefault(size, run)

    def _escalated(self, error: str, smaller: Run, run: Run) -> None:
        """The smaller run stands first, as what was known before."""
        kind = ConfusionKind.BIGGER_MACHINE
        before = self._streaks.pop((kind, error), None)
        if before is None or self._is_past(before, run, APART):
            before = self._add(kind, error, smaller, APART)
            before.since = run.started_at
        self._streaks[kind, error] = before
        self._add(kind, error, run, timedelta.max)

    def _calm(self) -> None:
        """A run that went well, or for a while, ends a storm."""
        self._streaks.pop((ConfusionKind.RETRY_STORM, ""), None)
        self._streaks.pop((ConfusionKind.CAPACITY_STORM, ""), None)

    def _readied(self, run: Run, lead: Lead) -> None:
        """Set-up by the meter or by what the run tells itself, whichever saw more of it."""
        own_s, metered_s = run.setup_seconds or 0.0, lead.setup_s or 0.0
        setup_s = max(own_s, metered_s)
        place = run.image or run.environment or run.machine_id
        if setup_s >= LONG_S and place is not None:
            streak = self._add(ConfusionKind.SETUP_AGAIN, place, run, APART)
            streak.seconds.append(setup_s)
            streak.pieces.append(
                _first_seconds(run, own_s)
                if own_s >= metered_s
                else _metered(run, metered_s, lead, lead.setup_usd)
            )
        if lead.transfer_s is not None and lead.transfer_s >= LONG_S:
            streak = self._add(ConfusionKind.TRANSFER_AGAIN, "data", run, APART)
            streak.seconds.append(lead.transfer_s)
            streak.pieces.append(_metered(run, lead.transfer_s, lead, lead.transfer_usd))

    def _is_past(self, streak: Streak, run: Run, apart: timedelta) -> bool:
        others = self._ended - streak.ended[1] - 1
        return run.started_at - streak.until > apart or others >= MEANWHILE

    def _add(self, kind: ConfusionKind, what: str, run: Run, apart: timedelta) -> Streak:
        """`what` empty: nothing but time holds the streak together, and its first run names it."""
        streak = self._streaks.get((kind, what))
        if streak is None or self._is_past(streak, run, apart):
            named = what or run.run_id
            streak = Streak(kind=kind, what=named, since=run.started_at, until=_end(run))
            streak.ended, streak.won = (self._ended, 0), (self._won, 0)
            self._streaks[kind, what] = streak
        else:
            streak.warned += run.started_at >= _end(streak.runs[0])
        streak.runs.append(run)
        streak.until = max(streak.until, _end(run))
        streak.ended = (streak.ended[0], self._ended)
        streak.won = (streak.won[0], self._won)
        if len(streak.runs) == _ENOUGH.get(kind, AGAIN):
            self.found.append(streak)
        return streak


def _smaller(streak: Streak, size: Size, run: Run) -> Run | None:
    """A run on less that had met the same error before this one started."""
    for other, first in streak.sizes.items():
        if _is_bigger(size, other) and _end(first) <= run.started_at:
            return first
    return None


def _is_bigger(one: Size, other: Size) -> bool:
    """More GPUs that are not known to be smaller, or as many that are known to be bigger."""
    (gpus, memory), (other_gpus, other_memory) = one, other
    known = memory is not None and other_memory is not None
    if gpus > other_gpus:
        return not known or (memory or 0) >= (other_memory or 0)
    return gpus == other_gpus and known and (memory or 0) > (other_memory or 0)


def _same_again(run: Run) -> str | None:
    """Names the inputs and the result of a run; None where any of them is unknown.

    A service does the same again by design.
    """
    inputs = (run.code or run.image, run.environment or run.image, run.config, run.data)
    if None in inputs or run.kind is WorkloadKind.SERVICE:
        return None
    result: tuple[object, ...] | None = None
    if run.outcome is RunOutcome.SUCCEEDED:
        result = ("succeeded", run.metric_name, run.metric_value)
    elif counts_against(run) and signature_of(run) is not None:
        result = ("failed", signature_of(run))
    if result is None:
        return None
    return repr((run.code, run.image, run.environment, run.config, run.data, *result))


def _whole(run: Run) -> Piece:
    return Piece(run=run, started_at=run.started_at, ended_at=_end(run))


def _first_seconds(run: Run, seconds: float) -> Piece:
    until = min(_end(run), run.started_at + timedelta(seconds=seconds))
    return Piece(run=run, started_at=run.started_at, ended_at=max(run.started_at, until))


def _metered(run: Run, seconds: float, lead: Lead, usd: Decimal | None) -> Piece:
    return Piece(
        run=run,
        started_at=run.started_at - timedelta(seconds=seconds),
        ended_at=run.started_at,
        metered=True,
        usd=usd,
        gpus=lead.gpus,
    )


def _confusion(key: WorkloadKey, streak: Streak) -> Confusion:
    return Confusion(
        key=key,
        kind=streak.kind,
        what=sha256(streak.what.encode()).hexdigest()[:12],
        since=streak.since,
        until=streak.until,
        runs=tuple(run.run_id for run in streak.runs),
        repeats=tuple((streak.pieces or list(map(_whole, streak.runs)))[1:]),
        why=told(streak),
    )


def _marked(found: list[Confusion]) -> list[Confusion]:
    """Findings of one workload; those that share repeated runs name each other."""
    by_run: dict[str, set[str]] = defaultdict(set)
    for each in found:
        for piece in each.repeats:
            by_run[piece.run.run_id].add(each.name)
    return [replace(each, overlaps=_overlaps(each, by_run)) for each in found]


def _overlaps(each: Confusion, by_run: Mapping[str, set[str]]) -> tuple[str, ...]:
    others = {name for piece in each.repeats for name in by_run[piece.run.run_id]}
    return tuple(sorted(others - {each.name}))
