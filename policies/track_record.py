"""A workload's runs, folded into the few figures that judging needs: constant state a workload."""

from dataclasses import dataclass, replace
from typing import Any, TypeVar

from policies.facts import NOT_THE_WORKS_FAULT, Run, RunCause, RunOutcome, WorkloadKey

T = TypeVar("T")

FROM_OUTSIDE = NOT_THE_WORKS_FAULT - {RunCause.USER}

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
    cancelled: int = 0
    """Those of them that a person ended: no failure of the work's, yet a sign of searching."""
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
    def searches(self) -> bool:
        """Whether a run was ended by the work or by the person who watched it."""
        return self.counted + self.cancelled > 0

    @property
    def runs(self) -> int:
        return self.counted + self.other


def key_of(run: Run) -> WorkloadKey:
    return WorkloadKey(group=run.group or run.owner, name=run.workload)


def counts_against(run: Run) -> bool:
    """Whether this failure is the work's own."""
    return run.outcome is RunOutcome.FAILED and run.cause not in NOT_THE_WORKS_FAULT


def _was_cancelled(run: Run) -> bool:
    """Whether a person ended it: not a cloud that took its machine back."""
    return run.outcome is RunOutcome.CANCELLED and run.cause not in FROM_OUTSIDE


def folded(record: TrackRecord, run: Run) -> TrackRecord:
    """The record after one more ended run. A run that still goes on changes nothing."""
    if run.outcome is RunOutcome.RUNNING:
        return record
    return replace(
        record, **_counts(record, run), **_measurements(record, run), **_fingerprints(record, run)
    )


def _counts(record: TrackRecord, run: Run) -> dict[str, Any]:
    won = run.outcome is RunOutcome.SUCCEEDED
    lost = counts_against(run)
    duration_s = run.duration_s
    hours = run.gpu_hours
    changes: dict[str, Any] = {}
    if won:
        changes["succeeded"] = record.succeeded + 1
        changes["substantial"] = record.substantial + ((duration_s or 0.0) > SUBSTANTIAL_S)
        changes["proven_gpus"] = max(record.proven_gpus or 0, run.gpus or 0) or None
    elif lost:
        changes["failed"] = record.failed + 1
    else:
        changes["other"] = record.other + 1
        changes["cancelled"] = record.cancelled + _was_cancelled(run)
    if won or lost:
        changes["causes"] = _newest(record.causes, run.cause if lost else None)
    if hours is None:
        changes["untold_gpu_hours"] = record.untold_gpu_hours + 1
    else:
        changes["gpu_hours"] = record.gpu_hours + hours
    return changes


def _measurements(record: TrackRecord, run: Run) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if run.peak_gpu_memory_mib is not None:
        changes["peaks_mib"] = _newest(record.peaks_mib, run.peak_gpu_memory_mib)
        changes["capacities_mib"] = _newest(record.capacities_mib, run.gpu_memory_mib)
    if run.outcome is RunOutcome.SUCCEEDED and run.duration_s is not None:
        changes["durations_s"] = _newest(record.durations_s, run.duration_s)
    if run.gpu_utilisation_mean_pct is not None:
        changes["utilisations_pct"] = _newest(record.utilisations_pct, run.gpu_utilisation_mean_pct)
    return changes


def _fingerprints(record: TrackRecord, run: Run) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    environment = run.image or run.environment
    if environment is not None:
        changes["environments"] = _newest(record.environments, environment)
    if run.data is not None:
        changes["data"] = _newest(record.data, run.data)
    what = run.image or run.code
    told = run.outcome is RunOutcome.SUCCEEDED or counts_against(run)
    if what is not None and run.host is not None and told:
        place = (what, run.host, run.outcome is RunOutcome.SUCCEEDED)
        changes["places"] = _newest(record.places, place)
    return changes


def _newest(values: tuple[T, ...], value: T) -> tuple[T, ...]:
    return (*values, value)[-REMEMBERED:]
