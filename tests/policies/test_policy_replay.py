"""Pauses between runs, and what policies would have done about them."""

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.facts import Run, RunCause, RunOutcome, WorkloadKind
from policies.habits import Habits
from policies.pauses import JudgedPause, Pause, judged, pauses_of_runs
from policies.policy_replay import (
    Plan,
    Replayed,
    after,
    by_patience,
    by_rules,
    replayed,
)
from policies.rules import load_pack, load_policy
from policies.verdicts import Phase, Verdict
from tests.builders import NOW, run

MINUTE = timedelta(minutes=1)
EVERY = 5 * MINUTE
RESTART = 15 * MINUTE
ENGINE = by_patience(RESTART, EVERY)


def at(minutes: float) -> datetime:
    return NOW + minutes * MINUTE


def attempt(begin: float, end: float | None, name: str = "", **changes: object) -> Run:
    values = {
        "started_at": at(begin),
        "ended_at": None if end is None else at(end),
        "outcome": RunOutcome.FAILED,
        "host": "a",
    }
    return run(name or f"r{begin}", **(values | changes))


def spans(runs: list[Run]) -> list[tuple[str, float, float | None]]:
    return [
        (
            each.resource,
            (each.began_at - NOW) / MINUTE,
            None if each.ended_at is None else (each.ended_at - NOW) / MINUTE,
        )
        for each in pauses_of_runs(runs)
    ]


def test_a_pause_lies_where_no_run_of_the_host_runs() -> None:
    runs = [
        attempt(0, 10),
        attempt(5, 30),
        attempt(40, 50),
        attempt(50, 60),
        attempt(7, 9, host="b"),
    ]
    assert spans(runs) == [("b", 9, None), ("a", 30, 40), ("a", 60, None)]


@pytest.mark.parametrize("outcome", [RunOutcome.LOST, RunOutcome.UNKNOWN])
def test_a_run_whose_end_nobody_saw_hides_what_follows_it(outcome: RunOutcome) -> None:
    runs = [attempt(0, 10), attempt(20, None, outcome=outcome), attempt(60, 70)]
    assert spans(runs) == [("a", 10, 20), ("a", 70, None)]


def test_a_lost_run_with_an_end_ended_then() -> None:
    runs = [attempt(0, 10, outcome=RunOutcome.LOST), attempt(20, 30)]
    assert spans(runs) == [("a", 10, 20), ("a", 30, None)]


def test_a_run_that_still_runs_hides_everything() -> None:
    runs = [attempt(0, 10), attempt(20, None, outcome=RunOutcome.RUNNING), attempt(60, 70)]
    assert spans(runs) == [("a", 10, 20)]


def test_a_run_without_a_host_is_at_the_machine_that_it_names_or_nowhere() -> None:
    runs = [attempt(0, 10, host=None, machine_id="aws:1:r:i-1"), attempt(0, 10, "x", host=None)]
    assert spans(runs) == [("aws:1:r:i-1", 10, None)]


def test_no_run_no_pause() -> None:
    assert pauses_of_runs([]) == []


def mature(name: str, **changes: object) -> list[Run]:
    return [
        attempt(
            -10_000 + 200 * n,
            -10_000 + 200 * n + 190,
            f"{name}{n}",
            workload=name,
            host="elsewhere",
            outcome=RunOutcome.SUCCEEDED,
            **changes,
        )
        for n in range(12)
    ]


def done(runs: list[Run], plan: Plan = ENGINE) -> list[Replayed]:
    return replayed(judged(pauses_of_runs(runs), runs), plan, EVERY)


def of_host_a(runs: list[Run], plan: Plan = ENGINE) -> list[Replayed]:
    return [each for each in done(runs, plan) if each.judged.pause.resource == "a"]


def test_it_warns_at_one_patrol_and_stops_at_the_next() -> None:
    [first, last] = of_host_a([attempt(0, 30), attempt(600, 630)])
    assert first.stopped_at is not None
    assert first.warned_at == first.stopped_at - EVERY
    assert first.stopped_at - at(30) in {5 * MINUTE, 10 * MINUTE, 15 * MINUTE}
    assert last.judged.pause.ended_at is None
    assert last.stopped_at is not None, "nothing is known to have ended it"


def test_a_pause_that_ends_before_its_stop_is_only_warned_about() -> None:
    [first, _] = of_host_a([attempt(0, 1), attempt(4, 5)])
    assert first.stopped_at is None


def test_one_failed_or_cancelled_run_is_exploratory_and_a_lost_one_unknown() -> None:
    for outcome, cause, verdict in (
        (RunOutcome.FAILED, RunCause.ERROR, Verdict.EXPLORATORY),
        (RunOutcome.CANCELLED, RunCause.USER, Verdict.EXPLORATORY),
        (RunOutcome.CANCELLED, RunCause.PREEMPTED, Verdict.UNKNOWN),
        (RunOutcome.LOST, None, Verdict.UNKNOWN),
    ):
        runs = [attempt(0, 10, outcome=outcome, cause=cause), attempt(900, 910)]
        first = of_host_a(runs)[0]
        assert first.judged.maturity.verdict is verdict
        assert (first.stopped_at is None) == (verdict is Verdict.UNKNOWN)


def test_mature_work_and_services_are_never_stopped() -> None:
    good = {"workload": "good", "outcome": RunOutcome.SUCCEEDED}
    runs = [*mature("good"), attempt(0, 190, **good), attempt(5000, 5190, **good)]
    first = of_host_a(runs)[0]
    assert first.judged.maturity.verdict is Verdict.MATURE
    assert (first.warned_at, first.stopped_at) == (None, None)
    service = {"kind": WorkloadKind.SERVICE}
    runs = [attempt(0, 10, **service), attempt(5000, 5010, **service)]
    first = of_host_a(runs)[0]
    assert first.judged.maturity.verdict is Verdict.EXPLORATORY
    assert first.stopped_at is None


def test_of_two_workloads_that_ended_together_the_more_protected_decides() -> None:
    good = {"workload": "good", "outcome": RunOutcome.SUCCEEDED}
    both = [attempt(0, 190, "x", **good), attempt(0, 190, "y", workload="bad")]
    first = of_host_a([*mature("good"), *both, attempt(5000, 5010)])[0]
    assert first.judged.maturity.verdict is Verdict.MATURE


def test_a_stop_that_is_undone_within_two_hours_is_a_regret() -> None:
    [first, second, _] = of_host_a([attempt(0, 30), attempt(100, 130), attempt(600, 630)])
    assert first.regretted
    assert not second.regretted


def test_readings_are_judged_by_the_runs_of_the_workload_that_they_name() -> None:
    def told(names: tuple[str, ...], runs: list[Run]) -> JudgedPause:
        pause = Pause(
            resource="pod",
            began_at=at(0),
            ended_at=at(300),
            seen_until=at(300),
            workloads=names,
            activity_s=60.0,
        )
        return judged([pause], runs)[0]

    bad = [attempt(-100, -50, "b", workload="bad")]
    good = mature("good")
    assert told(("good",), [*good, *bad]).maturity.verdict is Verdict.MATURE
    assert told(("bad",), [*good, *bad]).maturity.verdict is Verdict.EXPLORATORY
    assert told(("bad", "good"), [*good, *bad]).maturity.verdict is Verdict.MATURE
    assert told(("other",), [*good, *bad]).maturity.verdict is Verdict.UNKNOWN
    two = [*bad, attempt(-100, -50, "c", workload="bad", group="another team")]
    assert told(("bad",), two).maturity.verdict is Verdict.UNKNOWN, "the name means two things"
    on_it = [replace(bad[0], host="pod")]
    assert told((), on_it).maturity.verdict is Verdict.EXPLORATORY
    assert told((), bad).maturity.verdict is Verdict.UNKNOWN


def test_rules_decide_patrol_by_patrol() -> None:
    policy = load_policy(
        """
schema: spend-watchdog/policy/1
rules:
  - {name: late, when: "idle.minutes >= 40 && phase == 'idle'", because: b, then: stop}
  - {name: soon, when: idle.minutes >= 20, because: b, then: warn}
""",
        "p.yaml",
    )
    first = of_host_a([attempt(0, 30), attempt(600, 630)], by_rules(policy, RESTART, EVERY))[0]
    assert first.warned_at == at(50)
    assert first.stopped_at == at(70)
    parked = replace(first.judged, pause=replace(first.judged.pause, phase=Phase.PARKED))
    [again] = replayed([parked], by_rules(policy, RESTART, EVERY), EVERY)
    assert (again.warned_at, again.stopped_at) == (at(50), None)


def test_the_packs_stop_by_patience_and_observe_stops_nothing() -> None:
    runs = [attempt(0, 30), attempt(600, 630)]
    default = of_host_a(runs, by_rules(load_pack("default"), RESTART, EVERY))[0]
    assert default.stopped_at == at(45)
    observe = of_host_a(runs, by_rules(load_pack("observe"), RESTART, EVERY))[0]
    assert (observe.warned_at, observe.stopped_at) == (None, None)


def test_a_fixed_time_is_counted_in_patrols() -> None:
    runs = [attempt(0, 30), attempt(600, 630)]
    assert of_host_a(runs, after(12 * MINUTE, EVERY))[0].stopped_at == at(45)
    assert of_host_a(runs, after(1 * MINUTE, EVERY))[0].stopped_at == at(35)


def test_what_a_pause_teaches_is_known_from_its_end_on() -> None:
    """The pause of the one host goes on while that of the other begins."""
    runs = [
        attempt(0, 10),
        attempt(20, 30),
        attempt(500, 510),
        attempt(0, 100, "b0", host="b"),
        attempt(600, 610, "b1", host="b"),
    ]
    known: dict[tuple[str, float], int] = {}

    def spy(
        each: JudgedPause, habits: Habits, _not_before: datetime | None
    ) -> tuple[int | None, int | None, str]:
        began = (each.pause.began_at - NOW) / MINUTE
        known[each.pause.resource, began] = habits.levels[("fleet",)].pauses
        return None, None, ""

    done(runs, spy)
    assert known == {("a", 10): 0, ("a", 30): 1, ("b", 100): 1, ("a", 510): 2, ("b", 610): 3}


def test_a_stop_that_activity_forestalled_comes_no_sooner_after_it() -> None:
    """A long activity is waited for less, and yet not less than was planned before it."""
    dear = by_patience(timedelta(hours=8), EVERY)
    quick, after_it, _ = of_host_a([attempt(0, 1), attempt(2, 12), attempt(900, 910)], dear)
    planned = of_host_a([attempt(0, 1), attempt(900, 910)], dear)[0].stopped_at
    alone = of_host_a([attempt(2, 12), attempt(900, 910)], dear)[0].stopped_at
    assert quick.stopped_at is None
    assert planned is not None
    assert alone is not None
    assert alone < planned
    assert after_it.stopped_at is not None
    assert planned <= after_it.stopped_at < planned + EVERY


histories = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["llama", "bert"]),
        st.sampled_from([RunOutcome.FAILED, RunOutcome.SUCCEEDED, RunOutcome.CANCELLED]),
        st.integers(0, 300),
        st.integers(1, 200),
    ),
    min_size=1,
    max_size=25,
)


def history(told: list[tuple[str, str, RunOutcome, int, int]]) -> list[Run]:
    """Runs one after the other on each host."""
    clock = {"a": 0, "b": 1}
    runs = []
    for number, (host, name, outcome, wait, length) in enumerate(told):
        begin = clock[host] + wait
        clock[host] = begin + length
        runs.append(
            attempt(
                begin,
                clock[host],
                f"r{number}",
                host=host,
                workload=name,
                group="g",
                outcome=outcome,
            )
        )
    return runs


def as_known(runs: list[Run], moment: datetime) -> list[Run]:
    known = [each for each in runs if each.started_at <= moment]
    return [
        each
        if each.ended_at is not None and each.ended_at <= moment
        else replace(each, ended_at=None, outcome=RunOutcome.RUNNING)
        for each in known
    ]


PLANS = [
    ENGINE,
    by_patience(timedelta(hours=2), EVERY),
    by_rules(load_pack("default"), RESTART, EVERY),
]


@given(histories, st.integers(0, 6000), st.sampled_from(PLANS))
@settings(max_examples=60, deadline=None)
def test_no_decision_looks_ahead(
    told: list[tuple[str, str, RunOutcome, int, int]], minutes: int, plan: Plan
) -> None:
    """Whatever was decided up to a moment is decided from what was known then."""
    runs, moment = history(told), at(minutes)
    then = {
        (each.judged.pause.resource, each.judged.pause.began_at): each
        for each in done(as_known(runs, moment), plan)
    }
    for each in done(runs, plan):
        pause = each.judged.pause
        earlier = then.get((pause.resource, pause.began_at))
        if pause.began_at > moment:
            assert earlier is None
            continue
        assert earlier is not None
        assert earlier.judged.maturity.verdict is each.judged.maturity.verdict
        for now, before in (
            (each.warned_at, earlier.warned_at),
            (each.stopped_at, earlier.stopped_at),
        ):
            if now is not None and now < moment:
                assert before == now
            if now is None or now > moment:
                assert before is None or before >= moment


@given(
    histories,
    st.integers(0, 24),
    st.integers(1, 200),
    st.integers(1, 100),
    st.sampled_from(PLANS[:2]),
)
@settings(max_examples=80, deadline=None)
def test_adding_activity_never_brings_a_stop_nearer(
    told: list[tuple[str, str, RunOutcome, int, int]],
    which: int,
    wait: int,
    length: int,
    plan: Plan,
) -> None:
    """A run that is added inside a pause, before its stop, puts that stop off."""
    runs = history(told)
    stopped = [each for each in of_host_a(runs, plan) if each.stopped_at is not None]
    if not stopped:
        return
    chosen = stopped[which % len(stopped)]
    pause, stop = chosen.judged.pause, chosen.stopped_at
    last = chosen.judged.last
    begin = pause.began_at + wait * timedelta(seconds=4)
    if stop is None or last is None or begin >= stop:
        return
    more = replace(last, run_id="more", started_at=begin, ended_at=begin + length * MINUTE / 10)
    stops = [
        each.stopped_at
        for each in of_host_a([*runs, more], plan)
        if each.judged.pause.began_at >= pause.began_at and each.stopped_at is not None
    ]
    assert all(each >= stop for each in stops)


@given(histories, st.sampled_from(PLANS))
@settings(max_examples=40, deadline=None)
def test_the_order_of_rows_does_not_matter(
    told: list[tuple[str, str, RunOutcome, int, int]], plan: Plan
) -> None:
    runs = history(told)
    assert done(list(reversed(runs)), plan) == done(runs, plan)


@given(histories)
@settings(max_examples=40, deadline=None)
def test_pauses_of_a_host_never_overlap_and_no_run_lies_in_them(
    told: list[tuple[str, str, RunOutcome, int, int]],
) -> None:
    runs = history(told)
    for host in "ab":
        mine = [each for each in pauses_of_runs(runs) if each.resource == host]
        for one, other in pairwise(mine):
            assert one.ended_at is not None
            assert one.ended_at <= other.began_at
        for pause in mine:
            for each in runs:
                if each.host == host and each.ended_at is not None:
                    assert each.ended_at <= pause.began_at or (
                        pause.ended_at is not None and each.started_at >= pause.ended_at
                    )
