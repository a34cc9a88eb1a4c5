"""`ledger verify` over ledgers that were really broken."""

import json
import random
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from tests.watchdog.ledger.facts import (
    MACHINE,
    NOW,
    attribution,
    charge,
    event,
    machine,
    patrol,
    reading,
    run,
)
from watchdog.ledger import verifying
from watchdog.ledger.store import Ledger
from watchdog.ledger.views import Query, query


def scope(until: str, region: str = "us-east-1") -> dict[str, str]:
    return {"provider": "aws", "account": "1", "region": region, "watched_until": until}


def filled(ledger: Ledger) -> Ledger:
    for n in range(3):
        at = NOW + timedelta(minutes=15 * n)
        ledger.append("machines", [machine(observed_at=at)])
        ledger.append("readings", [reading(60 * 12 * half, observed_at=at) for half in range(3)])
        ledger.append(
            "charges",
            [
                charge(phase, hours_ago=9 * half, observed_at=at)
                for half in range(3)
                for phase in ("idle", "active")
            ],
        )
        ledger.append("attributions", [attribution(observed_at=at)])
        ledger.append("runs", [run(revision=f"{n}", observed_at=at)])
        ledger.append("events", [event(f"{n}")])
        ledger.append(
            "patrols",
            [patrol(f"p{n}", at=at, scopes_json=json.dumps([scope(f"{at:%Y-%m-%dT%H:%M:%S}Z")]))],
        )
    return ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return filled(Ledger.open(str(tmp_path / "ledger")))


def found(ledger: Ledger, state: str = "broken") -> list[str]:
    checks = Ledger.open(ledger.url, read_only=True).verify().to_dict(orient="records")
    assert all("\n" not in check["told"] for check in checks)
    return [f"{check['what']}: {check['told']}" for check in checks if check["state"] == state]


def file_of(ledger: Ledger, table: str) -> Path:
    return min(Path(ledger.url, table).rglob("*.parquet"))


def test_a_whole_ledger(anywhere: Callable[[], Ledger]) -> None:
    ledger = filled(anywhere())
    ledger.drop_in_inbox("events", [event("dropped")])
    assert found(ledger) == []
    fine = found(ledger, "fine")
    assert "charges: 6 files with 18 rows; log, columns and bytes are whole" in fine
    assert "keys of charges: 6 rows in the view, each key once" in fine
    assert "watermarks: 1 scope, each watched ever further" in fine
    assert "inbox: 1 object waiting, all readable" in fine
    ledger.compact()
    assert found(ledger) == []
    assert found(ledger, "note")[0].startswith("machines: 3 files (")


def test_no_ledger_at_all(tmp_path: Path) -> None:
    absent = Ledger.open(str(tmp_path / "absent"), read_only=True)
    assert "there is none yet" in found(absent)[0]


def test_a_data_file_that_is_gone(ledger: Ledger) -> None:
    file = file_of(ledger, "charges")
    file.unlink()
    (fault,) = found(ledger)
    assert fault.startswith(f"charges: charges/{file.parent.name}/{file.name} is missing")
    assert "keys of charges: not looked at, for the table charges is broken" in found(
        ledger, "note"
    )


def test_a_data_file_that_was_cut_off(ledger: Ledger) -> None:
    file = file_of(ledger, "runs")
    file.write_bytes(file.read_bytes()[:-40])
    (fault,) = found(ledger)
    assert "bytes, not" in fault


def test_one_byte_that_was_changed(ledger: Ledger) -> None:
    """Whichever it is: a third of them would be read as if nothing were wrong."""
    file = file_of(ledger, "charges")
    whole = file.read_bytes()
    chance = random.Random(7)
    for place in chance.sample(range(len(whole)), 8):
        changed = bytearray(whole)
        changed[place] ^= chance.randint(1, 255)
        file.write_bytes(bytes(changed))
        (fault,) = found(ledger)
        assert "was changed since it was written" in fault
    file.write_bytes(whole)
    assert found(ledger) == []


def without_digest(ledger: Ledger, table: str, change: str = "*") -> Path:
    """The table's first file under a name that says nothing of its bytes, as older ones have.

    `change`: what its rows become, as SQL.
    """
    delta = DeltaTable(f"{ledger.url}/{table}")
    (old, *_) = sorted(delta.get_add_actions(flatten=True)["path"].to_pylist())
    day = {"date": old.split("/")[0].removeprefix("date=")} if "/" in old else {}
    source, name = Path(ledger.url, table, old), str(Path(old).with_name("part-0.parquet"))
    target = Path(ledger.url, table, name)
    duckdb.execute("set TimeZone = 'UTC'")
    duckdb.execute(
        f"copy (select {change} from read_parquet('{source}', hive_partitioning = false))"
        f" to '{target}' (format parquet)"
    )
    [[rows]] = duckdb.execute(f"select count(*) from read_parquet('{target}')").fetchall()
    size, data_change = target.stat().st_size, False
    actions: list[AddAction | RemoveAction] = [
        AddAction(name, size, day, 0, data_change, json.dumps({"numRecords": rows})),
        RemoveAction(path=old, data_change=False, deletion_timestamp=0, partition_values=day),
    ]
    delta.create_write_transaction(
        actions, mode="append", schema=delta.schema(), partition_by=list(day)
    )
    return target


def test_files_of_older_versions_are_read_too(ledger: Ledger) -> None:
    file = without_digest(ledger, "charges")
    assert found(ledger) == []
    whole = file.read_bytes()
    file.write_bytes(whole[:4] + bytes(200) + whole[204:])
    (fault,) = found(ledger)
    assert "cannot be read" in fault


@pytest.mark.parametrize(
    ("table", "change", "told"),
    [
        ("runs", "* replace (null as workload)", "1 row without a value that every row needs"),
        (
            "charges",
            "* replace (ChargePeriodStart + interval 3 day as ChargePeriodStart)",
            "rows of another day than its folder says",
        ),
        ("events", "* exclude (machine)", 'cannot be read (Binder Error: Referenced column "mach'),
        ("charges", "* replace (-ListCost as ListCost)", "4 rows with a negative ListCost"),
    ],
)
def test_rows_that_no_writer_of_ours_writes(
    ledger: Ledger, table: str, change: str, told: str
) -> None:
    without_digest(ledger, table, change)
    assert any(told in fault for fault in found(ledger))


def test_a_log_that_tells_other_rows_than_the_file(ledger: Ledger) -> None:
    commit = Path(ledger.url, "runs/_delta_log/00000000000000000002.json")
    commit.write_text(commit.read_text().replace('numRecords\\": 1', 'numRecords\\": 7'))
    (fault,) = found(ledger)
    assert "has 1 row, and the log says 7" in fault


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_damaged_commit(ledger: Ledger, number: int) -> None:
    commit = Path(ledger.url, f"events/_delta_log/{number:020}.json")
    commit.write_bytes(commit.read_bytes()[:50])
    faults = found(ledger)
    assert faults[0].startswith("events: does not open: ")
    assert any(f"{number:020}.json is damaged" in fault for fault in faults)
    assert "charges: 6 files" in " ".join(found(ledger, "fine"))


def test_a_damaged_commit_behind_a_checkpoint(ledger: Ledger) -> None:
    for n in range(12):
        ledger.append("events", [event(f"more {n}")])
    commit = Path(ledger.url, "events/_delta_log/00000000000000000002.json")
    whole = commit.read_bytes()
    commit.write_bytes(whole[:50])
    assert found(ledger) == [
        "events: events/_delta_log/00000000000000000002.json is damaged: restore it from a backup"
    ]
    commit.unlink()
    (fault,) = found(ledger)
    assert "its log lacks the commits from 2 to 2" in fault


def test_any_byte_of_a_log_is_told_or_harmless(ledger: Ledger) -> None:
    chance = random.Random(3)
    log = sorted(Path(ledger.url, "runs/_delta_log").iterdir())
    for _ in range(12):
        commit = chance.choice(log)
        whole = commit.read_bytes()
        changed = bytearray(whole)
        changed[chance.randrange(len(whole))] = chance.randrange(256)
        commit.write_bytes(bytes(changed))
        for fault in found(ledger):
            assert fault.startswith(("runs: ", "keys of runs: "))
        commit.write_bytes(whole)


def test_columns_of_another_type(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path))
    commit = Path(ledger.url, "charges/_delta_log/00000000000000000000.json")
    commit.write_text(commit.read_text().replace("decimal(18,9)", "double", 1))
    assert "charges: ConsumedQuantity is double, not decimal(18,9)" in found(ledger)


def test_an_hour_that_counts_twice(ledger: Ledger) -> None:
    ledger.append(
        "charges", [charge("hung", ConsumedUnit="Hours", ConsumedQuantity=Decimal("1.2"))]
    )
    (fault,) = found(ledger)
    assert fault == (
        f"charges: 1 hour counted twice, the first {MACHINE} at 2026-11-23 07:00 UTC"
        " (1.2 hours in it)"
    )


def test_two_patrols_of_one_moment_that_disagree_are_no_fault(ledger: Ledger) -> None:
    for usd in (1, 2):
        ledger.append("charges", [charge(hours_ago=50, ListCost=Decimal(usd), x_Basis=str(usd))])
    assert found(ledger) == []


def test_a_watermark_that_went_back_or_ahead(ledger: Ledger) -> None:
    late = NOW + timedelta(days=1)
    told = [scope("2026-11-23T07:00:00Z"), scope("2027-01-01T00:00:00Z", "eu-west-1")]
    ledger.append("patrols", [patrol("late", at=late, scopes_json=json.dumps(told))])
    ahead, back = found(ledger)
    assert ahead == "watermarks: aws:1:eu-west-1: 1 patrol watched it until after the patrol itself"
    assert back.startswith("watermarks: aws:1:us-east-1: 1 patrol watched it less far than one bef")


def test_scopes_that_nobody_can_read(ledger: Ledger) -> None:
    ledger.append("patrols", [patrol("odd", scopes_json="{no json")])
    (fault,) = found(ledger)
    assert fault.startswith("watermarks: cannot be read: ")


def test_an_inbox_that_cannot_be_folded_in(ledger: Ledger) -> None:
    ledger.put_once("inbox/runs/odd.json", b"{")
    ledger.put_once("inbox/rejected/runs/older.json", b"{")
    (fault,) = found(ledger)
    assert fault.startswith("inbox: inbox/runs/odd.json: is no whole JSON")
    assert found(ledger, "note") == [
        "inbox: 1 object put aside in inbox/rejected: mend them and move them back, or delete them"
    ]
    assert ledger.objects("inbox/runs") == ["inbox/runs/odd.json"]


def test_what_a_killed_writer_left_is_no_fault(ledger: Ledger) -> None:
    Path(ledger.url, "runs/part-left.parquet").write_bytes(b"half a file")
    assert found(ledger) == []
    (told,) = found(ledger, "note")
    assert told.startswith("runs: 1 file (11 bytes) that the table does not refer to")


def test_it_changes_nothing(ledger: Ledger) -> None:
    def state() -> dict[str, Any]:
        return {str(p): p.stat().st_mtime_ns for p in Path(ledger.url).rglob("*") if p.is_file()}

    before = state()
    found(ledger)
    assert state() == before


def test_a_view_that_shows_superseded_rows(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a view would that forgot its key."""

    def forgetful(name: str) -> Query:
        return query(name if name.startswith("raw_") else f"raw_{name}")

    monkeypatch.setattr(verifying, "query", forgetful)
    faults = found(ledger)
    assert "keys of charges: the view shows 12 rows of a key twice" in faults
    assert any("6 hours counted twice" in f or "3 hours counted twice" in f for f in faults)
    assert any("ListCost: the view adds up to 294.95" in fault for fault in faults)
