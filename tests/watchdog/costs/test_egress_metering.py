"""From bytes to dollars at the account's tier of the month, against figures worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Scope
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, NAT_PROCESSING, EgressCounter, Tier
from tests.builders import NOW
from watchdog.costs.egress_metering import changed, dollars, egress_charges, gigabytes

GB = 2**30
TB = 1024 * GB
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
TIERS = egress_tariff("aws", "us-east-1", INTERNET).tiers


def counter(
    name: str = "i-1", *counts: int, begin: datetime = NOON, region: str = "us-east-1", **more: Any
) -> EgressCounter:
    service = more.pop("service", INTERNET)
    values: dict[str, Any] = {
        "id": f"aws:1:{region}:{name}",
        "kind": "machine",
        "scope": Scope(provider="aws", account="1", region=region),
        "name": name,
        "hours": {begin + HOUR * place: count for place, count in enumerate(counts)},
        "reach": "all",
        "tariff": egress_tariff("aws", region, service),
    }
    return EgressCounter(**(values | more))


def known(gb: str, hour: object = None, name: str = "i-0", **more: Any) -> dict[str, Any]:
    """A row of the view `egress_metered`."""
    row = {
        "provider": "aws",
        "account": "1",
        "service": INTERNET,
        "resource": None if hour is None else f"aws:1:us-east-1:{name}",
        "hour": hour,
        "gb": Decimal(gb),
        "usd": Decimal(0),
    }
    return row | more


def costs(*counters: EgressCounter, told: Any = ()) -> list[str | None]:
    """In order, to the cent."""
    found = egress_charges(counters, told, observed_at=NOW)
    return [cents(row) for row in found]


def cents(row: Mapping[str, object]) -> str | None:
    return None if row["ListCost"] is None else f"{row['ListCost']:.2f}"


@pytest.mark.parametrize(
    ("before_gb", "gb", "usd"),
    [
        ("0", "100", "0"),
        ("0", "101", "0.09"),
        ("99", "2", "0.09"),
        ("100", "1", "0.09"),
        ("0", "10340", "921.60"),  # 10,240 at 0.09
        ("10340", "1", "0.085"),
        ("10339", "2", "0.175"),
        ("0", "51300", "4403.20"),  # 921.60 and 40,960 at 0.085
        ("51300", "1", "0.07"),
        ("0", "153700", "11571.20"),  # 4,403.20 and 102,400 at 0.07
        ("153700", "1", "0.05"),
        ("0", "153800", "11576.20"),
        ("1000000", "1000", "50"),
        ("100", "0", "0"),
    ],
)
def test_a_volume_is_priced_where_it_lies_in_the_month(before_gb: str, gb: str, usd: str) -> None:
    assert dollars(TIERS, Decimal(before_gb), Decimal(gb)) == Decimal(usd)


def test_without_tiers_nothing_is_free() -> None:
    assert dollars((), Decimal(0), Decimal(5)) is None


@given(st.lists(st.integers(min_value=0, max_value=200 * TB), min_size=1, max_size=8))
def test_the_parts_of_a_volume_cost_what_the_whole_costs(parts: list[int]) -> None:
    amounts = [gigabytes(part) for part in parts]
    position, total = Decimal(0), Decimal(0)
    for amount in amounts:
        cost = dollars(TIERS, position, amount)
        assert cost is not None
        assert 0 <= cost <= amount * Decimal("0.09") + Decimal("0.000000001")
        total, position = total + cost, position + amount
    whole = dollars(TIERS, Decimal(0), position)
    assert whole is not None
    assert abs(whole - total) <= len(parts) * Decimal("0.000000001")


def test_hours_follow_each_other_through_the_free_volume() -> None:
    assert costs(counter("i-1", 60 * GB, 60 * GB, 60 * GB)) == ["0.00", "1.80", "5.40"]


def test_meters_of_an_account_share_the_free_volume_over_all_regions() -> None:
    here = counter("i-1", 80 * GB, 10 * GB)
    there = counter("i-2", 80 * GB, 10 * GB, region="sa-east-1")
    # By their ids sa-east-1 goes first: 80 free; then 20 free and 60 at 0.09; then 10 at each.
    assert costs(here, there) == ["0.00", "5.40", "1.50", "0.90"]


def test_two_accounts_share_nothing() -> None:
    other = Scope(provider="aws", account="2", region="us-east-1")
    mine, theirs = counter("i-1", 100 * GB), counter("i-2", 100 * GB, scope=other)
    assert costs(mine, theirs) == ["0.00", "0.00"]


def test_what_a_gateway_processes_has_no_tiers_and_takes_no_volume() -> None:
    nat = counter("nat-1", 100 * GB, service=NAT_PROCESSING)
    assert costs(nat, counter("i-1", 100 * GB)) == ["4.50", "0.00"]


def test_a_month_begins_anew() -> None:
    begin = datetime(2026, 11, 30, 22, tzinfo=UTC)
    found = costs(counter("i-1", 200 * GB, 10 * GB, 100 * GB, 10 * GB, begin=begin))
    assert found == ["9.00", "0.90", "0.00", "0.90"]


def test_the_ledger_tells_how_far_the_month_has_come() -> None:
    told = [known("95"), known("1000", account="2"), known("1000", service=NAT_PROCESSING)]
    assert costs(counter("i-1", 10 * GB), told=told) == ["0.45"]


def test_what_the_ledger_tells_of_last_month_does_not_count_in_this_one() -> None:
    begin = datetime(2026, 12, 1, tzinfo=UTC)
    november = begin - HOUR
    told = [known("5000"), known("5000", november)]
    quiet = counter("i-2", 1, begin=november)
    assert costs(quiet, counter("i-1", 100 * GB, begin=begin), told=told)[1] == "0.00"


def test_hours_of_others_count_in_their_place() -> None:
    told = [known("90", NOON), known("20", NOON + HOUR)]
    # 90 before, so 10 of 20 are free; 130 before the second.
    assert costs(counter("i-1", 20 * GB, 20 * GB), told=told) == ["0.90", "1.80"]


def test_an_hour_that_is_read_again_does_not_count_twice() -> None:
    first = egress_charges([counter("i-1", 80 * GB, 80 * GB)], (), observed_at=NOW)
    told = [known(str(row["ConsumedQuantity"]), row["ChargePeriodStart"], "i-1") for row in first]
    assert costs(counter("i-1", 80 * GB, 80 * GB), told=told) == ["0.00", "5.40"]


def test_overlapping_windows_give_the_same_figures() -> None:
    """Half of the window is new: what the ledger has of the other half replaces itself."""
    whole = egress_charges([counter("i-1", *[40 * GB] * 6)], (), observed_at=NOW)
    before = whole[:4]
    told = [known(str(sum(Decimal(str(row["ConsumedQuantity"])) for row in before[:2])))]
    told += [
        known(str(row["ConsumedQuantity"]), row["ChargePeriodStart"], "i-1") for row in before[2:]
    ]
    later = counter("i-1", *[40 * GB] * 4, begin=NOON + 2 * HOUR)
    again = egress_charges([later], told, observed_at=NOW)
    assert again == whole[2:]


def test_an_unknown_price_takes_its_volume_all_the_same() -> None:
    nowhere = counter("i-0", 100 * GB, region="a-moon-1")
    assert costs(nowhere, counter("i-1", 10 * GB)) == [None, "0.90"]


def test_a_row_has_the_columns_of_a_bill() -> None:
    (row,) = egress_charges([counter("i-1", 200 * GB)], (), observed_at=NOW)
    assert row["ServiceName"] == "Data Transfer"
    assert (row["ConsumedQuantity"], row["ConsumedUnit"]) == (Decimal(200), "GB")
    assert row["ListCost"] == row["EffectiveCost"] == Decimal(9)
    assert row["x_Basis"] == "list, all to the internet"
    assert (row["x_Meter"], row["date"]) == ("egress", "2026-11-20")
    assert row["ChargePeriodEnd"] == NOON + HOUR
    (nat,) = egress_charges([counter("nat-1", GB, service=NAT_PROCESSING)], (), observed_at=NOW)
    assert (nat["x_Basis"], nat["ListUnitPrice"]) == ("list", Decimal("0.045"))


def test_only_what_says_something_new_is_written() -> None:
    charges = egress_charges([counter("i-1", GB, 2 * GB, 3 * GB)], (), observed_at=NOW)
    told = [
        known("1", NOON, "i-1"),
        known("1.5", NOON + HOUR, "i-1"),
        known("3", NOON + 2 * HOUR, "i-1", usd=Decimal("0.01")),
    ]
    written = [row["ChargePeriodStart"] for row in changed(charges, told)]
    assert written == [NOON + HOUR, NOON + 2 * HOUR]


def test_nothing_measured_is_no_row() -> None:
    assert egress_charges([counter("i-1")], [known("5")], observed_at=NOW) == []


def test_tiers_may_be_one() -> None:
    flat = (Tier(from_gb=Decimal(0), usd_per_gb=Decimal("0.045")),)
    assert dollars(flat, Decimal(10**6), Decimal(2)) == Decimal("0.09")
