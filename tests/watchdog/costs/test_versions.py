"""Patrols that judge the same moment: each hour is counted once, as it is known best."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Machine, Reading
from policies.rules import load_pack
from tests.builders import NOW, machine, reading
from tests.shelf import Shelf
from watchdog.costs.breakdown import breakdown
from watchdog.costs.versions import SAME_MOMENT, version_of
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol

ONE = machine(tags={"spend-watchdog:workload": "llama"})
SINCE = NOW - timedelta(hours=3)


@pytest.fixture
def opened(tmp_path: Path) -> Callable[[], Ledger]:
    return lambda: Ledger.open(str(tmp_path / "ledger"))


def pcts(*hours: float | None) -> Reading:
    return reading([pct for pct in hours for _ in range(12)], memory_used_mib=[10.0] * 36)


def look(ledger: Ledger, *told: Reading, of: Machine = ONE) -> None:
    parts = Parts(providers=[Shelf(of, readings=told)], ledger=ledger, policy=load_pack("observe"))
    patrol(parts, now=NOW, backfill=timedelta(hours=3))


def spent(ledger: Ledger, by: str = "phase") -> dict[str, Decimal | None]:
    rows = breakdown(ledger, since=SINCE, until=NOW, by=by).rows
    return {row.key: row.total for row in rows}


def phases(ledger: Ledger) -> dict[str, Decimal]:
    """The same by the view `charges`."""
    hours: dict[str, Decimal] = {}
    for row in ledger.rows("charges"):
        phase, quantity = str(row["x_Phase"]), Decimal(str(row["ConsumedQuantity"]))
        hours[phase] = hours.get(phase, Decimal(0)) + quantity
    return hours


def test_the_patrol_that_read_more_metrics_is_believed_alone(
    opened: Callable[[], Ledger],
) -> None:
    ledger = opened()
    look(ledger)
    look(ledger, pcts(90.0, 0.0, None))
    assert spent(ledger) == phases(ledger) == {"active": 1, "idle": 1, "unknown": 1}
    look(ledger, pcts(90.0, 0.0, 0.0))
    look(ledger)
    assert spent(ledger) == phases(ledger) == {"active": 1, "idle": 2}
    ledger.compact()
    assert spent(opened()) == phases(opened()) == {"active": 1, "idle": 2}


def test_of_two_that_know_as_much_the_later_is_believed(opened: Callable[[], Ledger]) -> None:
    ledger = opened()
    for told in (pcts(90.0, 0.0, 0.0), pcts(0.0, 90.0, 90.0), pcts(0.0, 0.0, 90.0)):
        look(ledger, told)
    assert spent(ledger) == phases(ledger) == {"active": 1, "idle": 2}


def test_a_workload_that_was_renamed_at_the_same_moment_has_all_the_cost(
    opened: Callable[[], Ledger],
) -> None:
    ledger = opened()
    look(ledger, pcts(90.0, 0.0, 0.0))
    renamed = replace(ONE, tags={"spend-watchdog:workload": "mistral"})
    look(ledger, pcts(90.0, 0.0, 0.0), of=renamed)
    assert spent(ledger, by="workload") == {"mistral": 3}


def test_two_at_once_that_see_different_things_count_each_hour_once(
    opened: Callable[[], Ledger],
) -> None:
    opened()
    together = Barrier(2)

    class Late(Shelf):
        """Answers once both have looked: neither sees the other's rows before it has judged."""

        def watching_usd(self) -> Decimal | None:
            together.wait(timeout=60)
            return Decimal(0)

    def one(told: Reading) -> None:
        parts = Parts(
            providers=[Late(ONE, readings=[told])], ledger=opened(), policy=load_pack("observe")
        )
        patrol(parts, now=NOW, backfill=timedelta(hours=3))

    threads = [
        Thread(target=one, args=(told,)) for told in (pcts(90.0, 0.0, None), pcts(0.0, 90.0, 0.0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(phases(opened()).values()) == 3
    assert sum(usd or 0 for usd in spent(opened()).values()) == 3


@given(
    st.lists(st.integers(0, 2**128), min_size=2, max_size=50),
    st.integers(-60, 60).filter(lambda seconds: abs(seconds) > 10),
)
def test_a_version_is_newer_than_all_that_it_replaces_and_stays_at_its_moment(
    chances: list[int], other: int
) -> None:
    known: list[datetime] = [NOW + timedelta(seconds=other)]
    for chance in chances:
        version = version_of(NOW, known, chance=chance)
        of_now = [at for at in known if abs(at - NOW) < SAME_MOMENT]
        assert all(version > at for at in of_now)
        assert NOW <= version < NOW + SAME_MOMENT
        known.append(version)
