"""A score, taken apart: the parts add up, and each sentence is true."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Run, RunOutcome, WorkloadKey
from policies.maturity import assess, judged, learned, reasons
from policies.score_terms import Explained
from policies.verdicts import Direction, Verdict
from tests.builders import NOW, run

LLAMA = WorkloadKey(group=None, name="llama")
WON, LOST = RunOutcome.SUCCEEDED, RunOutcome.FAILED


def history(*outcomes: RunOutcome, every: timedelta = timedelta(hours=6), **same: Any) -> list[Run]:
    """Runs of an hour, the newest ending five hours before `NOW`."""
    runs = []
    for index, outcome in enumerate(outcomes):
        start = NOW - every * (len(outcomes) - index)
        changes = {"started_at": start, "ended_at": start + timedelta(hours=1)} | same
        runs.append(run(f"r{index}", outcome=outcome, **changes))
    return runs


def told(runs: Sequence[Run]) -> Explained:
    found = reasons(learned(runs, as_of=NOW), LLAMA, as_of=NOW)
    assert found is not None
    return found


def why(runs: Sequence[Run], name: str) -> tuple[bool, str]:
    """Whether the term speaks for the workload, and its sentence."""
    (term,) = [term for term in told(runs).terms if term.name == name]
    return term.points > 0, term.why


fingerprint = st.sampled_from([None, "a", "b"])
any_run = st.tuples(
    st.sampled_from(list(RunOutcome)),
    st.integers(1, 40_000),
    st.sampled_from(["llama", "llama-2", "gpt"]),
    st.sampled_from([None, "nlp"]),
    fingerprint,
    fingerprint,
    fingerprint,
)


def drawn(several: Sequence[tuple[Any, ...]]) -> list[Run]:
    return [
        run(
            f"r{n}",
            outcome=outcome,
            started_at=NOW - timedelta(minutes=ago),
            ended_at=None if outcome is RunOutcome.RUNNING else NOW - timedelta(minutes=ago / 2),
            workload=workload,
            group=group,
            code=code,
            config=config,
            host=host,
        )
        for n, (outcome, ago, workload, group, code, config, host) in enumerate(several)
    ]


@given(st.lists(any_run, min_size=1, max_size=40))
def test_the_terms_add_up_to_the_score_that_the_fold_gives(several: list[tuple[Any, ...]]) -> None:
    runs = drawn(several)
    memory = learned(runs, as_of=NOW)
    for key, maturity in judged(memory, as_of=NOW).items():
        found = reasons(memory, key, as_of=NOW)
        if maturity.score is None:
            assert found is None
            continue
        assert found is not None
        added = found.start + sum(term.points for term in found.terms)
        assert added == pytest.approx(found.score.value, abs=1e-9)
        assert round(found.score.value, 4) == maturity.score
        assert all((term.points > 0) == (term.log_odds > 0) for term in found.terms)


def test_a_workload_that_nobody_knows_and_one_without_evidence_have_no_reasons() -> None:
    for runs in ([], history(RunOutcome.LOST)):
        assert reasons(learned(runs, as_of=NOW), LLAMA, as_of=NOW) is None


def test_a_streak_is_counted_and_speaks_its_way() -> None:
    assert why(history(LOST, WON, WON, WON, WON), "lately") == (
        True,
        "its newest 4 runs that count succeeded in a row",
    )
    assert why(history(WON, WON, LOST), "lately") == (False, "its newest run that counts failed")
    assert why(history(LOST, WON, WON, WON), "record")[1] == (
        "3 of its newest 4 runs that count succeeded"
    )


def test_code_that_changed_is_a_minus_with_its_day() -> None:
    runs = history(*[WON] * 6, code="old", config="c", every=timedelta(days=1))
    changed = run(
        "new", outcome=RunOutcome.RUNNING, started_at=NOW - timedelta(hours=2), ended_at=None,
        code="new", config="c",
    )  # fmt: skip
    assert why([*runs, changed], "code") == (
        False,
        "its code changed on Monday 23 November 2026: no success with it yet",
    )
    assert why(runs, "code") == (True, "the same code has succeeded and never failed")
    assert why([*runs, changed], "config")[0] is True
    assert told([*runs, changed]).score.value < told(runs).score.value


def test_what_failed_before_with_this_code_and_config_is_told() -> None:
    runs = history(WON, LOST, code="c", config="k")
    assert why(runs, "code") == (False, "the same code has failed")
    assert why(runs, "config") == (False, "the same config has failed")
    assert why(runs, "same_again") == (False, "the newest run with the same code and config failed")


def test_what_is_not_told_is_said_and_not_taken_for_a_change() -> None:
    runs = history(WON, WON)
    assert why(runs, "code")[1] == "its newest run tells neither code nor image"
    assert why(runs, "config")[1] == "its newest run tells no config"
    assert "is not told" in why(runs, "same_again")[1]


def test_a_burst_of_starts_is_counted() -> None:
    start = NOW - timedelta(minutes=5)
    burst = [run(f"b{n}", started_at=start, ended_at=NOW - timedelta(minutes=4)) for n in range(3)]
    assert why(burst, "burst") == (True, "3 runs like it began in the last ten minutes")
    assert why(history(WON, WON), "burst")[1].startswith("no run like it")


def test_a_trend_needs_a_few_runs_and_looks_a_week_back() -> None:
    assert assess(history(WON, WON), as_of=NOW)[LLAMA].trend is None
    better = history(*[LOST] * 6, *[WON] * 8, every=timedelta(days=1))
    rising = assess(better, as_of=NOW)[LLAMA].trend
    assert rising is not None
    assert rising.direction is Direction.RISING
    assert rising.then_at == NOW - timedelta(days=7)
    assert rising.runs == 7
    worse = history(*[WON] * 8, *[LOST] * 6, every=timedelta(days=1))
    falling = assess(worse, as_of=NOW)[LLAMA].trend
    assert falling is not None
    assert falling.direction is Direction.FALLING
    level = assess(history(*[WON] * 60, every=timedelta(days=1)), as_of=NOW)[LLAMA]
    assert level.verdict is Verdict.MATURE
    assert level.trend is not None
    assert level.trend.direction is Direction.STEADY


def test_of_runs_that_lie_close_together_the_oldest_remembered_is_compared() -> None:
    trend = assess(history(*[LOST] * 3, *[WON] * 4), as_of=NOW)[LLAMA].trend
    assert trend is not None
    assert trend.then_at == NOW - timedelta(hours=42)
    assert trend.runs == 7


def test_no_trend_where_there_is_no_score() -> None:
    assert assess(history(*[RunOutcome.LOST] * 5), as_of=NOW)[LLAMA].trend is None
