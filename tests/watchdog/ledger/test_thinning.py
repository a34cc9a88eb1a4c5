"""Thinned readings: fewer rows, and every question about the past gets the same answer."""

import subprocess
import sys
from collections.abc import Callable
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.watchdog.ledger.facts import MACHINE, NOW, Row, charge, event, machine, reading, run
from watchdog.ledger.store import Ledger
from watchdog.ledger.tidying import Tidying

DAY = NOW.replace(hour=0) - timedelta(days=100)
TIDYING = Tidying(thin_before=(NOW - timedelta(days=90)).date())
ASKED: dict[str, Any] = {"threshold_pct": 5.0, "transfer_bytes_per_s": 500_000.0}


def interval(index: int, pct: float | None = 0.0, gpu: str | None = "0", **changes: Any) -> Row:
    """The five minutes of that number since the day began."""
    begin = DAY + timedelta(minutes=5 * index)
    told = {"started_at": begin, "ended_at": begin + timedelta(minutes=5), "gpu": gpu}
    return reading(pct=pct, **(told | {"coverage": 1.0} | changes))


def thinned(ledger: Ledger, rows: list[Row], **seen: Any) -> list[Row]:
    ledger.append("machines", [machine(started_at=DAY - timedelta(days=1), **seen)])
    ledger.append("readings", rows)
    ledger.compact(TIDYING)
    return in_order(ledger)


def in_order(ledger: Ledger) -> list[Row]:
    rows: list[Row] = list(ledger.rows("readings"))
    return sorted(rows, key=lambda row: (row["started_at"], str(row["gpu"])))


def spans(rows: list[Row]) -> list[tuple[int, int]]:
    """In minutes of the day."""
    return [(minute(row["started_at"]), minute(row["ended_at"])) for row in rows]


def minute(moment: datetime) -> int:
    return int((moment - DAY).total_seconds() / 60)


def test_an_hour_becomes_one_row(anywhere: Callable[[], Ledger]) -> None:
    told = [
        interval(
            index,
            90.0 + index,
            utilisation_mean_pct=float(index),
            memory_used_mib=1000.0 + index,
            power_w=300.0,
            sent_bytes=10.0,
            coverage=1.0 if index % 2 else 0.5,
        )
        for index in range(24)
    ]
    first, second = thinned(anywhere(), told)
    assert spans([first, second]) == [(0, 60), (60, 120)]
    assert (first["utilisation_max_pct"], second["utilisation_max_pct"]) == (101.0, 113.0)
    assert (first["memory_used_mib"], first["power_w"]) == (1011.0, 300.0)
    assert first["sent_bytes"] == 120.0
    assert first["coverage"] == pytest.approx(0.75)
    odd, even = 1 + 3 + 5 + 7 + 9 + 11, 2 + 4 + 6 + 8 + 10
    assert first["utilisation_mean_pct"] == pytest.approx((odd + even / 2) / 9)
    assert first["date"] == DAY.date()
    assert first["received_bytes"] is None


@pytest.mark.parametrize(
    ("changed", "into"),
    [
        ({"pct": 80.0}, "it worked"),
        ({"pct": None}, "nobody measured it"),
        ({"memory_used_mib": None}, "its memory is unknown"),
        ({"memory_used_mib": 8000.0}, "a process held its memory"),
        ({"sent_bytes": 1e12}, "bytes went out"),
        ({"coverage": None}, "nobody knows how much was measured"),
        ({"workload": "llama"}, "the source names a workload"),
        ({"source": "prometheus"}, "another told of it"),
    ],
)
def test_a_stretch_ends_where_something_changes(ledger: Ledger, changed: Row, into: str) -> None:
    assert into
    same: Row = {"memory_used_mib": 10.0, "sent_bytes": 5.0, "workload": None}
    rows = [interval(index, **same) for index in range(4)]
    rows += [interval(index, **(same | changed)) for index in range(4, 12)]
    found = thinned(ledger, rows)
    assert spans(found) == [(0, 20), (20, 60)]
    assert (found[0]["memory_used_mib"], found[0]["utilisation_max_pct"]) == (10.0, 0.0)
    if changed == {"pct": None}:
        assert found[1]["utilisation_max_pct"] is None


def test_time_that_nobody_measured_stays_unmeasured(ledger: Ledger) -> None:
    found = thinned(ledger, [interval(index) for index in (0, 1, 2, 7, 8)])
    assert spans(found) == [(0, 15), (35, 45)]


def test_a_gpu_that_joins_ends_the_stretch_of_its_machine(ledger: Ledger) -> None:
    rows = [interval(index, gpu="0") for index in range(12)]
    rows += [interval(index, gpu="1") for index in range(6, 12)]
    assert spans(thinned(ledger, rows)) == [(0, 30), (30, 60), (30, 60)]


def test_a_boot_ends_a_stretch(ledger: Ledger) -> None:
    ledger.append("machines", [machine(observed_at=NOW, started_at=DAY + timedelta(minutes=20))])
    found = thinned(ledger, [interval(index) for index in range(12)], observed_at=DAY)
    assert spans(found) == [(0, 20), (20, 60)]


def test_rows_of_an_hour_and_longer_are_left_alone(ledger: Ledger) -> None:
    begin = DAY + timedelta(hours=3)
    rows = [
        reading(gpu="0", started_at=begin, ended_at=begin + timedelta(hours=1)),
        reading(
            gpu="0",
            started_at=begin + timedelta(hours=1, minutes=30),
            ended_at=begin + timedelta(hours=2, minutes=30),
        ),
    ]
    assert spans(thinned(ledger, rows)) == [(180, 240), (270, 330)]


def test_no_stretch_reaches_into_the_next_hour(ledger: Ledger) -> None:
    rows = [
        interval(index, ended_at=DAY + timedelta(minutes=5 * index + 10)) for index in (7, 9, 11)
    ]
    assert spans(thinned(ledger, rows)) == [(35, 55), (55, 65)]


def test_only_readings_and_only_old_days_are_thinned(ledger: Ledger) -> None:
    old, new = [interval(index) for index in range(12)], [reading(5 * n) for n in range(1, 13)]
    hundred = timedelta(days=100)
    ledger.append("charges", [charge(hours_ago=2400 + n) for n in range(4)])
    ledger.append("events", [event(f"{n}", at=NOW - hundred) for n in range(4)])
    ledger.append("runs", [run(f"{n}", started_at=NOW - hundred) for n in range(4)])
    before = {table: ledger.rows(table) for table in ("charges", "events", "runs")}

    found = thinned(ledger, old + new)

    assert len(found) == 13
    assert all(
        sorted(ledger.rows(table), key=str) == sorted(rows, key=str)
        for table, rows in before.items()
    )


def test_what_is_thinned_is_left_alone(ledger: Ledger) -> None:
    first = thinned(ledger, [interval(index) for index in range(24)])
    version = ledger.info().set_index("table")["version"]["readings"]
    ledger.compact(TIDYING)
    ledger.compact()
    assert ledger.info().set_index("table")["version"]["readings"] == version
    ledger.append("readings", [interval(30)])
    ledger.compact(TIDYING)
    again = in_order(ledger)
    assert again[:2] == first
    assert len(again) == 3


def test_a_dry_run_tells_and_changes_nothing(ledger: Ledger) -> None:
    ledger.append("readings", [interval(index) for index in range(24)])
    ledger.append("readings", [interval(index) for index in range(24)])
    before = ledger.info()
    asked = Tidying(thin_before=TIDYING.thin_before, dry_run=True)
    told = Ledger.open(ledger.url, read_only=True).compact(asked).set_index("table").loc["readings"]
    assert (told["rows_before"], told["rows_after"]) == (48, 2)
    assert (told["files_before"], told["files_after"]) == (2, 1)
    assert told["bytes_after"] is None or told["bytes_after"] != told["bytes_after"]
    assert ledger.info().equals(before)
    assert len(ledger.compact(TIDYING)) == len(before)
    assert len(ledger.rows("readings")) == 2


@pytest.mark.slow
def test_several_who_thin_at_once_count_no_byte_twice(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path))
    days_old = [100 + day for day in range(6)]
    told = [
        reading(60 * 24 * day + 5 * n, sent_bytes=1.0) for day in days_old for n in range(1, 73)
    ]
    for row in range(0, len(told), 40):
        ledger.append("readings", told[row : row + 40])
    code = (
        "import sys\n"
        "from tests.watchdog.ledger.facts import reading\n"
        "from tests.watchdog.ledger.test_thinning import TIDYING\n"
        "from watchdog.ledger.failures import LedgerBusyError\n"
        "from watchdog.ledger.store import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "for n in range(8):\n"
        "    ledger.append('readings', [reading(5 * n, sent_bytes=1.0, gpu=sys.argv[2])])\n"
        "    try:\n"
        "        ledger.compact(TIDYING)\n"
        "    except LedgerBusyError as error:\n"
        "        assert 'somebody else compacts it at the same time' in str(error)\n"
    )
    workers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0, 0]

    ledger.compact(TIDYING)
    rows: list[Row] = list(ledger.rows("raw_readings"))
    assert sum(row["sent_bytes"] for row in rows) == len(told) + 16
    assert len(rows) == len(days_old) * 6 + 16
    assert set(ledger.verify()["state"]) <= {"fine", "note"}


@st.composite
def days(draw: st.DrawFn) -> list[Row]:
    """Two hours of two GPUs and a host, with whatever may happen to them."""
    pct = st.sampled_from([None, 0.0, 4.9, 5.0, 60.0, 99.0])
    amount = st.sampled_from([None, 0.0, 1e6, 1.5e8, 1e12])
    rows = []
    for gpu in draw(st.sampled_from([("0",), ("0", "1"), ("0", None), ("0", "1", None), (None,)])):
        kinds = draw(st.lists(st.tuples(pct, amount, st.booleans()), min_size=1, max_size=5))
        for index in range(24):
            if draw(st.integers(0, 9)) == 0:
                continue
            value, moved, known = kinds[index * len(kinds) // 24]
            rows.append(
                interval(
                    index,
                    value,
                    gpu,
                    utilisation_mean_pct=value,
                    received_bytes=moved,
                    sent_bytes=1000.0 if known else None,
                    memory_used_mib=draw(st.sampled_from([10.0, 20.0])) if known else None,
                    coverage=draw(st.sampled_from([0.5, 1.0])),
                )
            )
    return rows or [interval(0)]


def figures(ledger: Ledger, boot: int) -> dict[str, Any]:
    """All that later patrols and people ask of old readings."""
    rows: list[Row] = list(ledger.rows("readings"))
    by_hour: dict[Any, list[float]] = {}
    seconds: dict[Any, float] = {}
    totals: dict[Any, float] = {}
    for row in rows:
        series = (row["gpu"], row["started_at"].hour)
        length = (row["ended_at"] - row["started_at"]).total_seconds()
        for column in ("utilisation_max_pct", "memory_used_mib"):
            if row[column] is not None:
                by_hour.setdefault((column, *series), []).append(row[column])
        for column in ("utilisation_max_pct", "received_bytes", "sent_bytes", "memory_used_mib"):
            known = (column, row[column] is not None, *series)
            seconds[known] = seconds.get(known, 0.0) + length
        for column in ("received_bytes", "sent_bytes"):
            totals[column, series] = totals.get((column, series), 0.0) + (row[column] or 0.0)
        measured = ("coverage", *series)
        totals[measured] = totals.get(measured, 0.0) + row["coverage"] * length
    activity = [
        ledger.rows("last_activity", until=DAY + timedelta(minutes=until), **ASKED)
        for until in (1440, 60)
    ]
    assert boot or activity
    return {
        "activity": activity,
        "highest": {key: max(values) for key, values in by_hour.items()},
        "seconds": seconds,
        "totals": {key: pytest.approx(value) for key, value in totals.items()},
    }


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(rows=days(), boot=st.sampled_from([0, 5, 40, 60, 95]))
def test_no_question_about_the_past_gets_another_answer(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], boot: int
) -> None:
    ledger = Ledger.open(str(tmp_path_factory.mktemp("ledger")))
    ledger.append("machines", [machine(started_at=DAY + timedelta(minutes=boot))])
    ledger.append("readings", rows)
    before = figures(ledger, boot)

    ledger.compact(TIDYING)

    assert figures(ledger, boot) == before
    assert len(ledger.rows("readings")) <= len(rows)
    keys = [(row["resource"], row["gpu"], row["started_at"]) for row in ledger.rows("raw_readings")]
    assert len(keys) == len(set(keys))
    assert {row["resource"] for row in ledger.rows("readings")} == {MACHINE}
    assert isinstance(TIDYING.thin_before, date)
