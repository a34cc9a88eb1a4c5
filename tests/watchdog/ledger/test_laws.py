"""Idempotence: whatever is appended twice, in any order and any portions, is shown once."""

import json
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.watchdog.ledger.facts import (
    NOW,
    Row,
    attribution,
    charge,
    event,
    machine,
    patrol,
    reading,
    run,
)
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import TABLES

MOST = 6

observed = st.integers(0, 2).map(lambda n: NOW + timedelta(minutes=n))
few = st.sampled_from(["a", "b"])
money = st.none() | st.decimals(0, 99, places=9)
percent = st.none() | st.floats(0, 100)


def batches(row: st.SearchStrategy[Row]) -> st.SearchStrategy[list[Row]]:
    return st.lists(row, min_size=2, max_size=MOST)


def fingerprinted(row: Row) -> Row:
    """A revision names the content of a run, and the time at which it was first told."""
    return {**row, "revision": json.dumps(row, default=str, sort_keys=True)}


TOLD: dict[str, st.SearchStrategy[list[Row]]] = {
    "machines": batches(
        st.builds(machine, id=few, observed_at=observed, hourly_usd=money, name=st.none() | few)
    ),
    "readings": batches(
        st.builds(
            reading,
            minutes_ago=st.sampled_from([5, 10, 60 * 24]),
            pct=percent,
            power_w=percent,
            gpu=st.none() | few,
            observed_at=observed,
        )
    ),
    "runs": batches(
        st.builds(run, run_id=few, workload=few, cost_usd=money, observed_at=observed).map(
            fingerprinted
        )
    ),
    "attributions": batches(
        st.builds(
            attribution,
            resource=few,
            gpu=st.none() | few,
            workload=st.none() | few,
            rule=few,
            share=st.floats(0, 1),
            observed_at=observed,
        )
    ),
    "charges": batches(
        st.builds(
            charge,
            phase=few,
            hours_ago=st.integers(0, 30),
            ListCost=money,
            ResourceName=st.none() | few,
            observed_at=observed,
        )
    ),
    "events": batches(st.builds(event, n=few, detail_json=st.none() | few, observed_at=observed)),
    "patrols": batches(st.builds(patrol, patrol_id=few, at=observed, usd=money, mode=few)),
}


def shown(ledger: Ledger, table: str) -> list[str]:
    return sorted(repr(row) for row in ledger.rows(table))


Told = dict[str, list[Row]]


def append(ledger: Ledger, told: Told, part: slice = slice(None)) -> None:
    for table, rows in told.items():
        ledger.append(table, rows[part])


def all_at_once(ledger: Ledger, told: Told) -> None:
    append(ledger, told)


def one_by_one_backwards(ledger: Ledger, told: Told) -> None:
    for place in reversed(range(MOST)):
        append(ledger, told, slice(place, place + 1))


def twice_in_halves(ledger: Ledger, told: Told) -> None:
    for part in (slice(MOST // 2, None), slice(None), slice(MOST // 2)):
        append(ledger, told, part)


def compacted_between(ledger: Ledger, told: Told) -> None:
    append(ledger, told, slice(MOST // 2, None))
    append(ledger, told, slice(0, None, 2))
    ledger.compact()
    append(ledger, told)
    ledger.compact()


def through_the_inbox(ledger: Ledger, told: Told) -> None:
    for table, rows in told.items():
        for row in rows:
            ledger.drop_in_inbox(table, [row])
        ledger.drop_in_inbox(table, rows)
    ledger.fold_inbox()


WAYS: tuple[Callable[[Ledger, Told], None], ...] = (
    all_at_once,
    one_by_one_backwards,
    twice_in_halves,
    compacted_between,
    through_the_inbox,
)


@pytest.mark.slow
@settings(max_examples=6, deadline=None, derandomize=True)
@given(st.fixed_dictionaries(TOLD))
def test_every_way_of_telling_the_same_shows_the_same(told: Told) -> None:
    views: dict[str, dict[str, list[str]]] = {}
    for way in WAYS:
        with TemporaryDirectory() as folder:
            ledger = Ledger.open(folder)
            way(ledger, told)
            views[way.__name__] = {table: shown(ledger, table) for table in TABLES}
    for name, view in views.items():
        assert view == views["all_at_once"], name


@settings(max_examples=15, deadline=None, derandomize=True)
@given(rows=TOLD["charges"])
def test_an_hour_never_costs_more_than_its_newest_set(rows: list[Row]) -> None:
    newest = max(row["observed_at"] for row in rows)
    last = {**rows[0], "observed_at": newest + timedelta(minutes=1), "ListCost": Decimal(1)}
    with TemporaryDirectory() as folder:
        ledger = Ledger.open(folder)
        ledger.append("charges", [*rows, last])
        found = [
            row
            for row in ledger.rows("charges")
            if row["ChargePeriodStart"] == last["ChargePeriodStart"]
        ]
    assert [row["ListCost"] for row in found] == [Decimal(1)]
