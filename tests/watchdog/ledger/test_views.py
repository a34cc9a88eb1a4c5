"""What the views show of the tables."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pandas as pd
import pytest

from tests.watchdog.ledger.facts import (
    MACHINE,
    NOW,
    ROW_OF,
    Row,
    attribution,
    charge,
    event,
    machine,
    patrol,
    reading,
    run,
)
from watchdog.ledger.store import Ledger, LedgerError
from watchdog.ledger.tables import TABLES
from watchdog.ledger.views import FOLDER, names, query
from watchdog.rows import run_from
from watchdog.storage_attribution import buckets_of_runs

LATER = NOW + timedelta(minutes=15)
MIB = 2**20


def given(view: str) -> Row:
    """Something for each parameter of a view that is not optional."""
    asked = query(view)
    known = {"since": NOW, "until": NOW, "by": "workload", "threshold_pct": 5.0, "period_s": 300}
    known |= {"transfer_bytes_per_s": 5e5, "parked_mib": 500.0, "detailed_from": NOW}
    known |= {"prefix": "slurm:"}
    return {name: known[name] for name in asked.parameters - asked.optional}


@pytest.mark.parametrize("view", [*names(), *(f"raw_{table}" for table in TABLES)])
def test_every_view_works_on_an_empty_ledger(ledger: Ledger, view: str) -> None:
    assert ledger.rows(view, **given(view)) == []
    assert ledger.query(view, **given(view)).empty


@pytest.mark.parametrize("view", names())
def test_every_view_says_what_a_row_is(view: str) -> None:
    text = (FOLDER / f"{view}.sql").read_text(encoding="utf-8")
    assert text.startswith("-- A row: ")


@pytest.mark.parametrize("table", TABLES)
def test_a_view_has_the_columns_of_its_table(ledger: Ledger, table: str) -> None:
    more = ("told_by",) if table == "runs" else ()
    assert tuple(ledger.query(table).columns) == (*TABLES[table].names, *more)


@pytest.mark.parametrize(
    ("table", "old", "new"),
    [
        ("readings", reading(pct=0.0), reading(pct=40.0, observed_at=LATER)),
        ("readings", reading(gpu=None), reading(gpu=None, pct=40.0, observed_at=LATER)),
        ("runs", run(outcome="running"), run(revision="b", observed_at=LATER)),
        ("events", event(), event(detail_json="{}", observed_at=LATER)),
        ("patrols", patrol(), patrol(at=LATER, mode="observe")),
        ("charges", charge(), charge(ListCost=Decimal(1), observed_at=LATER)),
        ("attributions", attribution(), attribution(owner="ann", observed_at=LATER)),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_the_newest_row_of_a_key_is_shown(
    ledger: Ledger, table: str, old: Row, new: Row, order: int
) -> None:
    for row in [old, new][::order]:
        ledger.append(table, [row])

    [found] = ledger.rows(table)
    assert {name: found[name] for name in new} == new
    assert len(ledger.rows(f"raw_{table}")) == 2


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_was_appended_twice_is_shown_once(ledger: Ledger, table: str) -> None:
    row = ROW_OF[table]()
    ledger.append(table, [row, row])
    ledger.append(table, [row])

    assert len(ledger.rows(table)) == 1


@pytest.mark.parametrize(
    ("table", "changes"),
    [
        ("readings", {"gpu": None}),
        ("readings", {"source": "nvml"}),
        ("readings", {"started_at": NOW}),
        ("readings", {"resource": "b"}),
        ("charges", {"x_Phase": "active"}),
        ("charges", {"x_Meter": "egress"}),
        ("charges", {"ChargePeriodStart": NOW}),
        ("attributions", {"rule": "run r2", "share": 0.5}),
        ("attributions", {"started_at": NOW}),
        ("attributions", {"gpu": "0"}),
        ("machines", {"observed_at": LATER}),
        ("events", {"n": "2"}),
        ("runs", {"run_id": "r2"}),
    ],
)
def test_rows_of_other_keys_stand_side_by_side(ledger: Ledger, table: str, changes: Row) -> None:
    ledger.append(table, [ROW_OF[table](), ROW_OF[table](**changes)])

    assert len(ledger.rows(table)) == 2


def test_a_phase_that_vanished_is_gone(ledger: Ledger) -> None:
    other = charge("active", hours_ago=2)
    ledger.append("charges", [charge("idle"), charge("unknown"), other])
    ledger.append("charges", [charge("idle", ListCost=Decimal(9), observed_at=LATER)])

    found = {
        (row["ChargePeriodStart"], row["x_Phase"]): row["ListCost"]
        for row in ledger.rows("charges")
    }
    assert found == {
        (charge()["ChargePeriodStart"], "idle"): Decimal(9),
        (other["ChargePeriodStart"], "active"): Decimal("16.3863"),
    }


def test_a_part_of_an_hour_belongs_to_the_hour(ledger: Ledger) -> None:
    """A boot within an hour may move the start of its rows; they are the same hour's."""
    late = charge("active")
    late["ChargePeriodStart"] += timedelta(minutes=20)
    ledger.append("charges", [charge("idle")])
    ledger.append("charges", [late | {"observed_at": LATER}])

    assert [row["x_Phase"] for row in ledger.rows("charges")] == ["active"]


def test_an_unpriced_charge_has_no_cost(ledger: Ledger) -> None:
    ledger.append("charges", [charge(ListCost=None)])

    assert ledger.rows("charges")[0]["ListCost"] is None


def test_a_new_tag_re_attributes_the_past_as_a_whole(ledger: Ledger) -> None:
    shared = [attribution(rule=f"run r{n}", share=0.5) for n in (1, 2)]
    after = attribution(started_at=NOW, rule="run r3")
    ledger.append("attributions", [*shared, after, attribution(resource="other")])
    assert len(ledger.rows("attributions")) == 4

    ledger.append("attributions", [attribution(workload="mixtral", observed_at=LATER)])

    found = {(row["resource"], row["workload"]) for row in ledger.rows("attributions")}
    assert found == {(MACHINE, "mixtral"), ("other", "llama")}


def test_machines_now(ledger: Ledger) -> None:
    ledger.append("machines", [machine(), machine(id="b", observed_at=LATER)])
    ledger.append("machines", [machine(state="stopped", observed_at=LATER)])

    states = {row["id"]: row["state"] for row in ledger.rows("machines_now")}
    assert states == {MACHINE: "stopped", "b": "running"}


def test_watermarks(ledger: Ledger) -> None:
    scopes = (
        '[{"provider": "aws", "account": "1", "region": "eu-west-1",'
        ' "watched_from": "2026-11-09T08:00:00Z", "watched_until": "2026-11-23T08:00:00Z"},'
        ' {"provider": "local", "account": null, "region": null,'
        ' "watched_from": "2026-11-23T07:00:00Z", "watched_until": "2026-11-23T08:00:00Z"}]'
    )
    later = scopes.replace("-23T08", "-23T09").replace("-09T08", "-23T05")
    ledger.append("patrols", [patrol("a", scopes_json=scopes), patrol("b", scopes_json=later)])
    ledger.append("patrols", [patrol("c", scopes_json="[]"), patrol("d")])

    found = {row["provider"]: row for row in ledger.rows("watermarks")}
    assert found == {
        "aws": {
            "provider": "aws",
            "account": "1",
            "region": "eu-west-1",
            "watched_from": datetime(2026, 11, 9, 8, tzinfo=UTC),
            "watched_until": datetime(2026, 11, 23, 9, tzinfo=UTC),
        },
        "local": {
            "provider": "local",
            "account": None,
            "region": None,
            "watched_from": datetime(2026, 11, 23, 7, tzinfo=UTC),
            "watched_until": datetime(2026, 11, 23, 9, tzinfo=UTC),
        },
    }


def minutes_ago(minutes: float) -> datetime:
    return NOW - timedelta(minutes=minutes)


def last_activity(ledger: Ledger, rows: list[Row], **parameters: object) -> Row:
    ledger.append("machines", [machine()])
    ledger.append("readings", rows)
    [found] = ledger.rows("last_activity", **{"threshold_pct": 5.0, **parameters})
    assert found.pop("resource") == MACHINE
    return found


def test_last_activity_is_the_end_of_the_last_busy_interval(ledger: Ledger) -> None:
    rows = [
        reading(30, 0.0),
        reading(25, 80.0),
        reading(20, 5.0),
        reading(15, 4.9),
        reading(5, 0.0),
    ]

    assert last_activity(ledger, rows) == {
        "seen_from": minutes_ago(30),
        "measured_until": NOW,
        "first_active_at": minutes_ago(25),
        "last_active_at": minutes_ago(15),
        "quiet_measured_s": 600.0,
    }


def test_one_busy_gpu_of_two_is_activity(ledger: Ledger) -> None:
    rows = [reading(10, 0.0), reading(10, 90.0, gpu="1"), reading(5, 0.0), reading(5, 0.0, gpu="1")]

    found = last_activity(ledger, rows)
    assert found["last_active_at"] == minutes_ago(5)
    assert found["quiet_measured_s"] == 300.0


def test_what_was_not_measured_is_not_quiet(ledger: Ledger) -> None:
    found = last_activity(
        ledger, [reading(15, 50.0), reading(10, None, power_w=60.0), reading(5, 0.0)]
    )

    assert found["last_active_at"] == minutes_ago(10)
    assert found["quiet_measured_s"] == 300.0


def test_a_machine_that_never_worked_was_quiet_since_it_was_seen(ledger: Ledger) -> None:
    found = last_activity(ledger, [reading(15), reading(10)])

    assert (found["first_active_at"], found["last_active_at"]) == (None, None)
    assert found["seen_from"] == minutes_ago(15)
    assert found["quiet_measured_s"] == 600.0


def test_a_busy_host_is_no_busy_gpu_but_stands_in_for_none(ledger: Ledger) -> None:
    host = reading(10, 60.0, gpu=None)

    assert last_activity(ledger, [host, reading(10, 0.0)])["last_active_at"] is None
    ledger.append("readings", [reading(20, 60.0, gpu=None)])
    [found] = ledger.rows("last_activity", threshold_pct=5.0)
    assert found["last_active_at"] == minutes_ago(15)


def test_a_transfer_is_activity_but_not_the_first(ledger: Ledger) -> None:
    rows = [reading(10, 0.0), reading(10, 1.0, gpu=None, received_bytes=300.0 * MIB), reading(5)]

    still = last_activity(ledger, rows)
    assert still["last_active_at"] is None
    [found] = ledger.rows("last_activity", threshold_pct=5.0, transfer_bytes_per_s=float(MIB))
    assert (found["first_active_at"], found["last_active_at"]) == (None, minutes_ago(5))


def test_only_the_present_boot_and_the_time_that_is_asked_for(ledger: Ledger) -> None:
    before_boot = reading(60 * 72, 90.0)
    rows = [before_boot, reading(60, 90.0), reading(30, 0.0), reading(5, 90.0)]

    found = last_activity(ledger, rows, until=minutes_ago(20))
    assert found["first_active_at"] == minutes_ago(60)
    assert found["last_active_at"] == minutes_ago(55)
    assert found["measured_until"] == minutes_ago(25)
    [later] = ledger.rows("last_activity", threshold_pct=5.0, since=minutes_ago(30))
    assert later["seen_from"] == minutes_ago(30)


def test_seconds_that_were_measured_twice_count_once(ledger: Ledger) -> None:
    hour = reading(60, 0.0, ended_at=NOW)
    again = [reading(pct=0.0, minutes_ago=m, observed_at=LATER) for m in (60, 30, 5)]

    assert last_activity(ledger, [hour, *again])["quiet_measured_s"] == 3600.0


def test_readings_of(ledger: Ledger) -> None:
    rows = [reading(60 * 24 * days, resource=name) for days in (0, 1, 2) for name in ("a", "b")]
    ledger.append("readings", rows)

    def found(**parameters: object) -> list[tuple[object, object]]:
        told = ledger.rows("readings_of", **parameters)
        return sorted((row["resource"], row["started_at"]) for row in told)

    yesterday = NOW - timedelta(days=1)
    assert found(since=yesterday) == [("a", yesterday), ("a", NOW), ("b", yesterday), ("b", NOW)]
    assert found(since=yesterday, resources=["b", "c"]) == [("b", yesterday), ("b", NOW)]
    assert found(since=yesterday, resources=[]) == []


def test_days_that_are_not_asked_for_are_not_opened(ledger: Ledger) -> None:
    ledger.append("readings", [reading(60 * 24 * days) for days in range(5)])
    for file in Path(ledger.url).glob("readings/date=2026-11-22/*.parquet"):
        file.unlink()

    assert len(ledger.rows("readings_of", since=NOW)) == 1
    with pytest.raises(LedgerError, match="a data file is missing or cut off"):
        ledger.rows("readings")


def test_parameters_are_checked(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="the parameter since of the query is missing"):
        ledger.rows("readings_of")
    with pytest.raises(LedgerError, match="the parameter when of the query is unknown"):
        ledger.rows("runs", when=NOW)
    with pytest.raises(LedgerError, match="the parameter since of the query is naive"):
        ledger.rows("readings_of", since=NOW.replace(tzinfo=None))
    with pytest.raises(LedgerError, match="the ledger has no view wishes; it has attributions,"):
        ledger.rows("wishes")


def test_rows_are_python_values_and_frames_are_frames(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()
    ledger.append("machines", [machine(gpus=None, hourly_usd=Decimal("1.5"))])

    [row] = ledger.rows("machines")
    assert row["observed_at"] == NOW
    assert getattr(row["observed_at"], "tzinfo", None) is UTC
    assert (row["gpus"], row["hourly_usd"], row["metered"]) == (None, Decimal("1.5"), True)
    frame = ledger.query("machines")
    assert isinstance(frame, pd.DataFrame)
    assert str(frame["observed_at"].dtype).endswith("UTC]")
    assert frame["hourly_usd"].tolist() == [1.5]


def test_buckets_that_runs_name_are_those_that_runs_are_found_by(ledger: Ledger) -> None:
    told: tuple[Row, ...] = (
        {"data": "s3://corpus/part-1 s3a://tokens.v2/x"},
        {"aliases": "mlflow:1;s3://artefacts/7"},
        {"config": "--out s3n://corpus"},
        {"data": "gs://elsewhere/x and S3://Shouted and s3://-bad"},
        {},
    )
    several = [run(run_id=f"r{n}", **fields) for n, fields in enumerate(told)]
    ledger.append("runs", several)
    named = {str(row["bucket"]) for row in ledger.rows("buckets_named")}
    assert named == set(buckets_of_runs(map(run_from, ledger.rows("runs"))))
    assert named == {"corpus", "tokens.v2", "artefacts"}
