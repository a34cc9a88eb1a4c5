"""The score and the verdict, replayed causally over a run history, beside two baselines."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from pathlib import Path

import numpy as np

from policies.facts import Run
from policies.history import finished
from policies.maturity import Judged, replayed
from policies.track_record import SUBSTANTIAL_S, key_of
from policies.verdicts import Verdict
from watchdog.backtest.figures import Calibration, Figure, Labelled, calibration, figures
from watchdog.whole_file import whole_file

SCORE, PLAIN, BASE = "score", "workload's success rate", "base rate"
COLUMNS = ("run_id", "score", "verdict")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuHours:
    """GPU-hours of runs that succeeded and that did not, of all and of those judged mature."""

    succeeded: float
    failed: float
    mature_succeeded: float
    mature_failed: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The figures over a part of the runs."""

    name: str
    runs: int
    groups: int
    figures: dict[str, dict[str, Figure]]
    """By predictor, by figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReport:
    runs: int
    labelled: int
    """Runs that succeeded, or failed by their own fault: the others tell nothing of finishing."""
    parts: tuple[Part, ...]
    calibration: Calibration | None
    gpu_hours: GpuHours


def backtest_score(runs: Sequence[Run]) -> tuple[list[Judged], ScoreReport]:
    """What was thought of every run just before it started, and how good that was."""
    judged = list(replayed(runs))
    plain = list(_rates([each.run for each in judged], key_of))
    base = list(_rates([each.run for each in judged], lambda _: None))
    predicted = {SCORE: [each.score.value for each in judged], PLAIN: plain, BASE: base}
    told = [number for number, each in enumerate(judged) if finished(each.run) is not None]
    lasting = [number for number in told if (judged[number].run.duration_s or 0.0) > SUBSTANTIAL_S]
    parts = (
        _part("all runs", judged, predicted, told),
        _part("past their first minute", judged, predicted, lasting),
    )
    labelled = _labelled(judged, predicted[SCORE], told)
    table = calibration(labelled, np.ones(len(told))) if told else None
    report = ScoreReport(
        runs=len(judged),
        labelled=len(told),
        parts=parts,
        calibration=table,
        gpu_hours=_gpu_hours(judged),
    )
    return judged, report


def write_predictions(judged: Iterable[Judged], path: Path) -> None:
    """`run_id,score,verdict`, a row for every run; whole or not at all."""
    with whole_file(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for each in judged:
            rows.writerow((each.run.run_id, f"{each.score.value:.6f}", each.verdict.value))


def _rates(runs: Sequence[Run], key: Callable[[Run], object]) -> Iterator[float]:
    """The share of earlier runs of the same key that finished, half a run each way imagined."""
    won: dict[object, float] = defaultdict(float)
    counted: dict[object, int] = defaultdict(int)
    pending: list[tuple[float, int, object, float]] = []
    for number, run in enumerate(runs):
        while pending and pending[0][0] <= run.started_at.timestamp():
            _, _, ended, value = heappop(pending)
            won[ended] += value
            counted[ended] += 1
        mine = key(run)
        yield (won[mine] + 0.5) / (counted[mine] + 1)
        outcome = finished(run)
        if outcome is not None and run.ended_at is not None:
            heappush(pending, (run.ended_at.timestamp(), number, mine, outcome))


def _part(
    name: str,
    judged: Sequence[Judged],
    predicted: dict[str, list[float]],
    numbers: Sequence[int],
) -> Part:
    by_predictor = {
        predictor: figures(_labelled(judged, scores, numbers))
        for predictor, scores in predicted.items()
    }
    groups = {judged[number].run.group for number in numbers}
    return Part(name=name, runs=len(numbers), groups=len(groups), figures=by_predictor)


def _labelled(
    judged: Sequence[Judged], scores: Sequence[float], numbers: Sequence[int]
) -> Labelled:
    runs = [judged[number].run for number in numbers]
    codes: dict[str | None, int] = {}
    hours = [run.gpu_hours for run in runs]
    return Labelled(
        finished=np.array([finished(run) == 1.0 for run in runs], dtype=bool),
        score=np.array([scores[number] for number in numbers], dtype=float),
        group=np.array([codes.setdefault(run.group, len(codes)) for run in runs], dtype=np.int64),
        gpu_hours=np.array([np.nan if each is None else each for each in hours], dtype=float),
    )


def _gpu_hours(judged: Iterable[Judged]) -> GpuHours:
    hours: dict[tuple[bool, bool], float] = defaultdict(float)
    for each in judged:
        outcome = finished(each.run)
        if outcome is not None:
            is_mature = each.verdict is Verdict.MATURE
            hours[outcome == 1.0, is_mature] += each.run.gpu_hours or 0.0
    return GpuHours(
        succeeded=hours[True, True] + hours[True, False],
        failed=hours[False, True] + hours[False, False],
        mature_succeeded=hours[True, True],
        mature_failed=hours[False, True],
    )
