"""The AWS Price List API: what an hour on demand costs, by machine type, region and platform.

Fields of a product as AWS documents them in "Reading the price list files for a service"; which of
them single out the plain machine is what catalogues in production use (tenancy Shared,
capacitystatus Used, preInstalledSw NA, and an operation that names the licence).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from policies.facts import Gap, Scope
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.session import AwsSession
from providers.base import Seen
from providers.price_facts import ListPrice, PriceQuestion, Progress

REGION = "us-east-1"
"""Where the price list is asked. It tells the prices of every region, and answers in few."""
PAGE = 100
NEEDS = "pricing:GetProducts"
SOURCE = "AWS Price List API"
EC2 = "AmazonEC2"
SAGEMAKER = "AmazonSageMaker"
MANAGED = "ml."
"""What SageMaker's machine types begin with."""

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Platform:
    """A platform of EC2 in the words of the price list."""

    operating_system: str
    operation: str
    """Licence and software: what EC2 calls an instance's usage operation."""


PLATFORMS = {
    "Linux/UNIX": _Platform(operating_system="Linux", operation="RunInstances"),
    "Windows": _Platform(operating_system="Windows", operation="RunInstances:0002"),
    "Red Hat Enterprise Linux": _Platform(operating_system="RHEL", operation="RunInstances:0010"),
    "SUSE Linux": _Platform(operating_system="SUSE", operation="RunInstances:000g"),
}
"""By EC2's platform details ("AMI billing information fields", EC2 User Guide)."""


def read_prices(
    session: AwsSession, wanted: Sequence[PriceQuestion], progress: Progress
) -> Seen[ListPrice]:
    """One question a machine type and platform, whatever the number of regions.

    The first failure ends it: whatever it is, the next question would meet it, too.
    """
    pricing = session.client("pricing", REGION)
    scope = Scope(provider="aws", account=None, region=REGION)
    found: list[ListPrice] = []
    gaps: list[Gap] = []
    groups = _groups(wanted)
    for place, ((machine_type, platform), regions) in enumerate(groups.items()):
        progress(f"asking AWS for prices: {machine_type} ({place + 1} of {len(groups)})")
        if platform not in PLATFORMS:
            why = f"the price of {platform} is not asked for: {', '.join(PLATFORMS)} are"
            gaps.append(_gap(f"price of {machine_type}", why))
            continue
        try:
            prices = _prices(pricing, machine_type, platform, regions)
        except AWS_ERRORS as error:
            what = f"prices of {len(groups) - place} of {len(groups)} machine types"
            gaps.append(gap_from(error, scope, what, NEEDS))
            break
        found += prices
        gaps += _unlisted(machine_type, platform, regions, prices)
    return Seen(values=tuple(found), gaps=tuple(gaps))


def _groups(wanted: Iterable[PriceQuestion]) -> dict[tuple[str, str], list[str]]:
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in sorted(wanted, key=lambda each: (each.machine_type, each.region)):
        regions = found[each.machine_type, each.operating_system]
        if each.region not in regions:
            regions.append(each.region)
    return found


def _prices(
    pricing: Any, machine_type: str, platform: str, regions: Sequence[str]
) -> list[ListPrice]:
    products = fetch_products(pricing, machine_type, platform, regions)
    return prices_from(products, machine_type=machine_type, platform=platform, regions=regions)


def _unlisted(
    machine_type: str, platform: str, regions: Sequence[str], prices: Sequence[ListPrice]
) -> list[Gap]:
    told = {each.region for each in prices}
    why = f"AWS lists no price of {machine_type} with {platform}"
    return [
        _gap(f"price of {machine_type}", f"{why} in {region}", region)
        for region in regions
        if region not in told
    ]


def _gap(what: str, why: str, region: str | None = None) -> Gap:
    return Gap(provider="aws", region=region, what=what, why=why)


def fetch_products(
    pricing: Any, machine_type: str, platform: str, regions: Sequence[str]
) -> list[Raw]:
    """Where one region is wanted only that one's products; else those of every region."""
    managed = machine_type.startswith(MANAGED)
    narrowed = {"instanceName": machine_type} if managed else _filters(machine_type, platform)
    if len(regions) == 1:
        narrowed["regionCode"] = regions[0]
    pages = pricing.get_paginator("get_products").paginate(
        ServiceCode=SAGEMAKER if managed else EC2,
        FormatVersion="aws_v1",
        Filters=[
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in narrowed.items()
        ],
        PaginationConfig={"PageSize": PAGE},
    )
    return [_product(item) for page in pages for item in page["PriceList"]]


def _filters(machine_type: str, platform: str) -> dict[str, str]:
    return {
        "instanceType": machine_type,
        "operatingSystem": PLATFORMS[platform].operating_system,
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "preInstalledSw": "NA",
    }


def _product(item: object) -> Raw:
    """Each product is JSON within the JSON of the answer."""
    told = json.loads(item) if isinstance(item, str) else item
    if not isinstance(told, dict):
        raise TypeError("a product is no object")
    return told


def prices_from(
    products: Iterable[Raw], *, machine_type: str, platform: str, regions: Sequence[str]
) -> list[ListPrice]:
    """One price a region, and of a managed service one a component.

    Filters are checked once more, for a product that slips through would be another machine's
    price. Products that contradict each other make it unknown.
    """
    dollars: dict[tuple[str, str | None], set[Decimal | None]] = defaultdict(set)
    dates: dict[tuple[str, str | None], str | None] = {}
    for product in products:
        told = product["product"]["attributes"]
        if told.get("regionCode") not in regions or not _is_plain(product, machine_type, platform):
            continue
        place = (told["regionCode"], told.get("component"))
        if not machine_type.startswith(MANAGED):
            place = (told["regionCode"], None)
        dollars[place] |= _dollars(product)
        dates[place] = max(filter(None, (dates.get(place), _published(product))), default=None)
    return [
        ListPrice(
            provider="aws",
            region=region,
            machine_type=machine_type,
            operating_system=platform,
            component=component,
            hourly_usd=_only(several),
            source=SOURCE,
            as_of=dates[region, component],
            why=_doubt(several),
        )
        for (region, component), several in sorted(dollars.items(), key=str)
    ]


def _is_plain(product: Raw, machine_type: str, platform: str) -> bool:
    told = product["product"]["attributes"]
    if machine_type.startswith(MANAGED):
        return bool(told.get("instanceName") == machine_type and told.get("component"))
    wanted = {
        **_filters(machine_type, platform),
        "operation": PLATFORMS[platform].operation,
        # Capacity blocks have products of their own. Older lists do not know the word.
        "marketoption": "OnDemand",
    }
    return all(told.get(field, value) == value for field, value in wanted.items())


def _dollars(product: Raw) -> set[Decimal | None]:
    """Hourly prices of the product's terms on demand; None stands for one that is none.

    Zero is no price of a machine: it stands for hours that are paid elsewhere.
    """
    found: set[Decimal | None] = set()
    for term in product.get("terms", {}).get("OnDemand", {}).values():
        for dimension in term["priceDimensions"].values():
            if not str(dimension.get("unit", "Hrs")).lower().startswith(("hr", "hour")):
                continue
            told = dimension["pricePerUnit"].get("USD")
            usd = None if told is None else Decimal(str(told))
            found.add(usd if usd is not None and usd.is_finite() and usd > 0 else None)
    return found or {None}


def _only(several: set[Decimal | None]) -> Decimal | None:
    return next(iter(several)) if len(several) == 1 else None


def _doubt(several: set[Decimal | None]) -> str | None:
    if len(several) == 1:
        return "AWS lists it without a price in US dollars" if None in several else None
    told = ", ".join(sorted("none" if usd is None else f"{usd.normalize():f}" for usd in several))
    return f"AWS lists it more than once, at different prices: {told} USD an hour"


def _published(product: Raw) -> str | None:
    told = product.get("publicationDate")
    return str(told)[:10] if told else None
