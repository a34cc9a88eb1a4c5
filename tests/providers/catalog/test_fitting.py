"""The smallest machine that is large enough, against a count of its own over the files."""

import csv
from collections.abc import Iterator
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.catalog.fitting import maker_of, near_types, rentable, smallest
from providers.catalog.offers import FOLDER


def nvidia() -> Iterator[tuple[str, str, int, int]]:
    """Provider, type, GPUs and MiB of each, of whole NVIDIA GPUs on ordinary hosts."""
    with (FOLDER / "accelerators.csv").open(encoding="utf-8", newline="") as lines:
        for row in csv.DictReader(lines):
            arm = row["model"] in {"T4g", "GB200", "GB300", "GH200"}
            if row["manufacturer"] == "NVIDIA" and float(row["count"]) >= 1 and not arm:
                yield (
                    row["provider"],
                    row["machine_type"],
                    int(row["count"]),
                    int(row["memory_mib"]),
                )


@given(gpus=st.integers(1, 20), memory_mib=st.floats(1, 300_000))
def test_it_fits_and_nothing_smaller_does(gpus: int, memory_mib: float) -> None:
    enough = [each for each in nvidia() if each[2] >= gpus and each[3] >= memory_mib]
    found = smallest(gpus=gpus, memory_mib=memory_mib, maker="NVIDIA", regions=None)
    assert {each.provider for each in found} == {provider for provider, *_ in enough}
    for each in found:
        assert each.gpu_memory_mib is not None
        same_cloud = [count * mib for cloud, _, count, mib in enough if cloud == each.provider]
        assert each.gpus * each.gpu_memory_mib == min(same_cloud)


def test_of_equals_the_cheapest_is_taken_and_the_price_says_where_it_holds() -> None:
    (aws,) = [
        each
        for each in smallest(gpus=1, memory_mib=15_000, maker="NVIDIA", regions=None)
        if each.provider == "aws"
    ]
    assert (aws.machine_type, aws.region, aws.price.hourly_usd) == (
        "g4dn.xlarge",
        "us-east-1",
        Decimal("0.526"),
    )
    assert aws.price.source


def test_regions_that_are_named_are_the_only_ones() -> None:
    found = rentable("g4dn.xlarge", ["eu-west-1"])
    assert found is not None
    assert found.region == "eu-west-1"
    nowhere = rentable("g4dn.xlarge", ["mars-north-1"])
    assert nowhere is not None
    assert (nowhere.region, nowhere.price.hourly_usd) == (None, None)
    assert "no offline price" in (nowhere.price.why or "")


def test_a_type_that_nobody_sells_is_unknown_and_its_neighbours_are_named() -> None:
    assert rentable("g4dn.xlarg", None) is None
    assert "g4dn.xlarge" in near_types("g4dn.xlarg")


@pytest.mark.parametrize(
    ("model", "maker"),
    [("NVIDIA GeForce RTX 3090", "NVIDIA"), ("T4", "NVIDIA"), ("MI300X", "AMD"), (None, None)],
)
def test_the_maker_of_a_gpu_is_known_by_its_name(model: str | None, maker: str | None) -> None:
    assert maker_of(model) == maker
