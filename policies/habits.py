"""How long pauses last: what a fleet's, a group's and a workload's own pauses have shown so far.

The chance that a pause ends falls with the time that it has lasted, about as 1 / (1 + minutes): so
it is on the pauses between thousands of real runs, and so long pauses are long out of proportion.
A handful of constants describe the pauses of a fleet that nothing is known of; each level below
learns by which factor its own pauses end more or less often, and believes the level above until it
has seen enough. `python -m tests.bench.fit_patience` fits the constants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from math import inf, log1p

from policies.facts import RunOutcome, WorkloadKey

Factors = tuple[float, ...]
"""One a segment of `EDGES_MIN`."""

EDGES_MIN = (0.0, 5.0, 10.0, 30.0, 180.0, inf)
"""Minutes of a pause at which another factor begins: what happens at once, over a coffee, within
the half hour, within half a day, and later."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prior:
    """A pause that has lasted t minutes, after an activity of d minutes, ends in the next minute
    with the chance `ends` × (1 + d)^`after` / (1 + t): after a long run nobody waits at the screen.
    """

    ends: Factors = (0.842, 0.737, 0.582, 0.302, 0.474)
    after: Factors = (-0.203, -0.306, -0.247, -0.142, -0.001)


DEFAULT_PRIOR = Prior()
SEGMENTS = len(EDGES_MIN) - 1
FLEET_PAUSES = 120.0
OUTCOME_PAUSES = 60.0
GROUP_PAUSES = 30.0
WORKLOAD_PAUSES = 30.0
"""Ended pauses that the level above counts for: shrinkage toward it."""
ENOUGH = 100
"""Pauses after one outcome, or in one part of a group's week, before they count apart."""
REGRET_STOPS = 20.0
"""Stops that a workload's regrets are measured against, besides its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Before:
    """What is known of a pause when it begins. Nothing in it looks ahead."""

    key: WorkloadKey | None
    """The workload that ran last; None where nothing told."""
    began_at: datetime
    activity_s: float
    """How long the activity lasted that ended then, in seconds."""
    outcome: RunOutcome | None = None
    """How that run ended; None where no run is known."""


@dataclass(slots=True)
class Habit:
    """Pauses of one level, in two numbers a segment, however many there were."""

    ended: list[float] = field(default_factory=lambda: [0.0] * SEGMENTS)
    expected: list[float] = field(default_factory=lambda: [0.0] * SEGMENTS)
    """How many would have ended there by what the levels above expected."""
    pauses: int = 0

    def factors(self, counts_for: float) -> Factors:
        return tuple(
            (ended + counts_for) / (expected + counts_for)
            for ended, expected in zip(self.ended, self.expected, strict=True)
        )


@dataclass(slots=True)
class Stops:
    """Stops of a workload, and how many of them were undone within two hours."""

    stopped: int = 0
    regretted: int = 0


def _habits() -> defaultdict[object, Habit]:
    return defaultdict(Habit)


@dataclass(slots=True)
class Habits:
    """All that is remembered of pauses. To be told of each pause when it has ended."""

    prior: Prior = DEFAULT_PRIOR
    levels: defaultdict[object, Habit] = field(default_factory=_habits)
    stops: defaultdict[WorkloadKey | None, Stops] = field(
        default_factory=lambda: defaultdict(Stops)
    )

    def ended(self, before: Before, lasted_s: float) -> None:
        """A pause ended by itself: by activity."""
        minutes = lasted_s / 60
        segment = _segment(minutes)
        expected = [
            strength * spent
            for strength, spent in zip(self._expected(before), _spent(minutes), strict=True)
        ]
        for name, counts_for in _levels(before):
            habit = self.levels[name]
            habit.ended[segment] += 1
            habit.pauses += 1
            for number, value in enumerate(expected):
                habit.expected[number] += value
            if _counts(name, habit):
                factors = habit.factors(counts_for)
                expected = [e * factor for e, factor in zip(expected, factors, strict=True)]

    def stopped(self, key: WorkloadKey | None, *, regretted: bool) -> None:
        """A stop of this workload, once it is known whether it was undone."""
        self.stops[key].stopped += 1
        self.stops[key].regretted += regretted

    def strengths(self, before: Before) -> Factors:
        """By segment: chances that the pause ends in its next minute, times (1 + minutes)."""
        strengths = list(self._expected(before))
        for name, counts_for in _levels(before):
            habit = self.levels.get(name)
            if habit is not None and _counts(name, habit):
                factors = habit.factors(counts_for)
                strengths = [s * factor for s, factor in zip(strengths, factors, strict=True)]
        return tuple(strengths)

    def _expected(self, before: Before) -> Factors:
        longer = 1.0 + max(0.0, before.activity_s) / 60
        prior = self.prior
        return tuple(e * longer**a for e, a in zip(prior.ends, prior.after, strict=True))

    def dearer(self, key: WorkloadKey | None) -> float:
        """By which factor, 1 to 2, regrets make a restart of this workload dearer."""
        stops = self.stops.get(key, NO_STOPS)
        return 1.0 + stops.regretted / (stops.stopped + REGRET_STOPS)


NO_STOPS = Stops()


def _levels(before: Before) -> Iterator[tuple[tuple[object, ...], float]]:
    """Each level, from the widest on, and what the one above it counts for."""
    yield ("fleet",), FLEET_PAUSES
    yield ("outcome", before.outcome), OUTCOME_PAUSES
    key = before.key
    if key is None:
        return
    if key.group is not None:
        yield ("group", key.group), GROUP_PAUSES
        yield ("outcome", before.outcome, key.group), GROUP_PAUSES
        yield ("week", _part_of_week(before.began_at), key.group), GROUP_PAUSES
    yield ("workload", key), WORKLOAD_PAUSES


def _counts(name: tuple[object, ...], habit: Habit) -> bool:
    return name[0] not in {"outcome", "week"} or habit.pauses >= ENOUGH


def _part_of_week(moment: datetime) -> str:
    """A quarter of a working day in UTC, or the weekend."""
    if moment.weekday() >= 5:  # noqa: PLR2004 - Saturday
        return "weekend"
    return f"hours {moment.hour // 6 * 6}"


def _segment(minutes: float) -> int:
    return sum(minutes > edge for edge in EDGES_MIN[1:-1])


def _spent(minutes: float) -> Iterator[float]:
    """What a pause of this length passed of each segment, in log-minutes."""
    for low, high in pairwise(EDGES_MIN):
        yield max(0.0, log1p(min(minutes, high)) - log1p(low)) if minutes > low else 0.0
