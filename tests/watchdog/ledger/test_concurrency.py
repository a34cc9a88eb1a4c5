"""Several processes and one ledger."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from watchdog.ledger.delta import DeltaTables
from watchdog.ledger.objects import Objects
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import TABLES

WRITER = """
import sys
from tests.watchdog.ledger.facts import event, reading
from watchdog.ledger.store import Ledger
ledger = Ledger.open(sys.argv[1])
print('go', flush=True)
for n in range(int(sys.argv[3])):
    ledger.append('events', [event(f'{sys.argv[2]}/{n}'), event('same')])
    ledger.append('readings', [reading(5 * n), reading(5 * n, gpu=None)])
    print(n, flush=True)
"""


def writer(url: str, name: str, commits: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, url, name, str(commits)], stdout=subprocess.PIPE, text=True
    )


def test_writers_that_begin_together_lose_nothing(tmp_path: Path) -> None:
    """They also set up the ledger together."""
    writers = [writer(str(tmp_path / "ledger"), name, 20) for name in ("a", "b", "c")]
    for each in writers:
        each.communicate()

    assert [each.returncode for each in writers] == [0, 0, 0]
    ledger = Ledger.open(str(tmp_path / "ledger"))
    assert len(ledger.rows("events")) == 61
    assert len(ledger.rows("raw_events")) == 120
    assert len(ledger.rows("readings")) == 40
    info = ledger.info().set_index("table")
    assert info["version"]["events"] == 60, "one creation, and one commit an append"


def test_two_writers_of_a_bucket_lose_nothing(s3: AwsServer) -> None:
    writers = [writer(f"s3://{BUCKET}/led", name, 8) for name in ("a", "b")]
    for each in writers:
        each.communicate()

    assert [each.returncode for each in writers] == [0, 0]
    ledger = Ledger.open(f"s3://{BUCKET}/led")
    assert (len(ledger.rows("events")), len(ledger.rows("raw_events"))) == (17, 32)
    assert len(ledger.rows("readings")) == 16


@pytest.mark.parametrize("lines", [1, 4])
def test_a_killed_writer_loses_nothing_that_it_was_told_is_written(
    tmp_path: Path, lines: int
) -> None:
    each = writer(str(tmp_path), "a", 1000)
    assert each.stdout is not None
    told = [each.stdout.readline() for _ in range(lines + 1)]
    each.send_signal(signal.SIGKILL)
    told += each.communicate()[0].splitlines()

    ledger = Ledger.open(str(tmp_path))
    written = {str(row["n"]) for row in ledger.rows("events")}
    assert {f"a/{line.strip()}" for line in told if line.strip().isdigit()} <= written
    ledger.append("events", [])
    assert len(ledger.rows("readings")) >= 2 * (lines - 1)


def test_a_table_that_was_half_set_up_is_completed(tmp_path: Path) -> None:
    """Killed between two tables, or with an empty folder made."""
    whole = Ledger.open(str(tmp_path))
    tables = DeltaTables(whole._location, Objects(whole._location))
    for name in ("events", "runs"):
        log = tmp_path / name / "_delta_log"
        (log / "00000000000000000000.json").unlink()
        log.rmdir()
    (tmp_path / "runs").rmdir()

    again = Ledger.open(str(tmp_path))

    assert {tables.fresh(table).version() for table in TABLES.values()} == {0}
    assert again.rows("events") == []


def test_a_reader_sees_what_another_process_adds(tmp_path: Path) -> None:
    reader = Ledger.open(str(tmp_path))
    assert reader.rows("events") == []

    writer(str(tmp_path), "a", 2).communicate()
    assert len(reader.rows("events")) == 3
