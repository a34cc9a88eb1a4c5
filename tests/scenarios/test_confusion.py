"""From a file of runs to what they repeated and what it cost, by commands alone."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.bench.sacred import SOURCE, sacred_runs
from tests.watchdog.cli.shells import Shell
from tests.watchdog.runs.histories import write_csv

OUT_OF_MEMORY = "torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate {} MiB (GPU 0)"


def history(now: datetime) -> list[dict[str, object]]:
    """A team that meets one error on one GPU, then rents eight; and one that repeats itself."""
    rows: list[dict[str, object]] = []

    def add(workload: str, hours_ago: float, hours: float, **told: object) -> None:
        start = now - timedelta(hours=hours_ago)
        rows.append(
            {
                "run_id": f"r{len(rows)}",
                "workload": workload,
                "group": "nlp",
                "started_at": start.isoformat(),
                "ended_at": (start + timedelta(hours=hours)).isoformat(),
                "outcome": "succeeded",
                "gpus": 1,
                **told,
            }
        )

    for number in range(3):
        add(
            "llama",
            60 - number * 10,
            1,
            outcome="failed",
            error=OUT_OF_MEMORY.format(number * 512),
            gpu_memory_mib=24576,
            cost_usd="1.50",
        )
    add(
        "llama",
        20,
        0.5,
        outcome="failed",
        error=OUT_OF_MEMORY.format(9000),
        gpus=8,
        gpu_memory_mib=81920,
        cost_usd="49.00",
    )
    for number in range(3):
        add("eval", 50 - number * 5, 2, code="c", environment="e", config="f", data="d")
    add("steady", 9, 1)
    add("steady", 6, 1)
    return rows


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    write_csv(tmp_path / "runs.csv", history(datetime.now(UTC)))
    user = Shell(tmp_path, {})
    assert user("runs", "import", "runs.csv").code == 0
    return user


def workloads(shell: Shell) -> dict[str, list[dict[str, Any]]]:
    told = shell("workloads", "--json").json
    return {row["workload"]: row["confusion"] for row in told["rows"]}


def test_workloads_name_what_was_repeated_and_what_it_cost(shell: Shell) -> None:
    found = workloads(shell)
    assert found["steady"] == []
    [same] = found["eval"]
    assert (same["kind"], same["count"]) == ("same_result", 3)
    assert (same["cost"]["gpu_hours"], same["cost"]["usd"]) == (4.0, None)

    by_kind = {each["kind"]: each for each in found["llama"]}
    assert sorted(by_kind) == ["bigger_machine", "same_error"]
    bigger, error = by_kind["bigger_machine"], by_kind["same_error"]
    assert (bigger["cost"]["gpu_hours"], bigger["cost"]["usd"]) == (4.0, "49.000000")
    assert (error["cost"]["gpu_hours"], error["cost"]["usd"]) == (6.0, "52.000000")
    assert error["runs"] == ["r0", "r1", "r2", "r3"]
    assert bigger["overlaps"] == [error["name"]]


def test_explain_says_it_in_sentences(shell: Shell) -> None:
    told = " ".join(shell("explain", "nlp/llama").out.split())
    assert "confusion:" in told
    assert "a larger version of the same uncertainty" in told
    assert "its repeats cost 4.00 GPU-hours, 49.00 USD (told)" in told
    assert "its cost is part of another finding's too" in told
    quiet = shell("explain", "nlp/steady").out
    assert "confusion" not in quiet


@pytest.mark.shared
@pytest.mark.slow
def test_a_real_history_shows_what_an_independent_count_shows(tmp_path: Path) -> None:
    """Of one project, whose runs lie within a few days: an error of shapes, by workload."""
    if not SOURCE.exists():
        pytest.skip(f"{SOURCE} is absent: it is no part of the project")
    runs = [each for each in sacred_runs(errors=True) if each.group == "dayiethan/LICA-LBF"]
    rows: list[dict[str, object]] = [
        {
            "run_id": each.run_id,
            "workload": each.workload,
            "group": each.group,
            "started_at": each.started_at.isoformat(),
            "ended_at": each.ended_at.isoformat() if each.ended_at else "",
            "outcome": each.outcome.value,
            "cause": each.cause.value if each.cause else "",
            "error": each.error or "",
            "gpus": each.gpus,
        }
        for each in runs
    ]
    write_csv(tmp_path / "runs.csv", rows)
    shell = Shell(tmp_path, {})
    assert shell("runs", "import", "runs.csv").code == 0
    named = {
        run
        for found in workloads(shell).values()
        for each in found
        if each["kind"] == "same_error" and "Unsafe reshape" in each["why"]
        for run in each["runs"]
    }
    with (tmp_path / "runs.csv").open(encoding="utf-8", newline="") as file:
        failed = [row for row in csv.DictReader(file) if "Unsafe reshape" in row["error"]]
    by_workload = Counter(row["workload"] for row in failed)
    assert len(named) > 50
    assert named == {row["run_id"] for row in failed if by_workload[row["workload"]] >= 3}
