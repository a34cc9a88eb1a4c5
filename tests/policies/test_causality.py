"""A score and a verdict know nothing of what comes later; what they remember stays bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.facts import Run, RunCause, RunOutcome
from policies.maturity import Judged, Memory, replayed
from policies.replay import walk
from tests.bench.replay import runs as drawn_runs
from tests.bench.sacred import SOURCE, sacred_runs
from tests.builders import NOW, run

OUTCOMES = [each for each in RunOutcome if each is not RunOutcome.RUNNING]


@st.composite
def histories(draw: st.DrawFn) -> list[Run]:
    """Runs that overlap, of few workloads with few fingerprints."""
    few = st.sampled_from([None, "a", "b"])
    found = []
    for number in range(draw(st.integers(2, 25))):
        started_at = NOW + timedelta(minutes=draw(st.integers(0, 600)))
        outcome = draw(st.sampled_from(OUTCOMES))
        took = draw(st.one_of(st.none(), st.integers(0, 300)))
        values: dict[str, Any] = {
            "workload": draw(st.sampled_from(["train_a", "train_b", "eval"])),
            "group": draw(st.sampled_from([None, "g"])),
            "started_at": started_at,
            "ended_at": None if took is None else started_at + timedelta(minutes=took),
            "outcome": outcome,
            "cause": draw(st.sampled_from([None, *RunCause])),
            "code": draw(few),
            "config": draw(few),
            "host": draw(few),
            "environment": draw(few),
            "gpus": draw(st.sampled_from([None, 1, 8])),
            "peak_gpu_memory_mib": draw(st.sampled_from([None, 1000.0, 30_000.0])),
            "gpu_utilisation_mean_pct": draw(st.sampled_from([None, 3.0, 90.0])),
        }
        found.append(run(f"r{number:02d}", **values))
    return sorted(found, key=lambda each: (each.started_at, each.run_id))


def known_at(runs: Sequence[Run], place: int) -> list[Run]:
    """The first runs up to `place`, as they looked when that one started."""
    now = runs[place].started_at
    return [
        _as_it_looked(each, going=each.ended_at is None or each.ended_at > now)
        for each in runs[: place + 1]
    ]


def _as_it_looked(each: Run, *, going: bool) -> Run:
    if not going:
        return each
    return replace(
        each,
        ended_at=None,
        outcome=RunOutcome.RUNNING,
        cause=None,
        error=None,
        peak_gpu_memory_mib=None,
        gpu_utilisation_mean_pct=None,
    )


def told(judged: Sequence[Judged]) -> list[tuple[str, float, float, float, str]]:
    return [
        (each.run.run_id, each.score.value, each.score.low, each.score.high, each.verdict.value)
        for each in judged
    ]


@settings(deadline=None)
@given(histories(), st.data())
def test_what_comes_later_changes_no_score_and_no_verdict(runs: list[Run], data: Any) -> None:
    place = data.draw(st.integers(0, len(runs) - 1))
    whole = told(list(replayed(runs)))
    assert told(list(replayed(known_at(runs, place)))) == whole[: place + 1]


def test_the_same_of_drawn_histories_of_a_fleet() -> None:
    runs = list(drawn_runs(2_000))
    whole = told(list(replayed(runs)))
    for place in range(0, len(runs), 197):
        assert told(list(replayed(known_at(runs, place)))) == whole[: place + 1]


@pytest.mark.slow
@pytest.mark.skipif(not SOURCE.exists(), reason="the development histories are not here")
def test_the_same_of_real_histories() -> None:
    runs = sorted(sacred_runs(), key=lambda each: (each.started_at, each.run_id))
    whole = told(list(replayed(runs)))
    for place in range(100, len(runs), 331):
        assert told(list(replayed(known_at(runs, place)))) == whole[: place + 1]


def test_what_is_remembered_of_a_workload_stays_bounded() -> None:
    def remembered(count: int) -> int:
        one = [replace(each, workload="w", group="g") for each in drawn_runs(count)]
        memory = Memory()
        for _ in walk(one, memory.history, memory.judge, on_end=memory.ended):
            pass
        (record,) = memory.records.values()
        (own,) = memory.history.own.values()
        newest = memory.history.groups["g"].newest
        lists = [
            value
            for value in (getattr(record, name) for name in record.__slots__)
            if isinstance(value, tuple)
        ]
        return len(own) + len(newest) + sum(map(len, lists))

    assert remembered(5_000) == remembered(1_000)
