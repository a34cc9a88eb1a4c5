"""Fits the prior of patience on the development histories, and says how good it is.

    python -m tests.bench.fit_patience

Each segment of a pause is a Poisson regression of its ends on the logarithm of the activity before,
with a ridge; each project weighs the square root of its number of pauses. Every figure printed is
of projects that the prior was not fitted on: the projects are split into five parts, several times,
and each part is replayed alone, with the prior that the other four give. The weights of the levels
and the edges of the segments were chosen by hand on the same projects, where they hardly matter.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import pairwise

import numpy as np

from policies.facts import Run
from policies.habits import EDGES_MIN, Prior
from policies.pauses import JudgedPause, judged, pauses_of_runs
from policies.policy_replay import after, by_patience, replayed
from tests.bench.sacred import sacred_runs
from watchdog.backtest.policy import totals

PARTS, SPLITS = 5, 6
RIDGE = 20.0
EVERY = timedelta(minutes=5)
RESTARTS = (timedelta(minutes=15), timedelta(hours=2))


def fitted(pauses: Sequence[JudgedPause]) -> Prior:
    """The constants of each segment by themselves."""
    over = [each for each in pauses if each.pause.length_s is not None]
    counts = Counter(_project(each) for each in over)
    weight = np.array([counts[_project(each)] ** -0.5 for each in over])
    weight /= weight.mean()
    longer = np.array([np.log1p(each.before.activity_s / 60) for each in over])
    minutes = np.array([(each.pause.length_s or 0.0) / 60 for each in over])
    found = [_segment(minutes, longer, weight, low, high) for low, high in pairwise(EDGES_MIN)]
    return Prior(ends=tuple(ends for ends, _ in found), after=tuple(after for _, after in found))


def _segment(
    minutes: np.ndarray, longer: np.ndarray, weight: np.ndarray, low: float, high: float
) -> tuple[float, float]:
    reached = minutes > low
    spent = np.where(reached, np.log1p(np.minimum(minutes, high)) - np.log1p(low), 0.0)
    ended = reached & (minutes <= high)
    centred = (longer - 1.5) / 1.5
    slope = 0.0
    strength = 0.5
    for _ in range(20):
        factor = np.exp(slope * centred)
        strength = float((weight * ended).sum() / (weight * spent * factor).sum())
        expected = weight * spent * strength * factor
        push = float((centred * (weight * ended - expected)).sum()) - RIDGE * slope
        slope += push / (float((centred**2 * expected).sum()) + RIDGE)
    return strength * float(np.exp(-slope)), slope / 1.5


def _project(each: JudgedPause) -> str | None:
    return None if each.last is None else each.last.group


def ratios(pauses: Sequence[JudgedPause], prior: Prior) -> Iterator[tuple[timedelta, timedelta]]:
    """Total cost and that of the best in hindsight, for each restart cost."""
    for restart in RESTARTS:
        plan = by_patience(restart, EVERY)
        told = totals("", replayed(pauses, plan, EVERY, prior=prior), restart)
        yield told.cost, told.best


def unseen(runs: Sequence[Run]) -> list[list[float]]:
    """For each split, the ratios of all parts together."""
    projects = sorted({str(run.group) for run in runs})
    found = []
    for split in range(SPLITS):
        order = np.random.default_rng(split).permutation(len(projects)) % PARTS
        part_of = dict(zip(projects, order, strict=True))
        parts = [
            _judged([run for run in runs if part_of[str(run.group)] == part])
            for part in range(PARTS)
        ]
        sums = [[timedelta(0), timedelta(0)] for _ in RESTARTS]
        for part, pauses in enumerate(parts):
            others = [each for number, told in enumerate(parts) if number != part for each in told]
            for kept, more in zip(sums, ratios(pauses, fitted(others)), strict=True):
                kept[0] += more[0]
                kept[1] += more[1]
        found.append([cost / best for cost, best in sums])
    return found


def _judged(runs: Sequence[Run]) -> list[JudgedPause]:
    return judged(pauses_of_runs(runs), runs)


def main() -> None:
    runs = sacred_runs()
    pauses = _judged(runs)
    prior = fitted(pauses)
    print("ends  ", ", ".join(f"{value:.3f}" for value in prior.ends))
    print("after ", ", ".join(f"{value:.3f}" for value in prior.after))
    for restart, told in zip(RESTARTS, np.array(unseen(runs)).T, strict=True):
        fixed = totals("", replayed(pauses, after(EVERY, EVERY), EVERY), restart).times_best
        print(
            f"restart {restart}: {told.mean():.4f} ({told.min():.4f}–{told.max():.4f}) × best on"
            f" projects that the prior was not fitted on; always after 5 minutes {fixed:.4f}"
        )


if __name__ == "__main__":
    main()
