"""What was concluded. Frozen values; every conclusion carries its reasons in plain sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class Phase(StrEnum):
    """What metered GPU time was spent on."""

    SETUP = "setup"
    TRANSFER = "transfer"
    ACTIVE = "active"
    PARKED = "parked"
    IDLE = "idle"
    HUNG = "hung"
    UNKNOWN = "unknown"


QUIET = frozenset({Phase.PARKED, Phase.IDLE, Phase.HUNG})
"""Phases in which the meter runs while nothing is computed or moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A span of one machine's time in one phase, `[started_at, ended_at)`."""

    started_at: datetime
    ended_at: datetime
    phase: Phase


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseNow:
    """The phase of a machine at the end of what was measured, and how sure that is."""

    phase: Phase
    quiet_since: datetime | None
    """Start of the current pause: the end of the last activity, or of set-up. None: no pause."""
    confidence: float
    """0 to 1: coverage, kind of signal and freshness taken together."""
    coverage: float
    """Share of the intervals since `quiet_since` (else of the window) that was measured, 0 to 1."""
    why: tuple[str, ...]
    source: str | None
    measured_until: datetime | None
    """End of the newest interval in which utilisation was measured."""
    sees_gpus: bool = True
    """False: CPU, network and disk stood in for GPU metrics that nobody reports."""
    host_activity: tuple[str, ...] | None = None
    """What CPU, disk and network did lately, in words; empty: nothing. None: not measured."""
    period: timedelta = timedelta(minutes=5)
    """How long the newest measured interval is."""

    def idle_minutes(self) -> float | None:
        """Minutes without activity up to the newest measurement; 0 while active."""
        if self.phase is Phase.UNKNOWN or self.measured_until is None:
            return None
        if self.quiet_since is None:
            return 0.0
        return max(0.0, (self.measured_until - self.quiet_since).total_seconds() / 60)


class Verdict(StrEnum):
    EXPLORATORY = "exploratory"
    MATURE = "mature"
    UNKNOWN = "unknown"


class Answer(StrEnum):
    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Question(StrEnum):
    """The seven questions that are asked of the work itself."""

    FINISHES = "finishes"
    MEMORY = "memory"
    ENVIRONMENT = "environment"
    PORTABLE = "portable"
    DATA = "data"
    DURATION = "duration"
    USES_WHAT_IT_RENTS = "uses_what_it_rents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One answer, with evidence that a person can check."""

    answer: Answer
    evidence: str


class Direction(StrEnum):
    RISING = "rising"
    STEADY = "steady"
    FALLING = "falling"


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """The score now against one that was given earlier."""

    direction: Direction
    then: float
    """The score that was given to the run that started at `then_at`, 0 to 1."""
    then_at: datetime
    runs: int
    """Runs that started since, that one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Maturity:
    """How mature a workload is, as of a moment."""

    verdict: Verdict
    score: float | None
    """Probability that the next run completes, 0 to 1. None: no evidence at all."""
    low: float | None
    high: float | None
    """A 90 % interval of the score."""
    runs: int
    succeeded: int
    failed: int
    """Failures that were the work's own fault."""
    gpu_hours: float | None
    """GPU-hours of ended runs; None where no run tells its GPUs."""
    questions: Mapping[Question, Evidence]
    missing: tuple[str, ...]
    """What is still missing before the verdict can be `mature`."""
    proven_gpus: int | None
    """The largest number of GPUs on which a run has succeeded."""
    as_of: datetime
    trend: Trend | None = None
    """None: too few runs, or no score."""


class Wanted(StrEnum):
    """What the policy wants. `UNKNOWN`: too little was seen to want anything."""

    LEAVE = "leave"
    NOTIFY = "notify"
    WARN = "warn"
    STOP = "stop"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a rule saw in a machine or a group."""

    rule: str
    because: str
    waste_usd_per_hour: Decimal | None
    """Dollars an hour that buy nothing while this lasts; None where unpriced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Veto:
    """Why a machine may not be stopped now, in one sentence."""

    name: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be done about one machine. Doing nothing is a decision with a reason, too."""

    machine: str
    wanted: Wanted
    findings: tuple[Finding, ...]
    why: tuple[str, ...]
    vetoes: tuple[Veto, ...] = ()
    rule: str | None = None
    """The rule that decided; None where none did."""
    grace: timedelta = timedelta(0)
    """From the delivered warning to the stop, where a stop is wanted."""
    doubtful: bool = False
    """Something above the rule could not be told, so no more than a notification is wanted."""


class Result(StrEnum):
    DESCRIBED = "described"
    DELIVERED = "delivered"
    REQUESTED = "requested"
    STOPPED = "stopped"
    VETOED = "vetoed"
    REFUSED = "refused"
    FAILED = "failed"
    GONE = "gone"
    OVERTAKEN = "overtaken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What happened after a decision."""

    machine: str
    action: str
    """`notify`, `warn` or `stop`."""
    result: Result
    why: str
