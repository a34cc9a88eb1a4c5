"""Time series become readings: pure, and bounded by what they say of themselves.

A *meter* is one metric type and the column of a reading that it fills. Points are laid on the
window's grid by their end: the point of 12:05 tells of the five minutes before it.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from math import isnan, nan
from typing import Any, TypeAlias

from policies.facts import Machine, Reading, Series, Window

MIB = 2**20
COARSE_S = 600
"""Windows of this period and longer are coarse."""
HOST: str | None = None
"""Stands for a machine's host where a GPU's name would stand."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """A metric type: where its figures go, and how they become percent, MiB, watts or bytes."""

    metric: str
    column: str
    source: str
    of_gpu: bool
    scale: float
    together: str
    """How several points of one interval become one: `max` or `sum`."""
    mean_column: str | None = None
    """Where their mean goes as well."""
    only: tuple[str, str] | None = None
    """A label and the value that counts; others are other figures of the same metric."""
    aligner: str = "ALIGN_MAX"
    """What Monitoring does over a coarse period."""


AGENT, DCGM, COMPUTE = "monitoring:agent", "monitoring:dcgm", "monitoring:compute"

AGENT_METERS = (
    Meter(
        metric="agent.googleapis.com/gpu/utilization",
        column="utilisation_max_pct",
        mean_column="utilisation_mean_pct",
        source=AGENT,
        of_gpu=True,
        scale=1,
        together="max",
    ),
    Meter(
        metric="agent.googleapis.com/gpu/memory/bytes_used",
        column="memory_used_mib",
        source=AGENT,
        of_gpu=True,
        scale=1 / MIB,
        together="max",
        only=("memory_state", "used"),
    ),
)
DCGM_METERS = (
    Meter(
        metric="workload.googleapis.com/gpu.dcgm.utilization",
        column="utilisation_max_pct",
        mean_column="utilisation_mean_pct",
        source=DCGM,
        of_gpu=True,
        scale=100,
        together="max",
    ),
    Meter(
        metric="workload.googleapis.com/gpu.dcgm.memory.bytes_used",
        column="memory_used_mib",
        source=DCGM,
        of_gpu=True,
        scale=1 / MIB,
        together="max",
        only=("state", "used"),
    ),
)
HOST_METERS = (
    Meter(
        metric="compute.googleapis.com/instance/cpu/utilization",
        column="utilisation_max_pct",
        mean_column="utilisation_mean_pct",
        source=COMPUTE,
        of_gpu=False,
        scale=100,
        together="max",
    ),
    Meter(
        metric="compute.googleapis.com/instance/network/received_bytes_count",
        column="received_bytes",
        source=COMPUTE,
        of_gpu=False,
        scale=1,
        together="sum",
        aligner="ALIGN_SUM",
    ),
    Meter(
        metric="compute.googleapis.com/instance/network/sent_bytes_count",
        column="sent_bytes",
        source=COMPUTE,
        of_gpu=False,
        scale=1,
        together="sum",
        aligner="ALIGN_SUM",
    ),
    Meter(
        metric="compute.googleapis.com/instance/disk/write_bytes_count",
        column="written_bytes",
        source=COMPUTE,
        of_gpu=False,
        scale=1,
        together="sum",
        aligner="ALIGN_SUM",
    ),
)
"""The Ops Agent's percentages come scaled; the DCGM receiver and Compute tell fractions. Of memory,
`used` alone: with `free` beside it the sum would be the whole. ops-agent, hostmetrics and dcgm."""

Key: TypeAlias = tuple[str, str | None]
"""A machine's number and its GPU, or `HOST`."""
Columns: TypeAlias = dict[str, Series]


@dataclass(slots=True)
class Grid:
    """Readings in the making, by machine and GPU."""

    window: Window
    columns: dict[Key, Columns] = field(default_factory=lambda: defaultdict(dict))
    sources: dict[Key, str] = field(default_factory=dict)

    def lay(
        self,
        meter: Meter,
        series: Iterable[Any],
        wanted: Collection[str],
        *,
        aligned: bool = False,
    ) -> None:
        """Every series of one metric type; those of other machines are left out.

        `aligned`: its points are maxima already, of which no mean is taken.
        """
        by_key: dict[Key, list[Any]] = defaultdict(list)
        for each in series:
            key = key_of(each, meter)
            if key is not None and key[0] in wanted:
                by_key[key].append(each)
        for key, several in by_key.items():
            values = _points(several, meter, self.window)
            if not values:
                continue
            self.sources.setdefault(key, meter.source)
            columns = self.columns[key]
            combine: Callable[[Sequence[float]], float] = max if meter.together == "max" else sum
            columns[meter.column] = self._column(values, combine)
            if meter.mean_column is not None and not aligned:
                columns[meter.mean_column] = self._column(values, _mean)

    def _column(
        self, values: Mapping[int, Sequence[float]], combine: Callable[[Sequence[float]], float]
    ) -> Series:
        column = self.empty()
        for place, told in values.items():
            column[place] = combine(told)
        return column

    def empty(self) -> Series:
        return array("d", [nan]) * self.window.intervals

    def gpus_of(self, native_id: str) -> list[Columns]:
        return [
            columns
            for (machine, gpu), columns in self.columns.items()
            if machine == native_id and gpu is not HOST and "utilisation_max_pct" in columns
        ]

    def readings(self, machines: Sequence[Machine]) -> list[Reading]:
        by_machine: dict[str, list[tuple[str | None, Columns]]] = defaultdict(list)
        for (native, gpu), columns in self.columns.items():
            by_machine[native].append((gpu, columns))
        found = []
        for machine in machines:
            several = by_machine.get(machine.native_id, [])
            for gpu, columns in sorted(several, key=lambda each: _order(each[0])):
                found.append(self._reading(machine, gpu, columns))
        return found

    def _reading(self, machine: Machine, gpu: str | None, columns: Columns) -> Reading:
        told: dict[str, Series] = dict(columns)
        total = machine.gpu_memory_mib
        if gpu is not HOST and total is not None:
            told["memory_total_mib"] = array("d", [total]) * self.window.intervals
        return Reading(
            resource=machine.id,
            gpu=gpu,
            source=self.sources[machine.native_id, gpu],
            started_at=self.window.started_at,
            period_s=self.window.period_s,
            utilisation_max_pct=told.pop("utilisation_max_pct", self.empty()),
            **told,
        )


def key_of(series: Any, meter: Meter) -> Key | None:
    """Whose series it is; None: of another figure, or of nobody that it names."""
    machine = series.resource.labels.get("instance_id")
    labels = series.metric.labels
    if not machine:
        return None
    if meter.only is not None and labels.get(meter.only[0]) != meter.only[1]:
        return None
    if not meter.of_gpu:
        return machine, HOST
    return machine, labels.get("gpu_number") or labels.get("uuid") or "0"


def value_of(point: Any) -> float | None:
    """A number as Monitoring types it; None for text and distributions."""
    kind = point.value.WhichOneof("value")
    if kind == "bool_value" or kind not in {"double_value", "int64_value"}:
        return None
    value = float(getattr(point.value, kind))
    return None if isnan(value) else value


def place_of(end_s: float, window: Window) -> int:
    """The interval that a point tells of: it ends in it, or at its end."""
    begin = window.started_at.timestamp()
    return -int(-(end_s - begin) // window.period_s) - 1


def _points(several: Sequence[Any], meter: Meter, window: Window) -> dict[int, list[float]]:
    """By interval. A metric that says percent of itself is not scaled again."""
    values: dict[int, list[float]] = defaultdict(list)
    for series in several:
        scale = 1.0 if series.unit == "%" and meter.scale == 100 else meter.scale  # noqa: PLR2004
        for point in series.points:
            value = value_of(point)
            end = point.interval.end_time
            place = place_of(end.seconds + end.nanos / 1e9, window)
            if value is not None and 0 <= place < window.intervals:
                values[place].append(value * scale)
    return values


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _order(gpu: str | None) -> tuple[int, str]:
    return (0, "") if gpu is None else (len(gpu) + 1, gpu)
