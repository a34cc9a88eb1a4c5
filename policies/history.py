"""The runs of a fleet, folded into what scoring needs: bounded state for each workload and group.

A run is told twice: when it starts, and when it is known how it ended. So the same fold serves a
patrol, which looks at the next run of each workload, and a replay, which looks at each run of the
past just before it started.
"""

from __future__ import annotations

import re
from collections import defaultdict, deque
from dataclasses import dataclass, field
from functools import lru_cache
from math import exp
from typing import TypeAlias

from policies.facts import NOT_THE_WORKS_FAULT, Run, RunOutcome, WorkloadKey

REMEMBERED = 16
"""Attempts of a workload, and of other workloads of its group, that are looked at."""
SEEN_AT_MOST = 48
"""Attempts of a group from which on more of them make no difference."""

_APART = re.compile(r"[|/_\-. ]+")


@dataclass(slots=True, eq=False)
class Attempt:
    """What scoring remembers of one run."""

    name: str
    code: str | None
    config: str | None
    host: str | None
    started_s: float
    ended_s: float | None = None
    """None while it runs, and where nobody saw the end."""
    finished: float | None = None
    """1: succeeded. 0: failed by its own fault. None: not known, or neither."""
    stopped: bool = False
    """Ended by a person or by something that was not the work's fault."""
    expected: float | None = None
    """The score that was given when it started."""


@dataclass(slots=True)
class Bias:
    """By how much the scores of a group were too high or too low lately, in log-odds."""

    surplus: float = 0.0
    doubt: float = 0.0

    def learn(self, finished: float, expected: float, memory: float) -> None:
        self.surplus = self.surplus * memory + finished - expected
        self.doubt = self.doubt * memory + expected * (1.0 - expected)

    def value(self, reluctance: float) -> float:
        """One Newton step from no bias towards the bias that explains the errors, shrunk."""
        return self.surplus / (self.doubt + reluctance)


def _attempts() -> deque[Attempt]:
    return deque(maxlen=REMEMBERED)


@dataclass(slots=True)
class Group:
    """What workloads of one group share."""

    newest: deque[Attempt] = field(default_factory=_attempts)
    seen: int = 0
    bias: Bias = field(default_factory=Bias)


@dataclass(slots=True)
class History:
    """All that is remembered. `started` and `ended` are to be called in the order of time."""

    memory: float
    """How much of a bias is kept at each further run, 0 to 1."""
    finished: float = 0.0
    counted: int = 0
    own: dict[WorkloadKey, deque[Attempt]] = field(default_factory=lambda: defaultdict(_attempts))
    groups: dict[str | None, Group] = field(default_factory=lambda: defaultdict(Group))

    def started(self, key: WorkloadKey, attempt: Attempt) -> None:
        group = self.groups[key.group]
        group.newest.append(attempt)
        group.seen = min(group.seen + 1, SEEN_AT_MOST)
        self.own[key].append(attempt)

    def ended(self, key: WorkloadKey, attempt: Attempt, run: Run) -> None:
        """The outcome is known from now on."""
        attempt.ended_s = None if run.ended_at is None else run.ended_at.timestamp()
        attempt.finished = finished(run)
        attempt.stopped = attempt.finished is None and _was_stopped(run)
        if attempt.finished is None:
            return
        self.finished += attempt.finished
        self.counted += 1
        if attempt.expected is not None:
            self.groups[key.group].bias.learn(attempt.finished, attempt.expected, self.memory)


def attempt_of(run: Run) -> Attempt:
    """What is known of a run when it starts. An image tells more of the code than its commit."""
    return Attempt(
        name=run.workload,
        code=run.image or run.code,
        config=run.config,
        host=run.host,
        started_s=run.started_at.timestamp(),
    )


def finished(run: Run) -> float | None:
    """1 for a success, 0 for a failure of the work's own; None where the run says neither."""
    if run.outcome is RunOutcome.SUCCEEDED:
        return 1.0
    if run.outcome is RunOutcome.FAILED and run.cause not in NOT_THE_WORKS_FAULT:
        return 0.0
    return None


def _was_stopped(run: Run) -> bool:
    return run.outcome in {RunOutcome.CANCELLED, RunOutcome.FAILED}


Words: TypeAlias = frozenset[str]


@lru_cache(maxsize=4096)
def likeness(one: str, other: str) -> float:
    """The share of words that two names have in common, 0 to 1 (Jaccard)."""
    ours, theirs = _words(one), _words(other)
    return len(ours & theirs) / max(1, len(ours | theirs))


@lru_cache(maxsize=4096)
def _words(name: str) -> Words:
    return frozenset(word for word in _APART.split(name) if word)


def survived(attempt: Attempt, at_s: float, patience_s: float) -> float:
    """How much it says, 0 to 1, that an attempt without an outcome has lasted so long."""
    until = at_s if attempt.ended_s is None else min(at_s, attempt.ended_s)
    return 1.0 - exp(-max(0.0, until - attempt.started_s) / patience_s)
