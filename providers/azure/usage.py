"""CPU, network and disk metrics of hosts, fifty machines a call. Azure has none of GPUs.

GPU metrics come from an Azure Monitor workspace or another Prometheus (`prometheus.url`). A VM that
is powered off computes nothing, which its power state tells better than any metric.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isfinite, isnan, nan
from typing import NamedTuple

from policies.facts import Gap, Machine, Reading, Scope, Series, Window
from providers.azure.errors import gap_from
from providers.azure.machines import OFF_BUT_BILLED, resource_id_of
from providers.azure.metrics import (
    NEEDS,
    RESOURCES,
    Batch,
    MetricAsked,
    Points,
    moment_of_point,
    read_batch,
)
from providers.azure.session import AzureSession
from providers.chunks import chunks

WHAT = "GPU metrics"
"""What readings are for, though Azure Monitor has only those of the host."""
VIRTUAL_MACHINES = "Microsoft.Compute/virtualMachines"
SCALE_SET_MEMBERS = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"
POWER_STATE = "azure power state"
CPU = "Percentage CPU"
SENT = "Network Out Total"
HOUR_S = 3600

HOW_TO_MEASURE = (
    "run NVIDIA's DCGM exporter on it, let a Prometheus or an Azure Monitor workspace scrape it"
    " with the label vm_id or Hostname, and set prometheus.url"
)


class Column(NamedTuple):
    """A column of a reading, and the metric and aggregation that fill it."""

    name: str
    metric: str
    aggregation: str


COLUMNS = (
    Column("utilisation_max_pct", CPU, "maximum"),
    Column("utilisation_mean_pct", CPU, "average"),
    Column("received_bytes", "Network In Total", "total"),
    Column("sent_bytes", SENT, "total"),
    Column("written_bytes", "Disk Write Bytes", "total"),
)
METRICS = tuple(dict.fromkeys(column.metric for column in COLUMNS))
AGGREGATIONS = ("Average", "Maximum", "Total")


@dataclass(slots=True)
class UsageReader:
    """Reads metrics, and keeps what each hour sent, for egress asks the same again."""

    session: AzureSession
    _sent: dict[str, dict[datetime, float]] = field(default_factory=lambda: defaultdict(dict))
    """By machine, bytes by the clock hours that were measured whole."""
    _read: dict[str, list[Window]] = field(default_factory=lambda: defaultdict(list))
    """By machine, the windows that were read."""

    def forget(self) -> None:
        self._sent.clear()
        self._read.clear()

    def read(self, machines: Sequence[Machine], window: Window) -> tuple[list[Reading], list[Gap]]:
        wanted = [each for each in machines if each.may_have_run_since(window.started_at)]
        by_resource = {resource_id_of(each).lower(): each for each in wanted}
        batches = list(_batches(wanted))
        answers = self.session.side_by_side(
            batches,
            lambda batch: read_batch(self.session, batch, _asked(batch), window),
        )
        readings, gaps = [], []
        for batch, answer in answers.items():
            scope = Scope(provider="azure", account=batch.subscription, region=batch.region)
            if isinstance(answer, Exception):
                gaps.append(gap_from(answer, scope, WHAT, NEEDS))
                continue
            missing = 0
            for resource in batch.resources:
                machine = by_resource[resource.lower()]
                points = answer.get(resource.lower())
                if points is None:
                    missing += 1
                    continue
                reading = host_reading(machine, points, window)
                self._remember(machine, reading, window)
                readings += [reading] if reading is not None else []
                if machine.on_readings == OFF_BUT_BILLED:
                    readings += _of_powered_off(machine, reading, window)
            if missing:
                gaps.append(_incomplete(missing, len(batch.resources), scope))
        return readings, gaps

    def host(self, machine: Machine, window: Window) -> Reading | None:
        """What one machine's CPU, network and disk did; None: it could not be read."""
        if machine.on_readings == OFF_BUT_BILLED:
            return _nothing(machine, None, window, window.started_at)
        (batch,) = _batches([machine])
        ((_, answer),) = self.session.side_by_side(
            [batch], lambda each: read_batch(self.session, each, _asked(each), window)
        ).items()
        if isinstance(answer, Exception):
            return None
        points = answer.get(resource_id_of(machine).lower())
        return None if points is None else host_reading(machine, points, window)

    def sent_by_hour(self, machine: Machine, window: Window) -> Mapping[datetime, float] | None:
        """What it sent in each measured hour; None: not all of this time was read for readings."""
        if not _covers(self._read[machine.id], window):
            return None
        return {
            hour: value
            for hour, value in self._sent[machine.id].items()
            if window.started_at <= hour < window.ended_at
        }

    def _remember(self, machine: Machine, reading: Reading | None, window: Window) -> None:
        self._read[machine.id].append(window)
        if reading is not None and reading.sent_bytes is not None:
            self._sent[machine.id] |= hourly(reading.sent_bytes, window)


def sent_of(
    session: AzureSession, machines: Sequence[Machine], window: Window
) -> Mapping[Batch, Mapping[str, Mapping[datetime, float]] | Exception]:
    """By path in lower case, what each machine sent in each hour of a window of hours."""

    def ask(batch: Batch) -> Mapping[str, Mapping[datetime, float]]:
        asked = MetricAsked(
            namespace=_namespace(batch.resources[0]), names=(SENT,), aggregations=("Total",)
        )
        return {
            path: hourly(_column(points.get(SENT, ()), "total", window), window)
            for path, points in read_batch(session, batch, asked, window).items()
        }

    return session.side_by_side(list(_batches(machines)), ask)


def host_reading(machine: Machine, points: Points, window: Window) -> Reading | None:
    """None where nothing was measured. A metric that did not come is no column."""
    columns = {
        column.name: _column(points[column.metric], column.aggregation, window)
        for column in COLUMNS
        if column.metric in points
    }
    measured = {name: values for name, values in columns.items() if not all(map(isnan, values))}
    if not measured:
        return None
    maximum = columns.get("utilisation_max_pct") or _empty(window)
    others = {name: values for name, values in measured.items() if name != "utilisation_max_pct"}
    return Reading(
        resource=machine.id,
        gpu=None,
        source=_namespace(resource_id_of(machine)),
        started_at=window.started_at,
        period_s=window.period_s,
        utilisation_max_pct=maximum,
        **others,
    )


def hourly(values: Series, window: Window) -> dict[datetime, float]:
    """Sums by the clock hour. An hour of which an interval is missing is left out."""
    intervals = HOUR_S // window.period_s
    found = {}
    offset = int(-window.started_at.timestamp() % HOUR_S) // window.period_s
    for begin in range(offset, len(values) - intervals + 1, intervals):
        several = values[begin : begin + intervals]
        if not any(map(isnan, several)):
            moment = window.started_at + timedelta(seconds=begin * window.period_s)
            found[moment] = sum(several)
    return found


def _asked(batch: Batch) -> MetricAsked:
    return MetricAsked(
        namespace=_namespace(batch.resources[0]), names=METRICS, aggregations=AGGREGATIONS
    )


def _namespace(resource: str) -> str:
    member = "/virtualmachinescalesets/" in resource.lower()
    return SCALE_SET_MEMBERS if member else VIRTUAL_MACHINES


def _batches(machines: Sequence[Machine]) -> Iterator[Batch]:
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for machine in machines:
        resource = resource_id_of(machine)
        groups[machine.account, machine.region, _namespace(resource)].append(resource)
    for (subscription, region, _), resources in sorted(groups.items()):
        for several in chunks(resources, RESOURCES):
            yield Batch(subscription, region, tuple(several))


def _column(points: Sequence[Mapping[str, object]], aggregation: str, window: Window) -> Series:
    values = _empty(window)
    for point in points:
        told = point.get(aggregation)
        index = int((moment_of_point(point) - window.started_at).total_seconds() // window.period_s)
        if isinstance(told, (int, float)) and isfinite(told) and 0 <= index < len(values):
            values[index] = float(told)
    return values


def _empty(window: Window) -> Series:
    return array("d", [nan]) * window.intervals


def _of_powered_off(machine: Machine, reading: Reading | None, window: Window) -> Iterator[Reading]:
    """Its GPUs do nothing since its CPU did: what is off computes and sends nothing."""
    since = window.started_at if reading is None else _last_work(reading)
    if reading is None:
        yield _nothing(machine, None, window, since)
    for number in range(machine.gpus or 0):
        yield _nothing(machine, str(number), window, since)


def _last_work(reading: Reading) -> datetime:
    """The end of the last interval in which its CPU did anything."""
    worked = [
        index
        for index, value in enumerate(reading.utilisation_max_pct)
        if not isnan(value) and value > 0
    ]
    last = worked[-1] + 1 if worked else 0
    return reading.started_at + timedelta(seconds=last * reading.period_s)


def _nothing(machine: Machine, gpu: str | None, window: Window, since: datetime) -> Reading:
    """Zeros from a moment on; what was before stays unknown."""
    idle = _empty(window)
    begin = max(0, int((since - window.started_at).total_seconds()) // window.period_s)
    for index in range(begin, len(idle)):
        idle[index] = 0.0
    host = {name: array("d", idle) for name in ("received_bytes", "sent_bytes", "written_bytes")}
    of_gpu = {"memory_used_mib": array("d", idle), "power_w": array("d", idle)}
    return Reading(
        resource=machine.id,
        gpu=gpu,
        source=POWER_STATE,
        started_at=window.started_at,
        period_s=window.period_s,
        utilisation_max_pct=idle,
        **(host if gpu is None else of_gpu),
    )


def _covers(windows: Sequence[Window], wanted: Window) -> bool:
    """Whether windows that were read reach over the wanted one without a hole."""
    reached = wanted.started_at
    for each in sorted(windows, key=lambda one: one.started_at):
        if each.started_at <= reached:
            reached = max(reached, each.ended_at)
    return reached >= wanted.ended_at


def _incomplete(missing: int, asked: int, scope: Scope) -> Gap:
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what=WHAT,
        why=f"{missing} of {asked} machines were not in the answer and count as not measured:"
        " the next patrol reads them again",
    )
