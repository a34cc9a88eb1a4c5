"""What spot machines paid: EC2's own history of prices, zone by zone."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from policies.facts import Gap, Machine, Purchase, Scope, utc
from providers.aws.errors import gap_from
from providers.aws.prices import LINUX
from providers.aws.session import AwsSession
from providers.base import Seen
from providers.price_facts import SpotMarket, SpotPrice

PAGE = 1000
WHAT = "spot prices"
NEEDS = "ec2:DescribeSpotPriceHistory"
KEPT = timedelta(days=90)
"""EC2 tells no older prices."""
IN_VPC = " (Amazon VPC)"
"""What the name of a product may end with. Every machine lies in one today."""
PRODUCTS = frozenset({LINUX, "Red Hat Enterprise Linux", "SUSE Linux", "Windows"})
"""Platforms with a spot price; EC2 names them alike on a machine and in the history."""


def market_of(machine: Machine, tenancy: str) -> SpotMarket | None:
    """Whose price it pays; None: no history tells."""
    product = machine.operating_system or LINUX
    told = product in PRODUCTS and machine.zone is not None and tenancy == "default"
    if machine.purchase is not Purchase.SPOT or not told:
        return None
    return SpotMarket(
        provider="aws",
        account=machine.account,
        region=machine.region,
        zone=str(machine.zone),
        machine_type=machine.machine_type,
        product=product,
    )


def read_history(
    session: AwsSession, asked: Mapping[SpotMarket, datetime], now: datetime
) -> Seen[SpotPrice]:
    """Of each market since a moment, the price that held then included: one question a region.

    Scopes: the regions that told everything.
    """
    by_region: dict[str, dict[SpotMarket, datetime]] = defaultdict(dict)
    for market, since in asked.items():
        by_region[market.region][market] = since
    answers = session.side_by_side(sorted(by_region), partial(_region, session, by_region, now))
    prices: list[SpotPrice] = []
    gaps: list[Gap] = []
    scopes: list[Scope] = []
    for region, answer in answers.items():
        account = next(iter(by_region[region])).account
        scope = Scope(provider="aws", account=account, region=region)
        if isinstance(answer, Exception):
            gaps.append(gap_from(answer, scope, WHAT, NEEDS))
            continue
        prices += answer
        scopes.append(scope)
    return Seen(values=tuple(prices), gaps=tuple(gaps), scopes=tuple(scopes))


def _region(
    session: AwsSession,
    by_region: Mapping[str, Mapping[SpotMarket, datetime]],
    now: datetime,
    region: str,
) -> list[SpotPrice]:
    asked = by_region[region]
    since = max(min(asked.values()), now - KEPT)
    return prices_from(_fetch(session.client("ec2", region), asked, since), asked)


def _fetch(ec2: Any, markets: Iterable[SpotMarket], since: datetime) -> list[Mapping[str, Any]]:
    products = sorted({market.product for market in markets})
    pages = ec2.get_paginator("describe_spot_price_history").paginate(
        InstanceTypes=sorted({market.machine_type for market in markets}),
        ProductDescriptions=[name for each in products for name in (each, f"{each}{IN_VPC}")],
        Filters=[
            {"Name": "availability-zone", "Values": sorted({market.zone for market in markets})}
        ],
        StartTime=since.astimezone(UTC),
        PaginationConfig={"PageSize": PAGE},
    )
    return [raw for page in pages for raw in page["SpotPriceHistory"]]


def prices_from(
    raws: Iterable[Mapping[str, Any]], markets: Iterable[SpotMarket]
) -> list[SpotPrice]:
    """The prices of these markets, in order of time. What is no price is left out."""
    known = {(each.zone, each.machine_type, each.product): each for each in markets}
    found: dict[tuple[SpotMarket, datetime], SpotPrice] = {}
    for raw in sorted(raws, key=lambda raw: str(raw["ProductDescription"]), reverse=True):
        product = str(raw["ProductDescription"]).removesuffix(IN_VPC)
        market = known.get((raw["AvailabilityZone"], raw["InstanceType"], product))
        usd = Decimal(str(raw["SpotPrice"]))
        if market is not None and usd.is_finite() and usd > 0:
            at = utc(raw["Timestamp"])
            found[market, at] = SpotPrice(market=market, started_at=at, hourly_usd=usd)
    return sorted(found.values(), key=lambda price: (str(price.market), price.started_at))
