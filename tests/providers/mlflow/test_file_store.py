"""MLflow's file store: what a broken folder costs, and what it does not."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.facts import Run
from providers.base import RunNotRead, RunsAsked, RunSourceError
from providers.mlflow.file_store import MlflowFileStore

META = """artifact_uri: file:///x
end_time: {end}
experiment_id: '1'
lifecycle_stage: active
run_id: {run}
start_time: 1767229200000
status: {status}
user_id: ana
"""


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def add_run(store: Path, run: str, *, status: object = 3, end: object = 1767232800000) -> Path:
    write(store / "1" / run / "meta.yaml", META.format(run=run, status=status, end=end))
    return store / "1" / run


@pytest.fixture
def store(tmp_path: Path) -> Path:
    write(tmp_path / "1" / "meta.yaml", "name: nlp\nexperiment_id: '1'\n")
    return tmp_path


def read(store: Path) -> tuple[dict[str, Run], list[str]]:
    found = list(MlflowFileStore(store).runs(RunsAsked(since=None)))
    runs = {each.run_id: each for each in found if isinstance(each, Run)}
    said = [str(each).removeprefix(f"{store}/") for each in found if isinstance(each, RunNotRead)]
    return runs, said


def test_a_run_with_all_its_files(store: Path) -> None:
    run = add_run(store, "a")
    write(run / "params" / "lr", "0.1")
    write(run / "tags" / "mlflow.user", "bo\n")
    write(run / "tags" / "mlflow.source.name", "C:\\Users\\bo\\train.py")
    write(run / "metrics" / "loss", "1 0.9 0\n2 0.5 1\n3 0.7 1\n")
    gpu = "metrics/system/gpu_0_"
    write(run / f"{gpu}utilization_percentage", "1 50 0\n2 100 1\n")
    write(run / f"{gpu}memory_usage_megabytes", "1 2097.152 0\n2 1048.576 1\n")

    [found] = read(store)[0].values()

    assert (found.run_id, found.group, found.workload) == ("mlflow:a", "nlp", "train.py")
    assert (found.owner, found.outcome) == ("bo", "succeeded")
    assert found.ended_at == datetime.fromtimestamp(1767232800, UTC)
    assert (found.metric_name, found.metric_value) == ("loss", 0.7)
    assert (found.gpus, found.gpu_utilisation_mean_pct) == (1, 75)
    assert found.peak_gpu_memory_mib == pytest.approx(2000)
    assert found.config is not None


@pytest.mark.parametrize(
    ("status", "end", "outcome"),
    [
        (1, "null", "running"),
        (3, "null", "succeeded"),
        (4, 1767232800000, "failed"),
        (5, 1767232800000, "cancelled"),
        ("FINISHED", 1767232800000, "succeeded"),
        (9, "null", "unknown"),
    ],
)
def test_statuses_by_number_and_by_word(
    store: Path, status: object, end: object, outcome: str
) -> None:
    add_run(store, "a", status=status, end=end)
    [found] = read(store)[0].values()
    assert found.outcome == outcome
    assert (found.ended_at is None) == (end == "null")


def test_a_scheduled_run_is_none_yet(store: Path) -> None:
    add_run(store, "a", status=2)
    assert read(store) == ({}, [])


def test_each_broken_folder_is_one_clear_line(store: Path) -> None:
    add_run(store, "good")
    (store / "1" / "empty").mkdir()
    write(store / "1" / "notyaml" / "meta.yaml", "a: [")
    write(store / "1" / "list" / "meta.yaml", "- a\n")
    add_run(store, "when", end="soon")
    bad = add_run(store, "metric")
    write(bad / "metrics" / "loss", "1 0.9 0\nbroken\n")
    write(store / "1" / "nostart" / "meta.yaml", "run_id: nostart\nstatus: 3\n")
    for name in ("tags", "datasets", "traces", "models"):
        (store / "1" / name).mkdir()

    runs, said = read(store)

    assert list(runs) == ["mlflow:good"]
    assert [each.split("; ")[0][:60] for each in said if "notyaml" not in each] == [
        "1/empty: meta.yaml: missing",
        "1/list: meta.yaml: is empty, or no list of names and values",
        "1/metric: metrics: loss:2: is not `milliseconds value step`",
        "1/nostart: start_time: missing",
        "1/when: end_time: 'soon' is not a time in milliseconds",
    ]
    assert any(each.startswith("1/notyaml: meta.yaml: is not YAML") for each in said)


def test_a_deleted_experiment_is_read_too(store: Path) -> None:
    add_run(store, "a")
    (store / ".trash").mkdir()
    (store / "1").rename(store / ".trash" / "1")
    assert list(read(store)[0]) == ["mlflow:a"]


def test_another_folder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunSourceError, match=r"is no MLflow file store.*mlruns"):
        read(tmp_path)
