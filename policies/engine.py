"""Cases become decisions. Pure: the same cases, policy and moment always give the same answer."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal

from policies.adjusting import by_budgets, by_exemptions, by_gpu_class, exemption_of
from policies.budgets import BudgetState
from policies.facts import Attribution, Machine, MachineState, Purchase
from policies.leftovers import BECAUSE_FORGOTTEN, FORGOTTEN, cannot_be_stopped, forgotten
from policies.names import schedule_names
from policies.patience import Patience, patience_names, span
from policies.rules import Exemption, Policy, RuleDecision, decide
from policies.verdicts import (
    QUIET,
    Decision,
    Finding,
    Maturity,
    Phase,
    PhaseNow,
    Veto,
    Wanted,
)
from policies.vetoes import Look, vetoes_of

UNMEASURED = "unmeasured"
"""The name of the finding for a machine that runs and cannot be judged."""
MAX_IDLE = "max_idle"
"""The name of the finding for a machine that is quiet for longer than its GPU may be."""
EXEMPT = "it is exempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All that is known about one machine when it is judged."""

    machine: Machine
    attribution: Attribution
    phase: PhaseNow
    maturity: Maturity
    pause_usd: Decimal | None
    """What the current pause has cost so far; None where unpriced or unknown."""
    day_usd: Decimal | None = None
    """What the workload cost in the last 24 hours."""
    week_usd: Decimal | None = None
    owner_day_usd: Decimal | None = None
    """What all that the workload's owner owns cost in the last 24 hours."""
    owner_week_usd: Decimal | None = None
    fleet_day_usd: Decimal | None = None
    """What everything cost in the last 24 hours."""
    fleet_week_usd: Decimal | None = None
    confusion_findings: int | None = None
    """How many findings of confusion its exploratory workload has that still go on."""
    confusion_usd: Decimal | None = None
    patience: Patience | None = None
    """How long to wait for its next activity; None: it is not quiet, or that cannot be told."""
    advice: str | None = None
    """The one line that would make an unmeasured machine visible."""
    kept_until: datetime | None = None
    """Until when somebody wants to keep it; None: nobody said so."""
    kept_by: str | None = None
    stopped_since: datetime | None = None
    """When it stopped, or was first seen stopped; None: it is not stopped, or nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Company:
    """The other machines of a machine's group, as far as they bear on it."""

    size: int
    active: int
    unmeasured: int


def judge(
    cases: Sequence[Case], policy: Policy, now: datetime, budgets: Sequence[BudgetState] = ()
) -> tuple[Decision, ...]:
    """One decision a case, in the order of the cases. Groups are judged together."""
    groups: dict[str, list[Case]] = defaultdict(list)
    for case in cases:
        if case.machine.running:
            groups[case.machine.group].append(case)
    decisions = [_judged(case, groups[case.machine.group], policy, budgets, now) for case in cases]
    return _together(cases, decisions)


def _together(cases: Sequence[Case], decisions: Sequence[Decision]) -> tuple[Decision, ...]:
    """A group is stopped as one: a member that may not be stopped keeps the others, too."""
    groups: dict[str, list[tuple[Case, Decision]]] = defaultdict(list)
    for case, decision in zip(cases, decisions, strict=True):
        if case.machine.running:
            groups[case.machine.group].append((case, decision))
    return tuple(
        _with_group(case, decision, groups[case.machine.group])
        for case, decision in zip(cases, decisions, strict=True)
    )


def _with_group(
    case: Case, decision: Decision, members: Sequence[tuple[Case, Decision]]
) -> Decision:
    if decision.wanted is not Wanted.STOP:
        return decision
    for other, theirs in sorted(members, key=lambda member: member[0].machine.id):
        if other.machine.id == case.machine.id:
            continue
        if theirs.wanted is not Wanted.STOP or theirs.vetoes:
            name = other.machine.name or other.machine.native_id
            reason = theirs.vetoes[0].why if theirs.vetoes else _not_stopped(other, theirs)
            why = f"{name} of its group may not be stopped: {reason}"
            return replace(decision, vetoes=(*decision.vetoes, Veto(name="group", why=why)))
    return decision


def _not_stopped(case: Case, decision: Decision) -> str:
    exempt = next((why for why in decision.why if why.startswith(EXEMPT)), None)
    return exempt or f"it is {case.phase.phase.value}"


def _judged(
    case: Case,
    group: Sequence[Case],
    policy: Policy,
    budgets: Sequence[BudgetState],
    now: datetime,
) -> Decision:
    if not case.machine.running:
        return _not_running(case, policy, now)
    exemption = exemption_of(policy.exemptions, case.machine, case.attribution, now)
    if exemption is not None:
        return _exempt(case, exemption)
    if case.phase.phase is Phase.UNKNOWN:
        return _unmeasured(case, now)
    company = _company(case, group)
    ruled = decide(policy, names_of(case, company, now, policy.time_zone))
    ruled = by_exemptions(ruled, policy.exemptions, case.machine, case.attribution, now)
    ruled = by_gpu_class(ruled, policy.limits, case.machine, case.phase)
    ruled = by_budgets(ruled, budgets, case.attribution, case.maturity.verdict, case.phase)
    if ruled.wanted in {Wanted.LEAVE, Wanted.UNKNOWN} or not company.active:
        return _as_ruled(case, ruled, company, now)
    why = (
        f"{company.active} of the {company.size} machines of its group are active;"
        " the group is judged as one"
    )
    return Decision(
        machine=case.machine.id,
        wanted=Wanted.LEAVE,
        findings=_findings(case, ruled),
        why=(why, *case.phase.why),
    )


def _company(case: Case, group: Sequence[Case]) -> Company:
    others = [other for other in group if other.machine.id != case.machine.id]
    return Company(
        size=len(group),
        active=sum(_at_work(other.phase.phase) for other in others),
        unmeasured=sum(other.phase.phase is Phase.UNKNOWN for other in others),
    )


def _at_work(phase: Phase) -> bool:
    return phase not in QUIET and phase is not Phase.UNKNOWN


def _exempt(case: Case, exemption: Exemption) -> Decision:
    until = f"{EXEMPT} until {exemption.until:%Y-%m-%d %H:%M} UTC: {exemption.because}"
    return Decision(
        machine=case.machine.id,
        wanted=Wanted.LEAVE,
        findings=(),
        why=(f"{until} ({exemption.whose})", *case.phase.why),
    )


def _not_running(case: Case, policy: Policy, now: datetime) -> Decision:
    machine = case.machine
    told = forgotten(machine, case.stopped_since, policy.forgotten_after, now)
    finding = Finding(
        rule=FORGOTTEN,
        because=BECAUSE_FORGOTTEN,
        waste_usd_per_hour=machine.price.stopped_hourly_usd,
    )
    return Decision(
        machine=machine.id,
        wanted=Wanted.LEAVE,
        findings=() if told is None else (finding,),
        why=(f"it is {machine.state.value}", *(() if told is None else (told,))),
    )


def _unmeasured(case: Case, now: datetime) -> Decision:
    because = "It runs, and nothing tells whether anybody uses it."
    finding = Finding(rule=UNMEASURED, because=because, waste_usd_per_hour=None)
    why = [_unmeasured_for(case, now), *case.phase.why, *([case.advice] if case.advice else [])]
    return Decision(
        machine=case.machine.id, wanted=Wanted.UNKNOWN, findings=(finding,), why=tuple(why)
    )


def _unmeasured_for(case: Case, now: datetime) -> str:
    """`unmeasured for 24.0 h at 98.32 USD an hour`; how long is left out where nobody knows."""
    since, hourly = unmeasured_since(case.machine, case.phase), case.machine.price.hourly_usd
    lasts = "" if since is None else f" for {span((now - since).total_seconds() / 60)}"
    price = "a price that nobody knows" if hourly is None else f"{hourly:,} USD an hour"
    return f"unmeasured{lasts} at {price}"


def unmeasured_since(machine: Machine, phase: PhaseNow) -> datetime | None:
    """The end of the newest measurement of its GPUs, else the last start; None: nobody knows.

    What CPU and network did tells nothing of them, and does not end the time.
    """
    measured = phase.measured_until if phase.sees_gpus else None
    return measured or machine.started_at


def _as_ruled(case: Case, ruled: RuleDecision, company: Company, now: datetime) -> Decision:
    """The rule's decision; a member of the group that nobody measured caps it at notify."""
    wanted = ruled.wanted
    why = [*ruled.why, *_sum(case, ruled), *_bill(case, ruled), *case.phase.why]
    if company.unmeasured and wanted in {Wanted.WARN, Wanted.STOP}:
        wanted = Wanted.NOTIFY
        why.insert(0, f"{company.unmeasured} machines of its group are unmeasured")
    vetoes = vetoes_of(_look(case, now)) if wanted is Wanted.STOP else ()
    if wanted is not Wanted.LEAVE:
        why += cannot_be_stopped(case.machine)
    if wanted is not Wanted.LEAVE and not case.phase.sees_gpus and case.advice:
        why.append(case.advice)
    return Decision(
        machine=case.machine.id,
        wanted=wanted,
        findings=_findings(case, ruled),
        why=tuple(why),
        vetoes=vetoes,
        rule=None if ruled.rule is None else ruled.rule.name,
        grace=_grace(ruled),
        doubtful=ruled.doubtful,
    )


def _grace(ruled: RuleDecision) -> timedelta:
    if ruled.grace is not None:
        return ruled.grace
    return timedelta(0) if ruled.rule is None else ruled.rule.grace


def _look(case: Case, now: datetime) -> Look:
    return Look(
        machine=case.machine,
        phase=case.phase,
        kind=case.attribution.kind,
        verdict=case.maturity.verdict,
        now=now,
        # what was not read of every machine is read of a candidate, immediately before a stop
        host_activity=case.phase.host_activity or (),
        kept_until=case.kept_until,
        kept_by=case.kept_by,
    )


def _sum(case: Case, ruled: RuleDecision) -> tuple[str, ...]:
    """What waiting and a restart are expected to cost, where the rule that decided asked for it."""
    if case.patience is None or ruled.rule is None or "patience." not in ruled.rule.when:
        return ()
    return (case.patience.why,)


def _bill(case: Case, ruled: RuleDecision) -> tuple[str, ...]:
    """What the pause has cost, where people are told of it."""
    if ruled.wanted is Wanted.LEAVE or case.phase.phase not in QUIET or case.pause_usd is None:
        return ()
    return (f"this pause has cost {case.pause_usd:,} USD so far",)


def _findings(case: Case, ruled: RuleDecision) -> tuple[Finding, ...]:
    waste = case.machine.price.hourly_usd if case.phase.phase in QUIET else None
    if ruled.rule is None and ruled.wanted is Wanted.NOTIFY:
        return (Finding(rule=MAX_IDLE, because=ruled.why[0], waste_usd_per_hour=waste),)
    if ruled.rule is None or ruled.rule.then is Wanted.LEAVE:
        return ()
    return (Finding(rule=ruled.rule.name, because=ruled.rule.because, waste_usd_per_hour=waste),)


def names_of(
    case: Case, company: Company, now: datetime, time_zone: str = "UTC"
) -> Mapping[str, object]:
    """Every name that a condition may use and that has a value. What is unknown is left out."""
    machine, phase = case.machine, case.phase
    names: dict[str, object | None] = {
        **_workload_names(case),
        "phase": phase.phase.value,
        "idle.minutes": phase.idle_minutes(),
        "idle.confidence": phase.confidence,
        "idle.coverage": phase.coverage,
        "machine.id": machine.id,
        "machine.provider": machine.provider,
        "machine.account": machine.account,
        "machine.region": machine.region,
        "machine.name": machine.name,
        "machine.type": machine.machine_type,
        "machine.state": _told(machine.state),
        "machine.gpus": machine.gpus,
        "machine.gpu_model": machine.gpu_model,
        "machine.purchase": _told(machine.purchase),
        "machine.hourly_usd": machine.price.hourly_usd,
        "machine.boot_hours": _hours_since(machine.started_at, now),
        "group.size": company.size,
        "group.active": company.active,
        "group.unmeasured": company.unmeasured,
        "cost.idle_usd": case.pause_usd,
        "cost.day_usd": case.day_usd,
        "cost.week_usd": case.week_usd,
        "cost.owner_day_usd": case.owner_day_usd,
        "cost.owner_week_usd": case.owner_week_usd,
        "cost.fleet_day_usd": case.fleet_day_usd,
        "cost.fleet_week_usd": case.fleet_week_usd,
        "confusion.findings": case.confusion_findings,
        "confusion.usd": case.confusion_usd,
        "tags": dict(machine.tags),
        **schedule_names(now, time_zone),
    }
    if case.patience is not None:
        names |= patience_names(case.patience, case.patience.quiet)
    return {name: _plain(value) for name, value in names.items() if value is not None}


def _workload_names(case: Case) -> dict[str, object | None]:
    attribution, maturity = case.attribution, case.maturity
    return {
        "workload.name": attribution.workload,
        "workload.attributed": attribution.workload is not None,
        "workload.verdict": maturity.verdict.value,
        "workload.kind": attribution.kind.value,
        "workload.score": maturity.score,
        "workload.runs": maturity.runs,
        "workload.owner": attribution.owner,
        "workload.group": attribution.group,
        "workload.data_class": attribution.data_class,
    }


def _told(word: MachineState | Purchase) -> str | None:
    """An unknown word is left out: a condition on it must not hold by chance."""
    return None if word.value == "unknown" else word.value


def _hours_since(moment: datetime | None, now: datetime) -> float | None:
    return None if moment is None else (now - moment).total_seconds() / 3600


def _plain(value: object) -> object:
    return (
        float(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) else value
    )
