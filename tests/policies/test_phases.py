"""Readings in, phases out."""

import itertools
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from policies.facts import Reading
from policies.grids import DEFAULT_LIMITS, PhaseLimits
from policies.phases import Earlier, Span, Timeline, timeline
from policies.verdicts import QUIET, Phase
from tests.builders import NOW, reading

BOOT = NOW - timedelta(days=2)
FREE = [10.0] * 36
HELD = [60_000.0] * 36


def judged(
    *readings: Reading,
    boot: datetime = BOOT,
    gpus: int | None = 1,
    board_power_w: float | None = None,
    earlier: Earlier | None = None,
    limits: PhaseLimits = DEFAULT_LIMITS,
) -> Timeline:
    return timeline(
        readings,
        limits=limits,
        spans=(Span(started_at=boot, ended_at=None, booted_at=boot),),
        until=NOW,
        gpus=gpus,
        board_power_w=board_power_w,
        earlier=earlier or Earlier(),
    )


def hours_of(result: Timeline, phase: Phase) -> float:
    spans = [s.ended_at - s.started_at for s in result.stretches if s.phase is phase]
    return sum(spans, timedelta()).total_seconds() / 3600


def host(received: float = 1000.0, cpu: float = 1.0, **columns: Sequence[float]) -> Reading:
    given_columns: dict[str, Any] = {
        "received_bytes": [received] * 36,
        "sent_bytes": [1000.0] * 36,
        "written_bytes": [1000.0] * 36,
    }
    return reading([cpu] * 36, gpu=None, **(given_columns | columns))


def test_a_busy_gpu_is_active() -> None:
    now = judged(reading([97.0] * 36, memory_used_mib=HELD)).now
    assert (now.phase, now.idle_minutes()) == (Phase.ACTIVE, 0.0)


def test_no_compute_and_free_memory_is_idle_since_the_last_activity() -> None:
    now = judged(reading([97.0] * 12 + [0.0] * 24, memory_used_mib=FREE), host()).now
    assert (now.phase, now.idle_minutes()) == (Phase.IDLE, 120.0)
    assert now.confidence > 0.9


def test_without_network_counters_idle_is_not_sure_enough_to_stop() -> None:
    now = judged(reading([97.0] * 12 + [0.0] * 24, memory_used_mib=FREE)).now
    assert now.phase is Phase.IDLE
    assert now.confidence <= 0.8
    assert "network was not measured" in now.why[1]


def test_no_compute_and_held_memory_is_parked() -> None:
    now = judged(reading([0.0] * 36, memory_used_mib=HELD)).now
    assert now.phase is Phase.PARKED


def test_without_memory_readings_idle_is_not_sure_enough_to_stop() -> None:
    now = judged(reading([0.0] * 36)).now
    assert now.phase is Phase.IDLE
    assert now.confidence <= 0.7
    assert "memory was not measured" in now.why[1]


def test_one_busy_gpu_of_eight_makes_the_machine_active() -> None:
    quiet = [reading([0.0] * 36, gpu=str(index), memory_used_mib=FREE) for index in range(7)]
    busy = reading([80.0] * 36, gpu="7", memory_used_mib=HELD)
    assert judged(*quiet, busy, gpus=8).now.phase is Phase.ACTIVE


def test_one_unmeasured_gpu_of_eight_makes_a_quiet_machine_unknown() -> None:
    quiet = [reading([0.0] * 36, gpu=str(index), memory_used_mib=FREE) for index in range(7)]
    now = judged(*quiet, gpus=8).now
    assert (now.phase, now.idle_minutes()) == (Phase.UNKNOWN, None)
    assert "1 of 8 GPUs report nothing" in now.why[1]


def test_a_short_burst_inside_an_hour_counts_by_its_maximum() -> None:
    now = judged(reading([0.0] * 35 + [6.0], memory_used_mib=FREE)).now
    assert now.phase is Phase.ACTIVE


def test_no_readings_at_all_are_unknown_and_never_idle() -> None:
    result = judged()
    assert result.now.phase is Phase.UNKNOWN
    assert {stretch.phase for stretch in result.stretches} == {Phase.UNKNOWN}


def test_a_metric_that_stopped_an_hour_ago_says_nothing_about_now() -> None:
    now = judged(reading([0.0] * 24 + [None] * 12, memory_used_mib=FREE)).now
    assert now.phase is Phase.UNKNOWN


def test_a_gap_inside_a_pause_lowers_coverage_and_confidence() -> None:
    whole = judged(reading([90.0] * 6 + [0.0] * 30, memory_used_mib=FREE)).now
    holed = [90.0] * 6 + [0.0] * 10 + [None] * 10 + [0.0] * 10
    seen = judged(reading(holed, memory_used_mib=FREE)).now
    assert seen.coverage == pytest.approx(20 / 30, abs=0.01)
    assert seen.confidence < whole.confidence


def test_a_download_without_compute_is_transfer() -> None:
    quiet = reading([0.0] * 36, memory_used_mib=FREE)
    assert judged(quiet, host(received=5e6 * 300)).now.phase is Phase.TRANSFER
    assert judged(quiet, host()).now.phase is Phase.IDLE


def test_before_the_first_sustained_activity_it_is_setup() -> None:
    boot = NOW - timedelta(hours=3)
    result = judged(reading([0.0] * 12 + [90.0] * 24, memory_used_mib=FREE), boot=boot)
    assert hours_of(result, Phase.SETUP) == 1.0
    assert hours_of(result, Phase.ACTIVE) == 2.0


def test_setup_lasts_two_hours_at_most() -> None:
    boot = NOW - timedelta(hours=3)
    result = judged(reading([0.0] * 36, memory_used_mib=FREE), boot=boot)
    assert (hours_of(result, Phase.SETUP), hours_of(result, Phase.IDLE)) == (2.0, 1.0)
    assert result.now.idle_minutes() == 60.0


def test_a_smoke_test_does_not_end_setup() -> None:
    boot = NOW - timedelta(hours=3)
    busy = [0.0] * 3 + [90.0] + [0.0] * 8 + [90.0] * 24
    result = judged(reading(busy, memory_used_mib=FREE), boot=boot)
    assert hours_of(result, Phase.SETUP) == 1.0


def test_unmeasured_time_after_boot_is_unknown_and_not_setup() -> None:
    boot = NOW - timedelta(hours=3)
    result = judged(reading([None] * 12 + [90.0] * 24, memory_used_mib=FREE), boot=boot)
    assert hours_of(result, Phase.SETUP) == 0.0
    assert hours_of(result, Phase.UNKNOWN) == 1.0


def test_activity_remembered_from_before_the_readings_means_set_up_is_over() -> None:
    boot = NOW - timedelta(hours=4)
    earlier = Earlier(seen_from=boot, first_active_at=boot, last_active_at=boot)
    result = judged(reading([0.0] * 36, memory_used_mib=FREE), boot=boot, earlier=earlier)
    assert hours_of(result, Phase.SETUP) == 0.0


def test_a_pause_reaches_back_to_the_activity_that_the_ledger_remembers() -> None:
    earlier = Earlier(
        seen_from=BOOT,
        first_active_at=BOOT,
        last_active_at=NOW - timedelta(hours=40),
        quiet_measured_s=37 * 3600,
    )
    now = judged(reading([0.0] * 36, memory_used_mib=FREE), earlier=earlier).now
    assert (now.idle_minutes(), now.coverage) == (2400.0, 1.0)


def test_what_counted_as_activity_last_is_told_with_its_end() -> None:
    end = NOW - timedelta(hours=2)
    at = f"until {end:%Y-%m-%d %H:%M} UTC"
    worked = judged(reading([97.0] * 12 + [0.0] * 24, memory_used_mib=FREE), host()).now
    assert worked.why[-1] == f"it last worked (active) {at}"
    loading = host(received_bytes=[9e8] * 12 + [0.0] * 24)
    loaded = judged(reading([0.0] * 36, memory_used_mib=FREE), loading).now
    assert loaded.why[-1] == f"it last worked (transfer) {at}"
    boot = NOW - timedelta(hours=4)
    fresh = judged(reading([0.0] * 36, memory_used_mib=FREE), host(), boot=boot).now
    assert fresh.why[-1] == f"it was being set up {at}"
    remembered = Earlier(seen_from=BOOT, first_active_at=BOOT, last_active_at=end)
    quiet = reading([0.0] * 12, memory_used_mib=FREE[:12])
    assert judged(quiet, earlier=remembered).now.why[-1] == f"it last worked {at}"


def test_where_no_activity_was_seen_none_is_told() -> None:
    now = judged(reading([0.0] * 36, memory_used_mib=FREE), host()).now
    assert not any("until" in each for each in now.why)


def test_a_pinned_gpu_at_near_idle_power_that_writes_nothing_is_hung() -> None:
    pinned = reading(
        [100.0] * 36,
        utilisation_mean_pct=[100.0] * 36,
        power_w=[90.0] * 36,
        memory_used_mib=HELD,
    )
    assert judged(pinned, host(), board_power_w=400.0).now.phase is Phase.HUNG
    working = reading(
        [100.0] * 36,
        utilisation_mean_pct=[100.0] * 36,
        power_w=[390.0] * 36,
        memory_used_mib=HELD,
    )
    assert judged(working, host(), board_power_w=400.0).now.phase is Phase.ACTIVE


def test_without_power_or_disk_counters_nothing_is_called_hung() -> None:
    pinned = reading([100.0] * 36, utilisation_mean_pct=[100.0] * 36, memory_used_mib=HELD)
    assert judged(pinned, host(), board_power_w=400.0).now.phase is Phase.ACTIVE


def test_a_quiet_host_without_gpu_metrics_is_idle_with_low_confidence() -> None:
    now = judged(host()).now
    assert now.phase is Phase.IDLE
    assert now.confidence <= 0.4


def test_a_host_that_computes_a_little_may_feed_a_gpu_and_stays_unknown() -> None:
    assert judged(host(cpu=8.0)).now.phase is Phase.UNKNOWN


def test_a_host_whose_network_is_not_measured_stays_unknown() -> None:
    assert judged(reading([1.0] * 36, gpu=None)).now.phase is Phase.UNKNOWN


def test_fine_readings_win_over_coarse_ones_of_the_same_time() -> None:
    coarse = reading([0.0] * 48, period_s=3600, memory_used_mib=[10.0] * 48)
    fine = reading([90.0] * 36, memory_used_mib=HELD)
    result = judged(coarse, fine)
    assert hours_of(result, Phase.ACTIVE) == 3.0


def test_a_span_that_begins_after_its_boot_has_no_set_up_of_its_own() -> None:
    spans = (Span(started_at=NOW - timedelta(hours=3), ended_at=None, booted_at=BOOT),)
    quiet = reading([0.0] * 36, memory_used_mib=FREE)
    earlier = Earlier(seen_from=BOOT, first_active_at=BOOT, last_active_at=NOW - timedelta(days=1))
    result = timeline([quiet], spans=spans, until=NOW, gpus=1, earlier=earlier)
    assert hours_of(result, Phase.IDLE) == 3.0
    assert result.now.idle_minutes() == 24 * 60


def test_time_between_activity_and_pause_that_was_not_measured_lowers_its_coverage() -> None:
    """It is no part of the pause, and somebody may have worked in it."""
    now = judged(reading([90.0] * 6 + [None] * 10 + [0.0] * 20, memory_used_mib=FREE), host()).now
    assert now.idle_minutes() == 100.0
    assert now.coverage == pytest.approx(20 / 30, abs=0.01)
    assert now.confidence < 0.9


@pytest.mark.parametrize("held", [FREE, HELD])
def test_set_up_is_armed_again_after_each_boot(held: list[float]) -> None:
    """The same activity long ago makes no boot ready but its own."""
    first = Span(
        started_at=NOW - timedelta(hours=3),
        ended_at=NOW - timedelta(hours=2),
        booted_at=NOW - timedelta(hours=3),
    )
    again = NOW - timedelta(hours=1)
    second = Span(started_at=again, ended_at=None, booted_at=again)
    seen = reading([90.0] * 12 + [0.0] * 24, memory_used_mib=held)
    result = timeline([seen], spans=(first, second), until=NOW, gpus=1)
    assert (hours_of(result, Phase.ACTIVE), hours_of(result, Phase.SETUP)) == (1.0, 1.0)
    assert result.now.phase is Phase.SETUP
    assert result.now.idle_minutes() == 0.0


def test_what_lasts_longer_than_set_up_may_is_parked_like_any_other() -> None:
    boot = NOW - timedelta(hours=3)
    result = judged(reading([0.0] * 36, memory_used_mib=HELD), boot=boot)
    assert (result.now.phase, result.now.idle_minutes()) == (Phase.PARKED, 60.0)


def test_how_long_set_up_may_last_is_a_limit() -> None:
    boot = NOW - timedelta(hours=3)
    short = PhaseLimits(setup=timedelta(minutes=30))
    result = judged(reading([0.0] * 36, memory_used_mib=FREE), boot=boot, limits=short)
    assert (hours_of(result, Phase.SETUP), result.now.idle_minutes()) == (0.5, 150.0)


def test_a_download_during_set_up_is_set_up() -> None:
    boot = NOW - timedelta(hours=1)
    quiet = reading([0.0] * 36, memory_used_mib=FREE)
    assert judged(quiet, host(received=5e6 * 300), boot=boot).now.phase is Phase.SETUP


def test_it_worked_at_first_and_is_idle_since() -> None:
    """A pause is looked for up to now, whatever an average since the start would say."""
    now = judged(reading([99.0] * 30 + [0.0] * 6, memory_used_mib=FREE), host()).now
    assert (now.phase, now.idle_minutes()) == (Phase.IDLE, 30.0)


def slices(last: Sequence[float | None]) -> list[Reading]:
    """Seven slices of one card; the seventh as told."""
    quiet = [reading([0.0] * 36, gpu=f"MIG-{index}", memory_used_mib=FREE) for index in range(6)]
    return [*quiet, reading(last, gpu="MIG-6", memory_used_mib=FREE)]


def test_a_card_in_slices_is_idle_only_if_every_slice_is() -> None:
    assert judged(*slices([0.0] * 36)).now.phase is Phase.IDLE
    assert judged(*slices([0.0] * 35 + [50.0])).now.phase is Phase.ACTIVE
    assert judged(*slices([0.0] * 24 + [None] * 12)).now.phase is Phase.UNKNOWN


def test_one_slice_that_holds_memory_parks_the_card() -> None:
    held = reading([0.0] * 36, gpu="MIG-6", memory_used_mib=HELD)
    assert judged(*slices([0.0] * 36)[:6], held).now.phase is Phase.PARKED


def test_a_gpu_that_computes_beside_a_hung_one_makes_an_active_machine() -> None:
    stuck = reading(
        [100.0] * 36, utilisation_mean_pct=[100.0] * 36, power_w=[90.0] * 36, memory_used_mib=HELD
    )
    works = reading(
        [80.0] * 36,
        gpu="1",
        utilisation_mean_pct=[70.0] * 36,
        power_w=[300.0] * 36,
        memory_used_mib=HELD,
    )
    assert judged(stuck, works, host(), gpus=2, board_power_w=400.0).now.phase is Phase.ACTIVE
    assert judged(stuck, host(), board_power_w=400.0).now.phase is Phase.HUNG


@pytest.mark.parametrize("column", ["sent_bytes", "written_bytes"])
def test_a_pinned_gpu_whose_host_writes_or_sends_is_not_hung(column: str) -> None:
    pinned = reading(
        [100.0] * 36, utilisation_mean_pct=[100.0] * 36, power_w=[90.0] * 36, memory_used_mib=HELD
    )
    columns: dict[str, Any] = {column: [1e6 * 300] * 36}
    busy = host(**columns)
    assert judged(pinned, busy, board_power_w=400.0).now.phase is Phase.ACTIVE


def test_a_gpu_that_was_pinned_for_a_short_time_only_is_not_hung() -> None:
    load, draw = [50.0] * 31 + [100.0] * 5, [200.0] * 31 + [90.0] * 5
    pinned = reading(load, utilisation_mean_pct=load, power_w=draw, memory_used_mib=HELD)
    assert judged(pinned, host(), board_power_w=400.0).now.phase is Phase.ACTIVE


def test_time_outside_the_spans_has_no_phase() -> None:
    spans = (Span(started_at=NOW - timedelta(hours=3), ended_at=NOW - timedelta(hours=2)),)
    result = timeline([reading([90.0] * 36)], spans=spans, until=NOW, gpus=1)
    assert hours_of(result, Phase.ACTIVE) == 1.0
    assert result.now.phase is Phase.UNKNOWN


values = st.one_of(st.none(), st.floats(min_value=0, max_value=100))


@given(st.lists(values, min_size=36, max_size=36))
def test_stretches_cover_the_span_once_and_in_order(utilisation: list[float | None]) -> None:
    boot = NOW - timedelta(hours=2, minutes=7)
    stretches = judged(reading(utilisation, memory_used_mib=FREE), boot=boot).stretches
    assert stretches[0].started_at == boot
    assert stretches[-1].ended_at == NOW
    for before, after in itertools.pairwise(stretches):
        assert before.ended_at == after.started_at


@given(st.lists(values, min_size=36, max_size=36), st.integers(0, 35))
@example([*[90.0] * 33, 0.0, None, 0.0], 33)
@example([*[None] * 33, 0.0, None, 0.0], 33)
@example([*[90.0] * 30, None, 0.0, 0.0, None, 0.0, 0.0], 31)
def test_a_lost_measurement_never_makes_a_pause_longer(
    utilisation: list[float | None], lost: int
) -> None:
    """Nor surer, but where it was the first of all: what nobody watched before is no gap."""
    before = judged(reading(utilisation, memory_used_mib=FREE)).now
    quieter = [None if index == lost else value for index, value in enumerate(utilisation)]
    after = judged(reading(quieter, memory_used_mib=FREE)).now
    if before.phase in QUIET and after.phase in QUIET and (utilisation[lost] or 0.0) < 5.0:
        assert (after.idle_minutes() or 0.0) <= (before.idle_minutes() or 0.0)
        watched_before = any(value is not None for value in utilisation[:lost])
        if watched_before or utilisation[lost] is None:
            assert after.confidence <= before.confidence
            assert after.coverage <= before.coverage


@given(st.lists(values, min_size=36, max_size=36), st.integers(0, 35))
def test_added_activity_never_makes_a_pause_longer(
    utilisation: list[float | None], busy: int
) -> None:
    before = judged(reading(utilisation, memory_used_mib=FREE)).now
    more = [90.0 if index == busy else value for index, value in enumerate(utilisation)]
    after = judged(reading(more, memory_used_mib=FREE)).now
    if after.phase in QUIET:
        assert (after.idle_minutes() or 0.0) <= (before.idle_minutes() or 1e9)
