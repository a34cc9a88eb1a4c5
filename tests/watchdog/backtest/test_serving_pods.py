"""Bursty serving pods: left alone while their work is mature, stopped where it is confusion.

The pods are drawn in the shape of real ones (Alibaba's GenAI trace of 2026: a point a minute for a
day, two thirds of them zero, all pods at work again sooner or later), which have no licence that
would let them lie here. `docs/patience.md` says how the real ones did.
"""

import csv
import random
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from policies.facts import RunOutcome
from tests.builders import NOW, run
from tests.watchdog.backtest.test_policy import moment, rows_of
from tests.watchdog.cli.shells import Shell
from tests.watchdog.runs.histories import write_runs

MINUTE = timedelta(minutes=1)
PODS, DAY_MIN = 30, 1440
COLUMNS = (
    "resource", "workload", "started_at", "ended_at",
    "utilisation_max_pct", "received_bytes", "sent_bytes",
)  # fmt: skip


def minutes_of(chance: random.Random) -> Iterator[float]:
    """Bursts of minutes, and pauses between them of which a few last for hours."""
    while True:
        for _ in range(chance.randint(1, 6)):
            yield chance.uniform(6, 60)
        for _ in range(min(400, int(chance.paretovariate(0.75)))):
            yield 0.0


def write_pods(path: Path) -> None:
    chance = random.Random(20_261_201)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for pod in range(PODS):
            for minute, value in zip(range(DAY_MIN), minutes_of(chance), strict=False):
                begin = NOW + minute * MINUTE
                told = (begin.isoformat(), (begin + MINUTE).isoformat(), f"{value:.1f}", 0, 0)
                writer.writerow((f"pod-{pod}", "serving", *told))


def history(path: Path, outcome: RunOutcome, count: int) -> Path:
    def begin(number: int) -> datetime:
        return NOW - timedelta(hours=12 * (count - number))

    runs = [
        run(
            f"r{number}",
            workload="serving",
            started_at=begin(number),
            ended_at=begin(number) + timedelta(hours=3),
            outcome=outcome,
            host=f"host-{number % 2}",
        )
        for number in range(count)
    ]
    return write_runs(path, runs)


@pytest.mark.parametrize(
    ("outcome", "count", "verdict"),
    [(RunOutcome.SUCCEEDED, 40, "mature"), (RunOutcome.FAILED, 3, "exploratory")],
)
def test_the_same_readings_are_left_alone_or_stopped_by_what_ran_before(
    tmp_path: Path, outcome: RunOutcome, count: int, verdict: str
) -> None:
    runs = history(tmp_path / "runs.csv", outcome, count)
    write_pods(tmp_path / "readings.csv")
    told = ["--runs", str(runs), "--readings", str(tmp_path / "readings.csv")]
    packs = ["--policy", "default", "--policy", "strict"] if verdict == "mature" else []
    done = Shell(tmp_path, {})("backtest", "policy", *told, *packs, "--decisions", "out.csv")
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "out.csv")
    assert {row["verdict"] for row in rows} == {verdict}
    silent = {row["resource"] for row in rows if _lasted(row) >= timedelta(hours=2)}
    stopped = {row["resource"] for row in rows if row["stopped_at"]}
    assert len(silent) >= 10
    if verdict == "mature":
        assert not stopped
    else:
        assert len(stopped & silent) >= 0.8 * len(silent)


def _lasted(row: dict[str, str]) -> timedelta:
    """Pauses that were not seen to end count for nothing here."""
    if not row["idle_until"]:
        return timedelta(0)
    return moment(row["idle_until"]) - moment(row["idle_from"])
