"""Azure's Retail Prices API: what an hour costs, by size, region and operating system. No sign-in.

Which rows are of the plain machine is what catalogues in production use: consumption, by the hour,
in US dollars, above zero, and of no other product that shares the size's name (Windows, Cloud
Services, dedicated hosts, Low Priority). Spot rows are kept apart.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from policies.facts import Gap, Scope
from providers.azure.errors import AZURE_ERRORS, gap_from
from providers.azure.machines import moment_of
from providers.azure.prices import LINUX, SPOT, WINDOWS
from providers.azure.session import AzureSession
from providers.base import Seen
from providers.price_facts import ListPrice, PriceQuestion, Progress

NEEDS = "the Retail Prices API"
SOURCE = "Azure Retail Prices API"
VERSION = "2023-01-01-preview"
PAGES_AT_MOST = 50
OTHER_PRODUCTS = ("cloud services", "cloudservices", "dedicated")
HOUR = "1 hour"
LOW_PRIORITY = "low priority"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Place:
    region: str
    operating_system: str
    component: str | None


def read_prices(
    session: AzureSession,
    wanted: Sequence[PriceQuestion],
    progress: Progress,
    now: datetime,
) -> Seen[ListPrice]:
    """One question a size, whatever the number of regions and systems.

    The first failure ends it: whatever it is, the next question would meet it, too.
    """
    by_size: dict[str, list[PriceQuestion]] = defaultdict(list)
    for each in sorted(wanted, key=lambda one: (one.machine_type, one.region)):
        by_size[each.machine_type].append(each)
    scope = Scope(provider="azure", account=None, region=None)
    found: list[ListPrice] = []
    gaps: list[Gap] = []
    for place, (size, questions) in enumerate(by_size.items()):
        progress(f"asking Azure for prices: {size} ({place + 1} of {len(by_size)})")
        regions = sorted({each.region for each in questions})
        try:
            items = fetch_items(session, size, regions)
            prices = prices_from(items, size=size, questions=questions, now=now)
        except AZURE_ERRORS as error:
            what = f"prices of {len(by_size) - place} of {len(by_size)} machine types"
            gaps.append(gap_from(error, scope, what, NEEDS))
            break
        found += prices
        gaps += _unlisted(size, questions, prices)
    return Seen(values=tuple(found), gaps=tuple(gaps))


def fetch_items(session: AzureSession, size: str, regions: Sequence[str]) -> list[Raw]:
    """Where one region is wanted only that one's rows; else those of every region."""
    conditions = [
        "serviceName eq 'Virtual Machines'",
        "priceType eq 'Consumption'",
        f"armSkuName eq '{size}'",
    ]
    if len(regions) == 1:
        conditions.append(f"armRegionName eq '{regions[0]}'")
    asked = {"api-version": VERSION, "$filter": " and ".join(conditions)}
    return [
        item for page in session.price_pages(asked, most=PAGES_AT_MOST) for item in page["Items"]
    ]


def prices_from(
    items: Iterable[Raw], *, size: str, questions: Sequence[PriceQuestion], now: datetime
) -> list[ListPrice]:
    """One price a region, system and way to buy: the newest in force. Doubt makes it unknown."""
    wanted = {(each.region, each.operating_system) for each in questions}
    rows: dict[_Place, list[Raw]] = defaultdict(list)
    for item in items:
        place = _place(item, size, now)
        if place is not None and (place.region, place.operating_system) in wanted:
            rows[place].append(item)
    return [
        _price(place, size, several)
        for place, several in sorted(rows.items(), key=lambda row: str(row[0]))
    ]


def _place(item: Raw, size: str, now: datetime) -> _Place | None:
    """Whose price it is; None: of something else, or not yet."""
    product, meter = str(item["productName"]).lower(), str(item["meterName"]).lower()
    names = f"{meter} {str(item.get('skuName')).lower()}"
    started = moment_of(item.get("effectiveStartDate"))
    plain = (
        str(item.get("armSkuName")).lower() == size.lower()
        and str(item.get("type") or item.get("priceType")).lower() == "consumption"
        and str(item["unitOfMeasure"]).lower() == HOUR
        and str(item.get("currencyCode") or "USD") == "USD"
        and item.get("isPrimaryMeterRegion") is not False
        and not any(word in product for word in OTHER_PRODUCTS)
        and LOW_PRIORITY not in names
        and (started is None or started <= now)
        and Decimal(str(item["retailPrice"])) > 0
    )
    if not plain:
        return None
    return _Place(
        region=str(item["armRegionName"]),
        operating_system=WINDOWS if "windows" in product else LINUX,
        component=SPOT if "spot" in names else None,
    )


def _price(place: _Place, size: str, rows: Sequence[Raw]) -> ListPrice:
    newest = max(str(row.get("effectiveStartDate") or "") for row in rows)
    current = [row for row in rows if str(row.get("effectiveStartDate") or "") == newest]
    dollars = {Decimal(str(row["retailPrice"])) for row in current}
    doubt = None
    if len(dollars) > 1:
        told = ", ".join(f"{usd.normalize():f}" for usd in sorted(dollars))
        doubt = f"Azure lists it more than once, at different prices: {told} USD an hour"
    return ListPrice(
        provider="azure",
        region=place.region,
        machine_type=size,
        operating_system=place.operating_system,
        component=place.component,
        hourly_usd=None if doubt else next(iter(dollars)),
        source=SOURCE,
        as_of=newest[:10] or None,
        why=doubt,
    )


def _unlisted(
    size: str, questions: Sequence[PriceQuestion], prices: Sequence[ListPrice]
) -> list[Gap]:
    told = {(each.region, each.operating_system) for each in prices if each.component is None}
    return [
        Gap(
            provider="azure",
            region=each.region,
            what=f"price of {size}",
            why=f"Azure lists no price of {size} with {each.operating_system} in {each.region}",
        )
        for each in questions
        if (each.region, each.operating_system) not in told
    ]
