"""What DCGM's metrics mean: which are asked for, and how their series become readings. Pure."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.facts import Machine, Reading, Series, Window
from providers.prometheus.http_api import PrometheusError, RangeSeries
from providers.prometheus.joining import Gpu, Joining, gpu_of

SOURCE = "prometheus:DCGM"
UTILISATION = "DCGM_FI_DEV_GPU_UTIL"
ENGINE = "DCGM_FI_PROF_GR_ENGINE_ACTIVE"
STATISTIC = "statistic"
"""The label by which one answer tells the maximum from the mean."""

Column: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric and what is wanted of it over each interval."""

    name: str
    statistics: tuple[str, ...]
    scale: float = 1.0
    at_most: float
    """Above this (after scaling) it is no measurement: DCGM has huge numbers for `not known`."""


METRICS = (
    Metric(name=UTILISATION, statistics=("max", "avg"), at_most=100.0),
    Metric(name=ENGINE, statistics=("max", "avg"), scale=100.0, at_most=101.0),
    Metric(name="DCGM_FI_DEV_FB_USED", statistics=("max",), at_most=1e7),
    Metric(name="DCGM_FI_DEV_FB_FREE", statistics=("min",), at_most=1e7),
    Metric(name="DCGM_FI_DEV_POWER_USAGE", statistics=("max",), at_most=1e5),
)
"""The least of what is free belongs to the most of what is used: together they are the memory."""
TELL_ACTIVITY = (UTILISATION, ENGINE)
COVERED = "covered"
"""The statistic that counts the parts of a long interval in which anything was scraped."""
PART_S = 300
COVERED_ENOUGH = 0.5
WORKS_PCT = 5.0
"""A long interval that was covered less than that proves nothing unless it shows at least this:
one idle sample does not make an idle hour, and one busy sample is work."""


def expression(metric: Metric, period_s: int) -> str:
    """One query for all machines and all statistics of a metric."""
    wanted = {name: f"{name}_over_time({metric.name}[{period_s}s])" for name in metric.statistics}
    if metric.name in TELL_ACTIVITY and period_s > PART_S:
        in_part = f"last_over_time({metric.name}[{PART_S}s])"
        wanted[COVERED] = f"count_over_time({in_part}[{period_s}s:{PART_S}s])"
    return " or ".join(
        f'label_replace({asked}, "{STATISTIC}", "{name}", "", "")' for name, asked in wanted.items()
    )


def measured(metric: Metric, statistic: str, values: Column) -> Column:
    """In the unit of readings; NaN for what is no measurement."""
    if statistic == COVERED:
        return values
    scaled = values * metric.scale
    scaled[~((scaled >= 0.0) & (scaled <= metric.at_most))] = np.nan
    return scaled


def column(points: Sequence[Any], first_s: float, window: Window) -> Column:
    """Points on the window's grid; NaN where there is none.

    Raises `PrometheusError` for what is not a list of `[seconds, "value"]`.
    """
    column = np.full(window.intervals, np.nan)
    try:
        pairs = [(float(at), float(value)) for at, value in points]
    except (TypeError, ValueError):
        raise PrometheusError("a value in the answer is no number") from None
    times, values = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    places = np.rint((times - first_s) / window.period_s)
    inside = (places >= 0) & (places < window.intervals)
    column[places[inside].astype(np.int64)] = values[inside]
    return column


@dataclass(slots=True)
class Collected:
    """Columns by machine, GPU, metric and statistic, and which metrics told anything."""

    columns: dict[str, dict[Gpu, dict[tuple[str, str], Column]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(dict))
    )
    told: set[str] = field(default_factory=set)
    nameless: int = 0
    """Series of known machines that do not say which GPU they speak of."""

    def add(
        self,
        metric: Metric,
        series: Sequence[RangeSeries],
        joining: Joining,
        *,
        first_s: float,
        window: Window,
    ) -> None:
        """All of them or, where one cannot be understood, none and `PrometheusError`.

        Several series of one GPU (a restarted exporter, two of them) become one column; of two
        values the busier one is kept.
        """
        placed = [
            (machine, each.labels, column(each.points, first_s, window))
            for each in series
            if (machine := joining.machine_of(each.labels)) is not None
        ]
        if series:
            self.told.add(metric.name)
        for machine, labels, values in placed:
            gpu = gpu_of(labels)
            if gpu is None:
                self.nameless += 1
                continue
            statistic = str(labels.get(STATISTIC, metric.statistics[0]))
            columns = self.columns[machine][gpu]
            found = measured(metric, statistic, values)
            before = columns.get((metric.name, statistic), found)
            busier = np.fmin if statistic == "min" else np.fmax
            columns[metric.name, statistic] = busier(before, found)


def readings_of(
    collected: Collected, machines: Sequence[Machine], window: Window
) -> Iterator[Reading]:
    """Readings of these machines' GPUs.

    A GPU of which only memory or power is told has a reading full of NaN: it is there, and nobody
    knows whether it works.
    """
    for machine in machines:
        gpus = collected.columns.get(machine.id, {})
        slices = {gpu.card for gpu in gpus if gpu.slice}
        shown = {
            gpu: columns
            for gpu, columns in gpus.items()
            if gpu.slice or gpu.card not in slices or _tells_activity(columns)
        }
        for gpu in sorted(shown, key=lambda each: (len(each.card), each.card, each.slice)):
            yield _reading(machine, gpu.name, shown[gpu], window)
        if slices:
            for name in _silent_cards(machine, shown):
                yield _reading(machine, name, {}, window)


def _tells_activity(columns: Mapping[tuple[str, str], Column]) -> bool:
    return any((name, "max") in columns for name in TELL_ACTIVITY)


def _silent_cards(machine: Machine, shown: Mapping[Gpu, object]) -> list[str]:
    """Cards that tell nothing beside sliced ones, whose many slices would hide that."""
    missing = (machine.gpus or 0) - len({gpu.card for gpu in shown})
    return [f"silent {number}" for number in range(1, missing + 1)]


def _reading(
    machine: Machine,
    gpu: str,
    columns: Mapping[tuple[str, str], Column],
    window: Window,
) -> Reading:
    used = columns.get(("DCGM_FI_DEV_FB_USED", "max"))
    free = columns.get(("DCGM_FI_DEV_FB_FREE", "min"))
    unknown = np.full(window.intervals, np.nan)
    most, mean = (_utilisation(columns, name, window.period_s) for name in ("max", "avg"))
    return Reading(
        resource=machine.id,
        gpu=gpu,
        source=SOURCE,
        started_at=window.started_at,
        period_s=window.period_s,
        utilisation_max_pct=_doubles(unknown if most is None else most),
        utilisation_mean_pct=None if mean is None else _doubles(mean),
        memory_used_mib=None if used is None else _doubles(used),
        memory_total_mib=None if used is None or free is None else _doubles(used + free),
        power_w=_maybe(columns.get(("DCGM_FI_DEV_POWER_USAGE", "max"))),
    )


def _utilisation(
    columns: Mapping[tuple[str, str], Column], statistic: str, period_s: int
) -> Column | None:
    """The engine's activity where it is measured, else `GPU_UTIL`: any kernel resident."""
    engine, resident = (
        _proven(columns, name, statistic, period_s) for name in (ENGINE, UTILISATION)
    )
    if engine is None:
        return resident
    engine = np.minimum(engine, 100.0)
    return engine if resident is None else np.where(np.isnan(engine), resident, engine)


def _proven(
    columns: Mapping[tuple[str, str], Column], name: str, statistic: str, period_s: int
) -> Column | None:
    """NaN, too, where a long interval was hardly covered and shows no work."""
    values, covered = columns.get((name, statistic)), columns.get((name, COVERED))
    if values is None or covered is None:
        return values
    enough = covered >= COVERED_ENOUGH * period_s / PART_S
    works = columns.get((name, "max"), values) >= WORKS_PCT
    return np.where(enough | works, values, np.nan)


def _maybe(column: Column | None) -> Series | None:
    return None if column is None else _doubles(column)


def _doubles(column: Column) -> Series:
    doubles = array("d")
    doubles.frombytes(np.ascontiguousarray(column, dtype=np.float64).tobytes())
    return doubles
