"""A real Prometheus' answers become readings, each of the machine that it belongs to."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from math import isnan

import pytest

from policies.facts import Gap, Machine, Reading, Window
from providers.base import Seen
from providers.prometheus.usage import PrometheusUsage
from tests.providers.prometheus.fleet import (
    ABSENT,
    BROKEN,
    BUSY,
    COARSE,
    FINE,
    FLEET,
    GAPPY,
    IDLE,
    LATE,
    NOW,
    PEAK_AT,
    SILENT,
    SINCE,
    SLICED,
    TWIN_A,
    TWIN_B,
)


@pytest.fixture(scope="module")
def seen(server: str) -> Seen[Reading]:
    return PrometheusUsage(server).readings(FLEET, FINE)


def of(seen: Seen[Reading], machine: Machine) -> dict[str | None, Reading]:
    return {each.gpu: each for each in seen.values if each.resource == machine.id}


def test_a_busy_gpu_is_read_whole(seen: Seen[Reading]) -> None:
    (reading,) = of(seen, BUSY).values()
    assert (reading.gpu, reading.source) == ("0", "prometheus:DCGM")
    assert (reading.started_at, reading.period_s, reading.intervals) == (SINCE, 300, 36)
    assert set(reading.utilisation_max_pct) == {95.0}
    assert reading.utilisation_mean_pct is not None
    assert all(85.0 < mean < 95.0 for mean in reading.utilisation_mean_pct)
    assert set(reading.memory_used_mib or ()) == {20000.0}
    assert set(reading.memory_total_mib or ()) == {24000.0}
    assert set(reading.power_w or ()) == {250.0}


def test_a_single_busy_sample_is_seen_in_its_own_interval_alone(seen: Seen[Reading]) -> None:
    found = of(seen, IDLE)
    assert set(found) == {"0", "GPU-22"}
    column = found["GPU-22"].utilisation_max_pct
    assert {index: value for index, value in enumerate(column) if value} == {PEAK_AT // 300: 77.0}


def test_a_sample_on_the_edge_belongs_to_the_interval_that_it_begins(server: str) -> None:
    edge = Window(started_at=SINCE + timedelta(seconds=PEAK_AT - 300), ended_at=NOW, period_s=300)
    (reading,) = [
        each
        for each in PrometheusUsage(server).readings([IDLE], edge).values
        if each.gpu == "GPU-22"
    ]
    assert list(reading.utilisation_max_pct[:3]) == [0.0, 77.0, 0.0]


def test_the_engines_activity_is_preferred_where_it_is_measured(seen: Seen[Reading]) -> None:
    assert set(of(seen, IDLE)["0"].utilisation_max_pct) == {2.0}


def test_slices_are_gpus_of_their_own_and_a_silent_card_is_not_hidden_by_them(
    seen: Seen[Reading],
) -> None:
    found = of(seen, SLICED)
    assert set(found) == {"0/1", "0/2", "silent 1"}
    assert set(found["0/2"].utilisation_max_pct) == {64.0}
    assert set(found["0/1"].memory_used_mib or ()) == {9000.0}
    assert found["silent 1"].coverage == 0.0


def test_an_hour_without_scrapes_is_unknown_and_not_idle(seen: Seen[Reading]) -> None:
    (reading,) = of(seen, GAPPY).values()
    missing = {i for i, value in enumerate(reading.utilisation_max_pct) if isnan(value)}
    assert missing == {second // 300 for second in SILENT}


def test_nan_is_not_measured(seen: Seen[Reading]) -> None:
    (reading,) = of(seen, BROKEN).values()
    assert reading.coverage == 0.0


def test_a_label_that_fits_two_machines_is_given_to_none_and_told(seen: Seen[Reading]) -> None:
    assert not of(seen, TWIN_A)
    assert not of(seen, TWIN_B)
    (gap,) = seen.gaps
    assert "Hostname=worker fits 2 machines" in gap.why
    assert TWIN_A.id in gap.why


def test_a_label_may_mean_a_machine_that_is_not_asked_about(server: str) -> None:
    alone = PrometheusUsage(server).readings([TWIN_A], FINE)
    assert of(alone, TWIN_A)
    beside = PrometheusUsage(server).readings([TWIN_A], FINE, beside=[TWIN_A, TWIN_B])
    assert not beside.values
    assert "fits 2 machines" in beside.gaps[0].why


def test_a_second_label_tells_which_of_the_two_it_is(server: str) -> None:
    names = [replace(BUSY, host_names=("ip-10-0-0-1",)), replace(IDLE, host_names=("ip-10-0-0-1",))]
    names[0] = replace(names[0], host_names=("ip-10-0-0-1", "GPU-1"))
    usage = PrometheusUsage(server, join_labels=("Hostname", "UUID"))
    assert {each.resource for each in usage.readings(names, FINE).values} == {BUSY.id}


def test_a_machine_that_it_does_not_know_is_absent(seen: Seen[Reading]) -> None:
    assert not of(seen, ABSENT)


def test_one_query_a_metric_however_many_machines(server: str) -> None:
    usage = PrometheusUsage(server)
    usage.readings(FLEET, FINE)
    assert usage.api_calls() == {"prometheus:query_range": 5}


def test_a_coarse_step_keeps_the_maximum_inside_it(server: str) -> None:
    seen = PrometheusUsage(server).readings([IDLE], COARSE)
    assert list(of(seen, IDLE)["GPU-22"].utilisation_max_pct) == [0.0, 77.0, 0.0]


def test_an_hour_of_which_two_idle_minutes_were_seen_is_unknown_and_two_busy_ones_are_work(
    server: str,
) -> None:
    (reading,) = PrometheusUsage(server).readings([LATE], COARSE).values
    first, second, third = reading.utilisation_max_pct
    assert isnan(first)
    assert second == 60.0
    assert isnan(third)


def test_a_long_window_is_asked_for_in_parts(server: str) -> None:
    window = Window(started_at=NOW - timedelta(seconds=12_000), ended_at=NOW, period_s=1)
    usage = PrometheusUsage(server)
    seen = usage.readings([BUSY], window)
    assert usage.api_calls() == {"prometheus:query_range": 10}
    (reading,) = seen.values
    measured = [i for i, value in enumerate(reading.utilisation_max_pct) if not isnan(value)]
    first = -(-(SINCE.timestamp() - window.started_at.timestamp()) // 60) * 60
    assert measured == list(range(int(max(first, 1200)), 12_000, 60))


def test_a_prometheus_of_other_machines_says_which_labels_it_has(server: str) -> None:
    (gap,) = PrometheusUsage(server).readings([ABSENT], FINE).gaps
    assert "none of its GPUs fits a machine here" in gap.why
    assert "Hostname=ip-10-0-0-1" in gap.why


def test_an_empty_answer_is_a_gap_and_no_zero(server: str) -> None:
    before = Window(started_at=SINCE - timedelta(days=2), ended_at=SINCE, period_s=3600)
    seen = PrometheusUsage(server).readings(FLEET, before)
    assert not seen.values
    (gap,) = seen.gaps
    assert isinstance(gap, Gap)
    assert "knows no DCGM_FI_DEV_GPU_UTIL from" in gap.why


def test_without_machines_nothing_is_asked(server: str) -> None:
    usage = PrometheusUsage(server)
    assert usage.readings([], FINE) == Seen()
    assert Counter(usage.api_calls()) == Counter()


def test_the_probe_counts_what_it_could_tell_of(server: str) -> None:
    usage = PrometheusUsage(server)
    probe = usage.probe(NOW - timedelta(seconds=60))
    assert probe.ok
    assert probe.told.endswith("tells of 8 GPUs")
    nothing = usage.probe(NOW - timedelta(days=9))
    assert nothing.ok is None
    assert "knows no DCGM_FI_DEV_GPU_UTIL" in nothing.told
    down = PrometheusUsage("http://127.0.0.1:9").probe(NOW)
    assert down.ok is False
    assert "cannot be reached" in down.told
