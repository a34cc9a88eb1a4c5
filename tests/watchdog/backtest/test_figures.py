"""The figures, counted again pair by pair and by hand."""

from itertools import product
from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.backtest.figures import (
    FIGURES,
    Labelled,
    auc,
    brier,
    calibration,
    calibration_gap,
    figures,
    gpu_hour_auc,
    within_group_auc,
)

Told = tuple[bool, float, int, float]
"""Finished, score, group and GPU-hours of a run."""
SCORES = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.5000001, 0.9, 1.0])
RUNS = st.lists(
    st.tuples(st.booleans(), SCORES, st.integers(0, 2), st.sampled_from([0.0, 0.5, 8.0])),
    min_size=1,
    max_size=12,
)


def labelled(*told: Told) -> Labelled:
    """Groups are numbered anew, so that every number is used."""
    finished, score, group, hours = zip(*told, strict=True)
    _, codes = np.unique(group, return_inverse=True)
    return Labelled(
        finished=np.array(finished, dtype=bool),
        score=np.array(score, dtype=float),
        group=codes.astype(np.int64),
        gpu_hours=np.array(hours, dtype=float),
    )


def once(runs: Labelled) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.ones(int(runs.group.max()) + 1)


def by_pairs(told: list[Told], weight: list[float]) -> float | None:
    """The chance that of a good and a bad run, drawn by weight, the good one scored higher."""
    runs = list(zip(told, weight, strict=True))
    good, bad = ([one for one in runs if one[0][0] is won] for won in (True, False))
    pairs = [
        (wg * wb, 1.0 if g[1] > b[1] else 0.5 if g[1] == b[1] else 0.0)
        for (g, wg), (b, wb) in product(good, bad)
    ]
    total = sum(weight for weight, _ in pairs)
    return sum(weight * value for weight, value in pairs) / total if total else None


@given(RUNS)
def test_the_area_is_the_share_of_pairs_in_the_right_order(told: list[Told]) -> None:
    runs = labelled(*told)
    expected = by_pairs(told, [1.0] * len(told))
    found = auc(runs.finished, runs.score, np.ones(len(told)))
    assert isnan(found) if expected is None else found == pytest.approx(expected)
    hours = by_pairs(told, [each[3] for each in told])
    weighed = gpu_hour_auc(runs)(once(runs))
    assert isnan(weighed) if hours is None else weighed == pytest.approx(hours)


@given(RUNS)
def test_groups_weigh_successes_times_failures_over_runs(told: list[Told]) -> None:
    runs = labelled(*told)
    weighed = []
    for group in {each[2] for each in told}:
        mine = [each for each in told if each[2] == group]
        won = sum(each[0] for each in mine)
        area = by_pairs(mine, [1.0] * len(mine))
        if area is not None:
            weighed.append((won * (len(mine) - won) / len(mine), area))
    found = within_group_auc(runs)(once(runs))
    if not weighed:
        assert isnan(found)
    else:
        total = sum(weight for weight, _ in weighed)
        assert found == pytest.approx(sum(weight * area for weight, area in weighed) / total)


def test_a_group_of_one_outcome_has_no_say_and_ties_count_half() -> None:
    runs = labelled((True, 0.9, 0, 1), (False, 0.9, 0, 1), (True, 0.1, 1, 1), (True, 0.2, 1, 1))
    assert within_group_auc(runs)(once(runs)) == 0.5


def test_brier_and_the_gap_by_hand() -> None:
    runs = labelled((True, 0.95, 0, 1), (True, 0.91, 0, 1), (False, 0.05, 1, 1), (True, 1.0, 1, 1))
    assert brier(runs)(once(runs)) == pytest.approx((0.05**2 + 0.09**2 + 0.05**2 + 0) / 4)
    table = calibration(runs, np.ones(4))
    assert table.number.tolist() == [0, 9], "a score of 1 belongs to the last bin"
    assert table.runs.tolist() == [1, 3]
    gap = (1 * 0.05 + 3 * (1 - (0.95 + 0.91 + 1.0) / 3)) / 4
    assert calibration_gap(runs)(once(runs)) == pytest.approx(gap)


@given(RUNS)
def test_a_group_drawn_twice_counts_like_two_of_it(told: list[Told]) -> None:
    runs = labelled(*told)
    groups = int(runs.group.max()) + 1
    drawn = np.ones(groups)
    drawn[0] = 2.0
    first = [each for each, code in zip(told, runs.group, strict=True) if code == 0]
    copies = [(won, score, 9, hours) for won, score, _, hours in first]
    doubled = labelled(*told, *copies)
    for figure in FIGURES.values():
        once_more, weighed = figure(doubled)(once(doubled)), figure(runs)(drawn)
        assert weighed == pytest.approx(once_more, nan_ok=True)


def test_intervals_hold_the_figure_and_are_the_same_each_time() -> None:
    random = np.random.default_rng(1)
    told = [
        (bool(random.random() < score), float(score), number % 6, 1.0)
        for number, score in enumerate(random.random(300))
    ]
    found = figures(labelled(*told))
    assert set(found) == set(FIGURES)
    for each in found.values():
        assert each.low <= each.value <= each.high
    assert figures(labelled(*told)) == found


def test_gpu_hours_that_nobody_told_count_nothing() -> None:
    told = [(True, 0.9, 0, 2.0), (False, 0.1, 0, 2.0), (False, 1.0, 0, float("nan"))]
    runs = labelled(*told)
    assert gpu_hour_auc(runs)(once(runs)) == 1.0
    assert auc(runs.finished, runs.score, np.ones(3)) == 0.5
