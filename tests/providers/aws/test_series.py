"""From the SDK's parsed answer to readings: pure."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Machine, Series, Window
from providers.aws.series import (
    FAILED,
    GPU_COLUMNS,
    GPU_METRIC,
    HOST_COLUMNS,
    Laying,
    Row,
    Source,
    first_asks,
    later_asks,
    queries,
    readings_from,
    sources_of,
)
from tests.builders import machine, series

BEGIN = datetime(2026, 11, 23, 5, tzinfo=UTC)
NAN = float("nan")


def window(intervals: int = 6) -> Window:
    return Window(
        started_at=BEGIN, ended_at=BEGIN + timedelta(seconds=300 * intervals), period_s=300
    )


def times(*intervals: float) -> list[datetime]:
    return [BEGIN + timedelta(seconds=300 * interval) for interval in intervals]


def same(column: Series | None, expected: Sequence[float]) -> bool:
    """Equal element by element, NaN being equal to NaN."""
    return column is not None and repr(list(column)) == repr([float(each) for each in expected])


def test_a_whole_series_is_taken_as_it_is() -> None:
    column = Laying(window()).column(times(*range(6)), [1, 2, 3, 4, 5, 6])
    assert same(column, [1, 2, 3, 4, 5, 6])


def test_what_was_not_delivered_is_not_a_number() -> None:
    laying = Laying(window())
    assert same(laying.column(times(2, 3), [7, 8]), [NAN, NAN, 7, 8, NAN, NAN])
    assert same(laying.column(times(0, 5), [7, 8]), [7, NAN, NAN, NAN, NAN, 8])
    assert laying.column([], []) is None


def test_points_off_the_grid_go_to_the_interval_they_fall_in() -> None:
    column = Laying(window()).column(times(0.5, 1.5, 1.9, 5.99), [1, 9, 2, 3])
    assert same(column, [1, 9, NAN, NAN, NAN, 3])


def test_points_outside_the_window_are_left_out() -> None:
    laying = Laying(window())
    assert same(laying.column(times(-1, 0, 6), [1, 2, 3]), [2, NAN, NAN, NAN, NAN, NAN])
    assert laying.column(times(-2, -1), [1, 2]) is None


def test_equal_times_are_looked_at_once_and_others_anew() -> None:
    laying = Laying(window())
    assert same(laying.column(times(0, 1), [1, 2]), [1, 2, NAN, NAN, NAN, NAN])
    assert same(laying.column(times(0, 1), [3, 4]), [3, 4, NAN, NAN, NAN, NAN])
    assert same(laying.column(times(4, 5), [5, 6]), [NAN, NAN, NAN, NAN, 5, 6])


@pytest.mark.parametrize(
    ("when", "values"), [(times(0, 1), [1.0]), (times(0), ["nought"]), (times(0), [None])]
)
def test_an_answer_that_is_none_is_refused(when: list[datetime], values: list[Any]) -> None:
    with pytest.raises((TypeError, ValueError, struct.error)):
        Laying(window()).column(when, values)


points = st.dictionaries(st.integers(-3, 15), st.floats(0, 100), max_size=12)


@given(points)
def test_each_point_stands_where_its_time_says_and_nothing_else_does(
    told: Mapping[int, float],
) -> None:
    when = sorted(told)
    column = Laying(window(12)).column(times(*when), [told[each] for each in when])
    inside = {each: value for each, value in told.items() if 0 <= each < 12}
    if column is None:
        assert not inside
    else:
        known = {index: value for index, value in enumerate(column) if not isnan(value)}
        assert known == inside


@given(st.lists(points, max_size=5))
def test_the_order_of_series_does_not_matter(several: list[Mapping[int, float]]) -> None:
    shared = Laying(window(12))
    for told in several:
        when = sorted(told)
        values = [told[each] for each in when]
        alone = Laying(window(12)).column(times(*when), values)
        assert repr(shared.column(times(*when), values)) == repr(alone)


def listed(namespace: str = "CWAgent", **dimensions: str) -> dict[str, Any]:
    told = [{"Name": name, "Value": value} for name, value in dimensions.items()]
    return {"Namespace": namespace, "MetricName": GPU_METRIC, "Dimensions": told}


def gpus_of(rows: Sequence[Mapping[str, Any]], *machines: Machine) -> list[tuple[str, str]]:
    """Which GPUs of which machines are read."""
    sources, _ = sources_of(rows, machines)
    return [(each.resource[-1], each.gpu) for each in sources if each.gpu is not None]


def test_series_join_by_instance_id() -> None:
    rows = [listed(InstanceId=f"i-{name}", index="0") for name in "abz"]
    assert gpus_of(rows, machine("a"), machine("b")) == [("a", "0"), ("b", "0")]


def test_series_without_an_id_join_by_host_name() -> None:
    one, two = machine("a", host_names=("ip-1", "10.0.0.1")), machine("b", host_names=("ip-2",))
    rows = [listed(host="IP-1", index="0"), listed(host="10.0.0.9", index="0")]
    assert gpus_of(rows, one, two) == [("a", "0")]


def test_a_placeholder_is_no_id() -> None:
    rows = [listed(InstanceId="${aws:InstanceId}", host="ip-1", index="0")]
    assert gpus_of(rows, machine("a", host_names=("ip-1",))) == [("a", "0")]


def test_an_unknown_id_does_not_fall_back_to_the_host() -> None:
    rows = [listed(InstanceId="i-gone", host="ip-1", index="0")]
    assert gpus_of(rows, machine("a", host_names=("ip-1",))) == []


def test_a_host_name_of_two_machines_joins_none_and_is_told() -> None:
    twins = [machine(name, host_names=("ip-1",)) for name in "ab"]
    rows = [listed(host="ip-1", index=str(gpu)) for gpu in range(2)]
    sources, gaps = sources_of(rows, twins)
    assert all(source.gpu is None for source in sources)
    (gap,) = gaps
    assert "ip-1" in gap.why
    assert "i-a, i-b" in gap.why


def test_a_series_that_is_listed_twice_is_read_once() -> None:
    rows = [listed(InstanceId="i-a", index="0")] * 3
    assert gpus_of(rows, machine("a")) == [("a", "0")]


def test_of_a_gpu_with_and_without_id_the_one_with_it_is_read() -> None:
    one = machine("a", host_names=("ip-1",))
    rows = [listed(host="ip-1", index="0"), listed(host="ip-1", index="0", InstanceId="i-a")]
    sources, _ = sources_of(rows, [one])
    (gpu,) = [source for source in sources if source.gpu is not None]
    assert {"Name": "InstanceId", "Value": "i-a"} in gpu.dimensions


def test_gpus_come_in_the_order_of_their_numbers() -> None:
    rows = [listed(InstanceId="i-a", index=str(index)) for index in (10, 2, 0)]
    assert [gpu for _, gpu in gpus_of(rows, machine("a", gpus=11))] == ["0", "2", "10"]


def test_an_aggregate_over_gpus_stands_for_an_only_gpu() -> None:
    rows = [listed(InstanceId="i-a")]
    assert gpus_of(rows, machine("a", gpus=1)) == [("a", "0")]
    assert gpus_of(rows, machine("a", gpus=8)) == []
    with_index = [*rows, listed(InstanceId="i-a", index="0")]
    assert gpus_of(with_index, machine("a", gpus=1)) == [("a", "0")]


def asked(
    sources: Sequence[Source], asks: Sequence[tuple[int, int]]
) -> list[tuple[str | None, str]]:
    """GPU (None: the host) and column of each ask."""
    return [(sources[source].gpu, sources[source].columns[column].name) for source, column in asks]


def source(gpu: str | None = "0", resource: str = "m", total: int | None = 24_576) -> Source:
    return Source(
        resource=resource,
        gpu=gpu,
        namespace="CWAgent",
        dimensions=[],
        memory_total_mib=None if gpu is None else total,
        board_power_w=300,
    )


def row(*columns: Sequence[float] | array[float] | None, host: bool = False) -> Row:
    """The columns in the order of asking; those that are left out at the end are None."""
    told: Row = [each if each is None or each is FAILED else series(list(each)) for each in columns]
    return told + [None] * (len(HOST_COLUMNS if host else GPU_COLUMNS) - len(told))


GPU_ASKS = [
    ("0", name)
    for name in ("utilisation_max_pct", "utilisation_mean_pct", "memory_used_mib", "power_w")
]
TRAFFIC_ASKS = [(None, name) for name in ("received_bytes", "sent_bytes", "written_bytes")]
HOST_ASKS = [(None, "utilisation_max_pct"), *TRAFFIC_ASKS]


def test_gpus_are_asked_first_and_the_host_only_where_none_is_listed() -> None:
    sources, _ = sources_of([listed(InstanceId="i-a", index="0")], [machine("a"), machine("b")])
    asks = first_asks(sources)
    assert asked(sources, asks) == [*GPU_ASKS, *HOST_ASKS]
    sent = queries(sources, asks, 300)
    assert [query["Id"] for query in sent] == [f"q{number}" for number in range(8)]
    metrics = [query["MetricStat"]["Metric"] for query in sent]
    assert [each["MetricName"] for each in metrics[:2]] == [GPU_METRIC, GPU_METRIC]
    assert [query["MetricStat"]["Stat"] for query in sent[:2]] == ["Maximum", "Average"]
    assert metrics[4]["Dimensions"] == [{"Name": "InstanceId", "Value": "i-b"}]
    assert {query["MetricStat"]["Period"] for query in sent} == {300}


def test_the_size_of_memory_is_asked_where_the_type_does_not_tell_it() -> None:
    told = asked([source(total=None)], first_asks([source(total=None)]))
    assert told == [*GPU_ASKS, ("0", "memory_total_mib")]


def later(*gpus: Row) -> list[tuple[str | None, str]]:
    sources = [source(None), *(source(str(number)) for number in range(len(gpus)))]
    return asked(sources, later_asks(sources, [row(host=True), *gpus]))


def test_the_host_of_a_machine_that_plainly_works_is_not_asked() -> None:
    assert later(row([80, 99], [60, 70])) == []
    assert later(row([0, 0], [0, 0]), row([80, 99], [60, 70])) == [], "one busy GPU is enough"


def test_quiet_gpus_leave_open_what_the_host_sent_and_received() -> None:
    assert later(row([80, 3], [60, 1])) == TRAFFIC_ASKS
    assert later(row([80, 3], [60, 1]), row([9, 90], [5, 50])) == []
    assert later(row([80, NAN, 3], [60, NAN, 1])) == TRAFFIC_ASKS


def test_pinned_gpus_at_little_power_leave_open_whether_they_hang() -> None:
    assert later(row([100, 100], [NAN, 99], None, [280, 60])) == TRAFFIC_ASKS
    assert later(row([100, 100], [NAN, 99], None, [60, 280])) == [], "not in one interval"
    assert later(row([100, 100], [99, 99], None, [280, 280])) == [], "it works"
    assert later(row([100, 100], [99, 99])) == [], "without power nobody can tell"


def test_gpus_that_are_listed_and_told_nothing_leave_the_whole_host_open() -> None:
    assert later(row(None), row(None)) == HOST_ASKS


def test_where_a_gpu_failed_its_host_does_not_stand_in() -> None:
    assert later(row(FAILED, FAILED, FAILED, FAILED)) == []
    assert later(row(FAILED), row(None)) == []


def test_a_host_that_was_asked_already_is_not_asked_again() -> None:
    assert later() == []


def test_a_reading_has_the_columns_that_came() -> None:
    (reading,) = readings_from([source()], [row([1, 2], [1, 1], None, [30, 31])], window(2))
    assert (reading.gpu, reading.source, reading.period_s) == ("0", "cloudwatch:CWAgent", 300)
    assert reading.started_at == BEGIN
    assert list(reading.utilisation_max_pct) == [1, 2]
    assert reading.memory_used_mib is None
    assert list(reading.power_w or ()) == [30, 31]
    assert list(reading.memory_total_mib or ()) == [24_576, 24_576], "as the type tells it"


def test_the_size_of_memory_that_was_asked_for_is_the_answer() -> None:
    told = row([1], [1], None, None, [15_360])
    (reading,) = readings_from([source(total=None)], [told], window(1))
    assert list(reading.memory_total_mib or ()) == [15_360]


def test_a_source_without_any_point_has_no_reading() -> None:
    assert readings_from([source()], [row(None)], window(2)) == []


def test_what_failed_is_unknown_and_not_absent() -> None:
    (reading,) = readings_from([source()], [row(FAILED, None, FAILED)], window(2))
    assert reading.coverage == 0
    assert reading.memory_used_mib is None


def test_a_host_of_which_only_traffic_was_asked_measures_no_cpu() -> None:
    told = row(None, [5, 6], [7, 8], host=True)
    (reading,) = readings_from([source(None)], [told], window(2))
    assert reading.coverage == 0
    assert list(reading.sent_bytes or ()) == [7, 8]
    assert reading.memory_total_mib is None


def test_two_series_of_one_gpu_are_one_reading() -> None:
    rows = [row([1, NAN, 3]), row([9, 2, NAN])]
    (reading,) = readings_from([source(), source()], rows, window(3))
    assert list(reading.utilisation_max_pct) == [1, 2, 3]


def test_of_two_series_of_one_gpu_one_that_failed_is_unknown() -> None:
    (reading,) = readings_from([source(), source()], [row(None), row(FAILED)], window(3))
    assert reading.coverage == 0


def test_the_memory_that_gpus_have_is_kept_once() -> None:
    readings = readings_from([source("0"), source("1")], [row([1]), row([2])], window(1))
    for one, other in pairwise(readings):
        assert one.memory_total_mib is other.memory_total_mib
        assert one.utilisation_max_pct is not other.utilisation_max_pct
