"""Prices in a patrol: the copy of the price list, spot markets, what stays of a stopped machine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from policies.facts import Machine, Price, Scope, Storage
from providers.base import Inventory, ListsPrices, PricesStopped, ReadsSpotPrices
from providers.price_facts import ListPrice, SpotMarket, SpotPrice
from watchdog.costs.prices_over_time import PriceStep
from watchdog.costs.running_time import hour_of
from watchdog.costs.spot_pricing import KnownPrice, known_from, steps_of, with_told
from watchdog.gather import NANO, Gathered, guarded, rounded
from watchdog.rows import Row, moment_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Known = Mapping[SpotMarket, Sequence[KnownPrice]]


def use_price_list(ledger: Ledger, providers: Sequence[Inventory]) -> None:
    """What `prices refresh` brought goes before every other source of list prices."""
    able = [each for each in providers if isinstance(each, ListsPrices)]
    if able:
        known = [list_price_from(row) for row in ledger.rows("prices")]
        for provider in able:
            provider.use_prices([each for each in known if each.provider == provider.name])


def list_price_from(row: Row) -> ListPrice:
    """A row of the ledger's view `prices`."""
    usd = row["hourly_usd"]
    return ListPrice(
        provider=str(row["provider"]),
        region=str(row["region"]),
        machine_type=str(row["machine_type"]),
        operating_system=str(row["operating_system"]),
        component=_text(row["component"]),
        hourly_usd=usd if isinstance(usd, Decimal) else None,
        source=str(row["source"]),
        as_of=_text(row["as_of"]),
        why=_text(row["why"]),
    )


def with_spot_prices(
    ledger: Ledger, gathered: Gathered, providers: Sequence[Inventory], *, now: datetime
) -> Gathered:
    """Spot machines with the prices of their own zones over the time that is metered."""
    for provider in providers:
        if isinstance(provider, ReadsSpotPrices):
            gathered = _spot_priced(ledger, gathered, provider, now)
    return gathered


def _spot_priced(
    ledger: Ledger, gathered: Gathered, provider: ReadsSpotPrices, now: datetime
) -> Gathered:
    markets = {
        each.id: market
        for each in gathered.machines
        if (market := provider.spot_market(each)) is not None
    }
    starts = _metered_from(gathered, markets)
    if not starts:
        return gathered
    kept = _kept(ledger, min(starts.values()))
    asked = {market: _since(kept.get(market, ()), start) for market, start in starts.items()}
    seen = guarded(provider, "spot prices", partial(provider.spot_prices, asked, now))
    told: dict[SpotMarket, list[SpotPrice]] = defaultdict(list)
    for price in seen.values:
        usd = price.hourly_usd.quantize(NANO)
        told[price.market].append(replace(price, hourly_usd=usd))
    known: dict[SpotMarket, Sequence[KnownPrice]] = dict(kept)
    for market, since in asked.items():
        if _scope(market) in seen.scopes:
            before = kept.get(market, ())
            known[market] = with_told(before, told[market], since=since, until=now)
    ledger.append("spot_prices", _news(kept, known, now))
    steps = {
        machine: steps_of(known.get(market, ()), until=now)
        for machine, market in markets.items()
        if market in starts
    }
    return replace(
        gathered,
        machines=tuple(_at(each, steps.get(each.id), now) for each in gathered.machines),
        gaps=(*gathered.gaps, *seen.gaps),
        market_prices={**gathered.market_prices, **steps},
        api_calls={**gathered.api_calls, **provider.api_calls()},
    )


def _metered_from(
    gathered: Gathered, markets: Mapping[str, SpotMarket]
) -> dict[SpotMarket, datetime]:
    """From when on the price of each market is needed."""
    windows = {each.scope: each.windows.started_at for each in gathered.watched}
    found: dict[SpotMarket, datetime] = {}
    for machine in gathered.machines:
        market = markets.get(machine.id)
        start = windows.get(_scope(market)) if market is not None else None
        if market is None or start is None or not machine.may_have_run_since(start):
            continue
        found[market] = min(start, found.get(market, start))
    return found


def _since(kept: Sequence[KnownPrice], start: datetime) -> datetime:
    """Only the new part, where all before it is known."""
    begin = known_from(kept)
    return start if begin is None or begin > start else kept[-1].told_until


def _kept(ledger: Ledger, since: datetime) -> dict[SpotMarket, list[KnownPrice]]:
    found: dict[SpotMarket, list[KnownPrice]] = defaultdict(list)
    for row in ledger.rows("spot_prices_since", since=since):
        market = SpotMarket(
            provider=str(row["provider"]),
            account=str(row["account"]),
            region=str(row["region"]),
            zone=str(row["zone"]),
            machine_type=str(row["machine_type"]),
            product=str(row["product"]),
        )
        price = SpotPrice(
            market=market,
            started_at=moment_of(row["started_at"]),
            hourly_usd=Decimal(str(row["hourly_usd"])),
        )
        found[market].append(KnownPrice(price=price, told_until=moment_of(row["told_until"])))
    for several in found.values():
        several.sort(key=lambda each: each.started_at)
    return dict(found)


def _news(kept: Known, known: Known, now: datetime) -> list[dict[str, object]]:
    """What the ledger does not have yet. How far the newest price holds is kept by the hour."""
    before = {(m, each.started_at): each for m, several in kept.items() for each in several}
    found: list[dict[str, object]] = []
    for market, several in known.items():
        for each in several:
            until = each.told_until if each.told_until < now else hour_of(now)
            until = max(until, each.started_at)
            was = before.get((market, each.started_at))
            if was is None or was.price != each.price or was.told_until != until:
                found.append(_row(market, each, until, now))
    return found


def _row(
    market: SpotMarket, known: KnownPrice, until: datetime, now: datetime
) -> dict[str, object]:
    return {
        "provider": market.provider,
        "account": market.account,
        "region": market.region,
        "zone": market.zone,
        "machine_type": market.machine_type,
        "product": market.product,
        "started_at": known.started_at,
        "hourly_usd": known.price.hourly_usd,
        "told_until": until,
        "observed_at": now,
    }


def _at(machine: Machine, steps: Sequence[PriceStep] | None, now: datetime) -> Machine:
    """With the price of this moment."""
    if steps is None:
        return machine
    price = next(each.price for each in reversed(steps) if each.started_at <= now)
    return replace(machine, price=price)


def _scope(market: SpotMarket) -> Scope:
    return Scope(provider=market.provider, account=market.account, region=market.region)


def with_stopped_prices(gathered: Gathered, providers: Sequence[Inventory]) -> Gathered:
    """What machines go on costing while stopped, where all storage of their scope was seen."""
    able = {each.name: each for each in providers if isinstance(each, PricesStopped)}
    whole = set(gathered.storage_whole)
    attached: dict[str | None, list[Storage]] = defaultdict(list)
    for each in gathered.storage:
        attached[each.attached_to].append(each)

    def priced(machine: Machine) -> Machine:
        provider = able.get(machine.provider)
        scope = Scope(provider=machine.provider, account=machine.account, region=machine.region)
        if provider is None or scope not in whole:
            return machine
        usd = provider.stopped_hourly_usd(machine, attached[machine.id])
        return replace(machine, price=_with_stopped(machine.price, usd))

    return replace(gathered, machines=tuple(map(priced, gathered.machines)))


def _with_stopped(price: Price, usd: Decimal | None) -> Price:
    return rounded(replace(price, stopped_hourly_usd=usd))


def _text(value: object) -> str | None:
    return None if value is None else str(value)
