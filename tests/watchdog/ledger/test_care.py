"""Care by itself: every so many patrols, once, and never at a patrol's cost."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_pack
from tests.builders import NOW, machine, reading
from tests.shelf import Shelf
from tests.watchdog.ledger import facts
from watchdog.ledger.care import CLAIMS, tend
from watchdog.ledger.failures import LedgerBusyError
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import PATROLS
from watchdog.ledger.tidying import LedgerCare
from watchdog.patrol import Parts, patrol

EVERY_THIRD = LedgerCare(every=3)


def patrols(ledger: Ledger, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        ledger.append("patrols", [facts.patrol(f"p{number}")])


def files(ledger: Ledger) -> dict[str, int]:
    return {row["table"]: row["files"] for row in ledger.info().to_dict(orient="records")}


def parts(ledger: Ledger, **changes: Any) -> Parts:
    one = machine()
    told = reading([0.0] * 36, resource=one.id, started_at=NOW - timedelta(hours=3))
    values: dict[str, Any] = {
        "providers": [Shelf(one, readings=[told])],
        "ledger": ledger,
        "policy": load_pack("observe"),
        "care": EVERY_THIRD,
    }
    return Parts(**(values | changes))


def test_it_is_time_every_so_many_patrols(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()
    patrols(ledger, 2)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert (files(ledger)["patrols"], ledger.objects(CLAIMS)) == (2, [])

    patrols(ledger, 1, first=2)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert files(ledger)["patrols"] == 1
    assert ledger.objects(CLAIMS) == ["care/000000000003"]

    patrols(ledger, 2, first=3)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert files(ledger)["patrols"] == 3

    patrols(ledger, 1, first=5)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert files(ledger)["patrols"] == 1
    assert ledger.objects(CLAIMS) == ["care/000000000006"]


def test_zero_means_never(ledger: Ledger) -> None:
    patrols(ledger, 30)
    assert tend(ledger, LedgerCare(every=0), now=NOW) is None
    assert files(ledger)["patrols"] == 30


def test_a_ledger_that_was_put_back_is_cared_for_again(ledger: Ledger) -> None:
    ledger.put_once("care/000000000300", b"")
    patrols(ledger, 4)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert ledger.objects(CLAIMS) == ["care/000000000003"]


def test_of_two_at_once_one_does_the_work(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    patrols(ledger, 4)
    other = Ledger.open(ledger.url)
    done: list[str | None] = []
    compact = Ledger.compact

    def meanwhile(self: Ledger, tidying: Any) -> Any:
        if not done:
            done.append(tend(other, EVERY_THIRD, now=NOW))
            assert files(other)["patrols"] == 4
        return compact(self, tidying)

    monkeypatch.setattr(Ledger, "compact", meanwhile)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert done == [None]
    assert files(ledger)["patrols"] == 1


def test_a_compaction_by_hand_at_the_same_time_is_no_failure(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    patrols(ledger, 4)
    tables = ledger._tables
    snapshot = tables.snapshot

    def overtaken(table: Any) -> Any:
        seen = snapshot(table)
        if table is PATROLS:
            Ledger.open(ledger.url).compact()
        return seen

    monkeypatch.setattr(tables, "snapshot", overtaken)
    with pytest.raises(LedgerBusyError):
        ledger.compact()
    patrols(ledger, 2, first=4)
    assert tend(ledger, EVERY_THIRD, now=NOW) is None
    assert len(ledger.rows("patrols")) == 6


def test_a_patrol_cares_for_its_ledger(ledger: Ledger) -> None:
    old = [facts.reading(60 * 24 * 100 + 5 * n) for n in range(1, 25)]
    ledger.append("readings", old)
    for number in range(3):
        report = patrol(parts(ledger), now=NOW + timedelta(minutes=5 * number))
        assert report.gaps == ()
    rows = ledger.rows("readings")
    assert len([row for row in rows if row["started_at"] < NOW - timedelta(days=90)]) == 2  # type: ignore[operator]
    assert files(ledger)["patrols"] == 1
    assert len(ledger.rows("patrols")) == 3


def test_care_changes_no_charge_and_no_judgement(tmp_path: Path) -> None:
    told = []
    for name, care in (("cared", LedgerCare(every=1)), ("left", None)):
        ledger = Ledger.open(str(tmp_path / name))
        reports = [
            patrol(parts(ledger, care=care), now=NOW + timedelta(minutes=5 * number))
            for number in range(4)
        ]
        charges = sorted(
            repr({name: value for name, value in row.items() if name != "observed_at"})
            for row in ledger.rows("charges")
        )
        told.append(([each.machines for each in reports], charges))
    assert told[0] == told[1]


def test_a_failure_is_told_and_the_patrol_stands(ledger: Ledger) -> None:
    each_time = LedgerCare(every=1)
    ledger.append("charges", [facts.charge(hours_ago=2400)])
    (file,) = Path(ledger.url, "charges").rglob("*.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[:100])

    report = patrol(parts(ledger, care=each_time), now=NOW)
    (gap,) = report.gaps
    assert (gap.provider, gap.what) == ("ledger", "ledger care")
    assert "a data file is missing or cut off" in gap.why
    assert len(ledger.rows("patrols")) == 1
    assert ledger.objects(CLAIMS) == []

    accepting = parts(ledger, care=each_time, accepted_gaps=("ledger:ledger care",))
    assert patrol(accepting, now=NOW + timedelta(minutes=5)).gaps == ()
    file.write_bytes(whole)
    mended = patrol(parts(ledger, care=each_time), now=NOW + timedelta(minutes=10))
    assert mended.gaps == ()
    assert ledger.objects(CLAIMS) == ["care/000000000003"]


def test_whatever_breaks_it_the_patrol_stands(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Ledger, tidying: Any) -> None:
        del self, tidying
        raise MemoryError("no room")

    monkeypatch.setattr(Ledger, "compact", broken)
    report = patrol(parts(ledger, care=LedgerCare(every=1)), now=NOW)
    assert [gap.why for gap in report.gaps] == ["MemoryError: no room"]
    assert ledger.objects(CLAIMS) == []
