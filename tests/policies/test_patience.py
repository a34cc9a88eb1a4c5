"""When a stop is cheaper than waiting."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.facts import RunOutcome, WorkloadKey
from policies.habits import ENOUGH, Before, Habits
from policies.patience import Curve, Patience, machine_time, patience
from policies.verdicts import Verdict
from tests.builders import NOW

KEY = WorkloadKey(group="nlp", name="llama")
BEFORE = Before(key=KEY, began_at=NOW, activity_s=120.0, outcome=RunOutcome.FAILED)
MINUTE = timedelta(minutes=1)

lengths = st.floats(0.1, 30_000).map(lambda minutes: minutes * 60)
pasts = st.lists(
    st.tuples(st.sampled_from(["llama", "bert"]), lengths, st.floats(0, 50_000)), max_size=30
)


def habits(past: list[tuple[str, float, float]]) -> Habits:
    told = Habits()
    for name, lasted_s, activity_s in past:
        key = WorkloadKey(group="nlp", name=name)
        told.ended(replace(BEFORE, key=key, activity_s=activity_s), lasted_s)
    return told


def asked(told: Habits, quiet_min: float = 0, **changes: Any) -> Patience:
    values: dict[str, Any] = {
        "quiet": timedelta(minutes=quiet_min),
        "restart_cost": 15 * MINUTE,
        "hourly_usd": Decimal(2),
    }
    found = patience(told, changes.pop("before", BEFORE), **(values | changes))
    assert found is not None
    return found


def test_the_sum_is_told_in_one_sentence() -> None:
    found = asked(Habits(), 12)
    assert found.exhausted
    assert found.why == (
        f"after 12 min quiet, pauses like this last another"
        f" {found.lasts_more / MINUTE if found.lasts_more else 0:.0f} min on the median;"
        f" waiting is expected to cost {found.waste_usd} USD, a restart 0.50 USD"
    )
    assert found.waste_usd is not None
    assert found.waste_usd >= Decimal("0.50")


def test_without_a_price_the_sum_is_time_at_the_machines_own_price() -> None:
    found = asked(Habits(), 12, hourly_usd=None)
    assert (found.waste_usd, found.restart_usd) == (None, None)
    assert found.why.endswith("a restart 15 min at its price")
    assert found.stop_after == asked(Habits(), 12).stop_after


def test_dollars_and_an_unknown_price_do_not_compare() -> None:
    cost = Decimal(4)
    told = Habits()
    assert patience(told, BEFORE, quiet=MINUTE, restart_cost=cost, hourly_usd=None) is None
    assert machine_time(cost, Decimal(2)) == timedelta(hours=2)
    free = machine_time(cost, Decimal(0))
    assert free is not None
    assert free > timedelta(days=13)


@given(pasts, st.floats(0, 3000), st.sampled_from([5, 15, 120, 600]))
@settings(max_examples=60, deadline=None)
def test_the_moment_is_the_cheapest_of_all_that_are_left(
    past: list[tuple[str, float, float]], activity_min: float, restart_min: int
) -> None:
    """Counted again by brute force, minute by minute."""
    before = replace(BEFORE, activity_s=activity_min * 60)
    told = habits(past)
    found = asked(told, before=before, restart_cost=restart_min * MINUTE, hourly_usd=None)
    curve = Curve(told.strengths(before))
    stop_min = found.stop_after / MINUTE
    grid = np.arange(0, 1441, 5.0)
    if stop_min > 1200:
        return
    lasting = np.array([curve.lasting(minutes) for minutes in grid])
    fine = np.array([curve.lasting(minutes) for minutes in np.arange(0.5, 1440, 1.0)])
    waited = np.concatenate(([0.0], np.cumsum(fine.reshape(-1, 5).sum(axis=1))))
    costs = waited + restart_min * told.dearer(KEY) * lasting
    at = int(stop_min // 5)
    assert costs[at] <= costs[at:].min() * 1.002 + 0.01
    for sooner in range(1, at):
        assert costs[sooner] >= costs[sooner + 1 :].min() * 0.998 - 0.01, "it waits for nothing"


@given(pasts, st.floats(0, 2000), st.floats(0, 2000))
@settings(max_examples=60, deadline=None)
def test_more_quiet_never_takes_a_stop_back(
    past: list[tuple[str, float, float]], one: float, other: float
) -> None:
    told = habits(past)
    sooner, later = sorted((one, other))
    assert asked(told, later).exhausted >= asked(told, sooner).exhausted


@given(pasts, st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=60, deadline=None)
def test_a_dearer_machine_is_never_waited_for_longer(
    past: list[tuple[str, float, float]], one: int, other: int
) -> None:
    """Of a restart that costs dollars, a dearer machine's hour buys less time."""
    told = habits(past)
    cheap, dear = sorted((Decimal(one), Decimal(other)))
    restart: dict[str, Any] = {"restart_cost": Decimal(20)}
    assert (
        asked(told, hourly_usd=dear, **restart).stop_after
        <= asked(told, hourly_usd=cheap, **restart).stop_after
    )


@given(pasts, st.integers(0, 8), st.integers(1, 4), st.sampled_from([15, 120]))
@settings(max_examples=60, deadline=None)
def test_a_regret_never_shortens_patience(
    past: list[tuple[str, float, float]], fine: int, regrets: int, restart_min: int
) -> None:
    told = habits(past)
    for _ in range(fine):
        told.stopped(KEY, regretted=False)
    restart: dict[str, Any] = {"restart_cost": restart_min * MINUTE}
    before = asked(told, **restart)
    for _ in range(regrets):
        told.stopped(KEY, regretted=True)
    after = asked(told, **restart)
    assert after.stop_after >= before.stop_after
    assert after.restart > before.restart


@given(pasts)
@settings(max_examples=30, deadline=None)
def test_a_more_protected_verdict_never_shortens_patience(
    past: list[tuple[str, float, float]],
) -> None:
    told = habits(past)
    waits = [
        asked(told, verdict=verdict).stop_after
        for verdict in (Verdict.EXPLORATORY, Verdict.UNKNOWN, Verdict.MATURE)
    ]
    assert waits == sorted(waits)


@given(pasts, st.floats(1, 500))
@settings(max_examples=30, deadline=None)
def test_a_stop_that_was_planned_comes_no_nearer_by_activity(
    past: list[tuple[str, float, float]], planned_min: float
) -> None:
    found = asked(habits(past), not_before=NOW + planned_min * MINUTE)
    assert found.stop_after >= planned_min * MINUTE


def test_a_long_activity_is_waited_for_less() -> None:
    short, long = (replace(BEFORE, activity_s=seconds) for seconds in (10.0, 36_000.0))
    two_hours: dict[str, Any] = {"restart_cost": timedelta(hours=2)}
    told = Habits()
    assert (
        asked(told, before=long, **two_hours).stop_after
        < asked(told, before=short, **two_hours).stop_after
    )


def test_a_group_that_comes_back_late_is_waited_for_longer() -> None:
    """What a group's pauses show outweighs the fleet once there are enough of them."""
    late = habits([("bert", 40 * 60.0, 120.0)] * 200)
    never = habits([("bert", 3000 * 60.0, 120.0)] * 200)
    restart: dict[str, Any] = {"restart_cost": timedelta(hours=2)}
    assert asked(late, **restart).stop_after > asked(never, **restart).stop_after


def test_state_does_not_grow_with_pauses() -> None:
    few = habits([("llama", 600.0, 60.0)])
    many = habits([("llama", 600.0, 60.0)] * 500)
    assert len(many.levels) == len(few.levels)


def test_an_outcome_counts_apart_only_when_its_history_is_long() -> None:
    def strengths(pauses: int, outcome: RunOutcome) -> tuple[float, ...]:
        told = habits([("bert", 7 * 60.0, 120.0)] * pauses)
        return told.strengths(replace(BEFORE, outcome=outcome))

    assert strengths(ENOUGH - 1, RunOutcome.FAILED) == strengths(ENOUGH - 1, RunOutcome.SUCCEEDED)
    assert strengths(ENOUGH, RunOutcome.FAILED) != strengths(ENOUGH, RunOutcome.SUCCEEDED)


def test_work_that_nobody_knows_learns_from_the_fleet_alone() -> None:
    told = habits([("bert", 7 * 60.0, 120.0)] * 50)
    nameless = replace(BEFORE, key=None)
    assert told.strengths(nameless) != Habits().strengths(nameless)
    assert asked(told, before=nameless).stop_after > timedelta(0)


@pytest.mark.parametrize("quiet_min", [30 * 24 * 60, 13.9 * 24 * 60])
def test_a_pause_of_weeks_is_told_too(quiet_min: float) -> None:
    found = asked(Habits(), quiet_min)
    assert found.exhausted
    assert found.lasts_more is None
    assert "over two weeks" in found.why
