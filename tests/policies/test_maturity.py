"""Runs in, maturity out."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import NOT_THE_WORKS_FAULT, Run, RunCause, RunOutcome, WorkloadKey
from policies.maturity import assess, matching, replayed
from policies.verdicts import Answer, Maturity, Question, Verdict
from tests.builders import NOW, run

LLAMA = WorkloadKey(group=None, name="llama")


def history(*outcomes: RunOutcome, **common: Any) -> list[Run]:
    """Hourly runs, the newest ending an hour before `NOW`."""
    runs = []
    for index, outcome in enumerate(outcomes):
        start = NOW - timedelta(hours=len(outcomes) - index + 1)
        changes = {"started_at": start, "ended_at": start + timedelta(minutes=55)} | common
        runs.append(run(f"r{index}", outcome=outcome, **changes))
    return runs


def assessed(runs: list[Run]) -> Maturity:
    return assess(runs, as_of=NOW)[LLAMA]


GOOD = [RunOutcome.SUCCEEDED] * 12
BAD = [RunOutcome.FAILED] * 6


def test_a_workload_that_keeps_finishing_is_mature() -> None:
    maturity = assessed(history(*GOOD))
    assert maturity.verdict is Verdict.MATURE
    assert maturity.missing == ()
    assert maturity.gpu_hours == pytest.approx(11.0)


def test_a_workload_that_keeps_failing_is_exploratory_and_says_why() -> None:
    maturity = assessed(history(*BAD))
    assert maturity.verdict is Verdict.EXPLORATORY
    assert maturity.questions[Question.FINISHES].answer is Answer.NO
    assert "0 of 6 runs" in maturity.missing[0]


def test_no_run_is_unknown_and_not_exploratory() -> None:
    assert assess([], as_of=NOW) == {}
    only_running = [run(outcome=RunOutcome.RUNNING, ended_at=None)]
    assert assessed(only_running).verdict is Verdict.UNKNOWN
    assert assessed(only_running).score is None


NO_EVIDENCE: list[dict[str, Any]] = [
    {"outcome": RunOutcome.UNKNOWN},
    {"outcome": RunOutcome.LOST},
    *(
        {"outcome": RunOutcome.CANCELLED, "cause": cause}
        for cause in sorted(NOT_THE_WORKS_FAULT - {RunCause.USER})
    ),
    *({"outcome": RunOutcome.FAILED, "cause": cause} for cause in sorted(NOT_THE_WORKS_FAULT)),
]


@pytest.mark.parametrize("ended", NO_EVIDENCE, ids=lambda ended: "-".join(ended.values()))
@pytest.mark.parametrize("count", [1, 12])
def test_runs_that_the_work_did_not_end_are_no_evidence(ended: dict[str, Any], count: int) -> None:
    maturity = assessed([run(f"r{n}", **ended) for n in range(count)])
    assert (maturity.verdict, maturity.score) == (Verdict.UNKNOWN, None)
    finishes = maturity.questions[Question.FINISHES]
    assert finishes.answer is Answer.UNKNOWN
    assert finishes.evidence.startswith("1 run ended" if count == 1 else "12 runs ended")


@pytest.mark.parametrize("count", [1, 12])
def test_a_person_who_cancels_is_still_searching(count: int) -> None:
    """No failure of the work's own, and nothing proven either."""
    runs = [run(f"r{n}", outcome=RunOutcome.CANCELLED, cause=RunCause.USER) for n in range(count)]
    maturity = assessed(runs)
    assert maturity.verdict is Verdict.EXPLORATORY
    assert (maturity.succeeded, maturity.failed) == (0, 0)
    assert maturity.questions[Question.FINISHES].answer is Answer.UNKNOWN


def test_known_memory_alone_does_not_make_a_workload_exploratory() -> None:
    """Episodes tell memory and use, and never how the work ended."""
    seen = {"peak_gpu_memory_mib": 62_000.0, "gpu_utilisation_mean_pct": 2.0}
    maturity = assessed([run(f"e{n}", outcome=RunOutcome.UNKNOWN, **seen) for n in range(8)])
    assert maturity.questions[Question.MEMORY].answer is Answer.YES
    assert maturity.questions[Question.USES_WHAT_IT_RENTS].answer is Answer.NO
    assert maturity.verdict is Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("told", "evidence"),
    [
        ([RunOutcome.SUCCEEDED], "1 of 1 run completed; too few to say yes"),
        ([RunOutcome.FAILED], "0 of 1 run completed; too few to say no"),
        ([RunOutcome.FAILED, RunOutcome.SUCCEEDED], "1 of 2 runs completed; too few to say either"),
        ([RunOutcome.FAILED, RunOutcome.LOST], "0 of 1 run completed; too few to say no"),
    ],
)
def test_a_run_that_the_work_ended_is_thin_evidence_and_told(
    told: list[RunOutcome], evidence: str
) -> None:
    maturity = assessed(history(*told))
    finishes = maturity.questions[Question.FINISHES]
    assert maturity.verdict is Verdict.EXPLORATORY
    assert (finishes.answer, finishes.evidence) == (Answer.UNKNOWN, evidence)
    assert maturity.score is not None


def in_a_good_group(hours: float) -> Maturity:
    """A workload that ran once, in a group where another succeeds again and again."""
    others = [
        run(
            f"g{n}",
            workload="other",
            group="nlp",
            started_at=NOW - timedelta(days=40 - n),
            ended_at=NOW - timedelta(days=40 - n) + timedelta(hours=hours),
        )
        for n in range(40)
    ]
    told = assess([*others, run("n1", group="nlp")], as_of=NOW)
    return told[WorkloadKey(group="nlp", name="llama")]


def test_a_group_whose_work_is_light_does_not_answer_for_a_workload_that_ran_once() -> None:
    maturity = in_a_good_group(hours=0.1)
    assert maturity.questions[Question.FINISHES].answer is Answer.UNKNOWN
    assert maturity.verdict is Verdict.EXPLORATORY


def test_a_workload_may_lean_on_a_group_whose_work_weighs_and_finishes() -> None:
    """Being wrong about it is measured in GPU-hours."""
    maturity = in_a_good_group(hours=5)
    assert maturity.questions[Question.FINISHES].answer is Answer.YES
    assert "runs like it" in maturity.questions[Question.FINISHES].evidence
    assert maturity.verdict is Verdict.MATURE


def test_exits_of_zero_in_the_first_minute_do_not_graduate_a_workload() -> None:
    runs = [
        run(
            f"r{n}",
            started_at=NOW - timedelta(hours=n + 1),
            ended_at=NOW - timedelta(hours=n + 1) + timedelta(seconds=20),
            gpus=800,
        )
        for n in range(40)
    ]
    maturity = assessed(runs)
    assert maturity.verdict is Verdict.EXPLORATORY
    assert any("of over a minute" in missing for missing in maturity.missing)


def test_many_runs_without_gpu_hours_do_not_graduate() -> None:
    maturity = assessed(history(*GOOD, gpus=None))
    assert maturity.verdict is Verdict.EXPLORATORY
    assert maturity.gpu_hours is None


LONG_AGO = {"started_at": NOW - timedelta(days=1), "ended_at": NOW - timedelta(hours=23)}
LATELY = {"started_at": NOW - timedelta(minutes=50), "ended_at": NOW - timedelta(minutes=2)}


@pytest.mark.parametrize("ended", [LONG_AGO, LATELY], ids=["long ago", "lately"])
@pytest.mark.parametrize(
    "cause", [RunCause.PREEMPTED, RunCause.NODE_FAILURE, RunCause.CAPACITY, RunCause.USER]
)
def test_what_is_not_the_works_fault_never_counts_against_it(
    cause: RunCause, ended: dict[str, Any]
) -> None:
    clean = assessed(history(*GOOD))
    runs = [
        *history(*GOOD),
        *[run(f"x{n}", outcome=RunOutcome.FAILED, cause=cause, **ended) for n in range(9)],
    ]
    assert (assessed(runs).score or 0) >= (clean.score or 1)
    assert assessed(runs).verdict is clean.verdict
    assert assessed(runs).failed == 0


def test_a_recent_out_of_memory_keeps_a_workload_exploratory() -> None:
    oom = history(*GOOD, RunOutcome.FAILED, cause=RunCause.OOM)
    maturity = assessed(oom)
    assert maturity.questions[Question.MEMORY].answer is Answer.NO


def test_a_predictable_peak_answers_memory_with_figures() -> None:
    maturity = assessed(history(*GOOD, peak_gpu_memory_mib=62_000.0))
    answer = maturity.questions[Question.MEMORY]
    assert answer.answer is Answer.YES
    assert answer.evidence == "peak memory of the last 8 runs: 60.5–60.5 GiB"


def test_a_new_environment_each_time_is_no() -> None:
    runs = [run(f"r{n}", environment=f"lock-{n}") for n in range(8)]
    assert assessed(runs).questions[Question.ENVIRONMENT].answer is Answer.NO


def test_the_same_image_on_two_hosts_is_portable() -> None:
    runs = [run("a", image="sha256:1", host="desk"), run("b", image="sha256:1", host="cloud")]
    assert assessed(runs).questions[Question.PORTABLE].answer is Answer.YES


def test_few_runs_are_shrunk_toward_the_rest_of_the_group() -> None:
    good_group = [run(f"g{n}", workload="other", group="nlp") for n in range(40)]
    bad_group = [
        run(f"b{n}", workload="else", group="cv", outcome=RunOutcome.FAILED) for n in range(40)
    ]
    one_each = [run("n1", workload="new", group="nlp"), run("n2", workload="new", group="cv")]
    scores = assess([*good_group, *bad_group, *one_each], as_of=NOW)
    in_good = scores[WorkloadKey(group="nlp", name="new")].score
    in_bad = scores[WorkloadKey(group="cv", name="new")].score
    assert in_good is not None
    assert in_bad is not None
    assert in_good > in_bad


def test_a_name_is_matched_without_its_group_only_where_it_is_unique() -> None:
    alone = assess([run(group="nlp")], as_of=NOW)
    assert matching(alone, LLAMA) is not None
    two = assess([run("a", group="nlp"), run("b", group="cv")], as_of=NOW)
    assert matching(two, LLAMA) is None
    assert matching(alone, WorkloadKey(group="cv", name="llama")) is None


outcomes = st.sampled_from([RunOutcome.SUCCEEDED, RunOutcome.FAILED, RunOutcome.CANCELLED])


@given(st.lists(outcomes, min_size=1, max_size=30))
def test_the_score_is_a_probability_inside_its_interval(told: list[RunOutcome]) -> None:
    maturity = assessed(history(*told))
    if maturity.score is not None and maturity.low is not None and maturity.high is not None:
        assert 0.0 <= maturity.low <= maturity.score <= maturity.high <= 1.0


@given(st.lists(st.sampled_from(list(RunOutcome)), min_size=1, max_size=8))
def test_the_verdict_is_unknown_exactly_where_there_is_no_score(told: list[RunOutcome]) -> None:
    maturity = assessed(history(*told))
    assert (maturity.verdict is Verdict.UNKNOWN) == (maturity.score is None)
    ended = maturity.succeeded + maturity.failed + told.count(RunOutcome.CANCELLED)
    assert (maturity.score is None) == (not ended)


@given(st.lists(outcomes, min_size=1, max_size=20))
def test_a_further_success_never_lowers_the_score_and_a_failure_never_raises_it(
    told: list[RunOutcome],
) -> None:
    runs = history(*told)
    newest = {"started_at": NOW - timedelta(minutes=50), "ended_at": NOW - timedelta(minutes=5)}
    now = assessed(runs).score
    better = assessed([*runs, run("further", **newest)]).score
    worse = assessed([*runs, run("further", outcome=RunOutcome.FAILED, **newest)]).score
    assert better is not None
    assert worse is not None
    assert worse <= better
    if now is not None:
        assert worse <= now + 1e-4
        assert better >= now - 1e-4


def unseen(each: Run, moment: datetime) -> Run:
    """The run as it looks while it goes on."""
    if each.ended_at is None or each.ended_at <= moment:
        return each
    return replace(each, ended_at=None, outcome=RunOutcome.RUNNING)


@given(st.lists(outcomes, min_size=2, max_size=20), st.randoms())
def test_what_ended_later_changes_nothing_now(told: list[RunOutcome], random: Any) -> None:
    runs = history(*told)
    early = NOW - timedelta(minutes=random.randint(1, 60 * len(told)))
    known = [unseen(each, early) for each in runs if each.started_at <= early]
    assert assess(runs, as_of=early) == assess(known, as_of=early)


@given(st.lists(outcomes, min_size=2, max_size=20), st.randoms())
def test_a_replay_thinks_of_each_run_what_was_thought_when_it_started(
    told: list[RunOutcome], random: Any
) -> None:
    runs = [
        replace(each, ended_at=each.started_at + timedelta(minutes=random.randint(0, 200)))
        for each in history(*told)
    ]
    whole = list(replayed(runs))
    place = random.randrange(len(runs))
    moment = runs[place].started_at
    then = [unseen(each, moment) for each in runs[: place + 1]]
    assert list(replayed(then))[place].score == whole[place].score
    assert list(replayed(then))[place].verdict is whole[place].verdict
