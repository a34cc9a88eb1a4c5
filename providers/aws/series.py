"""Metric answers become readings: pure, and quick, for there are millions of points.

A *source* is one GPU, or one machine's host, at CloudWatch. An *ask* is one column of one source:
a query, which AWS charges for. GPUs are asked first. Their hosts are asked afterwards, and only
where it matters: network and disk tell a transfer from idleness and a hang from work, so a machine
whose GPUs are plainly at work needs neither.
"""

from __future__ import annotations

import struct
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import starmap
from math import isnan, nan
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.facts import Gap, Machine, Reading, Series, Window
from providers.catalog.offers import board_power_w

GPU_METRIC = "nvidia_smi_utilization_gpu"
HOST_NAMESPACE = "AWS/EC2"


class Column(NamedTuple):
    """A column of a reading, and the metric and statistic that fill it."""

    name: str
    metric: str
    statistic: str


GPU_COLUMNS = (
    Column("utilisation_max_pct", GPU_METRIC, "Maximum"),
    Column("utilisation_mean_pct", GPU_METRIC, "Average"),
    Column("memory_used_mib", "nvidia_smi_memory_used", "Maximum"),
    Column("power_w", "nvidia_smi_power_draw", "Maximum"),
    Column("memory_total_mib", "nvidia_smi_memory_total", "Maximum"),
)
HOST_COLUMNS = (
    Column("utilisation_max_pct", "CPUUtilization", "Maximum"),
    Column("received_bytes", "NetworkIn", "Sum"),
    Column("sent_bytes", "NetworkOut", "Sum"),
    Column("written_bytes", "EBSWriteBytes", "Sum"),
)
MAXIMUM, MEAN, POWER, TOTAL = 0, 1, 3, 4
WHOLE_HOST = range(len(HOST_COLUMNS))
TRAFFIC = range(1, len(HOST_COLUMNS))
NO_COLUMNS = range(0)

PLAINLY_BUSY_PCT = 25.0
"""In an interval in which some GPU reaches this, its machine computes, wherever between here and
idleness the policy draws its line (5 % by default)."""
PINNED_PCT = 90.0
LITTLE_POWER_SHARE = 0.5
"""A GPU that shows more load than the one at less of its board's power than the other may hang;
whether it does, the policy says (95 % and 0.3 by default)."""

FAILED = array("d")
"""Stands where a series was asked for and did not come whole."""
Row: TypeAlias = "list[Series | None]"
"""The columns of one source. None: nothing was measured, or it was not asked."""
Ask: TypeAlias = tuple[int, int]
"""A source and one of its columns, by their numbers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where the columns of one GPU, or of one machine's host (`gpu` None), are to be read."""

    resource: str
    gpu: str | None
    namespace: str
    dimensions: list[dict[str, str]]
    memory_total_mib: int | None = None
    """As the machine type tells it, which saves a query; None: to be asked."""
    board_power_w: float | None = None

    @property
    def columns(self) -> tuple[Column, ...]:
        return HOST_COLUMNS if self.gpu is None else GPU_COLUMNS


def host_source(machine: Machine) -> Source:
    return Source(
        resource=machine.id,
        gpu=None,
        namespace=HOST_NAMESPACE,
        dimensions=[{"Name": "InstanceId", "Value": machine.native_id}],
    )


def sources_of(
    listed: Iterable[Mapping[str, Any]], machines: Sequence[Machine]
) -> tuple[list[Source], list[Gap]]:
    """Sources machine by machine, the host first, and a gap for each host name that is ambiguous.

    `listed` are rows of ListMetrics; a series that belongs to none of the machines is left out.
    """
    joined, gaps = _joined(listed, machines)
    sources = []
    for machine in machines:
        sources.append(host_source(machine))
        sources.extend(_sources_of_one(machine, joined.get(machine.id, ())))
    return sources, gaps


@dataclass(frozen=True, slots=True, kw_only=True)
class _Listed:
    """One GPU series of the agent."""

    namespace: str
    dimensions: Mapping[str, str]
    asked_by: list[dict[str, str]]
    """The same dimensions as CloudWatch lists them and wants them back."""

    @property
    def instance(self) -> str | None:
        """The instance id, unless the agent wrote its placeholder instead of a value."""
        told = self.dimensions.get("InstanceId")
        return None if told is None or told.startswith("${") else told


def _joined(
    listed: Iterable[Mapping[str, Any]], machines: Sequence[Machine]
) -> tuple[dict[str, list[_Listed]], list[Gap]]:
    by_id = {machine.native_id: machine for machine in machines}
    by_host: dict[str, list[Machine]] = defaultdict(list)
    for machine in machines:
        for name in machine.host_names:
            by_host[name].append(machine)
    joined: dict[str, list[_Listed]] = defaultdict(list)
    ambiguous = {}
    for series in _distinct(listed):
        host = series.dimensions.get("host", "").lower()
        if series.instance is not None:
            found = [by_id[series.instance]] if series.instance in by_id else []
        else:
            found = by_host.get(host, [])
        if len(found) == 1:
            joined[found[0].id].append(series)
        elif found:
            ambiguous[host] = _ambiguous(host, found)
    return joined, list(ambiguous.values())


def _distinct(listed: Iterable[Mapping[str, Any]]) -> Iterator[_Listed]:
    seen = set()
    for row in listed:
        pairs = {each["Name"]: each["Value"] for each in row["Dimensions"]}
        key = (row["Namespace"], frozenset(pairs.items()))
        if key not in seen:
            seen.add(key)
            yield _Listed(namespace=row["Namespace"], dimensions=pairs, asked_by=row["Dimensions"])


def _ambiguous(host: str, machines: Sequence[Machine]) -> Gap:
    names = ", ".join(machine.native_id for machine in machines)
    return Gap(
        provider="aws",
        account=machines[0].account,
        region=machines[0].region,
        what="GPU metrics",
        why=f"host name {host} belongs to {len(machines)} machines ({names}), so its GPU metrics"
        " are given to none: let the agent append the dimension InstanceId",
    )


def _sources_of_one(machine: Machine, series: Iterable[_Listed]) -> list[Source]:
    """One source a GPU; several where the agent's dimensions changed within the window.

    Where a GPU is listed with and without the instance's id, the one with it is read.
    """
    by_gpu: dict[str, list[_Listed]] = defaultdict(list)
    for each in series:
        by_gpu[each.dimensions.get("index", "")].append(each)
    aggregate = by_gpu.pop("", [])
    if not by_gpu and machine.gpus == 1:
        by_gpu["0"] = aggregate
    sources: list[Source] = []
    for gpu, several in sorted(by_gpu.items(), key=lambda item: (len(item[0]), item[0])):
        named = [each for each in several if each.instance is not None]
        sources.extend(_source(machine, gpu, each) for each in named or several)
    return sources


def _source(machine: Machine, gpu: str, series: _Listed) -> Source:
    return Source(
        resource=machine.id,
        gpu=gpu,
        namespace=series.namespace,
        dimensions=series.asked_by,
        memory_total_mib=machine.gpu_memory_mib,
        board_power_w=board_power_w(machine.gpu_model or ""),
    )


def empty_rows(sources: Iterable[Source]) -> list[Row]:
    return [[None] * len(source.columns) for source in sources]


def first_asks(sources: Sequence[Source]) -> list[Ask]:
    """All that GPUs tell, and the whole host of a machine of which no GPU is listed."""
    measured = {source.resource for source in sources if source.gpu is not None}
    asks: list[Ask] = []
    for number, source in enumerate(sources):
        if source.gpu is not None:
            known = source.memory_total_mib is not None
            asks.extend((number, column) for column in range(TOTAL if known else TOTAL + 1))
        elif source.resource not in measured:
            asks.extend((number, column) for column in WHOLE_HOST)
    return asks


def later_asks(sources: Sequence[Source], rows: Sequence[Row]) -> list[Ask]:
    """What the GPUs' answers leave open, to be asked of their hosts."""
    gpus: dict[str, list[_Gpu]] = defaultdict(list)
    for source, row in zip(sources, rows, strict=True):
        if source.gpu is not None:
            gpus[source.resource].append((source, row))
    asks: list[Ask] = []
    for number, source in enumerate(sources):
        if source.gpu is None and source.resource in gpus:
            asks.extend((number, column) for column in _open_columns(gpus[source.resource]))
    return asks


_Gpu: TypeAlias = tuple[Source, Row]


def _open_columns(gpus: Sequence[_Gpu]) -> range:
    """All of the host where no GPU reported after all.

    Nothing where all failed, for then the machine is unknown whatever its host does.
    """
    if all(_is_empty(row) for _, row in gpus):
        return WHOLE_HOST
    may_be_quiet = bool((_busiest(gpus) < PLAINLY_BUSY_PCT).any())
    return TRAFFIC if may_be_quiet or any(starmap(_may_hang, gpus)) else NO_COLUMNS


def _busiest(gpus: Sequence[_Gpu]) -> NDArray[np.float64]:
    """Interval by interval, over the GPUs that were measured; empty where none was."""
    maxima = [row[MAXIMUM] for _, row in gpus]
    told = [np.frombuffer(column) for column in maxima if column]
    return np.fmax.reduce(told) if told else np.empty(0)


def _may_hang(source: Source, row: Row) -> bool:
    mean, power = row[MEAN], row[POWER]
    if not mean or not power or source.board_power_w is None:
        return False
    little = np.frombuffer(power) < LITTLE_POWER_SHARE * source.board_power_w
    return bool((little & (np.frombuffer(mean) >= PINNED_PCT)).any())


def _is_empty(row: Row) -> bool:
    return all(column is None for column in row)


def queries(sources: Sequence[Source], asks: Sequence[Ask], period_s: int) -> list[dict[str, Any]]:
    """The metric queries of these asks; the query's id is `q` and its number among them."""
    return [
        _query(sources[source], sources[source].columns[column], number, period_s)
        for number, (source, column) in enumerate(asks)
    ]


def _query(source: Source, column: Column, number: int, period_s: int) -> dict[str, Any]:
    of = {
        "Namespace": source.namespace,
        "MetricName": column.metric,
        "Dimensions": source.dimensions,
    }
    stat = {"Metric": of, "Period": period_s, "Stat": column.statistic}
    return {"Id": f"q{number}", "MetricStat": stat}


class Laying:
    """Lays points on the window's grid. A list of times that repeats is looked at once.

    Not for several threads at once.
    """

    def __init__(self, window: Window) -> None:
        self._begin = window.started_at.timestamp()
        self._period = window.period_s
        self._empty = array("d", [nan]) * window.intervals
        self._times: Sequence[datetime] = ()
        self._places: int | list[int] = []

    def column(self, times: Sequence[datetime], values: Sequence[float]) -> Series | None:
        """The values where they belong and NaN elsewhere; None where there is no value at all.

        Raises ValueError, TypeError or struct.error for an answer that is none: other lengths, no
        numbers.
        """
        if len(times) != len(values):
            raise ValueError(f"{len(times)} times for {len(values)} values")
        if not values:
            return None
        if times != self._times:
            self._places = self._placed(times)
            self._times = times
        if isinstance(self._places, list):
            return self._scattered(self._places, values)
        column = self._empty[:]
        struct.pack_into(f"{len(values)}d", column, self._places * 8, *values)
        return column

    def _placed(self, times: Sequence[datetime]) -> int | list[int]:
        """Intervals by index; the first alone where all follow one another within the window."""
        begin, period = self._begin, self._period
        places = [int((moment.timestamp() - begin) // period) for moment in times]
        first = places[0]
        inside = first >= 0 and first + len(places) <= len(self._empty)
        if inside and places == list(range(first, first + len(places))):
            return first
        return places

    def _scattered(self, places: Sequence[int], values: Sequence[float]) -> Series | None:
        """Points off the grid go to the interval they fall in; of several the largest stays."""
        column = self._empty[:]
        any_inside = False
        for place, value in zip(places, values, strict=True):
            if 0 <= place < len(column) and not value <= column[place]:
                column[place] = value
                any_inside = True
        return column if any_inside else None


def readings_from(sources: Sequence[Source], rows: Sequence[Row], window: Window) -> list[Reading]:
    """Readings of every source that measured something, or that failed and so is unknown.

    A source that was read whole and is empty has no reading; one that failed has a reading full of
    NaN, so that the host's figures cannot stand in for a GPU that may be busy.
    """
    by_gpu: dict[tuple[str, str | None], list[int]] = {}
    for index, source in enumerate(sources):
        by_gpu.setdefault((source.resource, source.gpu), []).append(index)
    assembly = _Assembly(window)
    readings = []
    for first, *others in by_gpu.values():
        row = rows[first]
        for other in others:
            row = list(map(_filled, row, rows[other]))
        if not _is_empty(row):
            readings.append(assembly.reading(sources[first], row))
    return readings


def _filled(one: Series | None, other: Series | None) -> Series | None:
    """One column of two sources of the same GPU: the first, its holes filled by the other."""
    if not one or not other:
        return one or other or (FAILED if FAILED in (one, other) else None)
    pairs = zip(one, other, strict=True)
    return array("d", [theirs if isnan(ours) else ours for ours, theirs in pairs])


class _Assembly:
    """Puts columns together as readings, keeping once what many of them share."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._unknown = array("d", [nan]) * window.intervals
        self._totals: dict[float, Series] = {}
        self._names: dict[str, str] = {}

    def reading(self, source: Source, row: Row) -> Reading:
        """`FAILED` is empty, so a failed column is left out; only utilisation must be there."""
        columns = {
            column.name: told or None for column, told in zip(source.columns, row, strict=True)
        }
        if source.memory_total_mib is not None:
            columns["memory_total_mib"] = self._constant(source.memory_total_mib)
        return Reading(
            resource=source.resource,
            gpu=source.gpu,
            source=self._names.setdefault(source.namespace, f"cloudwatch:{source.namespace}"),
            started_at=self._window.started_at,
            period_s=self._window.period_s,
            utilisation_max_pct=columns.pop("utilisation_max_pct") or self._unknown[:],
            **columns,
        )

    def _constant(self, total_mib: float) -> Series:
        """One array for all GPUs of a size saves a fifth of memory."""
        if total_mib not in self._totals:
            self._totals[total_mib] = array("d", [total_mib]) * self._window.intervals
        return self._totals[total_mib]
