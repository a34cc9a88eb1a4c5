"""What a patrol reads, and what becomes of a provider that breaks."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from policies.facts import Machine, MachineState
from tests.builders import NOW, machine, price
from tests.shelf import Shelf
from watchdog.gather import gather, windows_at

FORTNIGHT = timedelta(days=14)


def test_a_first_patrol_reads_the_last_hours_finely_and_a_fortnight_coarsely() -> None:
    windows = windows_at(NOW + timedelta(minutes=7), None, FORTNIGHT)
    assert windows.fine.started_at == NOW - timedelta(hours=3)
    assert (windows.fine.ended_at, windows.fine.period_s) == (NOW + timedelta(minutes=5), 300)
    assert windows.coarse is not None
    assert windows.coarse.ended_at == windows.fine.started_at
    assert (windows.coarse.intervals, windows.coarse.period_s) == (14 * 24 - 3, 3600)


@pytest.mark.parametrize(
    ("silence", "fine_hours", "coarse"),
    [
        (timedelta(minutes=5), 3, False),
        (timedelta(hours=2), 3, False),
        (timedelta(hours=10), 11, False),
        (timedelta(days=3), 24, True),
    ],
)
def test_after_a_silence_what_was_missed_is_read_too(
    silence: timedelta, fine_hours: int, *, coarse: bool
) -> None:
    windows = windows_at(NOW, NOW - silence, FORTNIGHT)
    assert NOW - windows.fine.started_at == timedelta(hours=fine_hours)
    assert (windows.coarse is not None) is coarse


@pytest.mark.parametrize("minutes", range(0, 60, 7))
def test_windows_begin_on_a_clock_hour_and_never_overlap(minutes: int) -> None:
    now = NOW + timedelta(minutes=minutes, seconds=13)
    windows = windows_at(now, now - timedelta(days=2, minutes=minutes), FORTNIGHT)
    assert windows.coarse is not None
    for window in (windows.fine, windows.coarse):
        assert (window.started_at.minute, window.started_at.second) == (0, 0)
    assert windows.coarse.ended_at == windows.fine.started_at
    assert windows.fine.ended_at <= now


def test_start_and_stop_history_is_asked_only_where_time_was_missed() -> None:
    shelf = Shelf(machine())
    gather([shelf], now=NOW, watched_until=lambda _: NOW - timedelta(minutes=5))
    assert shelf.history_asked == []
    gather([shelf], now=NOW, watched_until=lambda _: None)
    assert len(shelf.history_asked) == 1


def test_a_provider_that_breaks_is_a_gap_and_the_others_still_come() -> None:
    broken, sound = Shelf(machine("a"), breaks=True), Shelf(machine("b"))
    gathered = gather([broken, sound], now=NOW, watched_until=lambda _: None)
    assert [each.name for each in gathered.machines] == ["a", "b"]
    assert {gap.what for gap in gathered.gaps} == {"GPU metrics"}
    assert "KeyError: 'Datapoints'" in gathered.gaps[0].why


def test_machines_come_priced_and_the_cost_of_asking_is_added_up() -> None:
    gathered = gather([Shelf(machine())], now=NOW, watched_until=lambda _: None)
    assert gathered.machines[0].price.hourly_usd == Decimal("1.00")
    assert gathered.watching_usd == Decimal("0.001")


def test_a_price_of_many_digits_is_kept_to_nine_places() -> None:
    long = machine(price=price("12.7948475088219"))
    gathered = gather([Shelf(long)], now=NOW, watched_until=lambda _: None)
    assert gathered.machines[0].price.hourly_usd == Decimal("12.794847509")


def _at(moment: datetime | None, state: MachineState) -> Machine:
    return machine(state=state, stopped_at=moment)


def test_a_machine_stopped_before_the_window_is_not_read_and_an_unknown_stop_is() -> None:
    since = NOW - timedelta(hours=3)
    assert not _at(since - timedelta(hours=1), MachineState.STOPPED).may_have_run_since(since)
    assert _at(since + timedelta(hours=1), MachineState.STOPPED).may_have_run_since(since)
    assert _at(None, MachineState.STOPPED).may_have_run_since(since)
    assert _at(None, MachineState.RUNNING).may_have_run_since(since)
    assert not _at(None, MachineState.PENDING).may_have_run_since(since)
