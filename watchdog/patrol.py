"""One pass: gather, remember, account, judge, tell. Read top to bottom, it is the pipeline.

Facts go to the ledger before anything is told, and the patrol's own row goes last: it is the
watermark that says this time was watched.
"""

from __future__ import annotations

import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from policies.facts import Attribution, Gap, Scope, WorkloadKey
from policies.grids import DEFAULT_LIMITS, PhaseLimits
from policies.maturity import assess
from policies.rules import Policy
from policies.verdicts import Maturity, Outcome, Result
from providers.base import Inventory
from watchdog import rows
from watchdog.actions import Acting, Actor
from watchdog.agent_readings import with_agents
from watchdog.alerts.message import alert_from, told_machines
from watchdog.attribution import attribution_at, matches
from watchdog.commitments import with_commitments
from watchdog.conclude import (
    Beside,
    backfill_lines,
    conclude,
    finding_events,
    unmatched_mapping,
)
from watchdog.confusion import confusion_beside
from watchdog.costs.remetering import as_well_known
from watchdog.costs.versions import version_of
from watchdog.egress import EgressRead, settle_egress, with_egress
from watchdog.egress_told import EgressTold, egress_told
from watchdog.gather import BACKFILL, Gathered, Monitoring, Progress, gather
from watchdog.keeps import keeps_of
from watchdog.ledger.tidying import LedgerCare
from watchdog.mapping import NO_MAPPING, WorkloadMapping
from watchdog.notice import claimed as claimed_notices
from watchdog.notice import notice_events, notices_of
from watchdog.past_readings import with_past_readings
from watchdog.patrol_report import BackfillLine, CostOfWatching, JudgedMachine, PatrolReport
from watchdog.pricing import use_price_list, with_spot_prices, with_stopped_prices
from watchdog.recall import recalled
from watchdog.regrets import Stop, of_workloads, stops_of, too_many
from watchdog.remember import history_owed, remember, stopped_since, watermarks
from watchdog.runs.episodes import Seen, tell_episodes
from watchdog.shadow.remembered import judged_events
from watchdog.spending import spending_of
from watchdog.starts import with_starts
from watchdog.storage import NOTHING_KEPT, Kept, keep_storage, mapped, storage_asked
from watchdog.timekeeping import Accounted, account
from watchdog.verdict_changes import change_events, claimed, verdict_changes
from watchdog.waiting import Waiting

if TYPE_CHECKING:
    from watchdog.alerts.delivery import Delivery, Notifier
    from watchdog.ledger.store import Ledger


def _silent(step: str) -> None:
    del step


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Everything that a patrol works with. The composition root builds it; tests pass their own."""

    providers: Sequence[Inventory]
    ledger: Ledger
    policy: Policy
    monitoring: Monitoring | None = None
    """Measures machines of every provider; None: only the providers' own metrics are read."""
    unavailable: Sequence[Gap] = ()
    """Providers that were asked for and cannot be used."""
    mapping: WorkloadMapping = NO_MAPPING
    notifiers: Sequence[Notifier] = ()
    accepted_gaps: Sequence[str] = ()
    egress: bool = True
    """Whether egress meters are read."""
    limits: PhaseLimits = DEFAULT_LIMITS
    care: LedgerCare | None = None
    """How the ledger is cared for once the patrol is over; None: not by this patrol."""
    version: str = "unknown"
    progress: Progress = _silent
    acting: Acting | None = None
    """What it takes to act; None: it observes."""
    storage: bool = False
    """Whether disks, snapshots, buckets and idle addresses are looked at."""
    commitments: bool = False
    """Whether reservations and savings plans are read; without, none are thought to be there."""


def patrol(parts: Parts, *, now: datetime, backfill: timedelta | None = None) -> PatrolReport:
    """Watch everything once, and say what was seen. Observes: nothing outside is changed.

    `backfill`: how far a scope is read back; None reads two weeks where a scope was never watched.
    """
    began = time.monotonic()
    watched = watermarks(parts.ledger)
    before = {} if backfill is not None else watched
    use_price_list(parts.ledger, parts.providers)
    gathered = gather(
        parts.providers,
        now=now,
        watched_until=before.get,
        backfill=BACKFILL if backfill is None else backfill,
        progress=parts.progress,
        monitoring=parts.monitoring,
        history_owed=history_owed(parts.ledger).get,
        storage=storage_asked(parts.ledger, parts.mapping, now) if parts.storage else None,
    )
    gathered = with_starts(parts.ledger, gathered, parts.providers)
    gathered = with_spot_prices(parts.ledger, gathered, parts.providers, now=now)
    if parts.commitments:
        parts.progress("reading commitments")
        gathered = with_commitments(parts.ledger, gathered, parts.providers, now=now)
    gathered = with_stopped_prices(gathered, parts.providers)
    told: Mapping[Scope, EgressTold] = {}
    egress_read = EgressRead()
    if parts.egress:
        parts.progress("reading egress meters")
        told = egress_told(parts.ledger) if backfill is None else {}
        gathered, egress_read = with_egress(gathered, parts.providers, told=told, now=now)
    parts.progress("remembering what was seen")
    memory = remember(parts.ledger, gathered, before=before, limits=parts.limits, now=now)
    gathered = recalled(parts.ledger, gathered, parts.providers)
    gathered = with_past_readings(parts.ledger, gathered)
    gathered = with_agents(parts.ledger, gathered, now=now)
    parts.progress("judging")
    accounted = account(gathered, memory, mapping=parts.mapping, limits=parts.limits, now=now)
    tell_episodes(
        parts.ledger,
        Seen(
            gathered=gathered,
            accounted=accounted,
            memory=memory,
            watched=watched,
            mapping=parts.mapping,
            limits=parts.limits,
            now=now,
        ),
    )
    kept = NOTHING_KEPT
    if parts.storage:
        kept = keep_storage(
            parts.ledger,
            gathered,
            accounted,
            runs=memory.runs,
            mapping=parts.mapping,
            backfill=backfill,
            now=now,
        )
    maturities = assess(memory.runs, as_of=now)
    stops = stops_of(parts.ledger, now)
    _remember_conclusions(parts.ledger, accounted, kept, now)
    running = [attribution_at(each.attributions, now) for each in accounted if each.machine.running]
    spending = spending_of(parts.ledger, parts.policy, maturities, now)
    keeps = keeps_of(parts.ledger)
    confusion = confusion_beside(
        running, ledger=parts.ledger, runs=memory.runs, maturities=maturities, now=now
    )
    judged = conclude(
        accounted,
        maturities=maturities,
        waiting=Waiting(
            memory.runs,
            parts.policy.restart_cost,
            now,
            stops=of_workloads(stops, {each.machine.id: each.attributions for each in accounted}),
        ),
        policy=parts.policy,
        beside=Beside(
            advice=gathered.advice,
            measured_by=gathered.measured_by,
            keeps=keeps,
            spending=spending,
            confusion=confusion,
            stopped_since=stopped_since(gathered.machines, memory.observations),
        ),
        now=now,
    )
    egress = settle_egress(
        parts.ledger,
        egress_read,
        told=told,
        watched=gathered.watched,
        attributed=_attributed(accounted, kept),
        mapping=parts.mapping,
        now=now,
    )
    known = judged_events(parts.ledger, accounted, judged, keeps=keeps, now=now)
    parts.ledger.append("events", [*finding_events(judged, now), *known])
    gaps = [*parts.unavailable, *gathered.gaps, *memory.gaps, *kept.gaps]
    gaps += _blind_mapping(parts, gathered)
    report = PatrolReport(
        patrol_id=f"{now:%Y%m%dT%H%M%SZ}-{uuid.uuid4().hex[:8]}",
        at=now,
        mode="observe",
        machines=judged,
        storage=kept.storage,
        egress=egress,
        gaps=tuple(gap for gap in dict.fromkeys(gaps) if not accepted(gap, parts.accepted_gaps)),
        outcomes=(),
        cost_of_watching=CostOfWatching(
            api_calls=gathered.api_calls, usd=gathered.watching_usd, seconds=0.0
        ),
        watched=tuple(each.scope for each in gathered.watched),
        backfilled_from=_backfilled_from(gathered),
        backfill=_backfill(gathered, accounted, now),
        notices=notices_of(
            judged,
            spending.budgets,
            parts.policy.exemptions,
            forgotten_after=parts.policy.forgotten_after,
            now=now,
        ),
    )
    trusted, doubt = _trusted(parts, stops)
    if parts.acting is not None and trusted:
        parts.progress("acting")
        return _cared(parts, _closed(parts, _acted(parts, parts.acting, report), gathered, began))
    parts.progress("telling")
    report = replace(report, gaps=(*report.gaps, *doubt))
    report = _told_with_verdicts(parts, report, maturities)
    return _cared(parts, _closed(parts, report, gathered, began))


def _trusted(parts: Parts, stops: Sequence[Stop]) -> tuple[bool, tuple[Gap, ...]]:
    """Whether so few stops were undone that the patrol may go on acting."""
    if parts.acting is None:
        return False, ()
    why = too_many(stops, parts.policy.limits.regret_rate)
    if why is None:
        return True, ()
    return False, (Gap(provider="policy", what="acting", why=why),)


def _acted(parts: Parts, acting: Acting, report: PatrolReport) -> PatrolReport:
    actor = Actor(
        acting=acting,
        ledger=parts.ledger,
        providers=parts.providers,
        limits=parts.policy.limits,
        patrol_id=report.patrol_id,
        now=report.at,
        seen=_listed_whole(report),
    )
    actor.act(report.machines)
    news = actor.tell_notices(report.notices)
    parts.ledger.append("events", notice_events(news, report.at))
    calls = {name: n for each in parts.providers for name, n in each.api_calls().items()}
    watching = report.cost_of_watching
    return replace(
        report,
        mode="act",
        machines=tuple(_as_acted(each, actor) for each in report.machines),
        news=news,
        outcomes=tuple(actor.outcomes),
        gaps=(*report.gaps, *(gap for gap in actor.gaps if not accepted(gap, parts.accepted_gaps))),
        cost_of_watching=replace(watching, api_calls={**watching.api_calls, **calls}),
    )


def _as_acted(each: JudgedMachine, actor: Actor) -> JudgedMachine:
    """With what was found against its stop while acting, and what it waits for."""
    decision = each.decision
    waits = actor.waits.get(each.machine.id)
    if waits is not None and waits not in decision.why:
        decision = replace(decision, why=(*decision.why, waits))
    vetoes = actor.vetoes.get(each.machine.id, decision.vetoes)
    return replace(each, decision=replace(decision, vetoes=vetoes))


def _listed_whole(report: PatrolReport) -> Callable[[str], bool]:
    """By a machine's id, whether its place was listed without a gap."""
    places = {(each.provider, each.account, each.region) for each in report.watched}
    doubts = {(gap.provider, gap.region) for gap in report.gaps}

    def listed(machine: str) -> bool:
        provider, account, region, _ = machine.split(":", 3)
        in_doubt = (provider, region) in doubts or (provider, None) in doubts
        return (provider, account, region) in places and not in_doubt

    return listed


def accepted(gap: Gap, patterns: Sequence[str]) -> bool:
    """Whether the settings call this gap none: globs over `what`, or `provider:region:what`."""
    names = (gap.what, f"{gap.provider}:{gap.what}", f"{gap.provider}:{gap.region}:{gap.what}")
    return any(fnmatchcase(name, pattern) for name in names for pattern in patterns)


def _attributed(accounted: Sequence[Accounted], kept: Kept) -> dict[str, list[Attribution]]:
    """By resource, what it is attributed to over time."""
    found: dict[str, list[Attribution]] = defaultdict(list)
    for each in (*(a for one in accounted for a in one.attributions), *kept.attributions):
        found[each.resource].append(each)
    return found


def _remember_conclusions(
    ledger: Ledger, accounted: Sequence[Accounted], kept: Kept, now: datetime
) -> None:
    """Charges that know as much as before, and attributions that are others than before."""
    charges = [charge for each in accounted for charge in each.charges]
    since = min((rows.moment_of(each["ChargePeriodStart"]) for each in charges), default=now)
    metered = ledger.rows("metered_hours", since=since)
    known = ledger.rows("attributions")
    versions = [row["observed_at"] for row in (*metered, *known)]
    version = version_of(now, versions, chance=uuid.uuid4().int)
    better = as_well_known(charges, metered)
    of_machines = [{**charge, "observed_at": version} for charge in better]
    ledger.append("charges", [*of_machines, *kept.charges])
    of_all = (*(a for each in accounted for a in each.attributions), *kept.attributions)
    told = rows.attribution_rows(of_all, version)
    ledger.append("attributions", rows.changed_attributions(told, known))


def _blind_mapping(parts: Parts, gathered: Gathered) -> list[Gap]:
    entries, machines = parts.mapping.entries, gathered.machines
    if not entries or not machines:
        return []
    if any(matches(entry, each) for entry in entries for each in machines):
        return []
    if any(mapped(entry, gathered.storage) for entry in entries):
        return []
    return [unmatched_mapping(parts.mapping.origin, len(entries), machines)]


def _backfilled_from(gathered: Gathered) -> datetime | None:
    starts = (each.windows.missed_from for each in gathered.watched)
    return min((start for start in starts if start is not None), default=None)


def _backfill(
    gathered: Gathered, accounted: Sequence[Accounted], now: datetime
) -> tuple[BackfillLine, ...]:
    if _backfilled_from(gathered) is None:
        return ()
    return backfill_lines(accounted, gathered.advice, now)


def _told_with_verdicts(
    parts: Parts, report: PatrolReport, maturities: Mapping[WorkloadKey, Maturity]
) -> PatrolReport:
    """Verdicts that changed are claimed, told in the patrol's message, and then written down."""
    changes = verdict_changes(parts.ledger, maturities, now=report.at)
    mine, orphaned = claimed(parts.ledger, changes, report.patrol_id, now=report.at)
    news = report.notices
    if parts.notifiers:
        news = claimed_notices(parts.ledger, news, report.patrol_id, now=report.at)
    told = _told(parts, replace(report, verdict_changes=mine, news=news))
    events = change_events([*told.verdict_changes, *orphaned], observed_at=report.at)
    heard = notice_events(told.news, report.at) if parts.notifiers else []
    parts.ledger.append("events", [*events, *heard])
    return told


def _told(parts: Parts, report: PatrolReport) -> PatrolReport:
    """One message for the whole patrol; each machine in it gets the outcome of its delivery."""
    alert = alert_from(report)
    if alert is None:
        return report
    deliveries = [notify(alert) for notify in parts.notifiers]
    result, why = _result(deliveries)
    failures = [_undelivered(delivery) for delivery in deliveries if not delivery.delivered]
    outcomes = tuple(
        Outcome(machine=each.machine.id, action="notify", result=result, why=why)
        for each in told_machines(report.machines)
    )
    return replace(
        report,
        outcomes=outcomes,
        verdict_changes=tuple(replace(each, result=result) for each in report.verdict_changes),
        news=tuple(replace(each, result=result) for each in report.news),
        gaps=(*report.gaps, *failures),
    )


def _result(deliveries: Sequence[Delivery]) -> tuple[Result, str]:
    """One channel that a person reads is enough."""
    arrived = next((delivery for delivery in deliveries if delivery.delivered), None)
    if arrived is not None:
        return Result.DELIVERED, arrived.why
    if deliveries:
        return Result.FAILED, "; ".join(delivery.why for delivery in deliveries)
    return Result.DESCRIBED, "no channel was asked to tell anybody"


def _undelivered(delivery: Delivery) -> Gap:
    """Nobody heard of it: that must not look like a quiet patrol."""
    return Gap(provider="slack", what="alert", why=f"{delivery.channel}: {delivery.why}")


def _closed(parts: Parts, report: PatrolReport, gathered: Gathered, began: float) -> PatrolReport:
    """Record what was told, then the patrol itself."""
    seconds = time.monotonic() - began
    machines = {each.machine.id: each.machine for each in report.machines}
    told = [each for each in report.outcomes if each.result is not Result.DESCRIBED]
    delivered = [
        rows.event_row(
            subject=f"{machine.id}/{machine.boot}",
            n=f"{outcome.result.value}/{report.patrol_id}",
            at=report.at,
            kind=outcome.result.value,
            machine=machine,
            detail={"action": outcome.action, "why": outcome.why},
            observed_at=report.at,
        )
        for outcome in told
        if (machine := machines.get(outcome.machine)) is not None
    ]
    parts.ledger.append("events", delivered)
    row = rows.patrol_row(
        patrol_id=report.patrol_id,
        at=report.at,
        ended_at=report.at + timedelta(seconds=seconds),
        mode=report.mode,
        watched=gathered.watched,
        gaps=report.gaps,
        api_calls=report.cost_of_watching.api_calls,
        usd=gathered.watching_usd,
        version=parts.version,
    )
    parts.ledger.append("patrols", [row])
    return replace(report, cost_of_watching=replace(report.cost_of_watching, seconds=seconds))


def _cared(parts: Parts, report: PatrolReport) -> PatrolReport:
    """Last of all, for it may fail: then the patrol stands, and tells of it."""
    if parts.care is None:
        return report
    from watchdog.ledger.care import tend  # noqa: PLC0415 - heavy, and not for --help

    trouble = tend(parts.ledger, parts.care, now=report.at)
    if trouble is None:
        return report
    gap = Gap(provider="ledger", what="ledger care", why=trouble)
    if accepted(gap, parts.accepted_gaps):
        return report
    return replace(report, gaps=(*report.gaps, gap))
