"""Runs of a real MLflow tracking server, through the command's own path into a ledger."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from providers.mlflow.rest import Login, MlflowApi
from providers.mlflow.server import MlflowServer
from tests.providers.mlflow.real_server import Mlflow, mlflow_server
from watchdog.ledger.store import Ledger
from watchdog.rows import Row
from watchdog.runs import sync as syncing
from watchdog.runs.sync import Synced, sync

pytestmark = pytest.mark.slow

NOW = datetime(2026, 6, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
HOUR_MS = 3_600_000


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


@pytest.fixture
def mlflow(url: str) -> Mlflow:
    """All tests share the server; each has an experiment of its own."""
    return Mlflow(url)


def read(ledger: Ledger, url: str, *, hours: float = 0) -> Synced:
    source = MlflowServer(MlflowApi(url, Login()))
    return sync(ledger, source, now=NOW + timedelta(hours=hours))


def of(ledger: Ledger, experiment: str) -> list[Row]:
    return [row for row in ledger.rows("runs") if row["workload_group"] == experiment]


def test_pages_statuses_and_a_second_time(
    mlflow: Mlflow, url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.mlflow.rest.RUNS_A_PAGE", 7)
    experiment = mlflow.experiment("nlp")
    statuses = ["FINISHED", "FAILED", "KILLED", "RUNNING", "SCHEDULED"]
    ids = []
    for number in range(25):
        started = NOW_MS - (number + 2) * HOUR_MS
        run_id = mlflow.start(experiment, started, mlflow__user="ana")
        status = statuses[number % 5]
        if status != "RUNNING":
            mlflow.end(run_id, status, None if status == "SCHEDULED" else started + HOUR_MS)
        ids.append(run_id)
    mlflow.post("/runs/delete", run_id=ids[0])

    first = read(ledger, url)
    second = read(ledger, url, hours=1)

    rows = of(ledger, "nlp")
    assert (first.failed, first.bad) == (None, 0)
    assert (second.read, second.added, second.unchanged) == (first.read, 0, first.read)
    assert Counter(row["outcome"] for row in rows) == {
        "succeeded": 5,
        "failed": 5,
        "cancelled": 5,
        "running": 5,
    }
    assert {row["workload"] for row in rows} == {"nlp"}
    assert {row["owner"] for row in rows} == {"ana"}
    assert {row["run_id"] for row in rows} <= {f"mlflow:{each}" for each in ids}


def test_what_a_run_logged_stands_in_its_columns(mlflow: Mlflow, url: str, ledger: Ledger) -> None:
    experiment = mlflow.experiment("vision")
    run_id = mlflow.start(
        experiment,
        NOW_MS - HOUR_MS,
        mlflow__source__name="/home/ana/vision/train.py",
        mlflow__source__git__commit="0" * 40,
        SLURM_JOB_ID="17",
    )
    gpu = "system/gpu_{}_{}"
    metrics = [("val_loss", 0.5, NOW_MS - HOUR_MS), ("val_loss", 0.25, NOW_MS)]
    for index, values in enumerate([(10.0, 90.0), (100.0, 100.0)]):
        metrics += [
            (gpu.format(index, "utilization_percentage"), value, NOW_MS + step)
            for step, value in enumerate(values)
        ]
    metrics += [
        (gpu.format(0, "memory_usage_megabytes"), value, NOW_MS + step)
        for step, value in enumerate([1048.576, 2097.152, 524.288])
    ]
    mlflow.log(run_id, params={"lr": "0.1", "layers": "12"}, metrics=metrics)
    mlflow.end(run_id, "FINISHED", NOW_MS)
    child = mlflow.start(
        experiment,
        NOW_MS - HOUR_MS,
        mlflow__source__name="/home/ana/vision/train.py",
        mlflow__parentRunId=run_id,
    )
    mlflow.log(child, params={"layers": "12", "lr": "0.1"})

    read(ledger, url)

    [row] = [each for each in of(ledger, "vision") if each["run_id"] == f"mlflow:{run_id}"]
    [nested] = [each for each in of(ledger, "vision") if each["run_id"] == f"mlflow:{child}"]
    assert row["workload"] == "train.py"
    assert row["gpu_utilisation_mean_pct"] == 75
    assert row["peak_gpu_memory_mib"] == pytest.approx(2000)
    assert row["gpus"] == 2
    assert (row["metric_name"], row["metric_value"]) == ("val_loss", 0.25)
    assert row["code"] == f"git:{'0' * 40}"
    assert row["aliases"] == f"mlflow:{run_id};slurm:17"
    assert nested["workload"] == "train.py (nested)"
    assert nested["config"] == row["config"]


def test_what_changes_later_enters_as_a_newer_revision(
    mlflow: Mlflow, url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also of a source too large to be read whole each time."""
    monkeypatch.setattr(syncing, "SMALL", 0)
    experiment = mlflow.experiment("changing")
    old = NOW_MS - 500 * HOUR_MS
    running, killed, edited = (mlflow.start(experiment, old) for _ in range(3))
    mlflow.end(edited, "FINISHED", old + HOUR_MS)
    read(ledger, url)
    before = {row["run_id"]: row["outcome"] for row in of(ledger, "changing")}

    mlflow.end(running, "FINISHED", NOW_MS)
    mlflow.end(killed, "KILLED", None)
    mlflow.post("/runs/set-tag", run_id=edited, key="spend-watchdog.owner", value="bo")
    told_late = mlflow.start(experiment, old)
    mlflow.end(told_late, "FAILED", NOW_MS)
    second = read(ledger, url, hours=2)
    third = read(ledger, url, hours=26)

    after = {row["run_id"]: row for row in of(ledger, "changing")}
    assert before == {
        f"mlflow:{running}": "running",
        f"mlflow:{killed}": "running",
        f"mlflow:{edited}": "succeeded",
    }
    assert after[f"mlflow:{running}"]["outcome"] == "succeeded"
    assert after[f"mlflow:{running}"]["ended_at"] == NOW
    assert after[f"mlflow:{killed}"]["outcome"] == "cancelled"
    assert second.since is not None
    assert second.added == 3
    assert after[f"mlflow:{told_late}"]["outcome"] == "failed"
    assert after[f"mlflow:{edited}"]["owner"] == "bo"
    assert third.added == 1


def test_a_server_that_is_asked_wrongly_says_what_is_wrong(url: str, ledger: Ledger) -> None:
    done = read(ledger, f"{url}/elsewhere")

    assert done.read == 0
    assert done.failed is not None
    assert "HTTP 404" in done.failed
    assert ledger.rows("sync_watermarks") == []
