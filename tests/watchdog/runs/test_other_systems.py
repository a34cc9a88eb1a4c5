"""Real histories of other systems enter whole: rows and outcomes as counted independently."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from providers.mlflow.file_store import MlflowFileStore
from providers.slurm.files import SacctFile
from watchdog.ledger.store import Ledger
from watchdog.runs.column_map import load_column_map
from watchdog.runs.files import Imported, import_files
from watchdog.runs.sync import Synced, sync

ROOT = Path(__file__).resolve().parents[3]
DATA = ROOT.parent / "shared" / "data"
MAPS = ROOT / "docs" / "maps"
NOW = datetime(2026, 11, 30, tzinfo=UTC)
STATES = {
    "COMPLETED": ("succeeded", None),
    "FAILED": ("failed", "error"),
    "TIMEOUT": ("failed", "timeout"),
    "CANCELLED": ("cancelled", "user"),
    "PREEMPTED": ("cancelled", "preempted"),
    "RUNNING": ("running", None),
}

pytestmark = pytest.mark.shared

Endings = Counter[tuple[str, str | None]]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def there(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent: it is no part of the project")
    return path


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return (gzip.decompress(content) if path.suffix == ".gz" else content).decode()


def endings(ledger: Ledger) -> Endings:
    return Counter((str(row["outcome"]), _text(row["cause"])) for row in ledger.rows("runs"))


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def imported(ledger: Ledger, name: str, *files: Path) -> list[Imported]:
    """Twice, as people do."""
    columns = load_column_map(MAPS / f"{name}.toml")
    first = import_files(ledger, files, now=NOW, strict=True, columns=columns)
    again = import_files(ledger, files, now=NOW, strict=True, columns=columns)
    assert [each.problems for each in first] == [()] * len(files)
    assert sum(each.added for each in again) == 0
    return first


def synced(ledger: Ledger, make: Callable[[], SacctFile | MlflowFileStore]) -> Synced:
    first = sync(ledger, make(), now=NOW)
    again = sync(ledger, make(), now=NOW)
    assert (first.failed, first.problems) == (None, ())
    assert (again.added, again.read) == (0, first.read)
    return first


def bars(text: str) -> list[dict[str, str]]:
    header, *lines = text.splitlines()
    return [dict(zip(header.split("|"), line.split("|"), strict=True)) for line in lines]


def state(told: str) -> tuple[str, str | None]:
    return STATES[told.split(maxsplit=1)[0]]


def test_kabre(ledger: Ledger) -> None:
    path = there("traces/kabre/sacct.csv.gz")
    rows = bars(text_of(path))

    [done] = imported(ledger, "kabre", path)

    assert done.added == len(rows) == 30_376
    assert endings(ledger) == Counter(state(row["State"]) for row in rows)
    [first] = [row for row in ledger.rows("runs") if row["run_id"] == "kabre-2"]
    assert first["submitted_at"] == datetime(
        2024, 6, 24, 12, 33, 26, tzinfo=ZoneInfo("America/Costa_Rica")
    )


@pytest.mark.parametrize(("cluster", "lines"), [("phillips", 4_285), ("pozidriv", 11_704)])
def test_xdmod(ledger: Ledger, cluster: str, lines: int) -> None:
    """JobID is the first of its 26 fields, Start the 13th, State the 17th, NodeList the 25th."""
    path = there(f"traces/xdmod/{cluster}.log.gz")
    rows = [line.split("|") for line in text_of(path).splitlines()]
    ran = [row for row in rows if row[24] != "None assigned"]
    assert len(rows) == lines
    assert {row[16] for row in rows if row not in ran} <= {
        each[16] for each in rows if each[16].startswith("CANCELLED")
    }

    source = SacctFile(path, columns="xdmod", zone=UTC)
    done = synced(ledger, lambda: source)

    assert done.added == len({row[0] for row in ran})
    assert endings(ledger) == Counter(state(row[16]) for row in ran)
    queued = f"{len(rows) - len(ran)} rows of jobs that wait, or ended in the queue, are no runs"
    assert done.notices == (f"{path}: {queued}",)
    stored = {row["run_id"]: row for row in ledger.rows("runs")}
    with_gpus = {row[0] for row in ran if "gres/gpu" in row[22]}
    assert {f"slurm:{cluster}:{each}" for each in with_gpus} == {
        name for name, row in stored.items() if row["gpus"] is not None
    }


def test_cluster_cockpit(ledger: Ledger) -> None:
    path = there("traces/clusterCockpit/fau_alex_gpu_jobs.csv.gz")
    rows = list(csv.DictReader(text_of(path).splitlines()))

    [done] = imported(ledger, "cluster-cockpit", path)

    assert done.added == len(rows) == 303
    stored = {str(row["run_id"]): row for row in ledger.rows("runs")}
    assert endings(ledger) == {("succeeded", None): 303}
    for row in rows:
        run = stored[f"alex-{row['job_id']}"]
        assert run["gpu_utilisation_mean_pct"] == float(row["gpu_util_avg_pct"])
        assert run["gpus"] == int(row["gpus"])
        assert run["submitted_at"] is None
    hours = sum((row["ended_at"] - row["started_at"]).total_seconds() for row in stored.values())  # type: ignore[operator]
    assert hours == sum(int(row["duration_s"]) for row in rows)


def test_clockwork(ledger: Ledger) -> None:
    path = there("traces/clockwork/fake_data.json")
    jobs = json.loads(text_of(path))["jobs"]
    begun = [job for job in jobs if "RUNNING" in job["slurm"]["job_state"]]
    assert (len(jobs), len(begun)) == (301, 254)

    [done] = imported(ledger, "clockwork", path)

    assert done.added == len(begun)
    assert endings(ledger) == {("running", None): 254}
    assert done.notices == (f"{path}: 47 rows were left out, as the map's skip says",)
    gpus = sum(job["slurm"]["tres_allocated"].get("num_gpus") or 0 for job in begun)
    assert sum(int(str(row["gpus"] or 0)) for row in ledger.rows("runs")) == gpus


def test_nrel_eagle(ledger: Ledger) -> None:
    path = there("traces/nrel_eagle_sample/sample_eagle_data.json")
    rows = json.loads(text_of(path))

    [done] = imported(ledger, "nrel-eagle", path)

    assert done.added == len(rows) == 1_000
    assert endings(ledger) == Counter(state(row["state"]) for row in rows)
    told = {(row["started_at"], row["ended_at"], row["owner"]) for row in ledger.rows("runs")}
    assert told == {(_ms(row["start_time"]), _ms(row["end_time"]), row["user"]) for row in rows}


def test_mlflow_table(ledger: Ledger) -> None:
    path = there("runs/mlflow/mlflow_runs.csv.gz")
    rows = list(csv.DictReader(text_of(path).splitlines()))
    outcomes = {"1": ("running", None), "3": ("succeeded", None), "4": ("failed", "error")}

    [done] = imported(ledger, "mlflow-csv", path)

    assert done.added == len(rows) == 2_129
    assert endings(ledger) == Counter(outcomes[row["status"]] for row in rows)


def test_mlflow_file_store(ledger: Ledger) -> None:
    folder = there("runs/mlflow/raw_sample/mlruns")
    metas = [path.read_text() for path in folder.glob("*/*/meta.yaml")]
    lines = [dict(line.split(": ", 1) for line in meta.splitlines()) for meta in metas]

    done = synced(ledger, lambda: MlflowFileStore(folder))

    assert done.added == len(metas) == 9
    assert endings(ledger) == Counter(
        {"3": ("succeeded", None), "4": ("failed", "error")}[each["status"]] for each in lines
    )
    stored = {str(row["run_id"]): row for row in ledger.rows("runs")}
    for each in lines:
        run = stored[f"mlflow:{each['run_id']}"]
        assert run["started_at"] == _ms(int(each["start_time"]))
        assert run["ended_at"] == _ms(int(each["end_time"]))


def test_sacred_files(ledger: Ledger) -> None:
    folder = there("runs/sacred_raw_samples")
    files = sorted(folder.glob("*.run.json"))[::4]  # a commit a file: a quarter of them will do
    told: list[Mapping[str, object]] = [json.loads(text_of(path)) for path in files]
    outcomes = {
        "COMPLETED": ("succeeded", None),
        "FAILED": ("failed", "error"),
        "INTERRUPTED": ("cancelled", "user"),
        "RUNNING": ("unknown", None),
    }
    columns = load_column_map(MAPS / "sacred.toml")

    done = import_files(ledger, files, now=NOW, columns=columns)
    again = import_files(ledger, files[:2], now=NOW, columns=columns)

    assert [each.added for each in done] == [1] * len(files)
    assert [each.added for each in again] == [0, 0]
    assert endings(ledger) == Counter(outcomes[str(each["status"])] for each in told)


def _ms(told: int) -> datetime:
    return datetime.fromtimestamp(told / 1000, UTC)
