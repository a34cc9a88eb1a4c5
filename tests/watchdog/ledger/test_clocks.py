"""Letters of machines whose clock is not the store's."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.watchdog.ledger.facts import NOW, reading, run
from watchdog.ledger.clocks import MOVED_FORWARD_AT_MOST, TOLERATED, righted, skew_of
from watchdog.ledger.dropbox import Dropbox
from watchdog.ledger.inbox import letter_text
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import TABLES

MINUTE = timedelta(minutes=1)
ARRIVED = NOW + 6 * MINUTE


def dropped(folder: Path, *, ahead: timedelta, **changes: Any) -> None:
    """A reading of the five minutes from `NOW`, by a clock that is ahead by so much."""
    row = {**reading(), **changes}
    wrong = {
        name: value + ahead if isinstance(value, datetime) else value for name, value in row.items()
    }
    name = f"{len(list(folder.rglob('*.gz')))}"
    text = letter_text("readings", [wrong])
    Dropbox(str(folder)).put("readings", name, text, sent_at=ARRIVED + ahead)
    file = folder / "inbox" / "readings" / f"{name}.json.gz"
    os.utime(file, (ARRIVED.timestamp(), ARRIVED.timestamp()))


def told(folder: Path) -> tuple[list[datetime], dict[str, timedelta]]:
    ledger = Ledger.open(str(folder))
    folded = ledger.fold_inbox()
    assert folded.problems == ()
    starts = [row["started_at"] for row in ledger.rows("readings")]
    return [each for each in starts if isinstance(each, datetime)], dict(folded.skews)


@pytest.mark.parametrize("ahead", [timedelta(0), 0.9 * MINUTE, -0.9 * MINUTE])
def test_clocks_that_nearly_agree_are_left_alone(tmp_path: Path, ahead: timedelta) -> None:
    dropped(tmp_path, ahead=ahead)
    (start,), skews = told(tmp_path)
    assert start == reading()["started_at"] + ahead
    assert skews == {}


@pytest.mark.parametrize("minutes", [7.2, -7.2, 4, -59, 180, 60 * 24])
def test_a_clock_that_differs_by_minutes_is_put_right_on_the_grid(
    tmp_path: Path, minutes: float
) -> None:
    ahead = minutes * MINUTE
    dropped(tmp_path, ahead=ahead)
    (start,), skews = told(tmp_path)
    true_start = reading()["started_at"]
    assert isinstance(true_start, datetime)
    assert abs(start - true_start) <= 2.5 * MINUTE
    assert (start - (true_start + ahead)) % (5 * MINUTE) == timedelta(0)
    assert skews == {str(reading()["resource"]): ahead}


def test_what_may_only_have_been_moved_back_late_keeps_its_times(tmp_path: Path) -> None:
    dropped(tmp_path, ahead=-timedelta(days=3))
    (start,), skews = told(tmp_path)
    assert start == reading()["started_at"] - timedelta(days=3)
    assert len(skews) == 1


@given(minutes=st.floats(1.1, 60 * 24 * 30, allow_nan=False))
def test_no_reading_stays_in_the_future(minutes: float) -> None:
    ahead = minutes * MINUTE
    row = {
        "started_at": NOW + ahead,
        "ended_at": NOW + ahead + 5 * MINUTE,
        "observed_at": NOW + ahead,
    }
    skew = skew_of(ARRIVED + ahead, ARRIVED)
    assert skew == ahead
    (moved,) = righted(TABLES["readings"], [row], skew)
    end = moved["ended_at"]
    assert isinstance(end, datetime)
    assert end <= ARRIVED + 2.5 * MINUTE


def test_all_words_on_one_run_are_moved_alike() -> None:
    """By the whole of its length they would change places: the last word would be the oldest."""
    ahead = timedelta(hours=3)
    begun = {"started_at": NOW + ahead, "observed_at": NOW + ahead + 295 * MINUTE}
    ended_at = NOW + ahead + 300 * MINUTE
    ended = {"started_at": NOW + ahead, "ended_at": ended_at, "observed_at": ended_at}
    first, last = righted(TABLES["runs"], [begun, ended], ahead)
    assert first["observed_at"] == NOW + 295 * MINUTE
    assert last["observed_at"] == NOW + 300 * MINUTE


def test_the_limits_are_those_of_the_words() -> None:
    assert (TOLERATED, MOVED_FORWARD_AT_MOST) == (MINUTE, 60 * MINUTE)


@pytest.mark.parametrize("sent_at", ["yesterday", "2026-11-23T08:00:00", 5])
def test_a_letter_whose_own_time_is_none_is_put_aside(tmp_path: Path, sent_at: object) -> None:
    ledger = Ledger.open(str(tmp_path))
    letter = json.loads(letter_text("runs", [run()]))
    ledger.put_once("inbox/runs/a.json", json.dumps({**letter, "sent_at": sent_at}).encode())
    (problem,) = ledger.fold_inbox().problems
    assert "sent_at" in problem
