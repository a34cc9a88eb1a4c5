"""`backtest score`, as it is scripted against."""

import csv
from datetime import timedelta
from pathlib import Path

import pytest

from policies.facts import Run, RunCause, RunOutcome
from policies.maturity import replayed
from tests.builders import NOW, run
from tests.watchdog.cli.shells import Shell
from tests.watchdog.runs.histories import write_runs

MINUTE = timedelta(minutes=1)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


def attempt(number: int, outcome: RunOutcome, **fields: object) -> Run:
    began = NOW - timedelta(days=30) + number * 60 * MINUTE
    values: dict[str, object] = {
        "started_at": began,
        "ended_at": None if outcome is RunOutcome.RUNNING else began + 50 * MINUTE,
        "outcome": outcome,
        "cause": RunCause.ERROR if outcome is RunOutcome.FAILED else None,
        "group": f"g{number % 3}",
        "host": "box",
        "gpus": 1,
        "code": "c1",
        "config": "k1",
    }
    return run(f"r{number}", workload=f"w{number % 2}", **{**values, **fields})


def history() -> list[Run]:
    """Every kind of outcome; the last two still run."""
    kinds = [RunOutcome.SUCCEEDED, RunOutcome.FAILED, RunOutcome.SUCCEEDED, RunOutcome.CANCELLED]
    kinds += [RunOutcome.LOST, RunOutcome.UNKNOWN, RunOutcome.SUCCEEDED, RunOutcome.FAILED]
    told = [attempt(n, kinds[n % len(kinds)]) for n in range(40)]
    return [*told, attempt(40, RunOutcome.RUNNING), attempt(41, RunOutcome.RUNNING)]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("name", ["runs.csv", "runs.jsonl", "runs.parquet"])
def test_every_run_has_a_row_whatever_its_outcome(shell: Shell, tmp_path: Path, name: str) -> None:
    path = write_runs(tmp_path / name, history())
    done = shell("backtest", "score", "--runs", str(path), "--predictions", "out.csv", "--json")
    assert (done.code, done.err) == (0, "")
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == ["run_id", "score", "verdict"]
    expected = {each.run.run_id: each for each in replayed(history())}
    assert [row["run_id"] for row in rows] == [f"r{n}" for n in range(42)]
    for row in rows:
        judged = expected[row["run_id"]]
        assert float(row["score"]) == pytest.approx(judged.score.value, abs=1e-6)
        assert row["verdict"] == judged.verdict.value


def test_the_report_counts_what_it_measures(shell: Shell, tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.csv", history())
    told = shell("backtest", "score", "--runs", "runs.csv", "--json").json
    assert told["schema"] == "spend-watchdog/backtest-score/1"
    assert (told["runs"], told["labelled"]) == (42, 25)
    whole, lasting = told["parts"]
    assert (whole["runs"], whole["groups"], lasting["runs"]) == (25, 3, 25)
    assert set(whole["figures"]) == {"score", "workload's success rate", "base rate"}
    assert sum(each["runs"] for each in told["calibration"]) == 25
    hours = told["gpu_hours"]
    assert hours["succeeded"] == pytest.approx(15 * 50 / 60, abs=1e-3)
    assert hours["failed"] == pytest.approx(10 * 50 / 60, abs=1e-3)
    shown = shell("backtest", "score", "--runs", "runs.csv")
    assert shown.code == 0
    assert "42 runs replayed; 25 of them" in shown.out


def test_runs_within_their_first_minute_are_told_apart(shell: Shell, tmp_path: Path) -> None:
    short = attempt(3, RunOutcome.SUCCEEDED)
    short = attempt(3, RunOutcome.SUCCEEDED, ended_at=short.started_at + timedelta(seconds=60))
    write_runs(tmp_path / "runs.csv", [attempt(1, RunOutcome.FAILED), short])
    told = shell("backtest", "score", "--runs", "runs.csv", "--json").json
    assert [part["runs"] for part in told["parts"]] == [2, 1]


def test_bad_rows_are_left_out_and_told(shell: Shell, tmp_path: Path) -> None:
    path = write_runs(tmp_path / "runs.csv", history())
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" + ",".join(["x"] * 4) + "\n")
    done = shell("backtest", "score", "--runs", "runs.csv", "--predictions", "out.csv")
    assert done.code == 4
    assert "runs.csv:" in done.err
    assert len(rows_of(tmp_path / "out.csv")) == 42


def test_a_history_without_a_measured_run_is_no_error(shell: Shell, tmp_path: Path) -> None:
    write_runs(tmp_path / "runs.csv", [attempt(0, RunOutcome.RUNNING)])
    done = shell("backtest", "score", "--runs", "runs.csv", "--predictions", "out.csv", "--json")
    told = done.json
    assert (done.code, told["labelled"], told["calibration"]) == (0, 0, [])
    assert [row["verdict"] for row in rows_of(tmp_path / "out.csv")] == ["unknown"]
    assert "no run that succeeded" in shell("backtest", "score", "--runs", "runs.csv").out


@pytest.mark.parametrize("out", ["no/such/out.csv", "folder"])
def test_a_file_that_cannot_be_written_is_one_line(shell: Shell, tmp_path: Path, out: str) -> None:
    (tmp_path / "folder").mkdir()
    write_runs(tmp_path / "runs.csv", history())
    done = shell("backtest", "score", "--runs", "runs.csv", "--predictions", out)
    assert done.code == 1
    assert done.err.count("\n") == 1
    assert f"{out} cannot be written" in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "runs.csv"]


def test_what_is_no_history_is_one_line(shell: Shell, tmp_path: Path) -> None:
    missing = shell("backtest", "score", "--runs", "no.csv")
    assert (missing.code, "no.csv" in missing.err) == (2, True)
    (tmp_path / "runs.csv").write_text("run_id,workload\na,b\n", encoding="utf-8")
    bad = shell("backtest", "score", "--runs", "runs.csv")
    assert bad.code == 1
    assert "started_at" in bad.err
