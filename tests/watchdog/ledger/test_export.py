"""Exports: exact, readable by our own importers, whole or not at all."""

import csv
import json
import os
import subprocess
import sys
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from tests.watchdog.ledger.facts import NOW, charge, event, run
from watchdog.ledger.store import Ledger, LedgerError
from watchdog.ledger.views import exportable
from watchdog.runs.files import import_files

LATER = NOW + timedelta(microseconds=1)


def test_csv(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("charges", [charge(ListCost=None, ResourceName='a "b", c\n', observed_at=LATER)])
    target = tmp_path / "charges.csv"

    assert ledger.export("charges", target, "csv") == 1

    with target.open(encoding="utf-8", newline="") as file:
        [row] = csv.DictReader(file)
    assert row["ResourceName"] == 'a "b", c\n'
    assert row["ConsumedQuantity"] == "0.500000000"
    assert row["ListCost"] == ""
    assert row["ChargePeriodStart"] == "2026-11-23T07:00:00.000000Z"
    assert row["observed_at"] == "2026-11-23T08:00:00.000001Z"
    assert row["date"] == "2026-11-23"


def test_jsonl(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("charges", [charge(), charge("active", ListCost=None)])
    target = tmp_path / "charges.jsonl"

    assert ledger.export("charges", target, "jsonl") == 2

    rows = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    costs = {row["x_Phase"]: row["ListCost"] for row in rows}
    assert costs == {"idle": "16.386300000", "active": None}
    assert {row["ChargePeriodStart"] for row in rows} == {"2026-11-23T07:00:00.000000Z"}


def test_parquet(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("charges", [charge()])
    target = tmp_path / "it's charges.parquet"

    assert ledger.export("charges", target, "parquet") == 1

    found = duckdb.read_parquet(str(target)).project("ListCost, epoch_us(ChargePeriodStart)")
    [(cost, start)] = found.fetchall()
    assert (cost, start) == (Decimal("16.3863"), int(NOW.timestamp() - 3600) * 10**6)


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_exported_runs_may_be_imported_elsewhere(ledger: Ledger, tmp_path: Path, kind: str) -> None:
    told = run(
        workload_group="nlp",
        ended_at=NOW,
        gpus=8,
        cost_usd=Decimal("12.345678901"),
        peak_gpu_memory_mib=61.25,
        error='line 1\nline "2"',
        source="slurm",
    )
    ledger.append("runs", [told, run("r2", outcome="running", source="slurm")])
    target = tmp_path / f"runs.{kind}"
    assert ledger.export("runs", target, kind) == 2

    elsewhere = Ledger.open(str(tmp_path / "elsewhere"))
    [imported] = import_files(elsewhere, [target], now=NOW, strict=True)

    assert (imported.added, imported.bad) == (2, 0)
    ours, theirs = (
        {
            row["run_id"]: {n: v for n, v in row.items() if n not in {"revision", "observed_at"}}
            for row in each.rows("runs")
        }
        for each in (ledger, elsewhere)
    )
    ours["r1"]["kind"] = ours["r2"]["kind"] = "unknown"
    assert theirs == ours


def test_raw_tables_too(ledger: Ledger, tmp_path: Path) -> None:
    ledger.append("events", [event(), event()])

    assert ledger.export("events", tmp_path / "a.csv", "csv") == 1
    assert ledger.export("raw_events", tmp_path / "b.csv", "csv") == 2


def test_an_empty_table_is_an_empty_file(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.export("events", tmp_path / "a.csv", "csv") == 0
    assert ledger.export("events", tmp_path / "a.jsonl", "jsonl") == 0
    assert (tmp_path / "a.csv").read_text(encoding="utf-8").startswith("subject,n,at,kind,")
    assert (tmp_path / "a.jsonl").read_text(encoding="utf-8") == ""


@pytest.mark.parametrize(
    ("what", "kind", "said"),
    [
        ("wishes", "csv", "wishes is nothing that can be exported: There are attributions,"),
        ("events", "xlsx", "xlsx is no format of exports; they are csv, jsonl, parquet"),
        ("run", "csv", "did you mean runs"),
        ("raw_run", "csv", "did you mean raw_runs"),
        ("readings_of", "csv", "readings_of is nothing that can be exported"),
        ("breakdown", "csv", "`spend-watchdog costs --format csv` writes the breakdown"),
    ],
)
def test_what_cannot_be_exported(
    ledger: Ledger, tmp_path: Path, what: str, kind: str, said: str
) -> None:
    with pytest.raises(LedgerError, match=said):
        ledger.export(what, tmp_path / "a", kind)
    assert [each.name for each in tmp_path.iterdir()] == ["ledger"]


@pytest.mark.parametrize("name", exportable())
def test_everything_that_is_listed_can_be_exported(
    ledger: Ledger, tmp_path: Path, name: str
) -> None:
    assert ledger.export(name, tmp_path / "a.csv", "csv") == 0


def test_a_target_that_cannot_be_written(ledger: Ledger, tmp_path: Path) -> None:
    with pytest.raises(LedgerError, match=r"nowhere/a\.csv cannot be written: "):
        ledger.export("events", tmp_path / "nowhere" / "a.csv", "csv")


def test_an_export_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    """The disk takes 64 KiB a file, and the export needs more."""
    ledger = Ledger.open(str(tmp_path / "ledger"))
    rows = [event(f"{n}", detail_json=os.urandom(100).hex()) for n in range(2000)]
    ledger.append("events", rows)
    target = tmp_path / "events.csv"
    target.write_text("old", encoding="utf-8")
    code = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from watchdog.ledger.store import Ledger, LedgerError\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536))\n"
        "try:\n"
        "    Ledger.open(sys.argv[1]).export('events', Path(sys.argv[2]), 'csv')\n"
        "except LedgerError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, ledger.url, str(target)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "events.csv cannot be written: the disk is full" in done.stdout
    assert done.stderr == ""
    assert target.read_text(encoding="utf-8") == "old"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["events.csv", "ledger"]
