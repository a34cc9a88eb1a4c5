"""When a machine ran, as far as anybody can vouch for it."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Machine, MachineState, Transition
from policies.phases import Span
from tests.builders import machine, price
from watchdog.costs.metering import spans_of
from watchdog.costs.prices_over_time import prices_of
from watchdog.costs.running_time import Interval, Row
from watchdog.ledger.store import Ledger
from watchdog.rows import machine_row

DAY = datetime(2026, 11, 23, tzinfo=UTC)
SINCE = DAY + timedelta(hours=6)
NOW = DAY + timedelta(hours=12, minutes=7)


def at(clock: str | None) -> datetime | None:
    if clock is None:
        return None
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def running(started: str | None = "7:30", **changes: Any) -> Machine:
    return machine(started_at=at(started), **({"first_launched_at": None} | changes))


def stopped(started: str | None = "7:30", ended: str | None = None, **changes: Any) -> Machine:
    return running(
        started,
        state=MachineState.STOPPED,
        metered=False,
        stopped_at=at(ended),
        **changes,
    )


def turned(clock: str, *, on: bool) -> Transition:
    moment = at(clock)
    assert moment is not None
    return Transition(
        machine=machine().id,
        at=moment,
        started=on,
        event="StartInstances" if on else "Stop",
        by="x",
    )


def on(clock: str) -> Transition:
    return turned(clock, on=True)


def off(clock: str) -> Transition:
    return turned(clock, on=False)


def seen(
    clock: str,
    started: str | None,
    *,
    runs: bool = True,
    stopped_at: str | None = None,
) -> Row:
    return {
        "observed_at": at(clock),
        "state": "running" if runs else "stopped",
        "metered": runs,
        "started_at": at(started),
        "stopped_at": at(stopped_at),
    }


def told(
    box: Machine, transitions: Sequence[Transition] = (), rows: Sequence[Row] = ()
) -> list[tuple[str, str | None]]:
    return [
        (f"{each.started_at:%H:%M}", None if each.ended_at is None else f"{each.ended_at:%H:%M}")
        for each in spans_of(box, transitions, rows, SINCE, NOW)
    ]


def test_a_running_machine_runs_since_its_start() -> None:
    assert told(running("7:30")) == [("07:30", None)]


def test_what_lies_before_the_window_is_cut_at_its_clock_hour() -> None:
    assert told(running("2:10")) == [("06:00", None)]


def test_a_window_must_begin_on_a_clock_hour() -> None:
    with pytest.raises(ValueError, match="clock hour, not at 06:17:00"):
        spans_of(running(), (), (), SINCE + timedelta(minutes=17), NOW)


def test_a_stopped_machine_ran_until_its_stop() -> None:
    assert told(stopped("7:30", "9:20")) == [("07:30", "09:20")]


def test_a_stop_without_a_time_is_found_in_the_audit_trail() -> None:
    assert told(stopped("7:30"), [off("9:20")]) == [("07:30", "09:20")]


def test_a_shutdown_from_within_is_known_as_far_as_it_was_seen() -> None:
    rows = [seen("9:15", "7:30"), seen("9:30", "7:30", runs=False)]
    assert told(stopped("7:30"), (), rows) == [("07:30", "09:15")]
    assert told(stopped("7:30")) == []


def test_earlier_boots_come_from_pairs_in_the_audit_trail() -> None:
    trail = [on("6:10"), off("7:00"), on("8:00"), off("9:00"), on("10:00")]
    assert told(running("10:00"), trail) == [
        ("06:10", "07:00"),
        ("08:00", "09:00"),
        ("10:00", None),
    ]


def test_a_start_whose_stop_nobody_told_is_left_out() -> None:
    assert told(running("10:00"), [on("7:00"), on("10:00")]) == [("10:00", None)]


def test_a_stop_alone_counts_from_the_windows_start_only_where_something_says_it_ran() -> None:
    later = [off("7:00"), on("10:00")]
    assert told(running("10:00"), later) == [("10:00", None)]
    assert told(running("10:00"), later, [seen("5:00", "4:00")]) == [
        ("06:00", "07:00"),
        ("10:00", None),
    ]
    launched = running("10:00", first_launched_at=at("3:00"))
    assert told(launched, later) == [("06:00", "07:00"), ("10:00", None)]


def test_without_an_audit_trail_a_launch_long_ago_proves_nothing() -> None:
    box = running("10:00", first_launched_at=at("3:00"), stopped_at=at("9:00"))
    assert told(box) == [("10:00", None)]


def test_a_boot_seen_earlier_ends_where_it_was_last_seen() -> None:
    rows = [seen("7:05", "7:00"), seen("10:02", "10:00")]
    assert told(running("10:00"), (), rows) == [("07:00", "07:05"), ("10:00", None)]
    rows.insert(1, seen("9:45", "7:00"))
    assert told(running("10:00"), (), rows) == [("07:00", "09:45"), ("10:00", None)]


def test_a_boot_seen_earlier_ends_at_its_stop_where_that_is_told() -> None:
    rows = [seen("7:05", "7:00"), seen("10:02", "10:00")]
    assert told(running("10:00"), [off("9:50")], rows)[0] == ("07:00", "09:50")
    assert told(running("10:00", stopped_at=at("9:50")), (), rows)[0] == ("07:00", "09:50")
    rows.insert(1, seen("9:55", "7:00", runs=False, stopped_at="9:51"))
    assert told(running("10:00"), (), rows)[0] == ("07:00", "09:51")


def test_a_late_answer_about_an_earlier_boot_does_not_reach_into_the_present_one() -> None:
    assert told(running("10:00"), (), [seen("10:02", "7:00")]) == [
        ("07:00", "10:00"),
        ("10:00", None),
    ]


def test_a_stop_that_follows_another_start_is_not_this_boots() -> None:
    rows = [seen("7:05", "7:00")]
    assert told(stopped("8:00", "9:00"), [on("8:00"), off("9:00")], rows) == [
        ("07:00", "07:05"),
        ("08:00", "09:00"),
    ]


def test_trail_and_inventory_a_second_apart_are_one_boot() -> None:
    box = running("10:00")
    second_before = Transition(
        machine=box.id,
        at=DAY + timedelta(hours=9, minutes=59, seconds=59),
        started=True,
        event="StartInstances",
        by=None,
    )
    assert told(box, [second_before]) == [("10:00", None)]


def test_a_machine_whose_start_is_unknown_ran_where_it_was_seen_twice_in_a_row() -> None:
    rows = [seen("8:00", None), seen("9:00", None), seen("9:30", None)]
    assert told(running(None), (), rows) == [("08:00", None)]
    rows.append(seen("10:00", None, runs=False))
    assert told(running(None), (), rows) == [("08:00", "09:30"), ("12:07", None)]


def test_a_machine_of_which_nothing_is_known_but_that_it_runs_has_an_open_span() -> None:
    assert told(running(None)) == [("12:07", None)]
    assert told(running(None), [on("9:00")]) == [("09:00", None)]


def test_a_machine_that_is_starting_has_not_run() -> None:
    assert told(running("12:06", state=MachineState.PENDING, metered=False)) == []


def test_a_hibernating_machine_is_billed_while_it_stops() -> None:
    box = running("7:30", state=MachineState.STOPPING, metered=True)
    assert told(box) == [("07:30", None)]


def test_rows_of_a_real_ledger_are_understood(tmp_path: Path) -> None:
    """A resize between two boots, as patrols at 8:00, 9:30 and 10:05 saw it."""
    ledger = Ledger.open(str(tmp_path / "ledger"))
    small = running("7:30", price=price("1.006"))
    big = running("10:00", machine_type="p5.48xlarge", price=price("98.32"))
    halted = replace(small, state=MachineState.STOPPED, metered=False, stopped_at=at("9:10"))
    for box, clock in ((small, "8:00"), (halted, "9:30"), (big, "10:05")):
        seen_at = at(clock)
        assert seen_at is not None
        ledger.append("machines", [machine_row(box, seen_at)])
    rows = sorted(ledger.rows("machines"), key=lambda row: str(row["observed_at"]))
    assert told(big, (), rows) == [("07:30", "09:10"), ("10:00", None)]
    prices = prices_of(big, (), rows)
    assert [(each.machine_type, f"{each.price.hourly_usd:.3f}") for each in prices] == [
        ("g5.xlarge", "1.006"),
        ("p5.48xlarge", "98.320"),
    ]


MOMENTS = st.integers(0, 13 * 60).map(lambda minute: DAY + timedelta(minutes=minute))
MAYBE = st.none() | MOMENTS


@st.composite
def machines(draw: st.DrawFn) -> Machine:
    state = draw(st.sampled_from([MachineState.RUNNING, MachineState.STOPPED]))
    return machine(
        state=state,
        metered=state is MachineState.RUNNING,
        started_at=draw(MAYBE),
        stopped_at=draw(MAYBE),
        first_launched_at=draw(MAYBE),
    )


TRANSITIONS = st.lists(
    st.builds(
        Transition,
        machine=st.just(machine().id),
        at=MOMENTS,
        started=st.booleans(),
        event=st.just("event"),
        by=st.none(),
    ),
    max_size=6,
)


@st.composite
def sightings(draw: st.DrawFn) -> Row:
    """A row whose cloud tells the start of the boot."""
    started, observed = sorted([draw(MOMENTS), draw(MOMENTS)])
    runs = draw(st.booleans())
    return {
        "observed_at": observed,
        "state": "running" if runs else "stopped",
        "metered": runs,
        "started_at": started,
        "stopped_at": None if runs else draw(MAYBE),
    }


def in_order(rows: Sequence[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: str(row["observed_at"]))


def intervals(spans: Sequence[Span]) -> list[Interval]:
    return [(each.started_at, each.ended_at or NOW) for each in spans]


@given(box=machines(), trail=TRANSITIONS, rows=st.lists(sightings(), max_size=5))
def test_spans_are_in_order_disjoint_and_inside_the_window(
    box: Machine, trail: list[Transition], rows: list[Row]
) -> None:
    found = spans_of(box, trail, in_order(rows), SINCE, NOW)
    edges = [moment for interval in intervals(found) for moment in interval]
    assert edges == sorted(edges)
    assert all(SINCE <= moment <= NOW for moment in edges)
    assert all(each.ended_at is not None for each in found[:-1])
    assert bool(found and found[-1].ended_at is None) is box.running


@given(box=machines(), trail=TRANSITIONS, rows=st.lists(sightings(), max_size=4), more=sightings())
def test_a_further_observation_never_removes_known_time(
    box: Machine, trail: list[Transition], rows: list[Row], more: Row
) -> None:
    before = intervals(spans_of(box, trail, in_order(rows), SINCE, NOW))
    after = intervals(spans_of(box, trail, in_order([*rows, more]), SINCE, NOW))
    for begin, end in before:
        covered = sum(
            (max(timedelta(), min(end, high) - max(begin, low)) for low, high in after),
            timedelta(),
        )
        assert covered == end - begin


@given(box=machines(), trail=TRANSITIONS, rows=st.lists(sightings(), max_size=4))
def test_every_span_begins_and_ends_where_a_witness_says_so(
    box: Machine, trail: list[Transition], rows: list[Row]
) -> None:
    witnesses = {SINCE, NOW, box.started_at, box.stopped_at, box.first_launched_at}
    witnesses |= {each.at for each in trail}
    for row in rows:
        moments = [row["started_at"], row["stopped_at"], row["observed_at"]]
        witnesses |= {moment for moment in moments if isinstance(moment, datetime)}
    found = spans_of(box, trail, in_order(rows), SINCE, NOW)
    assert {moment for interval in intervals(found) for moment in interval} <= witnesses
