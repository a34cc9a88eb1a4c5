"""Figures by which predictions of success are judged. Pure.

Intervals come from drawing whole groups with replacement: runs of one project are alike, and
drawing them one by one would make every interval too narrow.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Codes = NDArray[np.int64]
Measure = Callable[[Floats], float]
"""From how often each group was drawn to the figure; NaN where it is not to be had."""

BINS = 10
DRAWS = 200
SEED = 20261201
LOW, HIGH = 5.0, 95.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """Runs that ended well or badly by themselves, and what was predicted of them."""

    finished: Mask
    score: Floats
    group: Codes
    """Numbers from 0 on, every one of them used."""
    gpu_hours: Floats
    """NaN where unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    value: float
    low: float
    high: float
    """A 90 % interval over groups. NaN: not to be had from these runs."""


def within_group_auc(runs: Labelled) -> Measure:
    """Chance that of two runs of one group the one that finished had the higher score.

    Groups weigh successes × failures / runs.
    """
    groups = int(runs.group.max()) + 1
    areas, shares = np.zeros(groups), np.zeros(groups)
    order = np.argsort(runs.group, kind="stable")
    edges = np.flatnonzero(np.diff(runs.group[order])) + 1
    for members in np.split(order, edges):
        finished, runs_of_it = runs.finished[members], len(members)
        won = int(finished.sum())
        if 0 < won < runs_of_it:
            group = runs.group[members[0]]
            areas[group] = auc(finished, runs.score[members], np.ones(runs_of_it))
            shares[group] = won * (runs_of_it - won) / runs_of_it

    def measure(drawn: Floats) -> float:
        weight = shares * drawn
        return float((areas * weight).sum() / weight.sum()) if weight.sum() else np.nan

    return measure


def auc(finished: Mask, score: Floats, weight: Floats) -> float:
    """Weighted area under the ROC curve; ties count half. NaN without both outcomes."""
    _, place = np.unique(score, return_inverse=True)
    good = np.bincount(place, weights=weight * finished)
    bad = np.bincount(place, weights=weight * ~finished)
    if not good.sum() or not bad.sum():
        return np.nan
    below = np.cumsum(bad) - bad
    return float((good * (below + bad / 2)).sum() / (good.sum() * bad.sum()))


def brier(runs: Labelled) -> Measure:
    """Mean squared distance of score and outcome."""
    distances = (runs.score - runs.finished) ** 2
    return lambda drawn: float(np.average(distances, weights=drawn[runs.group]))


def calibration_gap(runs: Labelled) -> Measure:
    """Mean distance of score and frequency over ten equally wide bins, weighted by runs."""

    def measure(drawn: Floats) -> float:
        table = calibration(runs, drawn[runs.group])
        return float((abs(table.score - table.finished) * table.runs).sum() / table.runs.sum())

    return measure


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The bins that hold runs."""

    number: Codes
    score: Floats
    """Mean of the bin."""
    finished: Floats
    """Frequency in the bin."""
    runs: Floats


def calibration(runs: Labelled, weight: Floats) -> Calibration:
    place = np.clip((runs.score * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(place, weights=weight, minlength=BINS)
    scores = np.bincount(place, weights=weight * runs.score, minlength=BINS)
    finished = np.bincount(place, weights=weight * runs.finished, minlength=BINS)
    used = np.flatnonzero(counts)
    return Calibration(
        number=used,
        score=scores[used] / counts[used],
        finished=finished[used] / counts[used],
        runs=np.asarray(counts[used], dtype=np.float64),
    )


def gpu_hour_auc(runs: Labelled) -> Measure:
    """The area under the ROC curve where each run counts its GPU-hours, over all groups."""
    hours = np.nan_to_num(runs.gpu_hours)
    return lambda drawn: auc(runs.finished, runs.score, drawn[runs.group] * hours)


FIGURES: dict[str, Callable[[Labelled], Measure]] = {
    "within-group AUC": within_group_auc,
    "Brier": brier,
    "calibration gap": calibration_gap,
    "GPU-hour AUC": gpu_hour_auc,
}


def figures(runs: Labelled) -> dict[str, Figure]:
    """Every figure with its interval, from groups drawn with replacement; seeded."""
    if not len(runs.score):
        return {}
    groups = int(runs.group.max()) + 1
    draws = _draws(groups)
    found = {}
    for name, figure in FIGURES.items():
        measure = figure(runs)
        told = [value for value in map(measure, draws) if not np.isnan(value)]
        low, high = np.percentile(told, [LOW, HIGH]) if told else (np.nan, np.nan)
        value = measure(np.ones(groups))
        found[name] = Figure(value=value, low=float(low), high=float(high))
    return found


def _draws(groups: int) -> list[Floats]:
    """How often each group was drawn."""
    random = np.random.default_rng(SEED)
    evenly = np.full(groups, 1 / groups)
    return [random.multinomial(groups, evenly).astype(float) for _ in range(DRAWS)]
