"""The score: how likely the next run of a workload completes, judged by runs that are like it.

Each earlier attempt of the workload and of its group speaks for itself, the louder the more recent
it is and the more it has in common with the next one: name, code, config, host. Two sums of such
voices, one of short and one of long memory, are shrunk toward the fleet's rate. A handful of
further signs and the group's own past errors move the log-odds; each is a sentence that a person
can check. `python -m tests.bench.fit_score` fits the constants, and says how well they do on
projects that they were not fitted on.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, log, log1p, sqrt
from typing import NamedTuple

from policies.facts import WorkloadKey
from policies.history import REMEMBERED, Attempt, History, likeness, survived

DAY_S = 86_400.0
BURST_S = 600.0
Z_90 = 1.645
PROVEN = {1.0}
"""All of those that ended had succeeded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constants:
    """Fitted; see `tests/bench/fit_score.py`."""

    other_name: float = 0.024
    """What an attempt with no word of the name in common counts, against one of the same name."""
    other_code: float = 0.32
    other_config: float = 0.53
    other_host: float = 0.31
    survived_weight: float = 0.24
    survived_s: float = 530.0
    """An attempt that still runs, or that nobody saw end, counts as having survived so far."""
    short_runs: float = 0.73
    long_runs: float = 83.0
    """After so many further runs an attempt has lost 63 % of its voice."""
    half_days: float = 0.47
    """After so many days it has lost half of it, in the short memory."""
    long_days_power: float = 0.01
    short_prior: float = 1.76
    long_prior: float = 2.25
    """Voices that the level above has: the long memory's rate, the fleet's rate."""
    fleet_finished: float = 5.3
    fleet_failed: float = 3.4
    """Imagined runs of a fleet that nothing is known of."""
    bias_memory: float = 0.99
    bias_reluctance: float = 1.0


class Signals(NamedTuple):
    """What the score is made of, each times its weight; the first two in log-odds."""

    runs_like_it: float
    fleet: float
    seen: float
    """log(1 + attempts of the group)"""
    burst: float
    """log(1 + attempts like it in the last ten minutes)"""
    same_again: float
    """1: the newest attempt with the same code and config succeeded."""
    new_config: float
    code_proven: float
    """1: the same code has succeeded and not failed."""
    config_proven: float


class Weights(NamedTuple):
    """Log-odds for each signal. Fitted."""

    constant: float
    signals: Signals


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    value: float
    """The probability that the next run completes, 0 to 1."""
    low: float
    high: float
    """A 90 % interval."""
    signals: Signals
    bias: float
    """What the group's past errors add, in log-odds."""


DEFAULT_CONSTANTS = Constants()
DEFAULT_WEIGHTS = Weights(
    constant=-1.677,
    signals=Signals(
        runs_like_it=1.637,
        fleet=-0.945,
        seen=0.264,
        burst=0.603,
        same_again=0.889,
        new_config=0.755,
        code_proven=0.916,
        config_proven=1.025,
    ),
)


def score(
    history: History,
    key: WorkloadKey,
    attempt: Attempt,
    *,
    at_s: float,
    constants: Constants = DEFAULT_CONSTANTS,
    weights: Weights = DEFAULT_WEIGHTS,
) -> Score:
    """How likely this attempt completes, from what was known at `at_s`, seconds since 1970."""
    signals, voices = signals_of(history, key, attempt, at_s, constants)
    bias = history.groups[key.group].bias.value(constants.bias_reluctance)
    value = probability(dot(weights, signals) + bias)
    low, high = _interval(value, voices)
    return Score(value=value, low=low, high=high, signals=signals, bias=bias)


def signals_of(
    history: History, key: WorkloadKey, attempt: Attempt, at_s: float, constants: Constants
) -> tuple[Signals, float]:
    """The signals, and how many runs' worth of evidence stands behind them."""
    group = history.groups[key.group]
    voices = _Voices(constants)
    own = history.own[key]
    voices.add(attempt, at_s, reversed(own), itself=True)
    if len(own) < REMEMBERED:
        voices.add(attempt, at_s, reversed(group.newest), itself=False)
    fleet = (history.finished + constants.fleet_finished) / (
        history.counted + constants.fleet_finished + constants.fleet_failed
    )
    long = shrunk(voices.long_good, voices.long_all, constants.long_prior, fleet)
    short = shrunk(voices.short_good, voices.short_all, constants.short_prior, long)
    signals = Signals(
        runs_like_it=log_odds(short),
        fleet=log_odds(fleet),
        seen=log1p(group.seen),
        burst=log1p(voices.burst),
        same_again=float(voices.same_again == 1.0),
        new_config=float(attempt.config is not None and not voices.saw_config),
        code_proven=float(voices.code_proven),
        config_proven=float(voices.config_proven),
    )
    return signals, voices.long_all + constants.long_prior


class _Voices:
    """Adds up what earlier attempts say. Millions pass through here, so it is one plain loop."""

    __slots__ = (
        "_constants",
        "_ranks",
        "burst",
        "code_ends",
        "config_ends",
        "long_all",
        "long_good",
        "same_again",
        "saw_config",
        "short_all",
        "short_good",
    )

    def __init__(self, constants: Constants) -> None:
        self._constants = constants
        self._ranks = _ranks(constants.short_runs, constants.long_runs)
        self.short_good = self.short_all = self.long_good = self.long_all = 0.0
        self.burst = 0
        self.saw_config = False
        self.code_ends: set[float] = set()
        self.config_ends: set[float] = set()
        """How attempts with the same code, or the same config, ended."""
        self.same_again: float | None = None
        """How the newest attempt with the same code and config ended; None: there is none."""

    @property
    def code_proven(self) -> bool:
        return self.code_ends == PROVEN

    @property
    def config_proven(self) -> bool:
        return self.config_ends == PROVEN

    def add(  # noqa: C901, PLR0912, PLR0915 - one plain loop: calls would double its time
        self, mine: Attempt, at_s: float, others: Iterable[Attempt], *, itself: bool
    ) -> None:
        """Attempts of the workload itself, or of the others in its group; the newest first."""
        c = self._constants
        name, code, config, host = mine.name, mine.code, mine.config, mine.host
        other_code, other_config, other_host = c.other_code, c.other_config, c.other_host
        half_days_s, power = c.half_days * DAY_S, c.long_days_power
        ranks = self._ranks
        short_good = short_all = long_good = long_all = 0.0
        rank = 0
        for other in others:
            short, long = ranks[rank]
            if itself:
                weight = 1.0
            elif other.name == name:
                rank += not other.stopped
                continue
            else:
                weight = c.other_name ** (1.0 - likeness(name, other.name))
            # What was stopped from outside makes no earlier attempt older than it is.
            rank += not other.stopped
            is_same_code = code is not None and code == other.code
            is_same_config = config is not None and config == other.config
            value = other.finished
            if value is None:
                value = 1.0
                weight *= c.survived_weight * survived(other, at_s, c.survived_s)
            elif is_same_code:
                self.code_ends.add(value)
                if is_same_config:
                    self.config_ends.add(value)
                    if self.same_again is None:
                        self.same_again = value
            elif is_same_config:
                self.config_ends.add(value)
            if host is None or host != other.host:
                weight *= other_host
            if not is_same_code:
                weight *= other_code
            if is_same_config:
                self.saw_config = True
            else:
                weight *= other_config
            age_s = at_s - other.started_s
            if age_s < BURST_S:
                self.burst += 1
                age_s = max(0.0, age_s)
            fading = 1.0 / (1.0 + age_s / half_days_s)
            short *= weight * fading
            long *= weight * fading**power
            short_good += short * value
            short_all += short
            long_good += long * value
            long_all += long
        self.short_good += short_good
        self.short_all += short_all
        self.long_good += long_good
        self.long_all += long_all


@cache
def _ranks(short_runs: float, long_runs: float) -> tuple[tuple[float, float], ...]:
    """How loud the newest attempt is in both memories, the second newest, and so on."""
    ranks = range(REMEMBERED)
    return tuple((exp(-rank / short_runs), exp(-rank / long_runs)) for rank in ranks)


def shrunk(good: float, everything: float, prior: float, rate: float) -> float:
    return (good + prior * rate) / (everything + prior)


def log_odds(share: float) -> float:
    return log(share / (1.0 - share))


def probability(odds: float) -> float:
    return 1.0 / (1.0 + exp(-max(-30.0, min(30.0, odds))))


def dot(weights: Weights, signals: Sequence[float]) -> float:
    total = weights.constant
    for weight, signal in zip(weights.signals, signals, strict=True):
        total += weight * signal
    return total


def _interval(value: float, runs: float) -> tuple[float, float]:
    """A 90 % Wilson interval: Wilson 1927, JASA 22, 209-212."""
    middle = (value + Z_90**2 / (2 * runs)) / (1 + Z_90**2 / runs)
    variance = value * (1 - value) / runs + Z_90**2 / (4 * runs * runs)
    half = Z_90 / (1 + Z_90**2 / runs) * sqrt(variance)
    return max(0.0, middle - half), min(1.0, middle + half)
