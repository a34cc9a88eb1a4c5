"""Time series of Cloud Monitoring as readings: each GPU's own, on the window's grid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pytest
from google.cloud.monitoring_v3 import TimeSeries
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Reading, Window
from providers.base import Seen
from providers.gcp.adapter import GcpProvider
from providers.gcp.series import AGENT_METERS, key_of, place_of
from tests.contract.provider_contract import window
from tests.fake_gcp import FakeGcp

Make = Callable[..., GcpProvider]
UTIL = "agent.googleapis.com/gpu/utilization"


def read(make: Make, over: Window | None = None) -> Seen[Reading]:
    provider = make()
    return provider.readings(provider.machines().values, over or window())


def by_gpu(seen: Seen[Reading]) -> dict[str | None, Reading]:
    return {reading.gpu: reading for reading in seen.values}


def metrics(gcp: FakeGcp) -> list[str]:
    """The metric types that were asked for, in order."""
    return [
        query["filter"].split('"')[1]
        for name, query in gcp.queries
        if name == "monitoring:ListTimeSeries"
    ]


def test_each_gpu_keeps_its_maximum_and_its_mean(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine("m", "g2-standard-24")
    start = window().started_at
    gcp.put(UTIL, [0.0, 0.0, 100.0, 0.0, 0.0], machine=native, started_at=start, gpu_number="0")
    gcp.put(UTIL, [10.0] * 5, machine=native, started_at=start, gpu_number="1")
    found = by_gpu(read(provider))
    assert (found["0"].utilisation_max_pct[0], found["1"].utilisation_max_pct[0]) == (100, 10)
    assert found["0"].utilisation_mean_pct is not None
    assert found["0"].utilisation_mean_pct[0] == 20
    assert isnan(found["0"].utilisation_max_pct[1])
    assert found["0"].source == "monitoring:agent"


def test_memory_is_what_is_used_and_never_the_sum(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.gpu(native, [0.0] * 180, window().started_at)
    gpu = by_gpu(read(provider))["0"]
    assert gpu.memory_used_mib is not None
    assert gpu.memory_total_mib is not None
    assert set(gpu.memory_used_mib) == {3}
    assert gpu.memory_total_mib[0] == 22888


def test_the_dcgm_receiver_tells_fractions(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    labels: dict[str, Any] = {"gpu_number": "0", "uuid": "GPU-1", "model": "NVIDIA L4"}
    metric = "workload.googleapis.com/gpu.dcgm"
    start = window().started_at
    gcp.put(f"{metric}.utilization", [0.97] * 180, machine=native, started_at=start, **labels)
    for state, gib in (("used", 8), ("free", 14)):
        gcp.put(
            f"{metric}.memory.bytes_used",
            [gib * 2.0**30] * 180,
            machine=native,
            started_at=start,
            state=state,
            **labels,
        )
    gpu = by_gpu(read(provider))["0"]
    assert gpu.utilisation_max_pct[0] == 97
    assert gpu.memory_used_mib is not None
    assert gpu.memory_used_mib[0] == 8192
    assert gpu.source == "monitoring:dcgm"


def test_a_host_stands_in_with_percent_and_sums(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.host(native, window().started_at, 180)
    host = by_gpu(read(provider))[None]
    assert host.utilisation_max_pct[0] == 1.0, "a fraction there is percent here"
    assert host.sent_bytes is not None
    assert host.sent_bytes[0] == 1000, "five minutes of 200 bytes"


def test_one_call_a_metric_type_and_project(gcp: FakeGcp, provider: Make) -> None:
    gcp.projects = {"ml-lab": "ACTIVE", "ml-prod": "ACTIVE"}
    for project in gcp.projects:
        for number in range(3):
            native = gcp.machine(f"m{number}", project=project)
            gcp.quiet(native, window().started_at, 180, project=project)
    read(provider)
    asked = [
        (query["project"], query["filter"].split('"')[1])
        for name, query in gcp.queries
        if name == "monitoring:ListTimeSeries"
    ]
    assert len(asked) == len(set(asked))
    assert gcp.calls["compute:AggregatedListInstances"] == 2


def test_a_busy_machine_is_not_asked_for_its_host(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.gpu(native, [95.0] * 180, window().started_at)
    read(provider)
    assert metrics(gcp) == [UTIL, "agent.googleapis.com/gpu/memory/bytes_used"]


def test_a_filter_names_machines_while_they_are_few(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    native = gcp.machine()
    gcp.machine("web", "e2-small")
    read(provider)
    filters = [query["filter"] for name, query in gcp.queries if name.startswith("monitoring:")]
    assert all(f'instance_id=one_of("{native}")' in text for text in filters)
    monkeypatch.setattr("providers.gcp.usage.NAMED_AT_MOST", 0)
    gcp.queries.clear()
    read(provider)
    filters = [query["filter"] for name, query in gcp.queries if name.startswith("monitoring:")]
    assert filters
    assert not any("one_of" in text for text in filters)


def test_an_hour_is_read_as_its_maximum(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    start = window().started_at
    gcp.gpu(native, [*([0.0] * 59), 80.0, *([5.0] * 120)], start)
    gcp.host(native, start, 180)
    hourly = replace(window(), period_s=3600)
    found = by_gpu(read(provider, hourly))
    sent = found[None].sent_bytes
    assert list(found["0"].utilisation_max_pct) == [80, 5, 5]
    assert found["0"].utilisation_mean_pct is not None
    assert found["0"].utilisation_mean_pct[1] == 5
    assert sent is not None
    assert list(sent) == [12_000] * 3


def test_two_weeks_and_the_last_hours_take_one_call_a_metric_type(
    gcp: FakeGcp, provider: Make
) -> None:
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    hour = now.replace(minute=0)
    fine_from = hour - timedelta(hours=3)
    native = gcp.machine(started_at=hour - timedelta(days=14))
    gcp.quiet(native, hour - timedelta(days=2), 2 * 24 * 60 + now.minute)
    end = now - timedelta(minutes=now.minute % 5)
    coarse = Window(started_at=hour - timedelta(days=14), ended_at=fine_from, period_s=3600)
    fine = Window(started_at=fine_from, ended_at=end, period_s=300)
    made = provider()
    machines = made.machines().values
    early = by_gpu(made.readings(machines, coarse))["0"]
    late = by_gpu(made.readings(machines, fine))["0"]
    asked = metrics(gcp)
    assert len(asked) == len(set(asked))
    assert late.coverage == 1
    assert late.utilisation_mean_pct is None, "only maxima were read"
    assert not isnan(early.utilisation_max_pct[-1])
    assert isnan(early.utilisation_max_pct[0])
    made.machines()
    made.readings(machines, fine)
    assert len(metrics(gcp)) > len(asked), "the next patrol asks anew"


def test_a_large_fleet_is_read_window_by_window(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.usage.PAGE", 10)
    native = gcp.machine()
    gcp.quiet(native, window().started_at, 180)
    made = provider()
    machines = made.machines().values
    hourly = replace(window(), ended_at=window().ended_at - timedelta(hours=1), period_s=3600)
    made.readings(machines, hourly)
    made.readings(machines, window())
    asked = metrics(gcp)
    assert len(set(asked)) < len(asked)


def test_a_machine_that_rested_all_the_time_is_not_asked_about(
    gcp: FakeGcp, provider: Make
) -> None:
    gcp.machine(status="TERMINATED", lastStopTimestamp="2026-01-01T00:00:00.000-08:00")
    assert read(provider).values == ()
    assert metrics(gcp) == []


def test_series_without_a_machine_are_nobodys(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine()
    gcp.put(UTIL, [50.0] * 5, machine="", started_at=window().started_at, gpu_number="0")
    assert read(provider).values == ()


def test_what_watching_costs_is_by_the_series(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.quiet(native, window().started_at, 180)
    made = provider()
    made.readings(made.machines().values, window())
    assert f"{made.watching_usd():f}" == "0.0000030", "six series at half a millionth dollar"


BEGIN = datetime(2026, 12, 1, tzinfo=UTC)


@given(
    offset=st.floats(min_value=-7200, max_value=7200, allow_nan=False),
    period=st.sampled_from([60, 300, 3600]),
)
def test_a_point_belongs_to_the_interval_that_it_ends(offset: float, period: int) -> None:
    over = Window(started_at=BEGIN, ended_at=BEGIN + timedelta(hours=1), period_s=period)
    end = BEGIN.timestamp() + offset
    place = place_of(end, over)
    begins = BEGIN.timestamp() + place * period
    assert begins < end or abs(begins - end) < 1e-3
    assert end <= begins + period + 1e-3


@pytest.mark.parametrize(("state", "key"), [("used", ("77", "0")), ("free", None)])
def test_what_is_free_is_left_out_even_where_monitoring_answers_with_it(
    state: str, key: tuple[str, str] | None
) -> None:
    series = TimeSeries(
        metric={"labels": {"gpu_number": "0", "memory_state": state}},
        resource={"labels": {"instance_id": "77"}},
    )
    assert key_of(TimeSeries.pb(series), AGENT_METERS[1]) == key
