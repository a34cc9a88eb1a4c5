"""What `runs sync` asks of a source, what enters, and what a second time adds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Run, RunOutcome
from providers.base import ListsRuns, RunNotRead, RunsAsked, RunSourceError
from watchdog.ledger.store import Ledger
from watchdog.runs import sync as syncing
from watchdog.runs.sync import CLOCKS_AND_LATE_ROWS, Mark, exit_code_of, sync, window_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
RUN = Run(
    run_id="lab:1", workload="train", started_at=NOW - HOUR, outcome=RunOutcome.RUNNING, gpus=1
)
ENDED = replace(RUN, outcome=RunOutcome.SUCCEEDED, ended_at=NOW)


@dataclass
class Lab:
    found: Sequence[Run | RunNotRead] = ()
    breaks: str | None = None
    incremental: bool = True
    look_again: timedelta | None = None
    name: str = "lab"
    prefix: str = "lab:"
    notices: Sequence[str] = ()
    asked: list[RunsAsked] = field(default_factory=list)

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        self.asked.append(asked)
        yield from self.found
        if self.breaks is not None:
            raise RunSourceError(self.breaks)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def test_the_first_time_everything_is_asked_for_then_what_changed(ledger: Ledger) -> None:
    lab = Lab([RUN])
    assert isinstance(lab, ListsRuns)

    first = sync(ledger, lab, now=NOW)
    second = sync(ledger, lab, now=NOW + HOUR)
    third = sync(ledger, Lab([ENDED], name="lab"), now=NOW + 2 * HOUR)

    assert [each.since for each in lab.asked] == [None, NOW - CLOCKS_AND_LATE_ROWS]
    assert [(each.added, each.unchanged) for each in (first, second, third)] == [
        (1, 0),
        (0, 1),
        (1, 0),
    ]
    assert [row["outcome"] for row in ledger.rows("runs")] == ["succeeded"]
    assert len(ledger.rows("raw_runs")) == 2


def test_a_run_that_is_running_is_named_to_its_source(ledger: Ledger) -> None:
    other = replace(ENDED, run_id="lab:2")
    measured = replace(ENDED, run_id="lab:3", gpu_utilisation_mean_pct=50.0)
    lab = Lab([RUN, other, measured])
    sync(ledger, lab, now=NOW)
    sync(ledger, lab, now=NOW)
    assert {name: each.running for name, each in lab.asked[-1].known.items()} == {
        "lab:1": True,
        "lab:3": False,
    }


def test_a_source_that_breaks_off_keeps_what_it_told_and_is_asked_again(ledger: Ledger) -> None:
    lab = Lab([RUN], breaks="the line is dead")

    done = sync(ledger, lab, now=NOW)
    again = sync(ledger, Lab([RUN, replace(RUN, run_id="lab:2")]), now=NOW + HOUR)

    assert (done.failed, done.added, exit_code_of([done])) == ("the line is dead", 1, 1)
    assert (again.since, again.added) == (None, 1)


def test_what_cannot_be_read_is_told_and_the_rest_enters(ledger: Ledger) -> None:
    upside_down = replace(ENDED, run_id="lab:2", ended_at=NOW - 2 * HOUR)
    ahead = replace(RUN, run_id="lab:3", started_at=NOW + HOUR)
    lab = Lab([RunNotRead(where="lab: 9", field="job", why="broken"), upside_down, ahead, RUN, RUN])

    done = sync(ledger, lab, now=NOW)

    assert (done.read, done.added, done.unchanged, done.bad) == (5, 1, 0, 4)
    assert exit_code_of([done]) == 4
    assert [str(each).split(":")[-2] for each in done.problems][:1] == [" job"]
    assert "lab: lab:2: ended_at: 2026-05-31T22:00:00Z is before started_at" in str(
        done.problems[1]
    )
    assert "lies in the future" in str(done.problems[2])
    assert "told twice" in str(done.problems[3])


def test_two_sources_have_watermarks_of_their_own(ledger: Ledger) -> None:
    sync(ledger, Lab([RUN]), now=NOW)
    other = Lab([], name="other", prefix="other:")
    sync(ledger, other, now=NOW)
    assert [each.since for each in other.asked] == [None]


def test_a_source_without_times_of_change_is_read_whole_while_it_is_small(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = Lab([RUN], look_again=timedelta(days=30))
    sync(ledger, lab, now=NOW)
    sync(ledger, lab, now=NOW + HOUR)
    monkeypatch.setattr(syncing, "SMALL", 0)
    for hours in (2, 30, 31):
        sync(ledger, lab, now=NOW + hours * HOUR)
    sync(ledger, lab, now=NOW + 32 * HOUR, whole=True)
    assert [each.since for each in lab.asked] == [
        None,
        None,
        NOW,
        NOW + 30 * HOUR - timedelta(days=30),
        NOW + 29 * HOUR,
        None,
    ]


def test_since_is_where_a_history_begins(ledger: Ledger) -> None:
    """What lies before is asked for by --all only."""
    lab = Lab([RUN], look_again=timedelta(days=30))
    begins = NOW - timedelta(days=90)
    sync(ledger, lab, now=NOW, since=begins)
    sync(ledger, lab, now=NOW + HOUR)
    sync(ledger, lab, now=NOW + 2 * HOUR, whole=True)
    sync(ledger, lab, now=NOW + 3 * HOUR)
    assert [each.since for each in lab.asked] == [begins, begins, None, None]


def test_a_later_since_that_leaves_a_hole_moves_no_watermark(ledger: Ledger) -> None:
    lab = Lab([RUN])
    sync(ledger, lab, now=NOW)
    sync(ledger, lab, now=NOW + 9 * HOUR, since=NOW + 8 * HOUR)
    sync(ledger, lab, now=NOW + 10 * HOUR)
    assert lab.asked[-1].since == NOW - CLOCKS_AND_LATE_ROWS


def test_a_file_has_no_watermark(ledger: Ledger) -> None:
    lab = Lab([RUN], incremental=False)
    sync(ledger, lab, now=NOW)
    sync(ledger, lab, now=NOW)
    assert ledger.rows("sync_watermarks") == []
    assert [each.since for each in lab.asked] == [None, None]


moments = st.timedeltas(timedelta(0), timedelta(days=300)).map(lambda after: NOW + after)


@given(
    until=moments,
    ahead=st.timedeltas(timedelta(0), timedelta(days=100)),
    again=st.none() | moments,
    held=st.integers(0, 10_000),
    look=st.none() | st.just(timedelta(days=30)),
)
def test_no_window_leaves_out_what_came_after_the_last_one(
    until: datetime,
    ahead: timedelta,
    again: datetime | None,
    held: int,
    look: timedelta | None,
) -> None:
    mark = Mark(until=until, looked_again_at=again)
    window = window_of(Lab(look_again=look), mark, held=held, whole=False, now=until + ahead)
    assert window.since is None or window.since <= until - CLOCKS_AND_LATE_ROWS
