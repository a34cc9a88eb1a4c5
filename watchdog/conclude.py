"""Step four of a patrol: accounted machines become judged machines and events worth keeping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from policies.engine import Case, judge
from policies.facts import Gap, Machine, WorkloadKey
from policies.maturity import matching, unknown_maturity
from policies.rules import Policy
from policies.verdicts import QUIET, Decision, Maturity, Phase, PhaseNow
from watchdog import rows
from watchdog.attribution import attribution_at
from watchdog.confusion_shown import Found
from watchdog.keeps import Keep, keep_of
from watchdog.patrol_report import BackfillLine, JudgedMachine, by_waste
from watchdog.spending import NO_SPENDING, Spending
from watchdog.timekeeping import Accounted
from watchdog.waiting import Waiting

CENT = Decimal("0.01")
IDLE_PHASES = frozenset(phase.value for phase in QUIET)
UNMEASURED = Phase.UNKNOWN.value


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What a decision rests on beside runs and readings."""

    advice: Mapping[str, str]
    """By provider, the line that makes an unmeasured machine visible."""
    measured_by: Mapping[str, str] = field(default_factory=dict)
    """By machine, which of several sources was believed."""
    keeps: Mapping[str, Keep] = field(default_factory=dict)
    spending: Spending = NO_SPENDING
    confusion: Mapping[str, Sequence[Found]] = field(default_factory=dict)
    """By machine, what exploratory work on it does again and again."""
    stopped_since: Mapping[str, datetime] = field(default_factory=dict)
    """By machine, when it stopped, or was first seen stopped."""


def conclude(
    accounted: Sequence[Accounted],
    *,
    maturities: Mapping[WorkloadKey, Maturity],
    waiting: Waiting,
    policy: Policy,
    beside: Beside,
    now: datetime,
) -> tuple[JudgedMachine, ...]:
    """A decision for every machine, with everything that it rests on.

    `waiting`: how long pauses last, as past runs tell.
    """
    cases = [
        replace(_case(each, maturities, beside, waiting, now), **_more(each, beside, now))
        for each in accounted
    ]
    decisions = judge(cases, policy, now, beside.spending.budgets)
    return tuple(
        JudgedMachine(
            machine=case.machine,
            attribution=case.attribution,
            phase=case.phase,
            maturity=case.maturity,
            decision=decision,
            stopped_since=case.stopped_since,
            confusion=tuple(beside.confusion.get(case.machine.id, ())),
        )
        for case, decision in zip(cases, decisions, strict=True)
    )


def _more(each: Accounted, beside: Beside, now: datetime) -> dict[str, Any]:
    return {
        **_kept(each.machine, beside.keeps),
        **beside.spending.of(attribution_at(each.attributions, now)),
        **_confused(beside.confusion.get(each.machine.id)),
        "stopped_since": beside.stopped_since.get(each.machine.id),
    }


def _kept(machine: Machine, keeps: Mapping[str, Keep]) -> dict[str, Any]:
    keep = keep_of(machine, keeps)
    return {} if keep is None else {"kept_until": keep.until, "kept_by": keep.by}


def _confused(found: Sequence[Found] | None) -> dict[str, Any]:
    """None: nobody looked, or the work is not known to be exploratory."""
    if found is None:
        return {}
    known = [each.cost.usd for each in found if each.cost.usd is not None]
    usd = sum(known, Decimal(0)) if len(known) == len(found) else None
    return {"confusion_findings": len(found), "confusion_usd": usd}


def _case(
    each: Accounted,
    maturities: Mapping[WorkloadKey, Maturity],
    beside: Beside,
    waiting: Waiting,
    now: datetime,
) -> Case:
    attribution = attribution_at(each.attributions, now)
    phase = each.timeline.now
    if each.machine.running:
        on_readings = each.machine.on_readings if phase.source and phase.sees_gpus else None
        measured_by = beside.measured_by.get(each.machine.id)
        sentences = (each.machine.held_by, measured_by, on_readings)
        told = [also for also in sentences if also is not None]
        phase = replace(phase, why=(*phase.why, *told))
    maturity = matching(maturities, attribution.key) or unknown_maturity(now)
    return Case(
        machine=each.machine,
        attribution=attribution,
        phase=phase,
        maturity=maturity,
        patience=waiting.patience(each, attribution, maturity.verdict),
        pause_usd=_pause_usd(each.machine, phase),
        advice=_advice(each.machine, beside.advice),
    )


def _advice(machine: Machine, advice: Mapping[str, str]) -> str | None:
    return machine.how_to_measure or advice.get(machine.provider)


def _pause_usd(machine: Machine, phase: PhaseNow) -> Decimal | None:
    minutes, hourly = phase.idle_minutes(), machine.price.hourly_usd
    if minutes is None or hourly is None:
        return None
    return (hourly * Decimal(str(minutes)) / 60).quantize(CENT)


def finding_events(judged: Sequence[JudgedMachine], now: datetime) -> list[dict[str, object]]:
    """One event a finding, under a key that does not change while the finding lasts."""
    return [
        rows.event_row(
            subject=f"{each.machine.id}/{each.machine.boot}",
            n=f"finding/{finding.rule}/{_since(each, now):%Y%m%dT%H%M%SZ}",
            at=_since(each, now),
            kind="finding",
            machine=each.machine,
            detail=_detail(each.decision, finding.because),
            observed_at=now,
        )
        for each in judged
        for finding in each.decision.findings
    ]


def _since(each: JudgedMachine, now: datetime) -> datetime:
    if each.stopped_since is not None:
        return each.stopped_since
    return each.phase.quiet_since or each.machine.started_at or now


def _detail(decision: Decision, because: str) -> Mapping[str, object]:
    return {"wanted": decision.wanted.value, "because": because, "why": list(decision.why)}


def backfill_lines(
    accounted: Sequence[Accounted], advice: Mapping[str, str], now: datetime
) -> tuple[BackfillLine, ...]:
    """What each machine did in the time that was metered in this pass, dearest waste first."""
    lines = [_backfill_line(each, advice, now) for each in accounted if each.charges]
    return tuple(sorted(lines, key=by_waste))


def _backfill_line(each: Accounted, advice: Mapping[str, str], now: datetime) -> BackfillLine:
    idle = [charge for charge in each.charges if charge["x_Phase"] in IDLE_PHASES]
    unmeasured = [charge for charge in each.charges if charge["x_Phase"] == UNMEASURED]
    return BackfillLine(
        machine=each.machine.id,
        name=each.machine.name,
        workload=attribution_at(each.attributions, now).workload,
        idle_hours=_hours(idle),
        idle_usd=_usd(idle),
        unmeasured_hours=_hours(unmeasured),
        unmeasured_usd=_usd(unmeasured),
        total_hours=_hours(each.charges),
        total_usd=_usd(each.charges),
        advice=_advice(each.machine, advice) if _is_dark(each) else None,
    )


def _is_dark(each: Accounted) -> bool:
    """Whether nobody measures it: not now, or never while it ran.

    A machine that is measured has unmeasured minutes, too: its first ones, and those of a metric
    that came late. They are shown, but nothing is left to be set up.
    """
    unmeasured = [charge["x_Phase"] == UNMEASURED for charge in each.charges]
    if each.machine.running and each.timeline.now.phase is Phase.UNKNOWN:
        return any(unmeasured)
    return all(unmeasured) or (any(unmeasured) and not each.gpus_seen)


def _hours(charges: Sequence[Mapping[str, object]]) -> float:
    return float(sum((Decimal(str(each["ConsumedQuantity"])) for each in charges), Decimal(0)))


def _usd(charges: Sequence[Mapping[str, object]]) -> Decimal | None:
    """None where any charge is unpriced: a part of the sum is not the sum."""
    costs = [each["ListCost"] for each in charges]
    if any(cost is None for cost in costs):
        return None
    return sum((Decimal(str(cost)) for cost in costs), Decimal(0))


def unmatched_mapping(origin: str, entries: int, machines: Sequence[Machine]) -> Gap:
    """A mapping file that matches nothing is misspelt more often than it is early."""
    names = sorted({machine.name or machine.native_id for machine in machines})[:5]
    why = (
        f"none of the {entries} entries of {origin} matches any of {len(machines)} machines;"
        f" names seen: {', '.join(names)}"
    )
    return Gap(provider="mapping", what="mapping file", why=why)
