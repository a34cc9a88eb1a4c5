"""What the next run will ask of a machine, and when its queue at home says: rent the burst."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.burst import burst_of
from policies.facts import Run, RunCause, RunOutcome
from policies.next_run import NextRun, next_run
from tests.builders import NOW, run


def runs(count: int, **same: Any) -> list[Run]:
    """Hourly runs of half an hour."""
    found = []
    for n in range(count):
        start = NOW - timedelta(hours=count - n)
        changes = {"started_at": start, "ended_at": start + timedelta(minutes=30)} | same
        found.append(run(f"r{n}", **changes))
    return found


def asked(history: list[Run]) -> NextRun:
    return next_run(history, as_of=NOW)


def test_the_highest_of_the_newest_peaks_counts_with_head_room() -> None:
    old = run("old", started_at=NOW - timedelta(days=9), peak_gpu_memory_mib=90_000.0)
    told = asked([old, *runs(8, peak_gpu_memory_mib=20_000.0)])
    assert (told.peak_mib, told.peaks) == (20_000.0, 8)
    assert told.needs_mib == pytest.approx(22_000)
    assert told.fits(1, 24_576) is True
    assert told.fits(1, 16_384) is False


def test_a_card_that_it_just_fits_at_home_fits() -> None:
    told = asked(runs(3, peak_gpu_memory_mib=24_000.0))
    assert told.fits(1, 24_576) is True


def test_memory_that_nobody_told_is_unknown_and_fits_nowhere_for_sure() -> None:
    told = asked(runs(3))
    assert (told.peak_mib, told.needs_mib, told.fits(1, 80_000)) == (None, None, None)
    assert asked(runs(3, peak_gpu_memory_mib=9.0, gpus=None)).fits(1, 80_000) is None
    assert asked(runs(3, peak_gpu_memory_mib=9.0)).fits(1, None) is None


def test_a_card_on_which_it_ran_out_of_memory_is_too_small() -> None:
    oom = run(
        "oom",
        outcome=RunOutcome.FAILED,
        cause=RunCause.OOM,
        gpu_memory_mib=24_576,
        started_at=NOW - timedelta(minutes=20),
        ended_at=NOW - timedelta(minutes=10),
    )
    told = asked([*runs(3, peak_gpu_memory_mib=10_000.0), oom])
    assert told.ran_out
    assert told.fits(1, 24_576) is False
    assert (told.needs_mib or 0) > 24_576


def test_more_gpus_than_a_machine_has_do_not_fit_and_nodes_share_them() -> None:
    told = asked(runs(3, gpus=16, nodes=2, peak_gpu_memory_mib=9_000.0))
    assert told.gpus_a_node == 8
    assert told.fits(4, 80_000) is False
    assert told.fits(8, 80_000) is True


def test_durations_are_a_range_over_successes_and_failures_are_apart() -> None:
    lost = [
        run(
            f"f{n}",
            outcome=RunOutcome.FAILED,
            started_at=NOW - timedelta(minutes=50),
            ended_at=NOW - timedelta(minutes=50 - n),
        )
        for n in (1, 2, 3)
    ]
    told = asked([*runs(5), *lost])
    assert told.duration is not None
    assert (told.duration.low_s, told.duration.high_s) == (1800, 1800)
    assert told.failure_s == 120
    few = asked(runs(2))
    assert (few.duration, few.timed) == (None, 2)


@given(st.lists(st.integers(1, 100_000), min_size=3, max_size=40))
def test_a_range_holds_its_median(seconds: list[int]) -> None:
    history = [
        run(f"r{n}", started_at=NOW - timedelta(seconds=s), ended_at=NOW)
        for n, s in enumerate(seconds)
    ]
    spread = asked(history).duration
    assert spread is not None
    assert min(seconds) <= spread.low_s <= spread.median_s <= spread.high_s <= max(seconds)


def test_what_was_not_known_yet_does_not_count() -> None:
    ended_later = run("late", peak_gpu_memory_mib=9.0, ended_at=NOW + timedelta(hours=1))
    starts_later = run("later", gpus=64, started_at=NOW + timedelta(hours=1), ended_at=None)
    told = asked([ended_later, starts_later])
    assert (told.peak_mib, told.gpus, told.duration) == (None, 1, None)


BUSY: dict[str, Any] = {"location": "local", "gpu_utilisation_mean_pct": 95.0}


def queued(count: int, minutes: float, **same: Any) -> list[Run]:
    found = []
    for each in runs(count, **(BUSY | same)):
        submitted = each.started_at - timedelta(minutes=minutes)
        found.append(run(each.run_id, **{**_of(each), "submitted_at": submitted}))
    return found


def _of(each: Run) -> dict[str, Any]:
    names = ("started_at", "ended_at", "location", "gpu_utilisation_mean_pct", "gpus")
    return {name: getattr(each, name) for name in names}


def test_a_saturated_card_with_a_queue_is_a_burst_with_its_figures() -> None:
    found = burst_of(queued(6, 90), as_of=NOW)
    assert found is not None
    assert (found.median_wait_s, found.queued_hours, found.waited) == (5400, 9.0, 6)
    assert found.waited_run_hours == 3.0
    assert found.utilisation_mean_pct == 95.0


@pytest.mark.parametrize(
    "history",
    [
        queued(6, 5),
        queued(6, 90, gpu_utilisation_mean_pct=40.0),
        queued(6, 90, location="cloud"),
        queued(6, 90, location=None),
        queued(2, 90),
        queued(6, 90, gpu_utilisation_mean_pct=None),
        queued(6, -30),
        runs(6, **BUSY),
    ],
    ids=[
        "no wait", "idle card", "not at home", "place unknown", "too few", "use unknown",
        "wrong clock", "wait unknown",
    ],
)  # fmt: skip
def test_anything_less_is_none(history: list[Run]) -> None:
    assert burst_of(history, as_of=NOW) is None


def test_a_queue_of_long_ago_is_none() -> None:
    assert burst_of(queued(6, 90), as_of=NOW + timedelta(days=31)) is None
