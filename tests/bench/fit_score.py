"""Fits the constants of the score on the development histories, and says how good they are.

    python -m tests.bench.fit_score [--minutes 15] [--seed 1]

Signals of every run are computed by the product's own fold. Weights are a logistic regression with
a ridge, each project weighing runs^0.6, so that the largest does not decide alone. The other
constants are found by random steps that are kept when they are better. Every figure that decides,
and every figure that is printed, is of projects that the weights were not fitted on: ten folds,
split by project. The constants themselves (a dozen numbers) are chosen on the same projects, so the
printed figures are a little too good; projects that nobody here has seen are the judge.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from heapq import heappop, heappush

import numpy as np

from policies.facts import Run
from policies.history import Bias, History, finished
from policies.replay import walk
from policies.score import Constants, Signals, probability, signals_of
from tests.bench.sacred import sacred_runs
from watchdog.backtest.figures import FIGURES, Floats, Labelled, Mask

FOLDS = 10
RIDGE = 3.0
PROJECT_POWER = 0.4
"""A run weighs its project's number of runs to the power of minus this."""
STEP = 1.5
AT_MOST_ONE = frozenset({"other_name", "other_code", "other_config", "other_host"})
MOST_MEMORY = 0.99
LEAST_RELUCTANCE = 1.0
"""Less, and the first error of a group would swing everything after it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The runs in the order of their starts, each with its signals, a one before them."""

    runs: Sequence[Run]
    signals: Floats
    labelled: Mask
    finished: Floats
    project: np.ndarray[tuple[int], np.dtype[np.int64]]


def table(runs: Iterable[Run], constants: Constants) -> Table:
    history = History(memory=constants.bias_memory)
    rows = list(
        walk(
            runs,
            history,
            lambda key, attempt, _: signals_of(history, key, attempt, attempt.started_s, constants)[
                0
            ],
        )
    )
    ordered = [run for run, _ in rows]
    outcomes = [finished(run) for run in ordered]
    codes: dict[str | None, int] = {}
    return Table(
        runs=ordered,
        signals=np.array([(1.0, *signals) for _, signals in rows]),
        labelled=np.array([outcome is not None for outcome in outcomes]),
        finished=np.array([outcome or 0.0 for outcome in outcomes]),
        project=np.array([codes.setdefault(run.group, len(codes)) for run in ordered]),
    )


def fitted(signals: Floats, finished_: Floats, weight: Floats) -> Floats:
    """Logistic regression with a ridge on all but the constant, by Newton's method."""
    ridge = np.diag([0.0, *[RIDGE] * (signals.shape[1] - 1)])
    found: Floats = np.zeros(signals.shape[1])
    for _ in range(25):
        expected = 1 / (1 + np.exp(-signals @ found))
        slope = signals.T @ (weight * (expected - finished_)) + ridge @ found
        bend = (signals * (weight * expected * (1 - expected))[:, None]).T @ signals + ridge
        found = found - np.linalg.solve(bend, slope)
    return found


def weights_of(told: Table) -> Floats:
    counts = np.bincount(told.project[told.labelled], minlength=int(told.project.max()) + 1)
    weight = np.maximum(counts, 1)[told.project] ** -PROJECT_POWER
    return np.asarray(weight / weight.mean(), dtype=np.float64)


def unseen_odds(told: Table) -> Floats:
    """Log-odds of every run from weights that were fitted without its project."""
    projects = int(told.project.max()) + 1
    fold = np.random.default_rng(7).permutation(projects)[told.project] % FOLDS
    weight = weights_of(told)
    odds: Floats = np.zeros(len(told.runs))
    for number in range(FOLDS):
        seen = told.labelled & (fold != number)
        weights = fitted(told.signals[seen], told.finished[seen], weight[seen])
        odds[fold == number] = told.signals[fold == number] @ weights
    return odds


def corrected(told: Table, odds: Floats, constants: Constants) -> Floats:
    """Probabilities after each group's own bias, which is learned causally."""
    biases: dict[str | None, Bias] = defaultdict(Bias)
    pending: dict[str | None, list[tuple[float, int, float, float]]] = defaultdict(list)
    scores: Floats = np.empty(len(odds))
    for number, run in enumerate(told.runs):
        bias, waiting = biases[run.group], pending[run.group]
        while waiting and waiting[0][0] <= run.started_at.timestamp():
            _, _, outcome, expected = heappop(waiting)
            bias.learn(outcome, expected, constants.bias_memory)
        score = probability(odds[number] + bias.value(constants.bias_reluctance))
        scores[number] = score
        result = finished(run)
        if result is not None and run.ended_at is not None:
            heappush(waiting, (run.ended_at.timestamp(), number, result, score))
    return scores


def figures(told: Table, constants: Constants) -> dict[str, float]:
    scores = corrected(told, unseen_odds(told), constants)
    used = told.labelled
    _, group = np.unique(told.project[used], return_inverse=True)
    hours = [run.gpu_hours for run in told.runs]
    labelled = Labelled(
        finished=told.finished[used] == 1.0,
        score=scores[used],
        group=group,
        gpu_hours=np.array([np.nan if each is None else each for each in hours])[used],
    )
    everyone = np.ones(int(group.max()) + 1)
    return {name: figure(labelled)(everyone) for name, figure in FIGURES.items()}


def worth(told: dict[str, float]) -> float:
    """What is sought: order within projects and over GPU-hours, and honest probabilities."""
    return (
        told["within-group AUC"]
        + 0.3 * told["GPU-hour AUC"]
        - 3 * told["Brier"]
        - 0.5 * max(0.0, told["calibration gap"] - 0.015)
    )


def stepped(constants: Constants, chance: random.Random) -> Constants:
    """One to three constants, each a random step away."""
    names = [field.name for field in fields(Constants)]
    changes = {}
    for name in chance.sample(names, chance.choice([1, 2, 3])):
        value = getattr(constants, name) * STEP ** chance.gauss(0, 1)
        if name in AT_MOST_ONE:
            value = min(1.0, value)
        if name == "bias_memory":
            value = min(MOST_MEMORY, value)
        if name == "bias_reluctance":
            value = max(LEAST_RELUCTANCE, value)
        changes[name] = value
    return replace(constants, **changes)


def searched(runs: Sequence[Run], minutes: float, seed: int) -> Constants:
    chance = random.Random(seed)
    best = Constants()
    reached = worth(figures(table(runs, best), best))
    until = time.monotonic() + 60 * minutes
    while time.monotonic() < until:
        tried = stepped(best, chance)
        value = worth(figures(table(runs, tried), tried))
        if value > reached:
            best, reached = tried, value
            print(f"{reached:.4f}", flush=True)
    return best


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    options.add_argument("--minutes", type=float, default=0.0, help="of search; 0: weights only")
    options.add_argument("--seed", type=int, default=1)
    given = options.parse_args()
    runs = sacred_runs()
    constants = searched(runs, given.minutes, given.seed)
    told = table(runs, constants)
    for name, value in asdict(constants).items():
        print(f"{name} = {value:.4g}")
    used = told.labelled
    found = fitted(told.signals[used], told.finished[used], weights_of(told)[used])
    for name, value in zip(("constant", *Signals._fields), found, strict=True):
        print(f"weight of {name} = {value:.4f}")
    for name, value in figures(told, constants).items():
        print(f"{name}: {value:.4f} on projects that the weights were not fitted on")


if __name__ == "__main__":
    main()
