"""Compaction: smaller, the same to look at, and safe beside those who append."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from tests.watchdog.ledger.facts import (
    NOW,
    ROW_OF,
    attribution,
    charge,
    event,
    machine,
    reading,
    run,
)
from watchdog.ledger.compaction import compact
from watchdog.ledger.datafiles import written
from watchdog.ledger.delta import files_of
from watchdog.ledger.failures import LedgerBusyError
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import EVENTS, READINGS, TABLES
from watchdog.ledger.tidying import Tidying
from watchdog.ledger.views import query

LATER = NOW + timedelta(minutes=15)


def told_twice(ledger: Ledger) -> None:
    """Each table has superseded rows; the partitioned ones have several days."""
    readings = [reading(60 * 12 * half) for half in range(4)]
    charges = [charge(hours_ago=12 * half) for half in range(4)]
    for n in range(2):
        now = NOW + timedelta(minutes=15 * n)
        ledger.append("machines", [machine(observed_at=now), machine()])
        ledger.append("readings", [row | {"observed_at": now} for row in readings])
        ledger.append("charges", [row | {"observed_at": now} for row in charges])
        ledger.append("attributions", [attribution(observed_at=now)])
        ledger.append("runs", [run(revision=str(n), observed_at=now), run("r2")])
        ledger.append("events", [event(observed_at=now)])
        ledger.append("storage", [ROW_OF["storage"]()])
        ledger.append("patrols", [ROW_OF["patrols"]()])


def everything(ledger: Ledger) -> dict[str, list[str]]:
    return {table: sorted(repr(row) for row in ledger.rows(table)) for table in TABLES}


def test_the_newest_rows_alone_are_left(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()
    told_twice(ledger)
    before = everything(ledger)

    done = ledger.compact().set_index("table")

    assert everything(ledger) == before == everything(anywhere())
    info = ledger.info().set_index("table")
    assert (info["rows"] == info["distinct_keys"]).all() or info["rows"]["machines"] == 2
    assert done["rows_before"].to_dict()["readings"] == 8
    assert done["rows_after"].to_dict() == info["rows"].to_dict()
    assert info["rows"].to_dict() == {
        "machines": 2,
        "readings": 4,
        "runs": 2,
        "attributions": 1,
        "charges": 4,
        "storage": 1,
        "prices": 0,
        "spot_prices": 0,
        "events": 1,
        "patrols": 1,
    }
    assert info["files"].to_dict()["events"] == 1
    assert info["files"].to_dict()["readings"] == 3


def test_what_is_compact_is_left_alone(ledger: Ledger) -> None:
    told_twice(ledger)
    ledger.compact()
    before = ledger.info()["version"].tolist()

    ledger.compact()
    assert ledger.info()["version"].tolist() == before

    ledger.append("readings", [reading()])
    ledger.compact()
    assert ledger.info()["files"].to_dict() == ledger.info()["files"].to_dict()
    assert ledger.info().set_index("table")["files"]["readings"] == 3


def rewritten(ledger: Ledger) -> Callable[[], None]:
    """A compaction of the events that has read them and has yet to put its file in their place."""
    tables, engine = ledger._tables, ledger._engine
    seen = tables.snapshot(EVENTS)
    files = files_of(EVENTS, seen)
    engine.show(EVENTS, seen, in_folder=ledger._location.folder is not None)
    added = written(
        engine.connection, query("events").sql, EVENTS, ledger._location, ledger._objects
    )
    return lambda: tables.replace(EVENTS, seen, added, files)


def test_an_append_between_reading_and_replacing_stays(anywhere: Callable[[], Ledger]) -> None:
    ledger, other = anywhere(), anywhere()
    told_twice(ledger)
    replace = rewritten(ledger)

    other.append("events", [event("2"), event(observed_at=LATER, detail_json="newest")])
    replace()

    found = {row["n"]: row["detail_json"] for row in anywhere().rows("events")}
    assert found == {"finding/1": "newest", "2": None}


def test_of_two_compactions_at_once_the_later_gives_up(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()
    told_twice(ledger)
    before = everything(ledger)
    replace = rewritten(ledger)

    anywhere().compact()
    with pytest.raises(LedgerBusyError):
        replace()

    assert everything(ledger) == before
    assert ledger.info().set_index("table")["rows"]["events"] == 1
    ledger.compact()
    assert everything(ledger) == before


@pytest.mark.slow
def test_appends_beside_compactions_are_all_there(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path))
    code = (
        "import sys\n"
        "from tests.watchdog.ledger.facts import charge, event\n"
        "from watchdog.ledger.store import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "for n in range(60):\n"
        "    ledger.append('events', [event(f'{sys.argv[2]}/{n}'), event('same')])\n"
        "    ledger.append('charges', [charge(hours_ago=n), charge(sys.argv[2], hours_ago=n)])\n"
    )
    writers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name]) for name in ("a", "b")
    ]
    compactions = 0
    while any(writer.poll() is None for writer in writers):
        for table in ("events", "charges"):
            compact(TABLES[table], ledger._place, Tidying())
        compactions += 1

    assert [writer.returncode for writer in writers] == [0, 0]
    assert compactions > 3
    assert len(ledger.rows("events")) == 121
    assert len(ledger.rows("charges")) == 180
    ledger.compact()
    assert (len(ledger.rows("events")), len(ledger.rows("charges"))) == (121, 180)


def test_a_compaction_that_fails_leaves_all_as_it_was(ledger: Ledger, tmp_path: Path) -> None:
    told_twice(ledger)
    before = everything(ledger)
    parts = sorted((tmp_path / "ledger").rglob("*.parquet"))
    part = next(each for each in parts if "runs" in each.parts)
    body = part.read_bytes()
    part.write_bytes(body[:-10])

    with pytest.raises(Exception, match="a data file is missing or cut off"):
        ledger.compact()

    part.write_bytes(body)
    assert everything(ledger) == before


def test_replaced_files_are_deleted_after_a_week(ledger: Ledger, tmp_path: Path) -> None:
    told_twice(ledger)
    orphan = tmp_path / "ledger/readings/date=2026-11-23/part-of-a-killed-writer.parquet"
    orphan.write_bytes(b"")
    ledger.compact()
    assert orphan.exists()

    week_ago = time.time() - 8 * 24 * 3600
    os.utime(orphan, (week_ago, week_ago))

    done = ledger.compact().set_index("table")
    assert done["old_files_deleted"]["readings"] == 1
    assert not orphan.exists()
    assert len(ledger.rows("readings")) == 4


def test_others_cannot_overwrite_or_delete(ledger: Ledger) -> None:
    """The tables are append-only for every engine; compaction says that it only rearranges."""
    ledger.append("events", [event()])
    ledger.compact()
    commit = Path(ledger.url, "events/_delta_log/00000000000000000002.json").read_text()
    assert (commit.count('"add"'), commit.count('"remove"')) == (1, 1)
    assert '"dataChange":true' not in commit
    delta = DeltaTable(f"{ledger.url}/events")
    same = duckdb.read_parquet(delta.file_uris())

    with pytest.raises(DeltaError):
        delta.delete()
    with pytest.raises(DeltaError):
        write_deltalake(delta, same, mode="overwrite")
    assert len(ledger.rows("events")) == 1


def test_another_reader_of_delta_sees_what_we_see(ledger: Ledger) -> None:
    ledger.append("charges", [charge(hours_ago=n, ListCost=Decimal(n)) for n in range(40)])
    ledger.append("readings", [reading(60 * n, gpu=None) for n in range(40)])

    for _ in range(2):
        for table, what in (("charges", "sum(ListCost)"), ("readings", "min(started_at)")):
            scanned = duckdb.from_arrow(DeltaTable(f"{ledger.url}/{table}").scan())
            raw = ledger._engine
            ledger.rows(table)
            ours = raw.connection.sql(f"select count(*), {what} from raw_{table}").fetchall()
            assert scanned.aggregate(f"count(*), {what}").fetchall() == ours
            assert ours[0][0] == 40
        ledger.compact()
    fields = {
        field.name: field.type.type for field in DeltaTable(f"{ledger.url}/charges").schema().fields
    }
    assert fields["ListCost"] == "decimal(18,9)"
    assert fields["ChargePeriodStart"] == "timestamp"
    assert READINGS.partitions == ("date",)
