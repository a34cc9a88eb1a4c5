"""How mature a workload is: a score, seven answers and a verdict, from its runs.

One fold over the runs in the order in which things became known serves a patrol, which asks about
the next run of each workload, and a replay, which asks about each run of the past.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from policies.facts import Run, RunOutcome, WorkloadKey
from policies.history import Attempt, History
from policies.questions import FEW, answers, has_no, seen_of_finishing
from policies.replay import walk
from policies.score import DEFAULT_CONSTANTS, Score, score
from policies.score_terms import Explained, explained
from policies.track_record import SUBSTANTIAL_S, TrackRecord
from policies.verdicts import (
    Answer,
    Direction,
    Evidence,
    Maturity,
    Question,
    Trend,
    Verdict,
)

T = TypeVar("T")

ENTERS_AT = 0.68
STAYS_AT = 0.6
"""A workload becomes mature at the one score and stays so down to the other."""
ENOUGH_RUNS = 3
ENOUGH_GPU_HOURS = 1.0
"""Successes of more than a minute, and what they took, that prove a workload by themselves."""
GROUP_RUNS = 2
GROUP_GPU_HOURS = 3.0
GROUP_GPU_HOURS_EACH = 1.0
"""The same of a group in which one workload may lean on the others. Only work of this weight: being
wrong about it is dear, and leaving it alone is worth something."""

TREND_OVER = timedelta(days=7)
TREND_FROM = 0.05
"""A score that moved by less is steady."""


@dataclass(slots=True)
class Proof:
    """Successes of more than a minute, in a workload or a group."""

    runs: int = 0
    gpu_hours: float = 0.0

    def add(self, run: Run) -> None:
        self.runs += 1
        self.gpu_hours += run.gpu_hours or 0.0

    @property
    def carries_itself(self) -> bool:
        return self.runs >= ENOUGH_RUNS and self.gpu_hours >= ENOUGH_GPU_HOURS

    @property
    def carries_others(self) -> bool:
        return (
            self.runs >= GROUP_RUNS
            and self.gpu_hours >= GROUP_GPU_HOURS
            and self.gpu_hours >= GROUP_GPU_HOURS_EACH * self.runs
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What was thought of a run just before it started."""

    run: Run
    score: Score
    verdict: Verdict


@dataclass(slots=True)
class Memory:
    """Everything that was learned from runs so far."""

    history: History = field(default_factory=lambda: History(DEFAULT_CONSTANTS.bias_memory))
    records: dict[WorkloadKey, TrackRecord] = field(
        default_factory=lambda: defaultdict(TrackRecord)
    )
    newest: dict[WorkloadKey, Attempt] = field(default_factory=dict)
    mature: set[WorkloadKey] = field(default_factory=set)
    """Workloads that were mature when they were last judged."""
    own: dict[WorkloadKey, Proof] = field(default_factory=lambda: defaultdict(Proof))
    group: dict[str, Proof] = field(default_factory=lambda: defaultdict(Proof))

    def judge(self, key: WorkloadKey, attempt: Attempt, run: Run) -> Judged:
        """Before it starts. What is thought now is what hysteresis holds on to."""
        given = score(self.history, key, attempt, at_s=attempt.started_s)
        attempt.expected = given.value
        verdict = self.verdict(key, given)
        (self.mature.add if verdict is Verdict.MATURE else self.mature.discard)(key)
        self.newest[key] = attempt
        return Judged(run=run, score=given, verdict=verdict)

    def ended(self, key: WorkloadKey, run: Run) -> None:
        self.records[key].add(run)
        if run.outcome is RunOutcome.SUCCEEDED and (run.duration_s or 0.0) > SUBSTANTIAL_S:
            self.own[key].add(run)
            if key.group is not None:
                self.group[key.group].add(run)

    def verdict(self, key: WorkloadKey, given: Score) -> Verdict:
        """Only a run that the work or its person ended says whether it still searches.

        A workload without one is unknown, unless it leans on its group.
        """
        record = self.records.get(key, NO_RECORD)
        if given.value >= self.bar(key) and self.is_proven(key) and not has_no(record):
            return Verdict.MATURE
        return Verdict.EXPLORATORY if record.searches else Verdict.UNKNOWN

    def bar(self, key: WorkloadKey) -> float:
        return STAYS_AT if key in self.mature else ENTERS_AT

    def is_proven(self, key: WorkloadKey) -> bool:
        return self.own[key].carries_itself or self.leans(key)

    def leans(self, key: WorkloadKey) -> bool:
        return key.group is not None and self.group[key.group].carries_others


NO_RECORD = TrackRecord()


def replayed(runs: Iterable[Run]) -> Iterator[Judged]:
    """Each run with what was thought of it just before it started, in the order of starts."""
    memory = Memory()
    for _, judged in walk(runs, memory.history, memory.judge, on_end=memory.ended):
        yield judged


def assess(runs: Iterable[Run], *, as_of: datetime) -> dict[WorkloadKey, Maturity]:
    """The maturity of every workload that has a run, from what was known at `as_of`."""
    return judged(learned(runs, as_of=as_of), as_of=as_of)


def judged(memory: Memory, *, as_of: datetime) -> dict[WorkloadKey, Maturity]:
    """The maturity of every workload in a memory that was learned up to `as_of`."""
    return {key: maturity_at(memory, key, as_of) for key in memory.newest}


def learned(runs: Iterable[Run], *, as_of: datetime) -> Memory:
    """The fold over all that was known at `as_of`."""
    memory = Memory()
    known = [each for run in runs for each in _as_known(run, as_of)]
    for _ in walk(known, memory.history, memory.judge, on_end=memory.ended):
        pass
    return memory


def reasons(memory: Memory, key: WorkloadKey, *, as_of: datetime) -> Explained | None:
    """Why the next run of a workload has its score; None where it has none."""
    newest = memory.newest.get(key)
    if newest is None:
        return None
    told = explained(memory.history, key, newest, at_s=as_of.timestamp())
    return None if memory.verdict(key, told.score) is Verdict.UNKNOWN else told


def maturity_at(memory: Memory, key: WorkloadKey, as_of: datetime) -> Maturity:
    """Of the next run of a workload that has started one, from what the memory knows by then."""
    return _maturity(memory, key, memory.newest[key], as_of)


def unknown_maturity(as_of: datetime) -> Maturity:
    """The maturity of a workload without a single run."""
    key = WorkloadKey(group=None, name="")
    return _maturity(Memory(), key, Attempt("", None, None, None, as_of.timestamp()), as_of)


def matching(told: Mapping[WorkloadKey, T], key: WorkloadKey | None) -> T | None:
    """What is told for a key; where the group is told on one side only, the name must be unique."""
    if key is None:
        return None
    if key in told:
        return told[key]
    same_name = [other for other in told if other.name == key.name]
    if len(same_name) != 1 or (key.group is not None and same_name[0].group is not None):
        return None
    return told[same_name[0]]


def _as_known(run: Run, as_of: datetime) -> Iterator[Run]:
    """A run as it looked then: not at all, still running, or ended."""
    if run.started_at > as_of:
        return
    if run.ended_at is not None and run.ended_at > as_of:
        yield replace(run, ended_at=None, outcome=RunOutcome.RUNNING, cause=None, error=None)
    else:
        yield run


def _maturity(memory: Memory, key: WorkloadKey, newest: Attempt, as_of: datetime) -> Maturity:
    """Of the next run, which is taken to be like the newest one."""
    record = memory.records.get(key, NO_RECORD)
    given = score(memory.history, key, newest, at_s=as_of.timestamp())
    verdict = memory.verdict(key, given)
    questions = {Question.FINISHES: _finishes(memory, key, given), **answers(record)}
    known = verdict is not Verdict.UNKNOWN
    return Maturity(
        verdict=verdict,
        score=round(given.value, 4) if known else None,
        low=round(given.low, 4) if known else None,
        high=round(given.high, 4) if known else None,
        runs=record.runs,
        succeeded=record.succeeded,
        failed=record.failed,
        gpu_hours=_gpu_hours(record),
        questions=questions,
        missing=tuple(_missing(memory, key, questions)),
        proven_gpus=record.proven_gpus,
        as_of=as_of,
        trend=_trend(memory, key, given, as_of) if known else None,
    )


def _trend(memory: Memory, key: WorkloadKey, given: Score, as_of: datetime) -> Trend | None:
    """Against the newest score of a week ago or earlier, else the oldest that is remembered."""
    own = [each for each in memory.history.own[key] if each.expected is not None]
    if len(own) < FEW:
        return None
    week_ago_s = (as_of - TREND_OVER).timestamp()
    place = max((n for n, each in enumerate(own) if each.started_s <= week_ago_s), default=0)
    then = own[place].expected or 0.0
    change = given.value - then
    steady = Direction.STEADY if abs(change) < TREND_FROM else None
    return Trend(
        direction=steady or (Direction.RISING if change > 0 else Direction.FALLING),
        then=round(then, 4),
        then_at=datetime.fromtimestamp(own[place].started_s, tz=UTC),
        runs=len(own) - place,
    )


def _gpu_hours(record: TrackRecord) -> float | None:
    if record.runs == record.untold_gpu_hours:
        return None
    return round(record.gpu_hours, 3)


def _missing(
    memory: Memory, key: WorkloadKey, questions: Mapping[Question, Evidence]
) -> Iterator[str]:
    """What stands between this workload and `mature`."""
    finishes = questions[Question.FINISHES]
    if finishes.answer is not Answer.YES:
        yield f"it must finish: {finishes.evidence}"
    if not memory.is_proven(key):
        yield from _unproven(memory.own[key], memory.records.get(key, NO_RECORD))
    for question, evidence in questions.items():
        if evidence.answer is Answer.NO and question is not Question.FINISHES:
            yield f"{question.value}: {evidence.evidence}"


def _unproven(own: Proof, record: TrackRecord) -> Iterator[str]:
    if own.runs < ENOUGH_RUNS:
        yield (
            f"{ENOUGH_RUNS - own.runs} more successful runs of over a minute"
            f" (has {own.runs} of {ENOUGH_RUNS})"
        )
    if record.runs and _gpu_hours(record) is None:
        yield "GPU-hours: no run tells its end and its number of GPUs"
    elif own.gpu_hours < ENOUGH_GPU_HOURS:
        yield f"{ENOUGH_GPU_HOURS - own.gpu_hours:.2f} more GPU-hours of successful runs"


def _finishes(memory: Memory, key: WorkloadKey, given: Score) -> Evidence:
    record = memory.records.get(key, NO_RECORD)
    will = given.value >= memory.bar(key)
    odds = f"the next one completes with {given.value:.0%} ({given.low:.0%}–{given.high:.0%})"
    if record.counted >= FEW:
        told = f"{record.succeeded} of {record.counted} runs that count succeeded; {odds}"
        return Evidence(answer=Answer.YES if will else Answer.NO, evidence=told)
    seen = seen_of_finishing(record)
    if will and memory.leans(key):
        return Evidence(answer=Answer.YES, evidence=f"{seen}, but runs like it: {odds}")
    return Evidence(answer=Answer.UNKNOWN, evidence=seen)
