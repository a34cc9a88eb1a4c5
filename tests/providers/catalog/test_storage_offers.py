"""Prices of storage: tiers that add up, sources that exist, and figures that others quote too."""

from __future__ import annotations

import csv
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalog.storage_offers import FILE, SOURCES, parts, tiers

QUOTED = {
    "ebs gp2": ("Storage (general purpose SSD, gp2)", "gp2"),
    "ebs gp3": ("Storage (general purpose SSD, gp3)", "gp3"),
    "ebs gp3 iops": ("Provisioned IOPS", "gp3"),
    "ebs gp3 throughput": ("Provisioned throughput", "gp3"),
    "ebs io1": ("Storage (provisioned IOPS SSD, io1)", "io1"),
    "ebs io1 iops": ("Provisioned IOPS", "io1"),
    "ebs io2": ("Storage (provisioned IOPS SSD, io2)", "io2"),
    "ebs io2 iops": ("Provisioned IOPS", "io2"),
    "ebs sc1": ("Storage (cold HDD, sc1)", "sc1"),
    "ebs st1": ("Storage (throughput optimized HDD, st1)", "st1"),
    "ebs standard": ("Storage (magnetic)", "standard"),
    "s3 intelligent frequent": ("Storage (frequent access)", "bucket_withUsage"),
    "s3 intelligent infrequent": ("Storage (infrequent access)", "bucket_withUsage"),
    "s3 intelligent archive": ("Storage (archive access)", "bucket_withUsage"),
    "s3 intelligent deep archive": ("Storage (deep archive access)", "bucket_withUsage"),
}
"""By item, the component and the end of the resource's name in the source."""
OF_SIZE = {
    "s3 standard": 10_000,
    "s3 standard infrequent": 30_000,
    "s3 one zone infrequent": 40_000,
    "s3 glacier": 50_000,
    "s3 deep archive": 60_000,
}
"""Classes that the source calls alike; its test gives each another size."""

ELSEWHERE = {"address", "ebs snapshot"}
"""Items of the same source, of tests that are not in the folder."""


def committed() -> list[dict[str, str]]:
    with FILE.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def test_the_file_is_sorted_and_every_figure_is_above_zero_and_has_a_source() -> None:
    rows = committed()
    keys = [(row["provider"], row["region"], row["item"], int(row["above"])) for row in rows]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert all(Decimal(row["usd_per_month"]) > 0 for row in rows)
    assert {row["source"] for row in rows} == {source.id for source in SOURCES}


def test_what_is_not_listed_has_no_price() -> None:
    assert tiers("aws", "us-east-1", "ebs gp9") == ()
    assert tiers("aws", "eu-central-1", "ebs gp3") == ()


@given(
    total=st.decimals(min_value="0.001", max_value="2000000", places=3),
    share=st.decimals(min_value=0, max_value=1, places=6),
)
def test_parts_add_up_and_no_unit_costs_more_than_the_first(total: Decimal, share: Decimal) -> None:
    steps = tiers("aws", "us-east-1", "s3 standard")
    found = parts(steps, total * share, total)
    assert sum(each.quantity for each in found) == pytest.approx(total * share)
    cost = sum((each.quantity * each.month_usd for each in found), Decimal(0))
    assert cost <= total * share * steps[0].month_usd * (1 + Decimal("1e-20"))


def test_tiers_by_hand() -> None:
    found = parts(tiers("aws", "us-east-1", "s3 standard"), Decimal(600_000), Decimal(600_000))
    assert [(each.quantity, each.month_usd) for each in found] == [
        (Decimal(51_200), Decimal("0.023")),
        (Decimal(460_800), Decimal("0.022")),
        (Decimal(88_000), Decimal("0.021")),
    ]


@pytest.mark.shared
def test_figures_are_those_of_the_source(sources: Path) -> None:
    with (sources / "infracost_unit_prices.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    of_source = [row for row in committed() if row["source"] == "infracost"]
    ours = {row["item"]: row for row in of_source if row["provider"] == "aws"}
    assert ours.keys() == QUOTED.keys() | OF_SIZE.keys() | ELSEWHERE
    for item, (component, resource) in QUOTED.items():
        prices = {
            Decimal(row["unit_price_usd"])
            for row in rows
            if row["component"] == component
            and row["resource"].split(".")[-1].split("_with")[0] == resource.split("_with")[0]
            and row["source"] in {"aws__ebs_volume_test", "aws__s3_bucket_test"}
        }
        assert prices == {Decimal(ours[item]["usd_per_month"])}, item
    for item, size in OF_SIZE.items():
        prices = {
            Decimal(row["unit_price_usd"])
            for row in rows
            if row["source"] == "aws__s3_bucket_test"
            and row["component"] == "Storage"
            and float(row["monthly_qty"]) == size
        }
        assert prices == {Decimal(ours[item]["usd_per_month"])}, item


@pytest.mark.shared
def test_figures_of_azure_are_those_of_the_source(sources: Path) -> None:
    told: dict[str, set[Decimal]] = {}
    with (sources / "infracost_unit_prices.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            usd = Decimal(row["unit_price_usd"]).quantize(Decimal("0.000001"))
            told.setdefault(f"{row['resource']} {row['component']}", set()).add(usd)
    parts = {0: "Capacity (first 50TB)", 51_200: "Capacity (next 450TB)", 563_200: "over 500TB"}
    checked = 0
    for row in committed():
        if row["provider"] != "azure" or row["source"] != "infracost":
            continue
        usd = Decimal(row["usd_per_month"])
        words = row["item"].split()
        if words[0] == "disk":
            names = [f"Storage ({words[1].upper()}, {words[2].upper()})"]
        elif words[0] == "address":
            usd, names = usd / 730, ["IP address (static, regional)"]
        else:
            redundancy = words[1].removeprefix("standard_").upper()
            names = [f"Standard.{redundancy}.{words[2].title()}"]
            if words[2] == "hot":
                names.append(parts[int(row["above"])])
        found = [
            each
            for name, several in told.items()
            if all(part in name for part in names)
            for each in several
        ]
        assert usd.quantize(Decimal("0.000001")) in found, row
        checked += 1
    assert checked == 17
