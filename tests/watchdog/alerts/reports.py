"""Small builders of patrol reports: each test names only what it is about."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from policies.facts import Gap, WorkloadKey
from policies.verdicts import (
    QUIET,
    Decision,
    Finding,
    Maturity,
    Outcome,
    Phase,
    PhaseNow,
    Verdict,
    Veto,
    Wanted,
)
from tests.builders import NOW, attribution, machine, price
from watchdog.patrol_report import BackfillLine, CostOfWatching, JudgedMachine, PatrolReport
from watchdog.verdict_changes import VerdictChange

QUIET_WHY = "The meter runs while nothing is computed or moved."
BLIND_WHY = "It runs, and nothing tells whether anybody uses it."
ADVICE = "install the CloudWatch agent with nvidia_gpu on it"


def judged(
    name: str = "trainer-1",
    *,
    hourly: str | None = "1.00",
    phase: Phase = Phase.IDLE,
    idle: timedelta = timedelta(hours=2),
    wanted: Wanted | None = None,
    workload: str | None = "llama",
    owner: str | None = "ana",
    verdict: Verdict = Verdict.EXPLORATORY,
    why: Sequence[str] | None = None,
    because: str | None = None,
    vetoes: Sequence[Veto] = (),
    **machine_changes: Any,
) -> JudgedMachine:
    """An idle machine that the policy wants to notify about, unless told otherwise."""
    seen = machine(name, **({"price": price(hourly)} | machine_changes))
    wish = wanted or _wish(phase)
    reason = because or (BLIND_WHY if phase is Phase.UNKNOWN else QUIET_WHY)
    findings = (
        ()
        if wish is Wanted.LEAVE
        else (Finding(rule="r", because=reason, waste_usd_per_hour=None),)
    )
    return JudgedMachine(
        machine=seen,
        attribution=attribution(workload, resource=seen.id, owner=owner),
        phase=phase_now(phase, idle),
        maturity=maturity(verdict),
        decision=Decision(
            machine=seen.id,
            wanted=wish,
            findings=findings,
            why=tuple(why) if why is not None else _why(phase),
            vetoes=tuple(vetoes),
        ),
    )


def _wish(phase: Phase) -> Wanted:
    if phase is Phase.UNKNOWN:
        return Wanted.UNKNOWN
    return Wanted.NOTIFY if phase in QUIET else Wanted.LEAVE


def _why(phase: Phase) -> tuple[str, ...]:
    if phase is Phase.UNKNOWN:
        return ("no metric of this machine was found", ADVICE)
    return (f"rule r: {QUIET_WHY}", "GPU 0: 0 %, 512 of 24576 MiB")


def phase_now(phase: Phase, idle: timedelta) -> PhaseNow:
    return PhaseNow(
        phase=phase,
        quiet_since=NOW - idle if phase in QUIET else None,
        confidence=0.95,
        coverage=1.0,
        why=(),
        source=None if phase is Phase.UNKNOWN else "cloudwatch:CWAgent",
        measured_until=None if phase is Phase.UNKNOWN else NOW,
    )


def maturity(verdict: Verdict) -> Maturity:
    return Maturity(
        verdict=verdict,
        score=None,
        low=None,
        high=None,
        runs=0,
        succeeded=0,
        failed=0,
        gpu_hours=None,
        questions={},
        missing=(),
        proven_gpus=None,
        as_of=NOW,
    )


def gap(what: str = "machines", why: str = "access denied: attach the role", **changes: Any) -> Gap:
    values = {"provider": "aws", "account": "123456789012", "region": "us-east-1"} | changes
    return Gap(what=what, why=why, **values)


def backfilled(
    name: str = "trainer-1",
    *,
    idle: tuple[float, str | None] = (0.0, "0"),
    unmeasured: tuple[float, str | None] = (0.0, "0"),
    total: tuple[float, str | None] = (336.0, "336"),
    advice: str | None = None,
    **changes: Any,
) -> BackfillLine:
    values: dict[str, Any] = {
        "machine": f"aws:123456789012:us-east-1:i-{name}",
        "name": name,
        "workload": "llama",
        "idle_hours": idle[0],
        "idle_usd": _usd(idle[1]),
        "unmeasured_hours": unmeasured[0],
        "unmeasured_usd": _usd(unmeasured[1]),
        "total_hours": total[0],
        "total_usd": _usd(total[1]),
        "advice": advice,
    }
    return BackfillLine(**(values | changes))


def verdict_change(name: str = "llama", **changes: Any) -> VerdictChange:
    values: dict[str, Any] = {
        "key": WorkloadKey(group=None, name=name),
        "number": 1,
        "attempt": 1,
        "before": Verdict.EXPLORATORY,
        "now": Verdict.MATURE,
        "at": NOW,
        "score": 0.9,
        "why": "12 of 12 runs that count succeeded",
    }
    return VerdictChange(**(values | changes))


def _usd(amount: str | None) -> Decimal | None:
    return None if amount is None else Decimal(amount)


def report(
    *machines: JudgedMachine,
    at: datetime = NOW,
    gaps: Sequence[Gap] = (),
    outcomes: Sequence[Outcome] = (),
    backfill: Sequence[BackfillLine] = (),
    **changes: Any,
) -> PatrolReport:
    values: dict[str, Any] = {
        "patrol_id": "p1",
        "at": at,
        "mode": "observe",
        "machines": machines,
        "storage": (),
        "egress": (),
        "gaps": tuple(gaps),
        "outcomes": tuple(outcomes),
        "cost_of_watching": CostOfWatching(
            api_calls={"ec2:DescribeInstances": 2, "cloudwatch:GetMetricData": 3},
            usd=Decimal("0.0031"),
            seconds=1.25,
        ),
        "backfill": tuple(backfill),
        "backfilled_from": at - timedelta(days=14) if backfill else None,
    }
    return PatrolReport(**(values | changes))
