"""`prices refresh`: asks the providers' own price lists, and keeps a copy in the ledger."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from policies.facts import Gap, Purchase
from providers.base import Inventory, ListsPrices
from providers.catalog import offers
from providers.price_facts import ListPrice, PriceQuestion, Progress
from watchdog.gather import NANO, guarded
from watchdog.pricing import list_price_from

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger
    from watchdog.rows import Row

LINUX = "Linux/UNIX"
"""The operating system of the offline catalogue, and of types that are named by option."""
Key = tuple[str, str, str, str, str | None]


class NothingToAskError(Exception):
    """Nobody named a machine type, and no patrol has seen one."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Refreshed:
    """A price as it is listed now, beside the one that was in use before."""

    price: ListPrice
    was_usd: Decimal | None
    """None: there was none."""

    @property
    def changed(self) -> bool:
        return self.was_usd is not None and self.was_usd != self.price.hourly_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    prices: tuple[Refreshed, ...]
    gaps: tuple[Gap, ...]
    api_calls: Mapping[str, int]


def refresh_prices(
    ledger: Ledger,
    providers: Sequence[Inventory],
    *,
    machine_types: Sequence[str],
    regions: Sequence[str],
    progress: Progress,
    now: datetime,
) -> Refresh:
    """Ask for all that patrols saw, all that the copy holds, and what is named besides.

    Raises `NothingToAskError`. A price that could not be read leaves the copy as it was.
    """
    able = [each for each in providers if isinstance(each, ListsPrices)]
    before = {_key(row): row for row in ledger.rows("prices")}
    machines = ledger.rows("machines_now")
    prices: list[Refreshed] = []
    gaps: list[Gap] = []
    calls: dict[str, int] = {}
    asked = 0
    for provider in able:
        wanted = _wanted(provider.name, machines, before, machine_types, regions)
        asked += len(wanted)
        if not wanted:
            continue
        seen = guarded(provider, "prices", partial(provider.list_prices, wanted, progress))
        listed = [_rounded(each) for each in seen.values]
        prices += [Refreshed(price=each, was_usd=_was(each, before)) for each in listed]
        gaps += seen.gaps
        calls |= provider.api_calls()
    if able and not asked:
        raise NothingToAskError(
            "no machine type is known yet: let a patrol see machines, or name what to ask for with"
            " --machine-type and --region"
        )
    ledger.append("prices", [_row(each, before.get(each.price.key), now) for each in prices])
    return Refresh(prices=tuple(prices), gaps=tuple(gaps), api_calls=calls)


def _wanted(
    provider: str,
    machines: Iterable[Row],
    before: Iterable[Key],
    machine_types: Sequence[str],
    regions: Sequence[str],
) -> list[PriceQuestion]:
    """Named types in the regions that are named, else in those seen; and the other way round."""
    seen = {
        (str(row["region"]), str(row["machine_type"]), str(row["operating_system"] or LINUX))
        for row in machines
        if row["provider"] == provider
    }
    seen |= {(key[1], key[2], key[3]) for key in before if key[0] == provider}
    found = set(seen)
    if machine_types or regions:
        types = set(machine_types) or {machine_type for _, machine_type, _ in seen}
        places = set(regions) or {region for region, _, _ in seen}
        found |= {(region, machine_type, LINUX) for region in places for machine_type in types}
    return [
        PriceQuestion(region=region, machine_type=machine_type, operating_system=system)
        for region, machine_type, system in sorted(found)
    ]


def _rounded(price: ListPrice) -> ListPrice:
    """Money is kept to nine places."""
    usd = price.hourly_usd
    return price if usd is None else replace(price, hourly_usd=usd.quantize(NANO))


def _was(price: ListPrice, before: Mapping[Key, Row]) -> Decimal | None:
    """What machines were priced at until now: by the copy, else by the offline catalogue."""
    row = before.get(price.key)
    if row is not None:
        usd = row["hourly_usd"]
        return usd if isinstance(usd, Decimal) else None
    if price.component is not None or price.operating_system != LINUX:
        return None
    offline = offers.hourly_price(
        price.provider, price.region, price.machine_type, Purchase.ON_DEMAND
    )
    return offline.hourly_usd


def _row(each: Refreshed, before: Row | None, now: datetime) -> dict[str, object]:
    """A change stays noted until the next one."""
    price = each.price
    changed: dict[str, object] = {"changed_from_usd": each.was_usd, "changed_at": now}
    if not each.changed:
        changed = {name: None if before is None else before[name] for name in changed}
    return {
        "provider": price.provider,
        "region": price.region,
        "machine_type": price.machine_type,
        "operating_system": price.operating_system,
        "component": price.component,
        "hourly_usd": price.hourly_usd,
        "source": price.source,
        "as_of": price.as_of,
        "why": price.why,
        **changed,
        "observed_at": now,
    }


def _key(row: Row) -> Key:
    return list_price_from(row).key
