"""What one patrol saw, concluded and did: the value behind the JSON, the table and the alert."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from policies.facts import Attribution, EgressMeter, Gap, Machine, Scope, Storage
from policies.verdicts import Decision, Maturity, Outcome, PhaseNow
from watchdog.confusion_shown import Found, dearest_findings
from watchdog.notice import Notice
from watchdog.verdict_changes import VerdictChange


@dataclass(frozen=True, slots=True, kw_only=True)
class JudgedMachine:
    """One machine with everything that was concluded about it."""

    machine: Machine
    attribution: Attribution
    phase: PhaseNow
    maturity: Maturity
    decision: Decision
    confusion: tuple[Found, ...] = ()
    """What the exploratory workload that runs on it does again and again."""
    stopped_since: datetime | None = None
    """When it stopped, or was first seen stopped."""

    @property
    def idle_minutes(self) -> float | None:
        return self.phase.idle_minutes()


def found_in(machines: Iterable[JudgedMachine]) -> tuple[Found, ...]:
    """The confusion of all of them, each workload's once, the dearest first."""
    by_name = {
        (each.finding.key, each.finding.name): each
        for machine in machines
        for each in machine.confusion
    }
    return tuple(dearest_findings(by_name.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class AttributedStorage:
    """One storage, and the workload that it belongs to now."""

    storage: Storage
    attribution: Attribution


@dataclass(frozen=True, slots=True, kw_only=True)
class MeteredEgress:
    """One egress meter, and whose it is."""

    meter: EgressMeter
    name: str | None
    attribution: Attribution
    upper_bound: bool
    """Whether the cost is what it would be if all of it went to the internet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BackfillLine:
    """What one machine did in the days that were backfilled."""

    machine: str
    name: str | None
    workload: str | None
    idle_hours: float
    idle_usd: Decimal | None
    """Setup is not counted: idle, parked and hung. None: unpriced."""
    unmeasured_hours: float
    unmeasured_usd: Decimal | None
    total_hours: float
    total_usd: Decimal | None
    advice: str | None
    """The one line that would make it visible; None for a machine that is measured."""


def by_waste(line: BackfillLine) -> tuple[int, Decimal, float, str]:
    """Sorts by dollars that bought nothing, or may have; then by such hours without a price."""
    unpriced = line.idle_usd is None or line.unmeasured_usd is None
    waste = (line.idle_usd or Decimal(0)) + (line.unmeasured_usd or Decimal(0))
    part = 0 if waste else 1 if unpriced else 2
    return (part, -waste, -(line.idle_hours + line.unmeasured_hours), line.machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class CostOfWatching:
    """What the patrol itself cost."""

    api_calls: Mapping[str, int]
    usd: Decimal | None
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PatrolReport:
    patrol_id: str
    at: datetime
    mode: str
    """`observe` or `act`."""
    machines: tuple[JudgedMachine, ...]
    storage: tuple[AttributedStorage, ...]
    egress: tuple[MeteredEgress, ...]
    gaps: tuple[Gap, ...]
    """Accepted gaps are left out."""
    outcomes: tuple[Outcome, ...]
    cost_of_watching: CostOfWatching
    watched: tuple[Scope, ...] = ()
    """The places that were seen whole."""
    backfill: tuple[BackfillLine, ...] = ()
    backfilled_from: datetime | None = None
    verdict_changes: tuple[VerdictChange, ...] = ()
    """Those that this patrol tells."""
    notices: tuple[Notice, ...] = ()
    """What is to be known beside the machines that run, now."""
    news: tuple[Notice, ...] = ()
    """Those of them that this patrol tells."""
