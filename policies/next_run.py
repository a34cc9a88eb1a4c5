"""What the next run of a workload will ask of a machine, judged by its newest runs. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from statistics import median, quantiles

from policies.facts import Run, RunCause, RunOutcome
from policies.track_record import counts_against

NEWEST = 8
"""Runs whose memory, size and data class count: the same as for the seven questions."""
TIMED = 20
"""Successes, and failures, whose durations count."""
FEW = 3
"""Below so many durations there is no range."""
HEAD_ROOM = 0.10
"""Memory that is left free on a machine to be rented, as a share of the peak."""
FILLED = 0.95
"""A peak of so much of the card may be what a framework reserved, not what the work needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The tenth, the half and nine tenths of some durations, in seconds."""

    low_s: float
    median_s: float
    high_s: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRun:
    """None: nobody told."""

    gpus: int | None
    """All nodes together, as the newest run that told."""
    nodes: int
    gpu_model: str | None
    peak_mib: float | None
    """The highest peak on one GPU, of the newest runs that told."""
    peaks: int
    """How many of them told."""
    too_small_mib: int | None
    """The largest card on which one of the newest runs ran out of memory."""
    ran_out: bool
    """Whether one of the newest runs ran out of memory, on whatever card."""
    fills_card: bool
    duration: Spread | None
    """Of successes. None: fewer than three told it."""
    timed: int
    """Successes that told their duration."""
    failure_s: float | None
    """The median time to a failure of the work's own."""
    data_classes: tuple[str, ...]
    """Of the newest runs, sorted; empty: none told."""

    @property
    def gpus_a_node(self) -> int | None:
        return None if self.gpus is None else ceil(self.gpus / self.nodes)

    @property
    def needs_mib(self) -> float | None:
        """Memory of one GPU, with head-room, on a machine to be rented."""
        if self.peak_mib is None:
            return None
        return max(self.peak_mib * (1 + HEAD_ROOM), (self.too_small_mib or 0) + 1)

    def fits(self, gpus: int, gpu_memory_mib: int | None) -> bool | None:
        """Whether it runs there, be it tightly; None: not known."""
        if self.gpus_a_node is not None and gpus < self.gpus_a_node:
            return False
        if gpu_memory_mib is None:
            return None
        if self.too_small_mib is not None and gpu_memory_mib <= self.too_small_mib:
            return False
        if self.peak_mib is None:
            return None
        if gpu_memory_mib < self.peak_mib:
            return False
        return None if self.gpus_a_node is None else True


def next_run(runs: Sequence[Run], *, as_of: datetime) -> NextRun:
    """From one workload's runs: those that were known at `as_of`."""
    known = sorted((run for run in runs if run.started_at <= as_of), key=_started)
    ended = [run for run in known if run.ended_at is not None and run.ended_at <= as_of]
    peaks = [run for run in ended if run.peak_gpu_memory_mib is not None][-NEWEST:]
    failed = [run for run in ended[-NEWEST:] if run.cause is RunCause.OOM]
    cards = [run.gpu_memory_mib for run in failed if run.gpu_memory_mib is not None]
    won = _durations([run for run in ended if run.outcome is RunOutcome.SUCCEEDED])
    lost = _durations([run for run in ended if counts_against(run)])
    sized = [run for run in known if run.gpus is not None]
    models = [run.gpu_model for run in known if run.gpu_model is not None]
    return NextRun(
        gpus=sized[-1].gpus if sized else None,
        nodes=max(1, (sized[-1].nodes if sized else None) or 1),
        gpu_model=models[-1] if models else None,
        peak_mib=max((run.peak_gpu_memory_mib or 0.0 for run in peaks), default=None),
        peaks=len(peaks),
        too_small_mib=max(cards, default=None),
        ran_out=bool(failed),
        fills_card=any(map(_fills, peaks)),
        duration=_spread(won),
        timed=len(won),
        failure_s=median(lost) if lost else None,
        data_classes=tuple(sorted({r.data_class for r in known[-NEWEST:] if r.data_class})),
    )


def _started(run: Run) -> tuple[datetime, str]:
    return run.started_at, run.run_id


def _durations(runs: Sequence[Run]) -> list[float]:
    told = [run.duration_s for run in runs if run.duration_s is not None]
    return told[-TIMED:]


def _spread(durations: Sequence[float]) -> Spread | None:
    if len(durations) < FEW:
        return None
    tenths = quantiles(durations, n=10, method="inclusive")
    return Spread(
        low_s=tenths[0], median_s=median(durations), high_s=tenths[-1], runs=len(durations)
    )


def _fills(run: Run) -> bool:
    if run.peak_gpu_memory_mib is None or run.gpu_memory_mib is None:
        return False
    return run.peak_gpu_memory_mib >= FILLED * run.gpu_memory_mib
