"""The committed files, and look-ups in them."""

import csv
import gzip
import re
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import Purchase
from providers.catalog import offers

ROOT = Path(__file__).resolve().parents[3]
HEADERS = {
    "accelerators.csv": (
        "provider,machine_type,manufacturer,model,kind,count,memory_mib,vcpus,local_disk_gib,source"
    ),
    "board_power.csv": "model,watts,source",
    "conflicts.csv": (
        "provider,region,machine_type,purchase,chosen_usd_per_hour,chosen_source,"
        "other_usd_per_hour,other_source,difference_pct"
    ),
    "prices.csv": "provider,region,machine_type,purchase,usd_per_hour,source,note",
    "sources.csv": "id,name,origin,licence,as_of,covers,leaves_out",
}


def committed(name: str) -> list[dict[str, str]]:
    with (offers.FOLDER / name).open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


@pytest.mark.parametrize("name", HEADERS)
def test_a_file_is_whole_sorted_and_small(name: str) -> None:
    text = (offers.FOLDER / name).read_bytes()
    assert b"\r" not in text
    assert len(text) < 400_000
    header, *lines = text.decode("utf-8").splitlines()
    assert header == HEADERS[name]
    width = header.count(",") + 1
    rows = list(csv.reader(lines))
    assert {len(row) for row in rows} == {width}
    keys = [tuple(row[: {"prices.csv": 4, "conflicts.csv": 4}.get(name, width)]) for row in rows]
    assert keys == sorted(set(keys))


def test_every_price_is_above_zero_and_in_the_words_of_the_facts() -> None:
    found = list(offers.rows())
    assert len(found) > 3000
    assert min(offer.hourly_usd for offer in found) > Decimal("0.01")
    assert {offer.purchase for offer in found} == {Purchase.ON_DEMAND, Purchase.SPOT}
    assert {offer.provider for offer in found} == {"aws", "azure", "gcp"}
    assert not any(offer.region.startswith("cn-") for offer in found)


def test_every_figure_names_a_source_that_exists() -> None:
    known = {source.id for source in offers.sources()}
    used = {row["source"] for name in ("prices.csv", "accelerators.csv") for row in committed(name)}
    assert used == known
    for row in committed("conflicts.csv"):
        assert {row["chosen_source"], row["other_source"]} <= known
    assert all(row["source"] for row in committed("board_power.csv"))


def test_every_source_states_its_licence_and_what_it_leaves_out() -> None:
    for source in offers.sources():
        assert source.licence == "Apache-2.0"
        assert source.origin
        assert source.covers
        assert source.leaves_out
        assert source.as_of is None or re.fullmatch(r"\d{4}-\d\d(-\d\d)?", source.as_of)
        assert "skypilot" not in f"{source.id} {source.name} {source.origin}".lower()


def test_a_price_carries_its_source_and_date() -> None:
    price = offers.hourly_price("aws", "us-east-1", "p5.48xlarge", Purchase.ON_DEMAND)
    assert price.hourly_usd == Decimal("55.04")
    assert (price.basis, price.as_of) == ("list", "2026-07-20")
    assert price.source is not None
    assert price.source.startswith("Karpenter")
    assert price.why == "without discounts, disks, addresses and traffic"


def test_a_spot_price_says_that_it_is_one() -> None:
    price = offers.hourly_price("gcp", "us-central1", "g2-standard-4", Purchase.SPOT)
    assert (price.hourly_usd, price.basis) == (Decimal("0.397336"), "spot")


@pytest.mark.parametrize(
    ("region", "machine_type", "purchase", "why"),
    [
        (
            "us-east-1",
            "g6f.xlarge",
            Purchase.SPOT,
            "no offline price for g6f.xlarge in us-east-1 (spot)",
        ),
        (
            "us-east-1",
            "trn2.48xlarge",
            Purchase.ON_DEMAND,
            "no offline price for trn2.48xlarge in us-east-1 (on demand)",
        ),
        (
            "us-east-1",
            "p5.48xlarge",
            Purchase.CAPACITY_BLOCK,
            "no offline price for p5.48xlarge in us-east-1 (capacity block)",
        ),
        (
            "cn-north-1",
            "g4dn.xlarge",
            Purchase.ON_DEMAND,
            "no offline price for g4dn.xlarge in cn-north-1 (on demand)",
        ),
    ],
)
def test_the_unknown_stays_unknown(
    region: str, machine_type: str, purchase: Purchase, why: str
) -> None:
    price = offers.hourly_price("aws", region, machine_type, purchase)
    assert price.hourly_usd is None
    assert price.source is None
    assert price.as_of is None
    assert price.why == why


def test_a_zero_of_a_source_is_no_price() -> None:
    """Libcloud has 0.0 for this one, and no other source has any figure."""
    price = offers.hourly_price("aws", "eu-central-1", "g3.8xlarge", Purchase.ON_DEMAND)
    assert price.hourly_usd is None


def test_a_doubtful_price_says_why() -> None:
    stale = offers.hourly_price("aws", "us-west-2", "p5.48xlarge", Purchase.ON_DEMAND)
    assert stale.as_of == "2023-08-06"
    assert (stale.why or "").startswith("probably out of date")
    dedicated = offers.hourly_price("aws", "us-west-2", "g5.48xlarge", Purchase.ON_DEMAND)
    assert (dedicated.why or "").startswith("probably the price of dedicated tenancy")


def test_accelerators_of_a_type() -> None:
    (h100,) = offers.accelerators("aws", "p5.48xlarge") or ()
    assert (h100.model, h100.count, h100.kind) == ("H100", 8, "gpu")
    assert (h100.manufacturer, h100.memory_mib) == ("NVIDIA", 81920)
    (neuron,) = offers.accelerators("aws", "inf1.24xlarge") or ()
    assert (neuron.model, neuron.count, neuron.kind) == ("Inferentia", 16, "neuron")
    (inference,) = offers.accelerators("aws", "dl2q.24xlarge") or ()
    assert (inference.model, inference.kind) == ("AI100", "inference")
    (a_slice,) = offers.accelerators("aws", "g6f.large") or ()
    assert (a_slice.count, a_slice.memory_mib) == (0.125, 2861)
    assert offers.accelerators("aws", "m5.large") is None
    assert offers.accelerators("aws", "vt1.3xlarge") is None


def test_kinds_and_counts_are_those_of_the_facts() -> None:
    for row in committed("accelerators.csv"):
        assert row["kind"] in {"gpu", "neuron", "inference"}
        assert 0 < float(row["count"]) <= 16
        assert int(row["memory_mib"]) > 0
        assert int(row["vcpus"]) > 0


def test_local_disks_are_in_gib_and_none_is_not_unknown() -> None:
    assert offers.local_disk_gib("aws", "g4dn.xlarge") == 116.4
    assert offers.local_disk_gib("aws", "g5g.xlarge") == 0
    assert offers.local_disk_gib("gcp", "a3-highgpu-8g") == 6000
    assert offers.local_disk_gib("gcp", "g2-standard-4") is None
    assert offers.local_disk_gib("aws", "no-such-type") is None


@pytest.mark.parametrize(
    ("model", "watts"),
    [
        ("T4", 70),
        ("Tesla T4", 70),
        ("L4", 72),
        ("A10G", 300),
        ("A10", 150),
        ("L40S", 350),
        ("V100", 300),
        ("A100", 400),
        ("NVIDIA A100-SXM4-80GB", 400),
        ("NVIDIA H100 80GB HBM3", 700),
        ("h200", 700),
        ("B200", 1000),
        ("RTX PRO Server 6000", 600),
        ("AMD Instinct MI300X", 750),
    ],
)
def test_board_power(model: str, watts: float) -> None:
    assert offers.board_power_w(model) == watts


@pytest.mark.parametrize("model", ["", "Trainium2", "B300", "H100 + L4", "A100 MIG 1g.5gb"])
def test_board_power_is_not_guessed(model: str) -> None:
    assert offers.board_power_w(model) is None


def test_importing_reads_no_file_and_no_heavy_module() -> None:
    code = (
        "import sys\n"
        "from providers.catalog import offers\n"
        "heavy = {'pandas', 'numpy', 'pydantic', 'boto3', 'providers.catalog.build'}\n"
        "print(sorted(heavy & set(sys.modules)), offers._prices.cache_info().currsize)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "[] 0"


AWS = "aws_karpenter_aws_accel_ondemand"
GOV = "aws_karpenter_gov_accel_ondemand"
LIBCLOUD = "aws_libcloud2023_accel_all_regions"
AZURE = "azure_karpenter_N_series_ondemand"
KARPENTER_GCP = "gcp_karpenter_accel"
CYCLENERD = "gcp_cyclenerd_accel"


@pytest.mark.shared
@pytest.mark.parametrize(
    ("file", "line", "key", "usd"),
    [
        (AWS, "us-east-1,p4d.24xlarge,21.957642", "aws us-east-1 p4d.24xlarge", "21.957642"),
        (AWS, "us-east-1,g5.xlarge,1.006", "aws us-east-1 g5.xlarge", "1.006"),
        (GOV, "us-gov-west-1,p5en.48xlarge,75.9552", "aws us-gov-west-1 p5en.48xlarge", "75.9552"),
        (
            GOV,
            "us-gov-east-1,p6-b300.48xlarge,170.9",
            "aws us-gov-east-1 p6-b300.48xlarge",
            "170.9",
        ),
        (LIBCLOUD, "g5.xlarge,ap-northeast-1,1.459", "aws ap-northeast-1 g5.xlarge", "1.459"),
        (LIBCLOUD, "dl1.24xlarge,us-west-2,13.10904", "aws us-west-2 dl1.24xlarge", "13.10904"),
        (
            AZURE,
            "westus3,Standard_NV72ads_A10_v5,6.52",
            "azure westus3 Standard_NV72ads_A10_v5",
            "6.52",
        ),
        (
            AZURE,
            "australiaeast,Standard_NC12s_v3,8.468",
            "azure australiaeast Standard_NC12s_v3",
            "8.468",
        ),
        (
            KARPENTER_GCP,
            "asia-east1,a3-highgpu-8g,on_demand,102.358780070575",
            "gcp asia-east1 a3-highgpu-8g",
            "102.358780070575",
        ),
        (
            KARPENTER_GCP,
            "us-west4,g4-standard-384,spot,15.84",
            "gcp us-west4 g4-standard-384 spot",
            "15.84",
        ),
        (
            CYCLENERD,
            "a2-highgpu-1g,africa-south1,4.80478794,0.65224,",
            "gcp africa-south1 a2-highgpu-1g",
            "4.80478794",
        ),
        (
            CYCLENERD,
            "a2-highgpu-1g,africa-south1,4.80478794,0.65224,",
            "gcp africa-south1 a2-highgpu-1g spot",
            "0.65224",
        ),
    ],
)
def test_figures_are_those_of_the_source_files(
    sources: Path, file: str, line: str, key: str, usd: str
) -> None:
    text = gzip.decompress((sources / f"{file}.csv.gz").read_bytes()).decode()
    assert f"\n{line}" in text
    provider, region, machine_type, *purchase = key.split()
    price = offers.hourly_price(
        provider, region, machine_type, Purchase.SPOT if purchase else Purchase.ON_DEMAND
    )
    assert str(price.hourly_usd) == usd
