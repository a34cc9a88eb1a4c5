"""The inbox: dropped by those who may do nothing else, folded in by the next who may write."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from tests.watchdog.ledger.facts import NOW, ROW_OF, event, run
from watchdog.ledger import inbox
from watchdog.ledger.objects import Objects
from watchdog.ledger.store import Ledger, LedgerError
from watchdog.ledger.tables import TABLES


def test_what_was_dropped_is_folded_in_once(anywhere: Callable[[], Ledger]) -> None:
    box = anywhere()
    key = box.drop_in_inbox("runs", [run(cost_usd=Decimal("0.000000001"))])
    assert key.startswith("inbox/runs/")

    ledger = anywhere()
    assert ledger.fold_inbox().counts == {"runs": 1}
    assert ledger.fold_inbox().counts == {}

    [found] = ledger.rows("runs")
    assert (found["started_at"], found["cost_usd"]) == (run()["started_at"], Decimal("1E-9"))
    assert ledger.objects("inbox") == []


@pytest.mark.parametrize("table", TABLES)
def test_a_row_of_any_table_survives_the_inbox(ledger: Ledger, table: str) -> None:
    row = ROW_OF[table]()
    ledger.append(table, [row])
    direct = ledger.rows(table)

    ledger.drop_in_inbox(table, [row])

    assert ledger.fold_inbox().counts == {table: 1}
    assert ledger.rows(table) == direct


def test_many_objects_are_one_commit(ledger: Ledger) -> None:
    for n in range(30):
        ledger.drop_in_inbox("events", [event(str(n)), event(f"{n}b")])

    assert ledger.fold_inbox().counts == {"events": 60}
    assert ledger.info().set_index("table")["version"]["events"] == 1


def test_dropping_needs_no_right_but_to_put(s3: AwsServer) -> None:
    Ledger.open(f"s3://{BUCKET}/led", read_only=True).drop_in_inbox("runs", [run()])

    assert s3.calls == {"s3:PUT": 1}


def test_dropping_needs_no_ledger_yet(tmp_path: Path) -> None:
    place = str(tmp_path / "new")
    Ledger.open(place, read_only=True).drop_in_inbox("runs", [run()])

    assert Ledger.open(place).fold_inbox().counts == {"runs": 1}


@pytest.mark.parametrize(
    ("kind", "row", "said"),
    [
        ("wishes", {}, "there is no table wishes"),
        ("runs", run(gpus=1.5), "runs: row 1: gpus: 1.5 is no whole number"),
        ("runs", run(started_at=None), "runs: row 1: started_at: is missing"),
    ],
)
def test_what_cannot_be_folded_in_is_not_dropped(
    ledger: Ledger, kind: str, row: dict[str, object], said: str
) -> None:
    with pytest.raises(LedgerError, match=said):
        ledger.drop_in_inbox(kind, [row])
    assert ledger.objects("inbox") == []


def letter(**changes: Any) -> bytes:
    row = {
        **run(),
        "started_at": "2026-11-23T06:00:00Z",
        "observed_at": "2026-11-23T08:00:00+00:00",
    }
    told = {"schema": "spend-watchdog/inbox/1", "table": "runs", "rows": [row]}
    return json.dumps({**told, **changes}).encode()


def with_row(**changes: Any) -> bytes:
    told = json.loads(letter())
    return letter(rows=[{**told["rows"][0], **changes}])


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (letter()[:60], "is no whole JSON"),
        (b"", "is no whole JSON"),
        (b"\xff\xfe\x00", "is no whole JSON"),
        (b"[]", "is not of the schema spend-watchdog/inbox/1"),
        (letter(schema="spend-watchdog/inbox/9"), "is not of the schema spend-watchdog/inbox/1"),
        (letter(table="wishes"), "names no table of the ledger, but 'wishes'"),
        (letter(table=["runs"]), "names no table of the ledger"),
        (letter(rows={}), "has no list of rows"),
        (letter(rows=[1]), "has no list of rows"),
        (
            with_row(started_at="yesterday"),
            "started_at: 'yesterday' is no timestamp with time zone",
        ),
        (with_row(started_at="2026-11-23T06:00:00"), "started_at: .* has no time zone"),
        (with_row(cost_usd="dear"), r"cost_usd: 'dear' is no decimal\(18,9\)"),
        (with_row(cost_usd="1e-12"), "cost_usd: .* has more than nine decimals"),
        (with_row(gpus="many"), "runs: row 1: gpus: 'many' is no whole number"),
        (with_row(wish=1), "runs: there is no column wish"),
        (with_row(run_id=None), "runs: row 1: run_id: is missing"),
    ],
)
def test_an_object_that_cannot_be_read_is_put_aside_and_told(
    ledger: Ledger, body: bytes, said: str
) -> None:
    ledger.put_once("inbox/runs/bad.json", body)
    ledger.drop_in_inbox("runs", [run()])

    folded = ledger.fold_inbox()

    assert folded.counts == {"runs": 1}
    [problem] = folded.problems
    assert re.search(f"^inbox/runs/bad.json: .*{said}", problem)
    assert "\n" not in problem
    assert ledger.get_object("inbox/rejected/runs/bad.json") == body
    assert ledger.fold_inbox() == inbox.FoldResult(counts={}, problems=())


def test_what_was_put_aside_may_be_mended(ledger: Ledger, tmp_path: Path) -> None:
    ledger.put_once("inbox/runs/x.json", letter()[:60])
    ledger.fold_inbox()
    aside = tmp_path / "ledger/inbox/rejected/runs/x.json"

    aside.write_bytes(letter())
    aside.rename(tmp_path / "ledger/inbox/runs/x.json")

    assert ledger.fold_inbox().counts == {"runs": 1}


def test_who_goes_on_writing_into_what_was_put_aside_loses_nothing(
    ledger: Ledger, tmp_path: Path
) -> None:
    """On a folder a slow writer that is no writer of ours may be met halfway."""
    slow = tmp_path / "ledger/inbox/runs/slow.json"
    slow.parent.mkdir(parents=True)
    with slow.open("wb") as file:
        file.write(letter()[:60])
        file.flush()
        assert len(ledger.fold_inbox().problems) == 1
        file.write(letter()[60:])

    assert ledger.get_object("inbox/rejected/runs/slow.json") == letter()


class CutError(BaseException):
    """The process is ended here."""


class Scissors:
    """Ends the process at its n-th step: before the step is done, or just after."""

    def __init__(self, step: int, *, done: bool) -> None:
        self.left = step
        self.done = done

    def cut(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: object) -> object:
            self.left -= 1
            if self.left == 0 and not self.done:
                raise CutError
            answer = call(*args)
            if self.left == 0:
                raise CutError
            return answer

        return step


def every_cut() -> Iterator[Scissors]:
    for step in range(1, 100):
        for done in (False, True):
            scissors = Scissors(step, done=done)
            yield scissors
            if scissors.left > 0:
                return
    raise AssertionError("a fold has fewer steps")


def test_a_fold_that_is_cut_short_anywhere_loses_and_doubles_nothing(tmp_path: Path) -> None:
    cuts = 0
    for scissors in every_cut():
        ledger = Ledger.open(str(tmp_path / f"{scissors.left}-{scissors.done}"))
        for n in range(3):
            ledger.drop_in_inbox("runs", [run(f"r{n}")])
            ledger.drop_in_inbox("events", [event(str(n))])
        ledger.put_once("inbox/runs/bad.json", b"{")
        objects = Objects(ledger._location)
        for name in ("keys", "found", "move", "remove"):
            setattr(objects, name, scissors.cut(getattr(objects, name)))

        try:
            inbox.fold(objects, scissors.cut(ledger.append))
        except CutError:
            cuts += 1
        ledger.fold_inbox()

        assert {row["run_id"] for row in ledger.rows("runs")} == {"r0", "r1", "r2"}
        assert (len(ledger.rows("runs")), len(ledger.rows("events"))) == (3, 3)
        assert ledger.objects("inbox") == ["inbox/rejected/runs/bad.json"]
    assert cuts > 20


def test_a_killed_fold_is_done_again(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path))
    for n in range(60):
        ledger.drop_in_inbox("events", [event(str(n))])
    code = (
        "import sys\n"
        "from watchdog.ledger import inbox\n"
        "from watchdog.ledger.store import Ledger\n"
        "inbox.AT_ONCE = 1\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "print('go', flush=True)\n"
        "ledger.fold_inbox()\n"
    )
    folder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert folder.stdout is not None
    folder.stdout.readline()
    while len(ledger.objects("inbox")) > 50 and folder.poll() is None:
        time.sleep(0.001)
    os.kill(folder.pid, signal.SIGKILL)
    folder.communicate()
    left = len(ledger.objects("inbox"))

    ledger.fold_inbox()

    assert 0 < left < 60
    assert sorted(str(row["n"]) for row in ledger.rows("events")) == sorted(map(str, range(60)))


def test_two_who_fold_at_once_add_nothing_twice(tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path))
    for n in range(40):
        ledger.drop_in_inbox("events", [event(str(n))])
    ledger.put_once("inbox/events/bad.json", b"{")
    code = (
        "import sys\n"
        "from watchdog.ledger import inbox\n"
        "from watchdog.ledger.store import Ledger\n"
        "inbox.AT_ONCE = 5\n"
        "Ledger.open(sys.argv[1]).fold_inbox()\n"
    )
    folders = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    assert [folder.communicate()[1] for folder in folders] == [b"", b""]

    assert len(ledger.rows("events")) == 40
    assert ledger.objects("inbox") == ["inbox/rejected/events/bad.json"]


def test_a_fold_into_a_table_that_fails_leaves_the_objects(ledger: Ledger, tmp_path: Path) -> None:
    ledger.drop_in_inbox("events", [event()])
    ledger.drop_in_inbox("runs", [run(observed_at=NOW + timedelta(minutes=1))])
    log = tmp_path / "ledger/runs/_delta_log/00000000000000000000.json"
    whole = log.read_bytes()
    log.write_bytes(whole[:100])

    with pytest.raises(LedgerError, match="half-written"):
        ledger.fold_inbox()

    log.write_bytes(whole)
    assert len(ledger.objects("inbox")) == 1
    assert ledger.fold_inbox().counts == {"runs": 1}
    assert len(ledger.rows("events")) == 1
