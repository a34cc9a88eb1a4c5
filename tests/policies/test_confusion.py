"""What a workload does again without having learnt from the last time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.confusion import AGAIN, APART, MEANWHILE, STORM, confusions
from policies.facts import Run, RunCause, RunOutcome, WorkloadKind
from policies.streaks import Confusion, ConfusionKind, Lead
from tests.builders import NOW, run

FAILED, WON = RunOutcome.FAILED, RunOutcome.SUCCEEDED
BEGIN = NOW - timedelta(days=30)
LETTERS = "abcdefgh"
"""Numbers would make the same error of them."""


def at(hours: float, run_id: str, *, lasts: float = 1.0, **changes: Any) -> Run:
    """A run that starts so many hours after `BEGIN`, and lasts an hour."""
    start = BEGIN + timedelta(hours=hours)
    return run(run_id, started_at=start, ended_at=start + timedelta(hours=lasts), **changes)


def failed(hours: float, run_id: str, error: str | None = "KeyError: 'lr'", **changes: Any) -> Run:
    return at(hours, run_id, **({"outcome": FAILED, "error": error} | changes))


def found(runs: Sequence[Run], kind: ConfusionKind, **options: Any) -> list[Confusion]:
    everything = confusions(runs, as_of=options.pop("as_of", NOW), **options)
    return [each for each in everything if each.kind is kind]


class TestTheSameError:
    def test_the_third_time_is_a_finding_of_the_repeats(self) -> None:
        runs = [failed(n * 2, f"r{n}", f"KeyError: 'lr' in step {n}") for n in range(AGAIN)]
        [each] = found(runs, ConfusionKind.SAME_ERROR)
        assert each.runs == ("r0", "r1", "r2")
        assert [piece.run.run_id for piece in each.repeats] == ["r1", "r2"]
        assert (each.since, each.until) == (runs[0].started_at, runs[2].ended_at)
        assert each.why == (
            "the same error in 3 of 3 runs within 5 h: “KeyError: 'lr' in step 0”; 2 of them"
            " started after it had been seen, no run succeeded in between"
        )

    def test_twice_is_none(self) -> None:
        assert not confusions([failed(0, "a"), failed(2, "b")], as_of=NOW)

    def test_others_in_between_are_counted_and_told(self) -> None:
        runs = [
            failed(0, "a"),
            at(2, "w"),
            failed(4, "b"),
            failed(6, "x", "TypeError"),
            failed(8, "c"),
        ]
        [each] = found(runs, ConfusionKind.SAME_ERROR)
        assert "in 3 of 5 runs" in each.why
        assert "1 run succeeded in between" in each.why

    def test_runs_that_were_started_together_had_no_lesson_yet(self) -> None:
        [each] = found([failed(0, f"r{n}") for n in range(4)], ConfusionKind.SAME_ERROR)
        assert "0 of them started after it had been seen" in each.why

    @pytest.mark.parametrize("cause", [RunCause.USER, RunCause.PREEMPTED, RunCause.NODE_FAILURE])
    def test_what_is_not_the_works_fault_is_none(self, cause: RunCause) -> None:
        runs = [failed(n * 2, f"r{n}", cause=cause) for n in range(6)]
        assert not confusions(runs, as_of=NOW)

    def test_an_unknown_error_is_the_same_as_no_other(self) -> None:
        runs = [failed(n * 2, f"r{n}", None, cause=RunCause.ERROR) for n in range(6)]
        assert not confusions(runs, as_of=NOW)

    def test_a_week_apart_are_two_stories(self) -> None:
        gap = APART.total_seconds() / 3600 + 2
        runs = [failed(n * 2 + (gap if n >= 3 else 0), f"r{n}") for n in range(6)]
        assert [each.count for each in found(runs, ConfusionKind.SAME_ERROR)] == [3, 3]

    def test_twenty_other_runs_later_it_is_another_story(self) -> None:
        """What comes up once in twenty runs is a flaw; once in nineteen it is not learnt."""

        def story(others: int) -> list[Run]:
            runs = []
            for number in range(3 * (others + 1)):
                again = number % (others + 1) == 0
                made = failed if again else at
                runs.append(made(number * 2, f"r{number:02}"))
            return runs

        assert not found(story(MEANWHILE), ConfusionKind.SAME_ERROR)
        assert found(story(MEANWHILE - 1), ConfusionKind.SAME_ERROR)

    def test_other_workloads_and_groups_are_apart(self) -> None:
        runs = [failed(n * 2, f"r{n}", group=f"g{n}") for n in range(4)]
        assert not confusions(runs, as_of=NOW)


class TestABiggerMachine:
    def test_the_same_error_on_more_gpus_is_a_larger_version_of_the_same_uncertainty(self) -> None:
        runs = [failed(0, "a", gpu_model="A100"), failed(2, "b", gpus=8, gpu_model="H100")]
        [each] = found(runs, ConfusionKind.BIGGER_MACHINE)
        assert each.runs == ("a", "b")
        assert [piece.run.run_id for piece in each.repeats] == ["b"]
        assert "as on 1 × A100 again on 8 × H100, once: a larger version" in each.why

    def test_bigger_gpus_count_as_much(self) -> None:
        runs = [failed(n * 2, f"r{n}", gpu_memory_mib=m) for n, m in enumerate([24576, 81920])]
        assert len(found(runs, ConfusionKind.BIGGER_MACHINE)) == 1

    @pytest.mark.parametrize(
        "sizes",
        [
            [(8, None), (1, None)],
            [(1, None), (1, 81920)],
            [(None, 24576), (None, 81920)],
            [(1, 81920), (2, 24576)],
        ],
        ids=["smaller", "memory unknown", "number unknown", "more but smaller"],
    )
    def test_what_is_not_known_to_be_bigger_is_none(self, sizes: list[Any]) -> None:
        runs = [
            failed(n * 2, f"r{n}", gpus=gpus, gpu_memory_mib=memory)
            for n, (gpus, memory) in enumerate(sizes)
        ]
        assert not found(runs, ConfusionKind.BIGGER_MACHINE)

    def test_another_error_there_is_news(self) -> None:
        runs = [failed(0, "a", gpus=1), failed(2, "b", "TypeError: other", gpus=8)]
        assert not confusions(runs, as_of=NOW)

    def test_each_escalation_has_a_beginning_of_its_own(self) -> None:
        """A week later it is another finding, though the error was never out of sight."""
        small = [failed(n * 48, f"s{n}", gpus=1) for n in range(6)]
        big = [failed(hours, f"b{hours}", gpus=8) for hours in (2, 220)]
        first, second = found([*small, *big], ConfusionKind.BIGGER_MACHINE)
        assert [first.runs, second.runs] == [("s0", "b2"), ("s0", "b220")]
        assert [first.since, second.since] == [each.started_at for each in big]

    def test_both_at_once_is_no_escalation(self) -> None:
        runs = [failed(0, "a", gpus=1), failed(0.5, "b", gpus=8)]
        assert not found(runs, ConfusionKind.BIGGER_MACHINE)


INPUTS: dict[str, Any] = {"code": "c", "environment": "e", "config": "f", "data": "d"}


class TestTheSameResult:
    def test_equal_inputs_with_an_equal_metric_are_a_finding(self) -> None:
        told: dict[str, Any] = {**INPUTS, "metric_name": "accuracy", "metric_value": 0.91}
        runs = [at(n * 2, f"r{n}", **told) for n in range(3)]
        [each] = found(runs, ConfusionKind.SAME_RESULT)
        assert each.why == (
            "the same code, environment, config and data had the same result in 3 of 3 runs"
            " within 5 h: accuracy 0.91"
        )

    @pytest.mark.parametrize("unknown", INPUTS)
    def test_an_unknown_fingerprint_equals_no_other(self, unknown: str) -> None:
        runs = [at(n * 2, f"r{n}", **{**INPUTS, unknown: None}) for n in range(5)]
        assert not confusions(runs, as_of=NOW)

    def test_an_image_stands_for_code_and_environment(self) -> None:
        told: dict[str, Any] = {"image": "sha256:1", "config": "f", "data": "d"}
        assert found([at(n * 2, f"r{n}", **told) for n in range(3)], ConfusionKind.SAME_RESULT)

    @pytest.mark.parametrize("changed", [*INPUTS, "metric_value"])
    def test_anything_that_changed_is_no_repetition(self, changed: str) -> None:
        runs = [at(n * 2, f"r{n}", **(INPUTS | {changed: n})) for n in range(5)]
        assert not confusions(runs, as_of=NOW)

    def test_failures_with_the_same_error_are_alike(self) -> None:
        runs = [failed(n * 2, f"r{n}", **INPUTS) for n in range(3)]
        [same] = found(runs, ConfusionKind.SAME_RESULT)
        [error] = found(runs, ConfusionKind.SAME_ERROR)
        assert same.overlaps == (error.name,)
        assert error.overlaps == (same.name,)

    def test_a_service_does_the_same_again_by_design(self) -> None:
        runs = [at(n * 2, f"r{n}", kind=WorkloadKind.SERVICE, **INPUTS) for n in range(5)]
        assert not confusions(runs, as_of=NOW)


class TestSetUp:
    def test_the_same_environment_set_up_again_costs_its_repeats(self) -> None:
        told: dict[str, Any] = {"environment": "env-1", "setup_seconds": 900.0}
        [each] = found([at(n * 2, f"r{n}", **told) for n in range(3)], ConfusionKind.SETUP_AGAIN)
        assert [piece.hours for piece in each.repeats] == [0.25, 0.25]
        assert each.why == (
            "an unchanged environment (env-1) was set up again for 3 of 3 runs within 5 h,"
            " 15 min each"
        )

    def test_what_is_quick_or_unknown_or_changes_is_none(self) -> None:
        quick = [at(n * 2, f"q{n}", environment="e", setup_seconds=60.0) for n in range(4)]
        unknown = [at(n * 2, f"u{n}", environment="e") for n in range(4)]
        new = [at(n * 2, f"n{n}", environment=f"e{n}", setup_seconds=900.0) for n in range(4)]
        nowhere = [at(n * 2, f"w{n}", setup_seconds=900.0) for n in range(4)]
        assert not confusions([*quick, *unknown, *new, *nowhere], as_of=NOW)

    def test_boots_of_one_machine_are_set_up_by_what_was_metered(self) -> None:
        runs = [at(n * 5, f"r{n}", machine_id="i-1") for n in range(3)]
        lead = Lead(setup_s=1800.0, setup_usd=Decimal("2.5"), gpus=8)
        leads = {run.run_id: lead for run in runs}
        [each] = found(runs, ConfusionKind.SETUP_AGAIN, leads=leads)
        assert "the same machine (i-1) was set up again for 3 of 3 runs" in each.why
        assert [(piece.usd, piece.gpus) for piece in each.repeats] == [(Decimal("2.5"), 8)] * 2


def test_data_that_is_moved_before_each_run() -> None:
    runs = [at(n * 5, f"r{n}", machine_id="i-1") for n in range(4)]
    minutes = [20, 5, 40, 0]
    leads = {
        run.run_id: Lead(transfer_s=long * 60.0, transfer_usd=Decimal(1), gpus=1)
        for run, long in zip(runs, minutes, strict=True)
    }
    [each] = found(runs, ConfusionKind.TRANSFER_AGAIN, leads=leads)
    assert each.count == 3
    assert "for 5 min to 40 min each, before 3 of 3 runs within 11 h" in each.why


class TestStorms:
    def test_many_starts_that_fail_at_once(self) -> None:
        runs = [
            failed(n / 30, f"r{n}", f"E{LETTERS[n]}", lasts=0.01, code="c") for n in range(STORM)
        ]
        [each] = confusions(runs, as_of=NOW)
        assert each.kind is ConfusionKind.RETRY_STORM
        assert each.why == (
            "5 starts within 8.6 min failed, each after at most 36 s, the code's fingerprint"
            " unchanged"
        )

    def test_one_less_is_none(self) -> None:
        runs = [failed(n / 30, f"r{n}", f"E{LETTERS[n]}", lasts=0.01) for n in range(STORM - 1)]
        assert not confusions(runs, as_of=NOW)

    @pytest.mark.parametrize(("between", "later"), [("won", 0.1), ("slow", 0.15), ("nothing", 0.5)])
    def test_a_success_a_longer_run_and_a_pause_end_it(self, between: str, later: float) -> None:
        runs = [failed(n / 50, f"a{n}", f"A{LETTERS[n]}", lasts=0.01) for n in range(3)]
        runs += [failed(later + n / 50, f"b{n}", f"B{LETTERS[n]}", lasts=0.01) for n in range(3)]
        calm = {"won": at(0.07, "m", lasts=0.01), "slow": failed(0.07, "m", "M", lasts=0.05)}
        runs += [calm[between]] if between in calm else []
        assert not found(runs, ConfusionKind.RETRY_STORM)

    def test_without_any_of_these_it_goes_on(self) -> None:
        """The twin of the test above."""
        runs = [failed(n / 50, f"a{n}", f"A{LETTERS[n]}", lasts=0.01) for n in range(3)]
        runs += [failed(0.15 + n / 50, f"b{n}", f"B{LETTERS[n]}", lasts=0.01) for n in range(3)]
        [each] = found(runs, ConfusionKind.RETRY_STORM)
        assert each.count == 6

    def test_two_that_began_at_once_are_two(self) -> None:
        """Runs started together: five fail, one succeeds, five more fail."""
        runs = [failed(0, f"a{n}", f"A{LETTERS[n]}", lasts=0.01) for n in range(5)]
        runs += [at(0, "m", lasts=0.012)]
        runs += [failed(0, f"b{n}", f"B{LETTERS[n]}", lasts=0.015) for n in range(5)]
        assert len({each.name for each in found(runs, ConfusionKind.RETRY_STORM)}) == 2

    def test_a_lack_of_machines_is_named_as_such(self) -> None:
        runs = [
            failed(n / 30, f"r{n}", "no A100 left", lasts=0.01, cause=RunCause.CAPACITY)
            for n in range(STORM)
        ]
        [each] = confusions(runs, as_of=NOW)
        assert each.kind is ConfusionKind.CAPACITY_STORM
        assert "not the work's fault" in each.why


OUTCOMES = st.sampled_from([FAILED, FAILED, FAILED, WON, RunOutcome.LOST, RunOutcome.RUNNING])


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Few words, so that much is alike; times of whole minutes, so that there are ties."""
    size = draw(st.integers(0, 24))
    runs = []
    for number in range(size):
        start = BEGIN + timedelta(minutes=draw(st.integers(0, 90)))
        outcome = draw(OUTCOMES)
        lasts = timedelta(minutes=draw(st.integers(0, 12)))
        runs.append(
            run(
                f"r{number:02}",
                workload=draw(st.sampled_from(["a", "b"])),
                started_at=start,
                ended_at=None if outcome is RunOutcome.RUNNING else start + lasts,
                outcome=outcome,
                error=draw(st.sampled_from([None, "KeyError: 1", "OSError: full"])),
                cause=draw(st.sampled_from([None, RunCause.OOM, RunCause.CAPACITY])),
                gpus=draw(st.sampled_from([None, 1, 8])),
                setup_seconds=draw(st.sampled_from([None, 10.0, 400.0])),
                environment=draw(st.sampled_from([None, "e"])),
                code="c",
                config="f",
                data=draw(st.sampled_from([None, "d"])),
            )
        )
    return runs


@given(histories(), st.randoms(use_true_random=False))
@settings(max_examples=150, deadline=None)
def test_the_order_of_the_rows_is_irrelevant(runs: list[Run], chance: Any) -> None:
    mixed = list(runs)
    chance.shuffle(mixed)
    assert confusions(mixed, as_of=NOW) == confusions(runs, as_of=NOW)


def test_of_runs_that_began_and_ended_together_the_id_decides() -> None:
    runs = [failed(0, name) for name in "abcd"]
    told = confusions(runs, as_of=NOW)
    assert told[0].runs == ("a", "b", "c", "d")
    assert confusions(runs[::-1], as_of=NOW) == told


@given(histories(), st.integers(0, 100), st.integers(0, 100))
@settings(max_examples=150, deadline=None)
def test_what_becomes_known_later_never_takes_a_finding_away(
    runs: list[Run], one: int, other: int
) -> None:
    early, late = (BEGIN + timedelta(minutes=each) for each in sorted((one, other)))
    after = {(each.key, each.name): each for each in confusions(runs, as_of=late)}
    for before in confusions(runs, as_of=early):
        grown = after[before.key, before.name]
        assert grown.runs[: before.count] == before.runs
        assert grown.until >= before.until


@given(histories(), st.integers(0, 100))
@settings(max_examples=100, deadline=None)
def test_what_was_not_known_then_changes_nothing(runs: list[Run], minutes: int) -> None:
    moment = BEGIN + timedelta(minutes=minutes)

    def as_seen_then(each: Run) -> Run:
        if each.ended_at is None or each.ended_at <= moment:
            return each
        return replace(each, ended_at=None, outcome=RunOutcome.RUNNING, error=None, cause=None)

    known = [as_seen_then(each) for each in runs if each.started_at <= moment]
    assert confusions(known, as_of=moment) == confusions(runs, as_of=moment)


@given(histories())
@settings(max_examples=100, deadline=None)
def test_without_repetition_nothing_is_found(runs: list[Run]) -> None:
    alone = [
        replace(each, workload=f"w{number}", run_id=f"r{number}")
        for number, each in enumerate(runs)
    ]
    assert confusions(alone, as_of=NOW) == ()


@given(histories())
@settings(max_examples=100, deadline=None)
def test_a_finding_names_each_run_once_and_repeats_all_but_the_first(runs: list[Run]) -> None:
    names = set()
    for each in confusions(runs, as_of=NOW):
        assert len(set(each.runs)) == len(each.runs)
        assert tuple(piece.run.run_id for piece in each.repeats) == each.runs[1:]
        assert (each.key, each.name) not in names
        names.add((each.key, each.name))


def test_a_run_that_nobody_saw_end_is_not_known() -> None:
    runs = [failed(n * 2, f"r{n}") for n in range(3)]
    assert not confusions([*runs[:2], replace(runs[2], ended_at=None)], as_of=NOW)
    early: datetime = runs[2].started_at
    assert not confusions(runs, as_of=early)
