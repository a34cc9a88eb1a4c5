"""Stops that were undone: when acting must rest, and whose patience they lengthen."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import WorkloadKey
from policies.rules import load_pack
from tests.builders import NOW, attribution, machine, reading
from tests.shelf import Shelf
from watchdog import rows
from watchdog.actions import Acting
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport
from watchdog.regrets import Stop, at_least, of_workloads, stops_of, too_many

HOUR = timedelta(hours=1)
BOX = machine(started_at=NOW - timedelta(days=40), tags={"spend-watchdog:workload": "llama"})


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def stopped(ledger: Ledger, at: datetime, *, again: timedelta | None = None) -> None:
    """A stop of ours; `again`: the machine was started again so long after it."""
    detail = {"by": "p", "why": "it is stopped"}
    ledger.append(
        "events",
        [
            {
                "subject": f"incidents/{BOX.id}/boot/{at:%Y%m%dT%H%M%SZ}",
                "n": "0004",
                "at": at,
                "kind": "stopped",
                "machine": BOX.id,
                "boot": "boot",
                "detail_json": json.dumps(detail),
                "observed_at": at,
            }
        ],
    )
    if again is not None:
        started = replace(BOX, started_at=at + again)
        ledger.append("machines", [rows.machine_row(started, at + again + timedelta(minutes=5))])


def passed(ledger: Ledger) -> PatrolReport:
    quiet = [0.0] * 24
    host = reading(quiet, gpu=None, received_bytes=quiet, sent_bytes=quiet, written_bytes=quiet)
    shelf = Shelf(BOX, readings=[reading(quiet, memory_used_mib=quiet), host])
    parts = Parts(
        providers=[shelf],
        ledger=ledger,
        policy=load_pack("default"),
        acting=Acting(channels=[]),
        egress=False,
    )
    return patrol(parts, now=NOW)


@pytest.mark.parametrize(
    ("undone", "of", "mode"),
    [(0, 5, "act"), (2, 5, "act"), (4, 4, "act"), (4, 5, "observe"), (5, 5, "observe")],
)
def test_a_fleet_that_undoes_its_stops_is_only_observed(
    ledger: Ledger, undone: int, of: int, mode: str
) -> None:
    for number in range(of):
        at = NOW - (3 + 5 * number) * HOUR
        stopped(ledger, at, again=HOUR if number < undone else 3 * HOUR)
    report = passed(ledger)
    assert report.mode == mode
    told = [gap.why for gap in report.gaps if gap.what == "acting"]
    assert bool(told) == (mode == "observe")
    if told:
        assert f"{undone} of the {of} stops" in told[0]


def test_a_stop_that_may_still_be_undone_says_nothing_yet(ledger: Ledger) -> None:
    stopped(ledger, NOW - HOUR)
    assert stops_of(ledger, NOW) == []
    assert [stop.undone for stop in stops_of(ledger, NOW + 2 * HOUR)] == [False]


def test_a_regret_lengthens_the_patience_of_its_workload(ledger: Ledger) -> None:
    """By the sum that the decision shows: a restart costs more than before."""

    def restart() -> str:
        (judged,) = passed(ledger).machines
        told = [why for why in judged.decision.why if ", a restart " in why]
        assert told, judged.decision
        return told[0].rsplit(" ", 2)[-2]

    ledger.append(
        "runs",
        [
            {
                "run_id": "r1",
                "revision": "1",
                "workload": "llama",
                "outcome": "failed",
                "started_at": NOW - timedelta(days=2),
                "ended_at": NOW - timedelta(days=2) + HOUR,
                "observed_at": NOW,
            }
        ],
    )
    before = restart()
    for number in range(4):
        stopped(ledger, NOW - (30 + 5 * number) * HOUR, again=HOUR)
    assert (before, restart()) == ("0.25", "0.29")


def test_stops_are_their_workloads_at_that_time() -> None:
    earlier = attribution("old", ended_at=NOW - 10 * HOUR)
    later = attribution("new", started_at=NOW - 10 * HOUR)
    stops = [
        Stop(machine="m", at=NOW - 20 * HOUR, undone=True),
        Stop(machine="m", at=NOW - 5 * HOUR, undone=False),
        Stop(machine="forgotten", at=NOW, undone=True),
    ]
    assert of_workloads(stops, {"m": [earlier, later]}) == [
        (WorkloadKey(group=None, name="old"), True),
        (WorkloadKey(group=None, name="new"), False),
    ]


@given(st.integers(1, 400), st.integers(0, 400))
def test_the_interval_is_below_the_share_and_nears_it(of: int, undone: int) -> None:
    undone = min(undone, of)
    low = at_least(undone, of)
    assert -1e-9 <= low <= undone / of + 1e-9
    assert at_least(10 * undone, 10 * of) >= low - 1e-9


@given(st.lists(st.booleans(), max_size=60), st.sampled_from([0.0, 0.2, 0.33, 0.8]))
def test_one_more_regret_never_lets_it_act_again(undone: list[bool], limit: float) -> None:
    stops = [Stop(machine="m", at=NOW, undone=each) for each in undone]
    if too_many(stops, limit) is not None:
        assert too_many([*stops, Stop(machine="m", at=NOW, undone=True)], limit) is not None
