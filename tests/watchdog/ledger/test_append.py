"""What may be appended, what is refused, and how exactly it comes back."""

import os
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

from policies.facts import READING_COLUMNS, MachineState, Run
from tests.watchdog.ledger.facts import (
    MACHINE,
    NOW,
    ROW_OF,
    Row,
    charge,
    machine,
    reading,
    run,
)
from watchdog.ledger.store import Ledger, LedgerError
from watchdog.ledger.tables import READINGS, RUNS, TABLES


def as_rows(rows: list[Row]) -> list[Row]:
    return rows


def as_frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows)


def as_objects(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, dtype=object)


EITHER_WAY = pytest.mark.parametrize("given", [as_rows, as_frame, as_objects])
Given = Callable[[list[Row]], "list[Row] | pd.DataFrame"]


@EITHER_WAY
@pytest.mark.parametrize("table", TABLES)
def test_a_row_comes_back_as_it_was(ledger: Ledger, table: str, given: Given) -> None:
    row = ROW_OF[table]()

    assert ledger.append(table, given([row])) == 1

    [found] = ledger.rows(f"raw_{table}")
    assert {name: found[name] for name in row} == row
    assert set(found) == set(TABLES[table].names)


def test_no_rows_make_no_commit(ledger: Ledger) -> None:
    assert ledger.append("readings", []) == 0
    assert ledger.append("readings", pd.DataFrame()) == 0
    assert ledger.info()["version"].tolist() == [0] * len(TABLES)


def test_one_append_is_one_commit(ledger: Ledger) -> None:
    ledger.append("readings", [reading(minutes_ago=60 * hours) for hours in range(72)])

    [info] = ledger.info().query("table == 'readings'").to_dict("records")
    assert (info["rows"], info["files"], info["version"]) == (72, 4, 1)


@pytest.mark.parametrize(
    ("table", "changes", "said"),
    [
        ("machines", {"gpus": 1.5}, "machines: row 1: gpus: 1.5 is no whole number"),
        ("machines", {"gpus": "8"}, "machines: row 1: gpus: '8' is no whole number"),
        ("machines", {"gpus": True}, "machines: row 1: gpus: True is no whole number"),
        ("machines", {"gpus": 2**63}, f"machines: row 1: gpus: {2**63} does not fit into 64 bits"),
        ("machines", {"account": 1234}, "machines: row 1: account: 1234 is no text"),
        ("machines", {"name": "\ud800"}, r"machines: row 1: name: '\ud800' is not valid Unicode"),
        ("machines", {"metered": 1}, "machines: row 1: metered: 1 is no flag"),
        ("machines", {"price": 1}, "machines: there is no column price; did you mean price_why?"),
        ("machines", {"id": None}, "machines: row 1: id: is missing; every row needs one"),
        (
            "machines",
            {"hourly_usd": Decimal("0.1234567891")},
            ("machines: row 1: hourly_usd: Decimal('0.1234567891') has more than nine decimals"),
        ),
        (
            "machines",
            {"hourly_usd": Decimal(10**9)},
            "machines: row 1: hourly_usd: Decimal('1000000000') is not an amount below 1,000,000,",
        ),
        ("machines", {"hourly_usd": 1 / 3}, f"machines: row 1: hourly_usd: {1 / 3} has more than"),
        (
            "machines",
            {"started_at": datetime(2026, 11, 23)},  # noqa: DTZ001 - it is what is refused
            (
                "machines: row 1: started_at: datetime.datetime(2026, 11, 23, 0, 0) has no time"
                " zone: nobody knows when it was"
            ),
        ),
        (
            "machines",
            {"started_at": "2026-11-23T00:00:00Z"},
            "machines: row 1: started_at: '2026-11-23T00:00:00Z' is no time",
        ),
        (
            "machines",
            {"started_at": date(2026, 11, 23)},
            "machines: row 1: started_at: datetime.date(2026, 11, 23) is no time",
        ),
        (
            "machines",
            {"started_at": datetime.min.replace(tzinfo=timezone(timedelta(hours=1)))},
            "machines: row 1: started_at: datetime.datetime(1, 1, 1, 0, 0,",
        ),
        ("readings", {"power_w": "hot"}, "readings: row 1: power_w: 'hot' is no number"),
        ("readings", {"power_w": 2**53 + 1}, "readings: row 1: power_w: 9007199254740993 does not"),
        ("readings", {"date": "2026-11-22"}, "readings: date: '2026-11-22' is not the UTC date of"),
        ("readings", {"date": "23.11.2026"}, "readings: row 1: date: '23.11.2026' is no date such"),
        ("readings", {"date": "20261123"}, "readings: row 1: date: '20261123' is no date such as"),
        ("readings", {"date": NOW}, "readings: row 1: date: datetime.datetime(2026, 11, 23, 8, 0,"),
    ],
)
def test_what_does_not_fit_is_refused(ledger: Ledger, table: str, changes: Row, said: str) -> None:
    with pytest.raises(LedgerError) as refused:
        ledger.append(table, [ROW_OF[table](**changes)])

    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)
    assert ledger.rows(f"raw_{table}") == []


def test_a_refusal_names_the_row(ledger: Ledger) -> None:
    rows = [machine(), machine(gpus=None), machine(gpus=0.5)]

    with pytest.raises(LedgerError, match=r"machines: row 3: gpus: 0\.5 is no whole number"):
        ledger.append("machines", rows)

    assert ledger.rows("raw_machines") == []


@pytest.mark.parametrize("given", [as_rows, as_frame])
def test_a_key_column_must_be_there(ledger: Ledger, given: Given) -> None:
    row = reading()
    del row["source"], row["observed_at"]

    with pytest.raises(LedgerError, match="readings: every row needs source, observed_at"):
        ledger.append("readings", given([row]))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"gpus": [1.5]},
            r"machines: gpus: '1\.5' does not fit into bigint without loss \(1 rows\)",
        ),
        ({"gpus": [2.0**63]}, r"machines: gpus: '9\.\d*e\+?18' does not fit into bigint"),
        ({"gpus": np.array([2**63], dtype="uint64")}, r"gpus: '9223372036854775808' does not fit"),
        ({"gpus": ["8"]}, r"gpus: '8' is (VARCHAR, and cannot be bigint|no whole number)"),
        ({"account": [1234]}, r"machines: account: '1234' is BIGINT, and cannot be varchar"),
        ({"metered": [1]}, r"machines: metered: '1' is BIGINT, and cannot be boolean"),
        ({"hourly_usd": [0.1 + 0.2]}, r"hourly_usd: '0\.3\d*' does not fit into decimal\(18,9\)"),
        ({"started_at": pd.to_datetime(["2026-11-23"])}, r"started_at: '2026-11-23.*' has no time"),
        (
            {"started_at": pd.to_datetime(["2026-11-23T00:00:00.123456789Z"])},
            r"machines: started_at: a time is finer than a microsecond",
        ),
        ({"more": [1]}, r"machines: there is no column more"),
    ],
)
def test_a_frame_is_checked_by_its_types(ledger: Ledger, changes: Row, said: str) -> None:
    with pytest.raises(LedgerError, match=said):
        ledger.append("machines", pd.DataFrame([machine()]).assign(**changes))

    assert ledger.rows("raw_machines") == []


def test_a_missing_key_in_a_frame_is_refused(ledger: Ledger) -> None:
    frame = pd.DataFrame([reading(5), reading(10)])
    frame["source"] = pd.Series(["a", None], dtype="str")

    with pytest.raises(LedgerError, match=r"readings: .*source: (a value )?is missing; every row"):
        ledger.append("readings", frame)


def test_a_column_may_not_stand_twice(ledger: Ledger) -> None:
    frame = pd.DataFrame([reading()])

    with pytest.raises(LedgerError, match="the column source stands twice"):
        ledger.append("readings", pd.concat([frame, frame[["source"]]], axis=1))


@EITHER_WAY
def test_what_is_not_a_number_is_unknown(ledger: Ledger, given: Given) -> None:
    rows = [reading(5, float("nan")), reading(10, 1.0), reading(15, None)]

    ledger.append("readings", given(rows))

    found = ledger.rows("raw_readings")
    assert sorted(str(row["utilisation_max_pct"]) for row in found) == ["1.0", "None", "None"]
    assert all(row["power_w"] is None and row["workload"] is None for row in found)


def test_frames_of_every_dtype_are_understood(ledger: Ledger) -> None:
    frame = pd.DataFrame([machine(), machine(id="b"), machine(id="c")])
    frame["gpus"] = pd.Series([8, None, 1], dtype="Int64")
    frame["gpu_memory_mib"] = [24576.0, None, 81920.0]
    frame["metered"] = pd.Series([True, None, False], dtype="boolean")
    frame["provider"] = pd.Series(["aws", None, "aws"], dtype="category")
    frame["hourly_usd"] = [32.7726, None, 0.000000001]
    frame["started_at"] = pd.Series([NOW, None, NOW], dtype="datetime64[us, Asia/Tokyo]")

    ledger.append("machines", frame)

    first, second, third = sorted(ledger.rows("raw_machines"), key=lambda row: str(row["id"]))
    assert (first["gpus"], first["gpu_memory_mib"], first["metered"]) == (8, 24576, True)
    assert first["hourly_usd"] == Decimal("32.7726")
    assert first["started_at"] == NOW
    named = ("gpus", "gpu_memory_mib", "metered", "provider", "hourly_usd", "started_at")
    assert {name: second[name] for name in named} == dict.fromkeys(named)
    assert third["hourly_usd"] == Decimal("0.000000001")


def test_words_and_numpy_values_are_taken_for_what_they_are(ledger: Ledger) -> None:
    class Word(StrEnum):
        NAME = "x"

    row = machine(
        state=MachineState.RUNNING,
        name=Word.NAME,
        gpus=np.int32(8),
        metered=np.bool_(True),  # noqa: FBT003
    )

    ledger.append("machines", [row])

    [found] = ledger.rows("machines")
    assert (found["state"], found["name"], found["gpus"], found["metered"]) == (
        "running",
        "x",
        8,
        True,
    )


@EITHER_WAY
def test_money_is_exact(ledger: Ledger, given: Given) -> None:
    amounts = ["0.000000001", "999999999.999999999", "-0.1", "0.1", "1E-7", "123.450000000"]
    rows = [charge(hours_ago=n, ListCost=Decimal(text)) for n, text in enumerate(amounts)]

    ledger.append("charges", given(rows))

    found = [row["ListCost"] for row in ledger.rows("charges")]
    assert sorted(map(str, found)) == sorted(
        str(Decimal(t).quantize(Decimal("1E-9"))) for t in amounts
    )
    assert sum(Decimal(str(each)) for each in found) == sum(map(Decimal, amounts))


@EITHER_WAY
def test_an_hour_that_the_clock_shows_twice_is_two_hours(ledger: Ledger, given: Given) -> None:
    """Berlin's clocks went back on 25 October 2026, from 03:00 to 02:00."""
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"), fold=0)
    second = first.replace(fold=1)
    rows = [
        reading(started_at=start, ended_at=start.astimezone(UTC) + timedelta(minutes=5))
        for start in (first, second)
    ]

    ledger.append("readings", given(rows))

    found = sorted(str(row["started_at"]) for row in ledger.rows("readings"))
    assert found == ["2026-10-25 00:30:00+00:00", "2026-10-25 01:30:00+00:00"]


@EITHER_WAY
def test_the_date_is_that_of_utc(ledger: Ledger, given: Given) -> None:
    late = datetime(2026, 11, 23, 23, 30, tzinfo=timezone(timedelta(hours=-5)))
    row = reading(started_at=late, ended_at=late + timedelta(minutes=5), date="2026-11-24")

    ledger.append("readings", given([row]))

    assert ledger.rows("readings")[0]["date"] == date(2026, 11, 24)


def test_the_host_s_time_zone_changes_nothing(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from tests.watchdog.ledger.facts import NOW, reading\n"
        "from watchdog.ledger.store import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "ledger.append('readings', [reading(60 * 10)])\n"
        "[row] = ledger.rows('readings_of', since=NOW.replace(hour=0, day=22))\n"
        "frame = ledger.query('readings')\n"
        "print(row['started_at'], row['date'], frame['started_at'][0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TZ": "America/New_York", "PYTHONTZPATH": "/nowhere"},
    )
    assert done.stdout.split("\n")[0] == (
        "2026-11-22 22:00:00+00:00 2026-11-22 2026-11-22 22:00:00+00:00"
    )


def test_a_table_that_is_none_is_named(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="has no table wishes; it has machines, readings,"):
        ledger.append("wishes", [{}])


def test_the_tables_hold_every_field_of_the_facts() -> None:
    fields = {"workload_group" if name == "group" else name for name in Run.__dataclass_fields__}
    assert fields == set(RUNS.names) - {"revision", "observed_at"}
    assert set(READING_COLUMNS) <= set(READINGS.names)


def test_what_a_query_gave_may_be_appended_again(ledger: Ledger) -> None:
    for table, row in ROW_OF.items():
        ledger.append(table, [row()])

    for table in TABLES:
        before = ledger.rows(table)
        assert ledger.append(table, ledger.query(f"raw_{table}")) == 1
        assert ledger.rows(table) == before


def test_a_hundred_commits_leave_checkpoints(ledger: Ledger, tmp_path: Path) -> None:
    for n in range(12):
        ledger.append("runs", [run(f"r{n}")])

    log = tmp_path / "ledger" / "runs" / "_delta_log"
    assert (log / "_last_checkpoint").exists()
    assert len(Ledger.open(str(tmp_path / "ledger")).rows("runs")) == 12
    assert {row["machine_id"] for row in ledger.rows("runs")} == {None}
    assert MACHINE not in ledger.objects("runs")
