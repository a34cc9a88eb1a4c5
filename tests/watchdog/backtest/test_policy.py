"""`backtest policy`, as it is scripted against, and its figures counted again from outside."""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.facts import Run, RunOutcome
from tests.bench.sacred import SOURCE, sacred_runs
from tests.builders import NOW, run
from tests.watchdog.cli.shells import Shell
from tests.watchdog.runs.histories import write_csv, write_jsonl, write_parquet, write_runs

COLUMNS = [
    "policy",
    "resource",
    "workload",
    "idle_from",
    "idle_until",
    "verdict",
    "warned_at",
    "stopped_at",
]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


def attempts() -> list[Run]:
    """Three failures on one host, with pauses of 3 minutes and of 5 hours between them."""
    edges = [(0, 10), (13, 30), (330, 340)]
    return [
        run(
            f"r{begin}",
            started_at=NOW + begin * MINUTE,
            ended_at=NOW + end * MINUTE,
            outcome=RunOutcome.FAILED,
            host="box",
            group="nlp",
        )
        for begin, end in edges
    ]


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_decisions_have_a_row_for_every_pause_and_the_sums_fit(
    shell: Shell, tmp_path: Path
) -> None:
    runs = write_runs(tmp_path / "runs.csv", attempts())
    done = shell(
        "backtest",
        "policy",
        "--runs",
        str(runs),
        "--decisions",
        "out.csv",
        "--plot",
        "p.svg",
        "--json",
    )
    assert done.code == 0
    rows = rows_of(tmp_path / "out.csv")
    assert list(rows[0]) == COLUMNS
    assert [(row["policy"], row["resource"], row["verdict"]) for row in rows] == [
        ("engine", "box", "exploratory")
    ] * 3
    short, long, open_ = rows
    assert (short["idle_from"], short["idle_until"]) == (
        "2026-11-23T08:10:00Z",
        "2026-11-23T08:13:00Z",
    )
    assert short["stopped_at"] == ""
    assert moment(long["stopped_at"]) - moment(long["warned_at"]) == 5 * MINUTE
    assert open_["idle_until"] == ""
    told = done.json
    assert told["schema"] == "spend-watchdog/backtest-policy/1"
    assert told["open_pauses"] == 1
    [engine] = told["policies"]
    waited = (moment(long["stopped_at"]) - moment(long["idle_from"])) / timedelta(hours=1)
    assert engine["stops"] == 1
    assert engine["regrets"] == 0
    assert engine["burnt_before_action_hours"] == round(waited, 3)
    assert engine["saved_hours"] == round(5 - waited, 3)
    assert engine["saved_usd"] is None
    assert engine["cost_hours"] == round(waited + 0.25 + 0.05, 3)
    assert told["best_in_hindsight_hours"] == 0.3
    assert engine["times_best"] == round((waited + 0.3) / 0.3, 4)
    names = [each["policy"] for each in told["baselines"]]
    assert names == ["after 30 minutes", "after the restart cost"]
    assert (tmp_path / "p.svg").read_text().startswith("<svg")


def test_savings_are_dollars_where_runs_tell_what_they_cost(shell: Shell, tmp_path: Path) -> None:
    rows = [
        {
            "run_id": f"r{begin}",
            "workload": "llama",
            "started_at": (NOW + begin * MINUTE).isoformat(),
            "ended_at": (NOW + (begin + 60) * MINUTE).isoformat(),
            "outcome": "failed",
            "host": "box",
            "cost_usd": "12",
        }
        for begin in (0, 660)
    ]
    runs = write_csv(tmp_path / "runs.csv", rows)
    [engine] = shell("backtest", "policy", "--runs", str(runs), "--json").json["policies"]
    assert float(engine["saved_usd"]) == pytest.approx(12 * engine["saved_hours"], abs=0.01)


def test_several_policies_stand_side_by_side(shell: Shell, tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs.csv", attempts())
    (tmp_path / "slow.yaml").write_text(
        "schema: spend-watchdog/policy/1\nrules:\n"
        "  - {name: slow, when: idle.minutes >= 60, because: b, then: stop}\n"
    )
    done = shell(
        *("backtest", "policy", "--runs", str(runs), "--policy", "default"),
        *("--policy", "slow.yaml", "--decisions", "out.csv"),
    )
    assert done.code == 0
    for word in ("default", "slow", "after 30", "best in", "not seen to end"):
        assert word in done.out
    by_policy = Counter(row["policy"] for row in rows_of(tmp_path / "out.csv"))
    assert by_policy == {"default": 3, "slow": 3}
    slow = [row for row in rows_of(tmp_path / "out.csv") if row["policy"] == "slow"][1]
    assert moment(slow["warned_at"]) - moment(slow["idle_from"]) == 60 * MINUTE
    assert moment(slow["stopped_at"]) - moment(slow["warned_at"]) == 5 * MINUTE


def test_what_is_wrong_is_one_clear_line(shell: Shell, tmp_path: Path) -> None:
    runs = str(write_runs(tmp_path / "runs.csv", attempts()))
    nothing = shell("backtest", "policy")
    assert nothing.code == 2
    assert "--runs FILE, --readings FILE" in " ".join(nothing.err.split())
    assert shell("backtest", "policy", "--runs", runs, "--restart-cost", "0m").code == 2
    assert shell("backtest", "policy", "--runs", runs, "--patrol-every", "soon").code == 2
    missing = shell("backtest", "policy", "--runs", runs, "--policy", "no.yaml")
    assert (missing.code, "no.yaml" in missing.err) == (2, True)
    assert shell("backtest", "policy", "--readings", "no.csv").code == 2
    (tmp_path / "readings.csv").write_text("resource,started_at\na,2026-01-01T00:00:00Z\n")
    bad = shell("backtest", "policy", "--readings", "readings.csv")
    assert bad.code == 1
    assert "missing columns: ended_at, utilisation_max_pct" in bad.err


def test_runs_that_name_no_host_are_told(shell: Shell, tmp_path: Path) -> None:
    runs = write_csv(
        tmp_path / "runs.csv",
        [
            {
                "run_id": "r",
                "workload": "w",
                "outcome": "failed",
                "started_at": "2026-01-01T00:00:00Z",
                "ended_at": "2026-01-01T01:00:00Z",
            }
        ],
    )
    done = shell("backtest", "policy", "--runs", str(runs))
    assert done.code == 4
    assert "1 runs name no host" in done.err


# Readings


def reading(minute: float, used: float | str, **more: object) -> dict[str, object]:
    begin = NOW + minute * MINUTE
    return {
        "resource": "pod",
        "workload": "llama",
        "started_at": begin.isoformat(),
        "ended_at": (begin + MINUTE).isoformat(),
        "utilisation_max_pct": used,
        **more,
    }


def failed(name: str = "llama") -> Run:
    return run(
        "f",
        workload=name,
        host="elsewhere",
        outcome=RunOutcome.FAILED,
        started_at=NOW - timedelta(hours=5),
        ended_at=NOW - timedelta(hours=4),
    )


def proven(name: str = "llama") -> list[Run]:
    return [
        run(
            f"g{n}",
            workload=name,
            host="elsewhere",
            started_at=NOW - timedelta(hours=100 - 5 * n),
            ended_at=NOW - timedelta(hours=96 - 5 * n),
        )
        for n in range(15)
    ]


def replay(shell: Shell, folder: Path, readings: Path, runs: list[Run]) -> list[dict[str, str]]:
    told = write_runs(folder / "runs.csv", runs)
    done = shell(
        *("backtest", "policy", "--runs", str(told), "--readings", str(readings)),
        *("--decisions", "out.csv"),
    )
    assert done.code == 0, done.err
    return rows_of(folder / "out.csv")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_pauses_are_found_in_readings_of_every_format(
    shell: Shell, tmp_path: Path, suffix: str
) -> None:
    rows = [reading(minute, 80 if minute < 10 or minute >= 200 else 0) for minute in range(220)]
    path = tmp_path / f"readings.{suffix}"
    if suffix == "csv":
        write_csv(path, rows)
    else:
        write_jsonl(tmp_path / "readings.jsonl", rows)
    if suffix == "parquet":
        write_parquet(path, f"select * from read_json('{tmp_path}/readings.jsonl')")
    [pause] = replay(shell, tmp_path, path, [failed()])
    assert pause["resource"] == "pod"
    assert moment(pause["idle_from"]) == NOW + 10 * MINUTE
    assert moment(pause["idle_until"]) == NOW + 200 * MINUTE
    assert pause["verdict"] == "exploratory"
    assert pause["stopped_at"] != ""


def test_readings_of_mature_work_are_never_stopped_and_of_nobody_neither(
    shell: Shell, tmp_path: Path
) -> None:
    rows = [reading(minute, 80 if minute < 10 else 0) for minute in range(220)]
    readings = write_csv(tmp_path / "readings.csv", rows)
    [pause] = replay(shell, tmp_path, readings, proven())
    assert (pause["verdict"], pause["stopped_at"]) == ("mature", "")
    [pause] = replay(shell, tmp_path, readings, [failed("another")])
    assert (pause["verdict"], pause["stopped_at"]) == ("unknown", "")


def test_a_pause_is_not_followed_into_what_nobody_measured(shell: Shell, tmp_path: Path) -> None:
    """Rows are missing, cells are empty, and one of two GPUs falls silent."""
    gap = [reading(m, 80 if m < 10 else 0) for m in range(200) if not 15 <= m < 60]
    empty = [reading(m, "" if 15 <= m < 60 else 80 if m < 10 else 0) for m in range(200)]
    first = [reading(m, 80 if m < 10 else 0, gpu="0") for m in range(200)]
    one_of_two = [*first, *(row | {"gpu": "1"} for row in first[:15] + first[60:])]
    for rows in (gap, empty, one_of_two):
        readings = write_csv(tmp_path / "readings.csv", rows)
        before, behind = replay(shell, tmp_path, readings, [failed()])
        assert moment(before["idle_from"]) == NOW + 10 * MINUTE
        assert (before["idle_until"], before["stopped_at"]) == ("", "")
        assert moment(behind["idle_from"]) == NOW + 60 * MINUTE
        assert behind["stopped_at"] != ""


def test_one_busy_gpu_and_bytes_on_their_way_are_no_pause(shell: Shell, tmp_path: Path) -> None:
    quiet = [reading(m, 0, gpu="0") for m in range(60)]
    busy = [reading(m, 50, gpu="1") for m in range(60)]
    moving = [reading(m, 0, gpu="0", received_bytes=60e6) for m in range(60)]
    for rows in ([*quiet, *busy], moving):
        readings = write_csv(tmp_path / "readings.csv", rows)
        assert replay(shell, tmp_path, readings, [failed()]) == []


def test_bad_rows_of_readings_are_left_out_and_told(shell: Shell, tmp_path: Path) -> None:
    bad = [
        reading(0, 120),
        reading(0, "busy"),
        reading(0, 0, resource=""),
        reading(0, 0, ended_at="x"),
    ]
    readings = write_csv(tmp_path / "readings.csv", [reading(m, 0) for m in range(60)] + bad)
    done = shell("backtest", "policy", "--readings", str(readings))
    assert done.code == 4
    assert "4 rows were left out; row 61: utilisation_max_pct" in done.err


def bursts() -> Iterator[dict[str, object]]:
    """Fifty pods, each a burst of requests now and then, and every second silent for hours."""
    for pod in range(50):
        for minute in range(0, 600, 2):
            asleep = pod % 2 == 0 and 200 <= minute < 200 + 150 + pod * 4
            busy = not asleep and (minute * 7 + pod * 13) % 41 < 12
            yield reading(
                minute,
                35 if busy else 0,
                resource=f"pod-{pod}",
                ended_at=(NOW + (minute + 2) * MINUTE).isoformat(),
            )


def test_bursty_pods_of_mature_work_are_left_alone_and_of_confused_work_stopped(
    shell: Shell, tmp_path: Path
) -> None:
    readings = write_csv(tmp_path / "readings.csv", list(bursts()))
    assert not any(row["stopped_at"] for row in replay(shell, tmp_path, readings, proven()))
    rows = replay(shell, tmp_path, readings, [failed()])
    silent = {f"pod-{pod}" for pod in range(0, 50, 2)}
    stopped = {row["resource"] for row in rows if row["stopped_at"]}
    assert len(silent & stopped) >= 0.8 * len(silent)


# Real pauses


@pytest.mark.shared
@pytest.mark.parametrize(("restart", "most", "least"), [("15m", 1.44, 1.62), ("2h", 1.39, 1.70)])
def test_real_pauses_cost_little_more_than_the_best_in_hindsight(
    shell: Shell, tmp_path: Path, restart: str, most: float, least: float
) -> None:
    """Counted again from the decisions alone, and from the runs' own times."""
    if not SOURCE.exists():
        pytest.skip(f"{SOURCE} is absent: it is no part of the project")
    runs = sacred_runs()
    file = write_runs(tmp_path / "runs.csv", runs)
    done = shell(
        *("backtest", "policy", "--runs", str(file), "--restart-cost", restart),
        *("--decisions", "out.csv", "--json"),
    )
    assert done.code == 0, done.err
    rows = rows_of(tmp_path / "out.csv")
    ended = [row for row in rows if row["idle_until"]]
    price = timedelta(minutes=15) if restart == "15m" else timedelta(hours=2)
    cost = best = timedelta(0)
    for row in ended:
        if row["verdict"] != "exploratory":
            assert (row["warned_at"], row["stopped_at"]) == ("", "")
            continue
        begin, end = moment(row["idle_from"]), moment(row["idle_until"])
        stopped = moment(row["stopped_at"]) if row["stopped_at"] else None
        assert stopped is None or begin < stopped < end
        cost += end - begin if stopped is None else stopped - begin + price
        best += min(end - begin, price)
    [engine] = done.json["policies"]
    assert cost / best == pytest.approx(engine["times_best"], abs=1e-4)
    assert cost / best <= most
    assert done.json["baselines"][1]["times_best"] >= least
    _check_shares(ended, runs)


def _check_shares(rows: list[dict[str, str]], runs: list[Run]) -> None:
    ends = {
        (each.host, each.ended_at.astimezone(UTC)): each.outcome
        for each in runs
        if each.ended_at is not None
    }
    exploratory = [row for row in rows if row["verdict"] == "exploratory"]
    assert len(exploratory) >= 0.8 * len(rows)
    wrong = {RunOutcome.FAILED, RunOutcome.CANCELLED}
    after = [row for row in rows if ends[row["resource"], moment(row["idle_from"])] in wrong]
    assert sum(row["verdict"] == "exploratory" for row in after) >= 0.95 * len(after)


def test_without_a_pause_there_is_no_ratio(shell: Shell, tmp_path: Path) -> None:
    runs = write_runs(tmp_path / "runs.csv", attempts()[:1])
    told = shell("backtest", "policy", "--runs", str(runs), "--json").json
    assert (told["open_pauses"], told["policies"][0]["times_best"]) == (1, None)
