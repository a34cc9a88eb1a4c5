"""How long a patrol waits for each quiet machine."""

from datetime import timedelta

from policies.facts import Run, RunOutcome
from policies.pauses import habits_of
from tests.builders import NOW, run


def failures(gap: timedelta, count: int = 60) -> list[Run]:
    """Runs of ten minutes on one host, each so long after the one before."""
    length = timedelta(minutes=10)
    return [
        run(
            f"r{number}",
            host="box",
            outcome=RunOutcome.FAILED,
            started_at=NOW - (number + 1) * (gap + length),
            ended_at=NOW - (number + 1) * (gap + length) + length,
        )
        for number in range(count)
    ]


def test_a_patrol_learns_what_the_replay_would() -> None:
    learned = habits_of(failures(timedelta(minutes=40)), as_of=NOW)
    assert learned.habits.levels[("fleet",)].pauses == 59
    assert set(learned.outcomes.values()) == {RunOutcome.FAILED}


def test_what_ended_later_is_not_known_yet() -> None:
    runs = failures(timedelta(minutes=40))
    early = habits_of(runs, as_of=NOW - timedelta(hours=30))
    assert 0 < early.habits.levels[("fleet",)].pauses < 59
    assert habits_of([], as_of=NOW).outcomes == {}
