"""A workload's runs, folded into the few figures that judging needs: constant state a workload."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from policies.facts import NOT_THE_WORKS_FAULT, Run, RunCause, RunOutcome, WorkloadKey

T = TypeVar("T")

REMEMBERED = 8
"""How many recent runs the questions look at."""
SUBSTANTIAL_S = 60.0
"""A run that ends well in its first minute shows that a command exists, not that work finishes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackRecord:
    """What a workload's ended runs add up to. The tuples hold the newest few, oldest first."""

    succeeded: int = 0
    failed: int = 0
    """Failures that were the work's own."""
    other: int = 0
    """Cancelled, lost, unknown, or ended by something that was not the work's fault."""
    substantial: int = 0
    """Successes that lasted longer than a minute."""
    gpu_hours: float = 0.0
    untold_gpu_hours: int = 0
    """Runs whose GPU-hours nobody told."""
    proven_gpus: int | None = None
    peaks_mib: tuple[float, ...] = ()
    capacities_mib: tuple[int | None, ...] = ()
    durations_s: tuple[float, ...] = ()
    """Of successes."""
    utilisations_pct: tuple[float, ...] = ()
    environments: tuple[str, ...] = ()
    data: tuple[str, ...] = ()
    places: tuple[tuple[str, str, bool], ...] = ()
    """(image or code, host, succeeded) of runs that told all three."""
    causes: tuple[RunCause | None, ...] = ()
    """Causes of the newest runs that counted; None for a success."""

    @property
    def counted(self) -> int:
        """Runs that say something about finishing."""
        return self.succeeded + self.failed

    @property
    def runs(self) -> int:
        return self.counted + self.other


def key_of(run: Run) -> WorkloadKey:
    return WorkloadKey(group=run.group or run.owner, name=run.workload)


def counts_against(run: Run) -> bool:
    """Whether this failure is the work's own."""
    return run.outcome is RunOutcome.FAILED and run.cause not in NOT_THE_WORKS_FAULT


def folded(record: TrackRecord, run: Run) -> TrackRecord:
    """The record after one more ended run. A run that still goes on changes nothing."""
    if run.outcome is RunOutcome.RUNNING:
        return record
    record = _with_counts(record, run)
    record = _with_measurements(record, run)
    return _with_fingerprints(record, run)


def track_records(runs: Iterable[Run]) -> dict[WorkloadKey, TrackRecord]:
    """One record a workload, folded in the order in which outcomes became known."""
    records: dict[WorkloadKey, TrackRecord] = {}
    for run in sorted(runs, key=lambda run: (run.ended_at or run.started_at, run.run_id)):
        key = key_of(run)
        records[key] = folded(records.get(key, TrackRecord()), run)
    return records


def _with_counts(record: TrackRecord, run: Run) -> TrackRecord:
    won = run.outcome is RunOutcome.SUCCEEDED
    lost = counts_against(run)
    hours = run.gpu_hours
    gpus = max(record.proven_gpus or 0, run.gpus or 0) or None
    return replace(
        record,
        succeeded=record.succeeded + won,
        failed=record.failed + lost,
        other=record.other + (not won and not lost),
        substantial=record.substantial + (won and (run.duration_s or 0.0) > SUBSTANTIAL_S),
        gpu_hours=record.gpu_hours + (hours or 0.0),
        untold_gpu_hours=record.untold_gpu_hours + (hours is None),
        proven_gpus=gpus if won else record.proven_gpus,
        causes=_newest(record.causes, run.cause if lost else None)
        if won or lost
        else record.causes,
    )


def _with_measurements(record: TrackRecord, run: Run) -> TrackRecord:
    if run.peak_gpu_memory_mib is not None:
        record = replace(
            record,
            peaks_mib=_newest(record.peaks_mib, run.peak_gpu_memory_mib),
            capacities_mib=_newest(record.capacities_mib, run.gpu_memory_mib),
        )
    if run.outcome is RunOutcome.SUCCEEDED and run.duration_s is not None:
        record = replace(record, durations_s=_newest(record.durations_s, run.duration_s))
    if run.gpu_utilisation_mean_pct is not None:
        newest = _newest(record.utilisations_pct, run.gpu_utilisation_mean_pct)
        record = replace(record, utilisations_pct=newest)
    return record


def _with_fingerprints(record: TrackRecord, run: Run) -> TrackRecord:
    environment = run.image or run.environment
    if environment is not None:
        record = replace(record, environments=_newest(record.environments, environment))
    if run.data is not None:
        record = replace(record, data=_newest(record.data, run.data))
    what = run.image or run.code
    told = run.outcome is RunOutcome.SUCCEEDED or counts_against(run)
    if what is not None and run.host is not None and told:
        place = (what, run.host, run.outcome is RunOutcome.SUCCEEDED)
        record = replace(record, places=_newest(record.places, place))
    return record


def _newest(values: tuple[T, ...], value: T) -> tuple[T, ...]:
    return (*values, value)[-REMEMBERED:]
