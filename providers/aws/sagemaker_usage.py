"""Readings of what SageMaker runs: by the names that its metrics are known to have.

Nothing is listed for them: SageMaker documents the series of a job's instance and of an endpoint's
variant. Each is one sum over the GPUs of an instance, 0 to 100 percent times their number (Amazon
SageMaker, *Monitoring with CloudWatch*): four GPUs at 25 % read 100, as does one at 100 % beside
three idle ones. How the sum is spread is unknown. So the mean of a GPU is its share of the sum, and
its maximum, by which a machine is judged, is as much of the sum as one GPU can have: a busy GPU
among idle ones is never hidden. Memory is shared out evenly.
"""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import TypeAlias

from policies.facts import Gap, Machine, Reading, Scope, Series, Window
from providers.aws.errors import gap_from
from providers.aws.sagemaker_machines import ENDPOINT, PROCESSING, TRAINING, WARM_POOL
from providers.aws.series import Ask, Column, Row, Source, empty_rows
from providers.aws.session import AwsSession
from providers.aws.usage import Table, UsageReader

NAMESPACES = {
    TRAINING: "/aws/sagemaker/TrainingJobs",
    PROCESSING: "/aws/sagemaker/ProcessingJobs",
    ENDPOINT: "/aws/sagemaker/Endpoints",
}
COLUMNS = (
    Column("utilisation_max_pct", "GPUUtilization", "Maximum"),
    Column("utilisation_mean_pct", "GPUUtilization", "Average"),
    Column("memory_used_mib", "GPUMemoryUtilization", "Maximum"),
)
MAXIMUM, MEAN, MEMORY = range(len(COLUMNS))
POOL_STATUS = "sagemaker:WarmPoolStatus"
"""The source of what a warm pool does: no container is on it."""
WHAT = "SageMaker GPU metrics"

Dimensions: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summed(Source):
    """One series over all GPUs of an instance. `resource`: any machine that it speaks of."""

    @property
    def columns(self) -> tuple[Column, ...]:
        return COLUMNS


@dataclass(frozen=True, slots=True, kw_only=True)
class SageMakerUsage:
    session: AwsSession
    usage: UsageReader

    def read(self, machines: Sequence[Machine], window: Window) -> tuple[list[Reading], list[Gap]]:
        readings = [each for machine in machines for each in _of_warm_pool(machine, window)]
        by_region: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            if series_of(machine) is not None and machine.may_have_run_since(window.started_at):
                by_region[machine.region].append(machine)
        answers = self.session.side_by_side(
            sorted(by_region), lambda region: self._region(by_region[region], window)
        )
        gaps: list[Gap] = []
        for region, answer in answers.items():
            if isinstance(answer, tuple):
                readings += answer[0]
                gaps += answer[1]
            else:
                scope = _scope(by_region[region])
                gaps.append(gap_from(answer, scope, WHAT, "cloudwatch:GetMetricData"))
        return readings, gaps

    def _region(
        self, machines: Sequence[Machine], window: Window
    ) -> tuple[list[Reading], list[Gap]]:
        """Instances of one endpoint variant share a series, which is asked for once."""
        sharing: dict[tuple[str, Dimensions], list[Machine]] = defaultdict(list)
        for machine in machines:
            series = series_of(machine)
            if series is not None:
                sharing[series].append(machine)
        sources = [_source(series, several[0]) for series, several in sharing.items()]
        rows = empty_rows(sources)
        scope = _scope(machines)
        table = Table(
            region=machines[0].region, scope=scope, sources=sources, rows=rows, window=window
        )
        asks: list[Ask] = [
            (number, column) for number in range(len(sources)) for column in range(len(COLUMNS))
        ]
        gaps = list(dict.fromkeys(self.usage.fill(table, asks)))
        readings = [
            reading
            for source, row, several in zip(sources, rows, sharing.values(), strict=True)
            for machine in several
            for reading in spread(machine, row, source.namespace, window)
        ]
        return readings, gaps


def series_of(machine: Machine) -> tuple[str, Dimensions] | None:
    """Namespace and dimensions; None where SageMaker measures nothing.

    `training.JOB.CREATED.algo-2` is host `JOB/algo-2`.
    """
    kind, *words = machine.native_id.split(".")
    if kind not in NAMESPACES:
        return None
    if kind == ENDPOINT:
        return NAMESPACES[kind], (("EndpointName", words[0]), ("VariantName", words[1]))
    return NAMESPACES[kind], (("Host", f"{words[0]}/{words[-1]}"),)


def spread(machine: Machine, row: Row, namespace: str, window: Window) -> Iterator[Reading]:
    """One reading a GPU. None where nothing was measured; full of NaN where the series failed."""
    gpus = machine.gpus or 0
    if all(column is None for column in row):
        return
    maximum, mean, memory = row[MAXIMUM], row[MEAN], row[MEMORY]
    size = machine.gpu_memory_mib
    unknown = array("d", [nan]) * window.intervals
    columns: Mapping[str, Series | None] = {
        "utilisation_mean_pct": _each(mean, 1 / gpus) if gpus else None,
        "memory_used_mib": _each(memory, size / gpus / 100) if gpus and size else None,
        "memory_total_mib": None if size is None else array("d", [size]) * window.intervals,
    }
    for gpu in range(gpus):
        yield Reading(
            resource=machine.id,
            gpu=str(gpu),
            source=f"cloudwatch:{namespace}",
            started_at=window.started_at,
            period_s=window.period_s,
            utilisation_max_pct=_each(maximum, 1.0, at_most=100.0) or unknown,
            **columns,
        )


def _each(column: Series | None, share: float, at_most: float | None = None) -> Series | None:
    """The share of a sum that one GPU has; None where it was not measured or failed."""
    if not column:
        return None
    values = (value * share for value in column)
    if at_most is None:
        return array("d", values)
    return array("d", (value if isnan(value) else min(value, at_most) for value in values))


def _of_warm_pool(machine: Machine, window: Window) -> Iterator[Reading]:
    """While it waits for a job nothing runs on it, by the meaning of its status."""
    if not machine.native_id.startswith(f"{WARM_POOL}.") or machine.started_at is None:
        return
    begin, period = window.started_at.timestamp(), window.period_s
    waits_from = machine.started_at.timestamp()
    waits_until = (machine.stopped_at or window.ended_at).timestamp()
    column = array(
        "d",
        (
            0.0
            if waits_from < begin + (index + 1) * period and begin + index * period < waits_until
            else nan
            for index in range(window.intervals)
        ),
    )
    if all(map(isnan, column)):
        return
    for gpu in range(machine.gpus or 0):
        yield Reading(
            resource=machine.id,
            gpu=str(gpu),
            source=POOL_STATUS,
            started_at=window.started_at,
            period_s=period,
            utilisation_max_pct=column,
            utilisation_mean_pct=column,
            memory_used_mib=column,
        )


def _source(series: tuple[str, Dimensions], machine: Machine) -> Summed:
    namespace, dimensions = series
    return Summed(
        resource=machine.id,
        gpu="all",
        namespace=namespace,
        dimensions=[{"Name": name, "Value": value} for name, value in dimensions],
    )


def _scope(machines: Sequence[Machine]) -> Scope:
    return Scope(provider="aws", account=machines[0].account, region=machines[0].region)
