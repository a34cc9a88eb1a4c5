"""The build on small sources of our own, its complaints, and the real sources where they are."""

import csv
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from providers.catalog import build
from providers.catalog.accelerator_rows import accelerator_rows, count_conflicts
from providers.catalog.coverage import coverage_table

ROOT = Path(__file__).resolve().parents[3]
Captured: TypeAlias = pytest.CaptureFixture[str]


def built(folder: Path, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(build.files(build.assemble(folder))[name].splitlines()))


def test_prices_are_sorted_exact_and_above_zero(small_sources: Path) -> None:
    rows = built(small_sources, "prices.csv")
    keys = [(row["provider"], row["region"], row["machine_type"], row["purchase"]) for row in rows]
    assert keys == sorted(keys)
    assert ("aws", "sa-east-1", "x9.small", "on_demand") not in keys
    assert [row["usd_per_hour"] for row in rows if row["region"] == "us-central1"] == [
        "5.00",
        "0.75",
        "0.40",
    ]


def test_a_host_that_is_no_machine_is_left_out(small_sources: Path) -> None:
    azure = [row["machine_type"] for row in built(small_sources, "prices.csv")]
    assert "Standard_NC6s_v3" in azure
    assert "NVasv4_Type1" not in azure


def test_conflicts_are_written_and_told(
    small_sources: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    conflicts = built(small_sources, "conflicts.csv")
    assert [(row["machine_type"], row["difference_pct"]) for row in conflicts] == [
        ("x9.small", "+10.0"),
        ("y9.large", "+100.0"),
        ("g2-standard-4", "-6.7"),
    ]
    monkeypatch.setattr(build, "FOLDER", small_sources)
    assert build.main(["--from", str(small_sources)]) == 0
    told = capsys.readouterr().out
    assert "conflicts: 3 prices" in told
    assert "aws us-east-1 y9.large on_demand 10.00 karpenter-aws 20.00 libcloud-aws +100.0" in told
    assert "Standard_NV6ads_A10_v5: 1/6 carried, 1 counted" in told


def test_doubtful_prices_bear_a_note(small_sources: Path) -> None:
    notes = {
        row["machine_type"]: row["note"]
        for row in built(small_sources, "prices.csv")
        if row["region"] == "eu-west-1"
    }
    assert notes == {"x9.small": "", "x9.large": "dedicated", "y9.large": "changed"}


def test_accelerators_carry_slices_and_binary_sizes(small_sources: Path) -> None:
    rows = {row.machine_type: row.cells() for row in accelerator_rows(small_sources)}
    assert rows["x9.small"][2:9] == ("NVIDIA", "Z1", "gpu", "0.25", "6000", "8", "116.4")
    assert rows["Standard_NV6ads_A10_v5"][5:9] == ("0.1667", "4096", "6", "")
    assert rows["a2-ultragpu-1g"][3:9] == ("A100", "gpu", "1", "81920", "12", "375")
    assert rows["g2-standard-4"][7:9] == ("4", "")
    assert rows["p3.8xlarge"][3:6] == ("V100", "gpu", "4")


def test_a_neuron_device_is_counted_once(small_sources: Path) -> None:
    rows = [row for row in accelerator_rows(small_sources) if row.machine_type == "n9.small"]
    assert [row.cells()[4:9] for row in rows] == [("neuron", "2", "8192", "4", "0")]


def test_coverage_says_where_a_price_is_missing(small_sources: Path) -> None:
    table = coverage_table(small_sources, build.assemble(small_sources).chosen)
    assert "| x9.small | 2 | 1 | us-east-1 |" in table
    assert table.endswith("| **all** | 2 | 1 | |")


def test_check_writes_nothing_and_names_what_differs(
    small_sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: Captured
) -> None:
    monkeypatch.setattr(build, "FOLDER", tmp_path)
    arguments = ["--from", str(small_sources), "--check"]
    assert build.main(arguments) == 1
    assert not list(tmp_path.glob("*.csv"))
    assert build.main(arguments[:-1]) == 0
    assert build.main(arguments) == 0
    (tmp_path / "prices.csv").write_text("", encoding="utf-8")
    capfd.readouterr()
    assert build.main(arguments) == 1
    assert capfd.readouterr().err.startswith("prices.csv differs")


KARPENTER = "aws_karpenter_aws_accel_ondemand.csv.gz"
TYPES = "aws_describe_instance_types_accel.json.gz"
Spoil = Callable[[Path], object]


def rewritten(name: str, text: str) -> Spoil:
    return lambda folder: (folder / name).write_bytes(gzip.compress(text.encode()))


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (lambda folder: (folder / KARPENTER).unlink(), "not found; --from takes the folder"),
        (lambda folder: (folder / KARPENTER).write_bytes(b"text"), "cannot be read"),
        (rewritten(KARPENTER, "region,price\n"), "line 1: no column instance_type, usd_per_hour"),
        (
            rewritten(KARPENTER, "region,instance_type,usd_per_hour\nus-east-1,x9.small,free\n"),
            "line 2, usd_per_hour: 'free' is no price",
        ),
        (
            rewritten(KARPENTER, "region,instance_type,usd_per_hour\nus-east-1,x9.small,-1\n"),
            "line 2, usd_per_hour: '-1' is no price",
        ),
        (
            rewritten(KARPENTER, "region,instance_type,usd_per_hour\n,x9.small,1\n"),
            "line 2, region: nothing there",
        ),
        (
            rewritten(
                "gcp_karpenter_accel.csv.gz", "region,machine_type,kind,usd_per_hour\nr,m,1y,1"
            ),
            "line 2, kind: '1y' is not on_demand or spot",
        ),
        (
            rewritten(
                "gcp_cyclenerd_accel.csv.gz", "machine_type,region,hour,hour_spot,attrs\nm,r,1,1,l4"
            ),
            "line 2, attrs: 'l4' is no object",
        ),
        (rewritten(TYPES, "{"), "line 1: no JSON"),
        (rewritten(TYPES, '{"x9.small": {"GpuInfo": {"Gpus": [{}]}}}'), "x9.small: "),
    ],
)
def test_a_bad_source_gets_one_clear_line(
    small_sources: Path, capfd: Captured, spoil: Spoil, complaint: str
) -> None:
    spoil(small_sources)
    assert build.main(["--from", str(small_sources)]) == 2
    said = capfd.readouterr().err
    assert complaint in said
    assert said.count("\n") == 1


@pytest.mark.shared
def test_the_real_sources_give_the_committed_files_byte_for_byte(sources: Path) -> None:
    assert build.main(["--from", str(sources), "--check"]) == 0


@pytest.mark.shared
def test_the_docs_tell_the_coverage_and_the_conflicts(sources: Path) -> None:
    catalogue = build.assemble(sources)
    page = (ROOT / "docs/prices.md").read_text(encoding="utf-8")
    assert coverage_table(sources, catalogue.chosen) in page
    assert f"There are {len(catalogue.conflicts)} conflicts" in page
    codes = list(catalogue.doubts.values())
    assert f"{codes.count('dedicated')} prices carry the note `dedicated`" in page
    assert f"{codes.count('changed')} more carry the note `changed`" in page


@pytest.mark.shared
def test_plain_counts_disagree_only_about_slices(sources: Path) -> None:
    slices = count_conflicts(sources)
    assert len(slices) == 6
    assert all("/" in line for line in slices)
