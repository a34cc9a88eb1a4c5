"""A workload's runs, folded into the few figures that judging needs: constant state a workload."""

from dataclasses import dataclass
from typing import TypeVar

from policies.facts import NOT_THE_WORKS_FAULT, Run, RunCause, RunOutcome, WorkloadKey

T = TypeVar("T")

FROM_OUTSIDE = NOT_THE_WORKS_FAULT - {RunCause.USER}

REMEMBERED = 8
"""How many recent runs the questions look at."""
SUBSTANTIAL_S = 60.0
"""A run that ends well in its first minute shows that a command exists, not that work finishes."""


@dataclass(slots=True, kw_only=True)
class TrackRecord:
    """What a workload's ended runs add up to. The tuples hold the newest few, oldest first."""

    succeeded: int = 0
    failed: int = 0
    """Failures that were the work's own."""
    other: int = 0
    """Cancelled, lost, unknown, or ended by something that was not the work's fault."""
    cancelled: int = 0
    """Those of them that a person ended: no failure of the work's, yet a sign of searching."""
    gpu_hours: float = 0.0
    untold_gpu_hours: int = 0
    """Runs whose GPU-hours nobody told."""
    proven_gpus: int | None = None
    peaks_mib: tuple[float, ...] = ()
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

    def add(self, run: Run) -> None:
        """One more ended run. One that still goes on changes nothing."""
        if run.outcome is RunOutcome.RUNNING:
            return
        won, lost = run.outcome is RunOutcome.SUCCEEDED, counts_against(run)
        if won:
            self._succeeded(run)
        elif lost:
            self.failed += 1
        else:
            self.other += 1
            self.cancelled += _was_cancelled(run)
        if won or lost:
            self.causes = _newest(self.causes, run.cause if lost else None)
            self._placed(run, won=won)
        self._measured(run)

    def _succeeded(self, run: Run) -> None:
        duration_s = run.duration_s
        self.succeeded += 1
        self.proven_gpus = max(self.proven_gpus or 0, run.gpus or 0) or None
        if duration_s is not None:
            self.durations_s = _newest(self.durations_s, duration_s)

    def _placed(self, run: Run, *, won: bool) -> None:
        what = run.image or run.code
        if what is not None and run.host is not None:
            self.places = _newest(self.places, (what, run.host, won))

    def _measured(self, run: Run) -> None:
        hours = run.gpu_hours
        if hours is None:
            self.untold_gpu_hours += 1
        else:
            self.gpu_hours += hours
        if run.peak_gpu_memory_mib is not None:
            self.peaks_mib = _newest(self.peaks_mib, run.peak_gpu_memory_mib)
        if run.gpu_utilisation_mean_pct is not None:
            self.utilisations_pct = _newest(self.utilisations_pct, run.gpu_utilisation_mean_pct)
        environment = run.image or run.environment
        if environment is not None:
            self.environments = _newest(self.environments, environment)
        if run.data is not None:
            self.data = _newest(self.data, run.data)


def key_of(run: Run) -> WorkloadKey:
    return WorkloadKey(group=run.group or run.owner, name=run.workload)


def counts_against(run: Run) -> bool:
    """Whether this failure is the work's own."""
    return run.outcome is RunOutcome.FAILED and run.cause not in NOT_THE_WORKS_FAULT


def _was_cancelled(run: Run) -> bool:
    """Whether a person ended it: not a cloud that took its machine back."""
    return run.outcome is RunOutcome.CANCELLED and run.cause not in FROM_OUTSIDE


def _newest(values: tuple[T, ...], value: T) -> tuple[T, ...]:
    return (*values, value)[-REMEMBERED:]
