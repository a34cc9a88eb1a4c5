"""Why a score is what it is: signed terms that a person can check, which add up to the score.

The terms are the parts of the log-odds that `policies.score` adds up. Yes-or-no signals are told
from the middle between their extremes, so that a missing proof shows as a minus and the start lies
near the fleet's rate. Log-odds become shares of the probability by integrated gradients along the
straight line from the start to the score (Sundararajan, Taly and Yan 2017, arXiv:1703.01365): each
term gets its part of the difference, in proportion, and nothing is left over.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from math import expm1

from policies.facts import WorkloadKey
from policies.history import SEEN_AT_MOST, Attempt, History
from policies.score import (
    DEFAULT_CONSTANTS,
    DEFAULT_WEIGHTS,
    Constants,
    Score,
    Signals,
    Weights,
    probability,
    score,
    signals_of,
)

SPEECHLESS = 1e15
"""With a prior of so many runs the short memory says nothing of its own: the long one is left."""
LEVEL = 1e-9
"""Below so much log-odds in all, the line from start to score is its own tangent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One reason for a score."""

    name: str
    log_odds: float
    points: float
    """What it adds to the probability, -1 to 1; with the start, all points make the score."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Explained:
    """A score, taken apart."""

    start: float
    """The probability for a run of which nothing is known, in this fleet."""
    start_why: str
    terms: tuple[Term, ...]
    """The weightiest first."""
    score: Score


def explained(
    history: History,
    key: WorkloadKey,
    attempt: Attempt,
    *,
    at_s: float,
    constants: Constants = DEFAULT_CONSTANTS,
    weights: Weights = DEFAULT_WEIGHTS,
) -> Explained:
    """The same score that `policies.score.score` gives, with its reasons."""
    given = score(history, key, attempt, at_s=at_s, constants=constants, weights=weights)
    mute = replace(constants, short_prior=SPEECHLESS)
    long_only, _ = signals_of(history, key, attempt, at_s, mute)
    start = _start(weights, given.signals)
    told = tuple(_Past(history, key, attempt, at_s).told(given, long_only, weights))
    total = sum(log_odds for _, log_odds, _ in told)
    rise = probability(start + total) - probability(start)
    slope = rise / total if abs(total) > LEVEL else _slope(probability(start))
    terms = [Term(name=n, log_odds=odds, points=odds * slope, why=why) for n, odds, why in told]
    return Explained(
        start=probability(start),
        start_why=f"runs of this fleet complete with {probability(given.signals.fleet):.0%}",
        terms=tuple(sorted(terms, key=lambda term: -abs(term.points))),
        score=given,
    )


def _slope(value: float) -> float:
    return value * (1.0 - value)


def _start(weights: Weights, signals: Signals) -> float:
    """Log-odds of a run without a past: the fleet's rate, and every yes-or-no half-way."""
    each = weights.signals
    middles = each.same_again / 2 + each.code_proven / 2 + _config_middle(weights)
    return weights.constant + middles + (each.runs_like_it + each.fleet) * signals.fleet


def _config_middle(weights: Weights) -> float:
    return max(weights.signals.config_proven, weights.signals.new_config) / 2


@dataclass(frozen=True, slots=True)
class _Past:
    """What is remembered of a workload, in words."""

    history: History
    key: WorkloadKey
    attempt: Attempt
    at_s: float

    def told(
        self, given: Score, long_only: Signals, weights: Weights
    ) -> Iterator[tuple[str, float, str]]:
        """Name, log-odds and sentence of each term."""
        signals, each = given.signals, weights.signals
        long_gain = each.runs_like_it * (long_only.runs_like_it - signals.fleet)
        short_gain = each.runs_like_it * (signals.runs_like_it - long_only.runs_like_it)
        config = each.new_config * signals.new_config + each.config_proven * signals.config_proven
        yield "record", long_gain, self._record()
        yield "lately", short_gain, self._lately()
        yield "experience", each.seen * signals.seen, self._experience()
        yield "burst", each.burst * signals.burst, self._burst(signals)
        yield "same_again", each.same_again * (signals.same_again - 0.5), self._again(signals)
        yield "code", each.code_proven * (signals.code_proven - 0.5), self._code(signals)
        yield "config", config - _config_middle(weights), self._config(signals)
        yield "past_errors", given.bias, _bias_told(given.bias)

    @property
    def _own(self) -> Sequence[Attempt]:
        """Oldest first."""
        return tuple(self.history.own[self.key])

    @property
    def _all(self) -> list[Attempt]:
        """Of the workload and of its group, oldest first, each once."""
        own = self._own
        known = {id(each) for each in own}
        group = self.history.groups[self.key.group].newest
        every = [*own, *(each for each in group if id(each) not in known)]
        return sorted(every, key=lambda each: each.started_s)

    def _record(self) -> str:
        outcomes = [each.finished for each in self._own if each.finished is not None]
        if outcomes:
            return f"{_won(outcomes)} of its newest {len(outcomes)} runs that count succeeded"
        others = [each.finished for each in self._all if each.finished is not None]
        if others:
            return f"{_won(others)} of {len(others)} other runs of its group succeeded"
        return "neither a run of it nor one of its group has ended"

    def _lately(self) -> str:
        outcomes = [each.finished for each in self._own if each.finished is not None]
        if not outcomes:
            return "no run of it has ended, so lately nothing was learned"
        streak = _streak(outcomes)
        what = "succeeded" if outcomes[-1] else "failed"
        if streak == 1:
            return f"its newest run that counts {what}"
        return f"its newest {streak} runs that count {what} in a row"

    def _experience(self) -> str:
        seen = self.history.groups[self.key.group].seen
        whose = "of its group" if self.key.group is not None else "of workloads without a group"
        more = " or more" if seen == SEEN_AT_MOST else ""
        return f"{_counted(seen, 'attempt')}{more} {whose} were seen"

    def _burst(self, signals: Signals) -> str:
        if not signals.burst:
            return "no run like it began in the last ten minutes"
        count = round(expm1(signals.burst))
        return f"{_counted(count, 'run')} like it began in the last ten minutes"

    def _again(self, signals: Signals) -> str:
        if signals.same_again:
            return "the newest run with the same code and config succeeded"
        if self.attempt.code is None or self.attempt.config is None:
            return "whether the same code and config ran before is not told"
        same = [each for each in self._all if self._same_code(each) and self._same_config(each)]
        if any(each.finished is not None for each in same):
            return "the newest run with the same code and config failed"
        return "no run with the same code and config has ended yet"

    def _code(self, signals: Signals) -> str:
        if self.attempt.code is None:
            return "its newest run tells neither code nor image"
        same = [each for each in self._all if self._same_code(each)]
        return self._proof("code", same, proven=bool(signals.code_proven))

    def _config(self, signals: Signals) -> str:
        if self.attempt.config is None:
            return "its newest run tells no config"
        if signals.new_config:
            return "its config was never tried before"
        same = [each for each in self._all if self._same_config(each)]
        return self._proof("config", same, proven=bool(signals.config_proven))

    def _proof(self, what: str, same: Sequence[Attempt], *, proven: bool) -> str:
        since = self._since(what, same)
        if proven:
            return f"the same {what}{since} has succeeded and never failed"
        if any(each.finished == 0.0 for each in same):
            return f"the same {what}{since} has failed"
        if since:
            return f"its {what} changed on {since.removeprefix(' since ')}: no success with it yet"
        return f"no run with its {what} has succeeded yet"

    def _since(self, what: str, same: Sequence[Attempt]) -> str:
        """When the workload began to run with it; nothing where it is not seen to have changed."""
        mine = {id(each) for each in same}
        own = [each for each in self._own if getattr(each, what) is not None]
        first: Attempt | None = None
        for each in reversed(own):
            if id(each) not in mine:
                return "" if first is None else f" since {_day(first.started_s)}"
            first = each
        return ""

    def _same_code(self, other: Attempt) -> bool:
        return self.attempt.code is not None and other.code == self.attempt.code

    def _same_config(self, other: Attempt) -> bool:
        return self.attempt.config is not None and other.config == self.attempt.config


def _bias_told(bias: float) -> str:
    if not bias:
        return "of earlier scores of its group none was checked by an outcome yet"
    return f"earlier scores of its group were too {'low' if bias > 0 else 'high'}"


def _won(outcomes: Iterable[float]) -> int:
    return int(sum(outcomes))


def _streak(outcomes: Sequence[float]) -> int:
    """How many of the newest are alike."""
    length = 0
    for outcome in reversed(outcomes):
        if outcome != outcomes[-1]:
            break
        length += 1
    return length


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _day(at_s: float) -> str:
    """`Tuesday 24 November 2026`."""
    at = datetime.fromtimestamp(at_s, tz=UTC)
    return f"{at:%A} {at.day} {at:%B %Y}"
