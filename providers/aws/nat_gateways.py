"""NAT gateways: what each one processed, both directions, whoever sent it through."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from policies.facts import Scope
from providers.aws.hourly_sums import Hours, Metric
from providers.catalog.egress_offers import egress_tariff
from providers.egress import NAT_PROCESSING, EgressCounter, Tariff

NAMESPACE = "AWS/NATGateway"
DIMENSION = "NatGatewayId"
PAGE = 1000
KIND = "nat-gateway"
OUT = ("BytesOutToDestination", "BytesInFromSource")
BACK = ("BytesInFromDestination", "BytesOutToSource")
"""A byte passes two counters of its direction, one on each side: the first that there is counts."""
CANNOT_TELL = "processed bytes of every destination; what leaves to the internet costs besides"


Tags = dict[str, dict[str, str]]
"""By gateway."""


def fetch_gateways(ec2: Any) -> Tags:
    """Every NAT gateway of a region, those included that were deleted within the last hour."""
    pages = ec2.get_paginator("describe_nat_gateways")
    return {
        raw["NatGatewayId"]: {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}
        for page in pages.paginate(PaginationConfig={"PageSize": PAGE})
        for raw in page["NatGateways"]
    }


def wanted(metrics: Sequence[Metric]) -> list[Metric]:
    """One series for each direction of each gateway."""
    directions = _directions(metrics)
    return [metric for chosen in directions.values() for metric in chosen if metric is not None]


def counters(
    metrics: Sequence[Metric],
    read: Mapping[Metric, Hours],
    gateways: Tags | None,
    scope: Scope,
) -> list[EgressCounter]:
    """One counter a gateway that the listing names; a direction that failed makes it unknown.

    `gateways` None: they could not be listed. The tags of one that is gone are not known either.
    """
    found = []
    for native_id, (out, back) in _directions(metrics).items():
        tariff = egress_tariff("aws", str(scope.region), NAT_PROCESSING)
        series = [read.get(metric) for metric in (out, back) if metric is not None]
        told = [hours for hours in series if hours is not None]
        if not told or len(told) < len(series):
            continue
        why: tuple[str, ...] = (CANNOT_TELL,)
        if len(told) == 1:
            only = "only what went out is counted" if back is None else "only what came back is"
            why = (f"{only}: the listing names no metric of the other direction", *why)
            tariff = _unpriced(tariff)
        tags = (gateways or {}).get(native_id)
        found.append(
            EgressCounter(
                id=f"aws:{scope.account or 'unknown'}:{scope.region}:{native_id}",
                kind=KIND,
                scope=scope,
                name=(tags or {}).get("Name") or None,
                hours=_added(told),
                reach="all",
                tariff=tariff,
                tags=tags,
                why=why,
            )
        )
    return found


def _directions(metrics: Sequence[Metric]) -> dict[str, tuple[Metric | None, Metric | None]]:
    """By gateway, the series out and the series back; None where the listing has none."""
    by_gateway: dict[str, dict[str, Metric]] = defaultdict(dict)
    for metric in metrics:
        gateway = metric.dimension(DIMENSION)
        if gateway is not None and len(metric.dimensions) == 1:
            by_gateway[gateway][metric.name] = metric
    return {
        gateway: (_first(named, OUT), _first(named, BACK))
        for gateway, named in sorted(by_gateway.items())
    }


def _first(named: Mapping[str, Metric], names: Sequence[str]) -> Metric | None:
    return next((named[name] for name in names if name in named), None)


def _added(series: Sequence[Hours]) -> Hours:
    """Hours in which every direction was measured: a half is not the whole."""
    shared = set.intersection(*(set(hours) for hours in series))
    return {hour: sum(hours[hour] for hours in series) for hour in sorted(shared)}


def _unpriced(tariff: Tariff) -> Tariff:
    why = "both directions are billed, and only one was counted"
    return Tariff(service=tariff.service, tiers=(), source=None, as_of=None, why=why)
