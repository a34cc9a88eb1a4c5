"""What a patrol has to tell, as a value that knows no channel. Pure.

Names stand in it as they were seen: each channel cleans and escapes them in its own way.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from policies.facts import Gap, Machine
from policies.verdicts import QUIET, Decision, Phase, Verdict, Wanted
from watchdog.alerts.monday import cost_until, next_monday
from watchdog.alerts.wording import counted, hourly, money
from watchdog.confusion_shown import confusion_told, dearest_findings
from watchdog.patrol_report import JudgedMachine, PatrolReport
from watchdog.verdict_changes import VerdictChange

LIMIT = 15
"""Machines that one message tells in full: what is longer is not read."""
EVIDENCE = 3
"""Sentences of evidence for one machine."""
PLACES = 4
"""Places named for one gap; the others are counted."""
ACTIONS = frozenset({Wanted.NOTIFY, Wanted.WARN, Wanted.STOP})


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertLine:
    """One machine that burns money, or may."""

    machine: str
    """The machine's id."""
    name: str
    machine_type: str
    gpus: int | None
    gpu_model: str | None
    place: str
    """Provider and region."""
    wanted: Wanted
    phase: Phase
    idle_minutes: float | None
    hourly_usd: Decimal | None
    """None: price unknown."""
    by_monday_usd: Decimal | None
    workload: str | None
    owner: str | None
    verdict: Verdict
    why: str
    """One sentence."""
    evidence: tuple[str, ...]
    """What the sentence rests on; for an unmeasured machine, how to make it visible."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GapLine:
    """One thing that could not be seen, in one place or several."""

    what: str
    where: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictLine:
    """One workload whose verdict changed."""

    workload: str
    before: Verdict
    now: Verdict
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """Dollars an hour of several machines, and how many of them nobody could price."""

    machines: int
    hourly_usd: Decimal | None
    """The sum over those with a price; None where none has one."""
    unpriced: int

    def told(self) -> str:
        """`$12.00/h`, `$12.00/h (2 without a price)`, `price unknown`."""
        if self.hourly_usd is None or not self.unpriced:
            return hourly(self.hourly_usd)
        return f"{hourly(self.hourly_usd)} ({self.unpriced:,} without a price)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One message: what a patrol tells."""

    at: datetime
    mode: str
    monday: datetime
    headline: str
    by_phase: tuple[tuple[str, Sum], ...]
    """What the told machines are doing, dearest first: `idle`, `unmeasured` …"""
    total: Sum
    by_monday_usd: Decimal | None
    """For the machines with a price; None where none has one."""
    lines: tuple[AlertLine, ...]
    """Dearest first, then those without a price."""
    gaps: tuple[GapLine, ...]
    left_alone: str | None
    verdicts: tuple[VerdictLine, ...] = ()
    """What changed, the steps to and from `mature` first."""
    notices: tuple[str, ...] = ()
    """What else is to be known, a sentence each."""


def alert_from(report: PatrolReport, *, limit: int = LIMIT) -> Alert | None:
    """What to tell of this patrol; None where there is nothing to tell."""
    told = told_machines(report.machines)
    if not told and not report.gaps and not report.verdict_changes and not report.news:
        return None
    monday = next_monday(report.at)
    total = sum_of(each.machine for each in told)
    by_monday = cost_until(monday, at=report.at, hourly_usd=total.hourly_usd)
    gaps = gap_lines(report.gaps)
    return Alert(
        at=report.at,
        mode=report.mode,
        monday=monday,
        headline=_headline(total, by_monday, len(gaps), report),
        by_phase=_by_phase(told),
        total=total,
        by_monday_usd=by_monday,
        lines=tuple(_line(each, report.at, monday) for each in _chosen(told, limit)),
        gaps=gaps,
        left_alone=_left_alone(report.machines, told),
        verdicts=verdict_lines(report.verdict_changes),
        notices=tuple(f"{each.name}: {each.text}" for each in report.news),
    )


def verdict_lines(changes: Sequence[VerdictChange]) -> tuple[VerdictLine, ...]:
    """Those that reach or leave `mature` first: only they change what is done."""
    lines = [
        VerdictLine(workload=str(each.key), before=each.before, now=each.now, why=each.why)
        for each in changes
    ]
    return tuple(sorted(lines, key=lambda line: Verdict.MATURE not in {line.before, line.now}))


def told_machines(machines: Iterable[JudgedMachine]) -> tuple[JudgedMachine, ...]:
    """The machines that a person should hear of, dearest first."""
    return tuple(sorted(filter(_is_told, machines), key=lambda each: dearest_first(each.machine)))


def _is_told(each: JudgedMachine) -> bool:
    decision = each.decision
    if decision.wanted in ACTIONS:
        return True
    unmeasured = each.machine.running and each.phase.phase is Phase.UNKNOWN
    return decision.wanted is Wanted.UNKNOWN and (unmeasured or bool(decision.findings))


def dearest_first(machine: Machine) -> tuple[int, Decimal, int, str]:
    """A sort key. Those without a price, most GPUs first, stand before those that cost nothing."""
    price = machine.price.hourly_usd
    part = 1 if price is None else 0 if price else 2
    return (part, -(price or Decimal(0)), -(machine.gpus or 0), machine.id)


def sum_of(machines: Iterable[Machine]) -> Sum:
    prices = [machine.price.hourly_usd for machine in machines]
    known = [price for price in prices if price is not None]
    return Sum(
        machines=len(prices),
        hourly_usd=sum(known, Decimal(0)) if known else None,
        unpriced=len(prices) - len(known),
    )


def label(machine: Machine) -> str:
    return machine.name or machine.native_id


def doing(each: JudgedMachine) -> str:
    """What a machine is doing, in one word; its state where it does not run."""
    if not each.machine.running:
        return each.machine.state.value
    return "unmeasured" if each.phase.phase is Phase.UNKNOWN else each.phase.phase.value


def _chosen(told: Sequence[JudgedMachine], limit: int) -> Sequence[JudgedMachine]:
    """The dearest, yet always some of those without a price: unknown is not cheap."""
    unpriced = [each for each in told if each.machine.price.hourly_usd is None]
    priced = [each for each in told if each.machine.price.hourly_usd is not None]
    room = min(len(unpriced), max(limit // 4, limit - len(priced)))
    chosen = {each.machine.id for each in [*priced[: limit - room], *unpriced[:room]]}
    return [each for each in told if each.machine.id in chosen]


def _line(each: JudgedMachine, at: datetime, monday: datetime) -> AlertLine:
    machine = each.machine
    why, evidence = reasons(each.decision)
    return AlertLine(
        machine=machine.id,
        name=label(machine),
        machine_type=machine.machine_type,
        gpus=machine.gpus,
        gpu_model=machine.gpu_model,
        place=f"{machine.provider} {machine.region}",
        wanted=each.decision.wanted,
        phase=each.phase.phase,
        idle_minutes=each.idle_minutes,
        hourly_usd=machine.price.hourly_usd,
        by_monday_usd=cost_until(monday, at=at, hourly_usd=machine.price.hourly_usd),
        workload=each.attribution.workload,
        owner=each.attribution.owner,
        verdict=each.maturity.verdict,
        why=why,
        evidence=(*_few(evidence), *_prepaid(machine), *_confusion(each)),
    )


def reasons(decision: Decision) -> tuple[str, tuple[str, ...]]:
    """Why, in one sentence, and the sentences that it rests on."""
    sentences = [*decision.why, *(f"not stopped: {veto.why}" for veto in decision.vetoes)]
    if decision.findings:
        because = decision.findings[0].because
        return because, tuple(each for each in sentences if because not in each)
    if sentences:
        return sentences[0], tuple(sentences[1:])
    return f"the policy says {decision.wanted.value}", ()


def _few(evidence: Sequence[str]) -> Sequence[str]:
    """The first ones and the last, which says what to do."""
    if len(evidence) <= EVIDENCE:
        return evidence
    return [*evidence[: EVIDENCE - 1], evidence[-1]]


def _prepaid(machine: Machine) -> list[str]:
    prepaid = machine.stop_terms.prepaid
    return [] if prepaid is None else [f"already paid ({prepaid}): a stop saves nothing"]


def _confusion(each: JudgedMachine) -> list[str]:
    """The dearest finding of the work on it, in one line; the others are counted."""
    found = dearest_findings(each.confusion)
    if not found:
        return []
    more = f" (and {len(found) - 1} more: spend-watchdog explain)" if len(found) > 1 else ""
    return [f"confusion, {confusion_told(found[0])}{more}"]


def _headline(total: Sum, by_monday: Decimal | None, gaps: int, report: PatrolReport) -> str:
    if not total.machines and gaps:
        return f"{counted(gaps, 'thing')} could not be seen"
    if not total.machines and report.verdict_changes:
        return f"{counted(len(report.verdict_changes), 'workload')} changed verdict"
    if not total.machines:
        return f"{counted(len(report.news), 'thing')} to know"
    need = f"{counted(total.machines, 'machine')} need{'s' if total.machines == 1 else ''} a look"
    if by_monday is None:
        return f"{need}: {total.told()}"
    return f"{need}: {total.told()}, {money(by_monday)} by Monday morning"


def _by_phase(told: Sequence[JudgedMachine]) -> tuple[tuple[str, Sum], ...]:
    groups: dict[str, list[Machine]] = defaultdict(list)
    for each in told:
        groups[doing(each)].append(each.machine)
    return tuple((word, sum_of(machines)) for word, machines in groups.items())


def _left_alone(machines: Sequence[JudgedMachine], told: Sequence[JudgedMachine]) -> str | None:
    named = {each.machine.id for each in told}
    rest = [each for each in machines if each.machine.id not in named]
    if not rest:
        return None
    counts = Counter(_state(each) for each in rest).most_common()
    return ", ".join(f"{count:,} {state}" for state, count in counts)


def _state(each: JudgedMachine) -> str:
    if each.phase.phase in QUIET and each.maturity.verdict is Verdict.MATURE:
        return f"{doing(each)} on mature work"
    return doing(each)


def gap_lines(gaps: Sequence[Gap]) -> tuple[GapLine, ...]:
    """One line for the same thing in several places."""
    places: Mapping[tuple[str, str, str, str | None], dict[str, None]] = defaultdict(dict)
    for gap in gaps:
        key = (gap.what, gap.why, gap.provider, gap.account)
        places[key][gap.resource or gap.region or ""] = None
    return tuple(
        GapLine(what=what, where=_where(provider, account, list(where)), why=why)
        for (what, why, provider, account), where in places.items()
    )


def _where(provider: str, account: str | None, places: Sequence[str]) -> str:
    named = [place for place in places if place]
    more = f" and {len(named) - PLACES} more" if len(named) > PLACES else ""
    parts = [provider, account or "", ", ".join(named[:PLACES])]
    return " ".join(part for part in parts if part) + more


def untold(alert: Alert, shown: Sequence[AlertLine]) -> Sum | None:
    """The machines that are counted in the alert and not among `shown`; None: there are none."""
    machines = alert.total.machines - len(shown)
    if machines <= 0:
        return None
    prices = [line.hourly_usd for line in shown if line.hourly_usd is not None]
    unpriced = alert.total.unpriced - (len(shown) - len(prices))
    rest = (alert.total.hourly_usd or Decimal(0)) - sum(prices, Decimal(0))
    return Sum(
        machines=machines, hourly_usd=None if unpriced == machines else rest, unpriced=unpriced
    )
