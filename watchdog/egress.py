"""Egress in a patrol: read the meters, price and remember their hours, and say whose they are."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.facts import Attribution, EgressMeter, Gap, Machine, Scope, Window
from providers.base import Inventory, MetersEgress, Seen
from providers.egress import EgressCounter
from watchdog import rows
from watchdog.attribution import attribution_at, attribution_of
from watchdog.costs.egress_metering import (
    HOUR,
    changed,
    egress_charges,
    first_hour,
    month_of,
)
from watchdog.costs.running_time import hour_of
from watchdog.egress_told import EgressTold, remember_told, told_again
from watchdog.gather import Gathered, Watched
from watchdog.mapping import WorkloadMapping
from watchdog.patrol_report import MeteredEgress

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

HOUR_S = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class _Answer:
    """What one provider told of its meters, and what it cost to ask."""

    counters: tuple[EgressCounter, ...] = ()
    gaps: tuple[Gap, ...] = ()
    usd: Decimal | None = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressRead:
    """What was read of egress in this pass."""

    counters: tuple[EgressCounter, ...] = ()
    asked: tuple[Scope, ...] = ()
    whole: tuple[Scope, ...] = ()
    """Of those, the ones that were read without a gap."""


def with_egress(
    gathered: Gathered,
    providers: Sequence[Inventory],
    *,
    told: Mapping[Scope, EgressTold],
    now: datetime,
) -> tuple[Gathered, EgressRead]:
    """The counters of all providers side by side; gaps and calls stand with what was gathered.

    A clock hour is read once when it is over, and once more an hour later, for what came late:
    scopes that an earlier patrol has read since the hour began (`told`) are not asked again.
    """
    asked = [each for each in providers if isinstance(each, MetersEgress)]
    due = [each for each in gathered.watched if _is_due(each, told.get(each.scope), now)]
    if not asked or not due:
        return gathered, EgressRead()
    with ThreadPoolExecutor(max_workers=len(asked)) as pool:
        answers = list(pool.map(lambda each: _answer(each, gathered.machines, due, now), asked))
    calls = {name: n for each in asked for name, n in each.api_calls().items()}
    spent = [gathered.watching_usd, *(each.usd for each in answers)]
    known = [usd for usd in spent if usd is not None]
    with_what_was_read = replace(
        gathered,
        gaps=(*gathered.gaps, *(gap for each in answers for gap in each.gaps)),
        api_calls={**gathered.api_calls, **calls},
        watching_usd=sum(known, Decimal(0)) if len(known) == len(spent) else None,
    )
    counters = tuple(counter for each in answers for counter in each.counters)
    lacking = {(gap.provider, gap.account, gap.region) for each in answers for gap in each.gaps}
    names = {each.name for each in asked}
    scopes = tuple(each.scope for each in due if each.scope.provider in names)
    whole = tuple(scope for scope in scopes if not _lacks(scope, lacking))
    return with_what_was_read, EgressRead(counters=counters, asked=scopes, whole=whole)


def _is_due(watched: Watched, told: EgressTold | None, now: datetime) -> bool:
    """Whether an hour has ended since its egress was read, or more of its past is asked for."""
    return (
        told is None
        or told.read_at < hour_of(now)
        or hour_of(watched.windows.started_at) < told.read_from
    )


def _lacks(scope: Scope, lacking: set[tuple[str, str | None, str | None]]) -> bool:
    """A gap without a place concerns every place of its provider."""
    places = {(scope.provider, scope.account, scope.region), (scope.provider, scope.account, None)}
    return bool(lacking & {*places, (scope.provider, None, None)})


def _answer(
    provider: Inventory, machines: Sequence[Machine], due: Sequence[Watched], now: datetime
) -> _Answer:
    """Whole hours since the scopes were watched. An adapter that breaks is a gap."""
    before = provider.watching_usd()
    answers: list[Seen[EgressCounter]] = []
    for window, watched in _by_window(due, provider.name, now).items():
        answers.append(_asked(provider, _machines_in(machines, watched), watched, window))
    after = provider.watching_usd()
    return _Answer(
        counters=tuple(counter for each in answers for counter in each.values),
        gaps=tuple(dict.fromkeys(gap for each in answers for gap in each.gaps)),
        usd=None if before is None or after is None else after - before,
    )


def _asked(
    provider: Inventory, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
) -> Seen[EgressCounter]:
    if not isinstance(provider, MetersEgress):
        return Seen()
    try:
        return provider.egress(machines, scopes, window)
    except Exception as error:  # noqa: BLE001 - whatever it was, it is told and nothing is hidden
        why = f"the {provider.name} adapter broke: {type(error).__name__}: {error}"
        return Seen(gaps=(Gap(provider=provider.name, what="egress metrics", why=why),))


def _by_window(
    watched: Sequence[Watched], provider: str, now: datetime
) -> Mapping[Window, list[Scope]]:
    """The scopes of each window. An hour is read when it is over: a part of it is not its sum."""
    until = hour_of(now)
    found: dict[Window, list[Scope]] = defaultdict(list)
    for each in watched:
        begin = hour_of(each.windows.started_at)
        if each.scope.provider == provider and begin < until:
            window = Window(started_at=begin, ended_at=until, period_s=HOUR_S)
            found[window].append(each.scope)
    return found


def _machines_in(machines: Sequence[Machine], scopes: Sequence[Scope]) -> list[Machine]:
    places = {(scope.account, scope.region) for scope in scopes}
    return [each for each in machines if (each.account, each.region) in places]


def settle_egress(
    ledger: Ledger,
    read: EgressRead,
    *,
    told: Mapping[Scope, EgressTold],
    watched: Sequence[Watched],
    attributed: Mapping[str, Sequence[Attribution]],
    mapping: WorkloadMapping,
    now: datetime,
) -> tuple[MeteredEgress, ...]:
    """Price and store the hours; the meters as the report shows them, dearest first.

    `attributed`: what machines and buckets are attributed to already; their meters follow them.
    Scopes that were not asked in this pass are told as they were.
    """
    meters = _settled(ledger, read.counters, attributed, mapping, now)
    begins = {each.scope: hour_of(each.windows.started_at) for each in watched}
    remember_told(ledger, {scope: begins[scope] for scope in read.whole}, meters, now)
    by_now = {resource: attribution_at(each, now) for resource, each in attributed.items()}
    fresh = {each.meter.id for each in meters}
    again = [
        each
        for scope, earlier in told.items()
        if scope in begins and scope not in read.asked
        for each in told_again(earlier, by_now)
        if each.meter.id not in fresh
    ]
    return tuple(
        sorted([*meters, *again], key=lambda each: (-(each.meter.cost_usd or 0), each.meter.id))
    )


def _settled(
    ledger: Ledger,
    counters: Sequence[EgressCounter],
    attributed: Mapping[str, Sequence[Attribution]],
    mapping: WorkloadMapping,
    now: datetime,
) -> list[MeteredEgress]:
    counted = [each for each in counters if each.hours]
    begin = first_hour(counted)
    if begin is None:
        return []
    known = ledger.rows("egress_metered", since=month_of(begin), detailed_from=begin)
    charges = egress_charges(counted, known, observed_at=now)
    ledger.append("charges", changed(charges, known))
    by_meter: dict[str, list[Mapping[str, object]]] = defaultdict(list)
    for charge in charges:
        by_meter[str(charge["ResourceId"])].append(charge)
    others = _attributed(
        ledger, [each for each in counted if each.id not in attributed], mapping, now
    )
    return [
        MeteredEgress(
            meter=_meter(each, by_meter[each.id]),
            name=each.name,
            attribution=others.get(each.id) or attribution_at(attributed[each.id], now),
            upper_bound=each.upper_bound,
        )
        for each in counted
    ]


def _attributed(
    ledger: Ledger, counters: Sequence[EgressCounter], mapping: WorkloadMapping, now: datetime
) -> dict[str, Attribution]:
    """Whose each is, and stored so. Where its tags could not be read, what was known holds."""
    if not counters:
        return {}
    known = ledger.rows("attributions")
    before = {str(row["resource"]): row for row in known}
    found: dict[str, Attribution] = {}
    news: list[Attribution] = []
    for each in counters:
        told = attribution_of(_Thing.of(each), mapping=mapping)
        if each.tags is None and each.id in before:
            told = rows.attribution_from(before[each.id])
        elif each.tags is not None or told.workload is not None:
            news.append(told)
        found[each.id] = told
    ledger.append(
        "attributions", rows.changed_attributions(rows.attribution_rows(news, now), known)
    )
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Thing:
    """What attribution asks of a resource that is no machine."""

    id: str
    name: str | None
    provider: str
    account: str
    region: str
    tags: Mapping[str, str]

    @classmethod
    def of(cls, counter: EgressCounter) -> _Thing:
        scope = counter.scope
        return cls(
            id=counter.id,
            name=counter.name,
            provider=scope.provider,
            account=scope.account or "unknown",
            region=scope.region or "unknown",
            tags=counter.tags or {},
        )


def _meter(counter: EgressCounter, charges: Sequence[Mapping[str, object]]) -> EgressMeter:
    """All measured hours together; a sum of which one hour is unpriced is unpriced."""
    begin, last = min(counter.hours), max(counter.hours)
    costs = [charge["ListCost"] for charge in charges]
    known = [cost for cost in costs if isinstance(cost, Decimal)]
    return EgressMeter(
        id=counter.id,
        kind=counter.kind,
        bytes=sum(counter.hours.values()),
        started_at=begin,
        ended_at=last + HOUR,
        scope=counter.reach,
        cost_usd=sum(known, Decimal(0)) if len(known) == len(costs) else None,
        why=(*counter.why, *_pricing(counter, charges), *_holes(counter, begin, last)),
    )


def _pricing(counter: EgressCounter, charges: Sequence[Mapping[str, object]]) -> tuple[str, ...]:
    """Why there is no price, or why some of it is free: a zero never stands unexplained."""
    tariff = counter.tariff
    if not tariff.tiers:
        return (tariff.why or "no price",)
    first, *paid = tariff.tiers
    for_nothing = any(each["ConsumedQuantity"] and not each["ListCost"] for each in charges)
    if for_nothing and paid and first.usd_per_gb == 0:
        free = f"the first {paid[0].from_gb:f} GB of a month are free, once for the account"
        return (free,)
    return ()


def _holes(counter: EgressCounter, begin: datetime, last: datetime) -> tuple[str, ...]:
    whole = (last - begin) // HOUR + 1
    if len(counter.hours) == whole:
        return ()
    return (f"{len(counter.hours)} of {whole} hours were measured; the others are not in it",)
