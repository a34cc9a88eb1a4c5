"""What the catalogue says a GB costs, against the source where it is."""

import csv
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from providers.catalog.egress_offers import SOURCES, egress_tariff
from providers.catalog.offers import FOLDER
from providers.egress import INTERNET, NAT_PROCESSING

PRICES = Path(__file__).resolve().parents[4] / "shared" / "data" / "prices"
SIZES = {"first 10TB": 10_240, "next 40TB": 40_960, "next 100TB": 102_400, "over 150TB": None}
ROUNDED = {"0.1092998": "0.1093"}
"""The source gives a quotient of rounded figures; bills say 0.1093."""


def rows() -> list[dict[str, str]]:
    with (FOLDER / "egress_prices.csv").open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_tiers_of_the_usual_region_begin_behind_the_free_volume() -> None:
    tariff = egress_tariff("aws", "us-east-1", INTERNET)
    assert [(int(tier.from_gb), str(tier.usd_per_gb)) for tier in tariff.tiers] == [
        (0, "0"),
        (100, "0.09"),
        (100 + 10_240, "0.085"),
        (100 + 10_240 + 40_960, "0.07"),
        (100 + 10_240 + 40_960 + 102_400, "0.05"),
    ]
    assert tariff.source
    assert tariff.as_of is None, "one of its sources has no date"


@pytest.mark.parametrize(
    ("provider", "region", "service"),
    [
        ("aws", "xx-moon-1", INTERNET),
        ("aws", "eu-west-1", NAT_PROCESSING),
        ("gcp", "asia-northeast1", INTERNET),
    ],
)
def test_what_is_not_listed_is_unknown_and_says_so(
    provider: str, region: str, service: str
) -> None:
    tariff = egress_tariff(provider, region, service)
    assert tariff.tiers == ()
    assert region in str(tariff.why)


def test_every_tariff_begins_at_nothing_and_gets_cheaper() -> None:
    tiers: dict[tuple[str, str, str], list[tuple[int, Decimal]]] = defaultdict(list)
    for row in rows():
        key = (row["provider"], row["region"], row["route"])
        tiers[key].append((int(row["from_gb"]), Decimal(row["usd_per_gb"])))
    for several in tiers.values():
        assert several[0][0] == 0
        assert several == sorted(several)
        paid = [usd for _, usd in several if usd]
        assert paid == sorted(paid, reverse=True)
        assert len(several) - len(paid) <= 1, "at most the first volume is free"


def test_every_source_is_described_and_used() -> None:
    assert {row["source"] for row in rows()} == set(SOURCES)


def test_govcloud_has_no_free_volume() -> None:
    first = egress_tariff("aws", "us-gov-west-1", INTERNET).tiers[0]
    assert first.usd_per_gb == Decimal("0.155")


@pytest.mark.skipif(not PRICES.is_dir(), reason="the price sources are not here")
def test_the_figures_are_those_of_the_source() -> None:
    told: dict[str, dict[str, str]] = defaultdict(dict)
    with (PRICES / "infracost_unit_prices.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            name = row["component"].partition("Internet (")[2].rstrip(")")
            if name in SIZES and row["source"] == "aws__data_transfer_test":
                told[row["resource"].partition(".")[2]][name] = row["unit_price_usd"]
    ours = [row for row in rows() if (row["provider"], row["route"]) == ("aws", "internet")]
    regions = {row["region"] for row in ours}
    assert regions == {region for region in told if not region.endswith("-lax-1")}
    for region in regions:
        begin = 0 if "gov" in region else 100
        for name, size in SIZES.items():
            usd = told[region].get(name)
            if usd is not None:
                tiers = egress_tariff("aws", region, INTERNET).tiers
                (found,) = [tier.usd_per_gb for tier in tiers if tier.from_gb == begin]
                assert found == Decimal(ROUNDED.get(usd, usd)), (region, name)
            begin += size or 0
