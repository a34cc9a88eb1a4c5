"""When somebody watched: usual distances are watched, others are gaps."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

from policies.facts import Scope
from tests.builders import NOW
from watchdog.rows import Row
from watchdog.shadow.watching import Watched, watched

HOUR = timedelta(hours=1)
EAST = Scope(provider="aws", account="1", region="us-east-1")
WEST = Scope(provider="aws", account="1", region="us-west-2")


def patrol(at: datetime, *scopes: Scope) -> Row:
    told = [{"provider": s.provider, "account": s.account, "region": s.region} for s in scopes]
    return {"at": at, "scopes_json": json.dumps(told), "mode": "observe"}


def seen(*patrols: Row, since: datetime = NOW, until: datetime | None = None) -> Watched:
    return watched(patrols, since=since, until=until or NOW + 24 * HOUR)


def test_the_time_between_usual_patrols_is_watched_and_the_rest_is_a_gap() -> None:
    told = seen(*(patrol(NOW + hours * HOUR, EAST) for hours in (0, 1, 2, 9, 10)))
    assert told.observed == 3 * HOUR
    assert told.gaps[EAST] == [
        (NOW + 2 * HOUR, NOW + 9 * HOUR),
        (NOW + 10 * HOUR, NOW + 24 * HOUR),
    ]
    assert told.since(EAST, NOW + 10 * HOUR) == NOW + 9 * HOUR
    assert told.since(EAST, NOW + 9 * HOUR) is None


def test_a_place_that_one_patrol_did_not_see_has_a_gap_of_its_own() -> None:
    hours = range(25)
    told = seen(*(patrol(NOW + n * HOUR, EAST, *([] if 5 < n < 12 else [WEST])) for n in hours))
    assert told.observed == 24 * HOUR
    assert told.gaps == {EAST: [], WEST: [(NOW + 5 * HOUR, NOW + 12 * HOUR)]}


def test_only_time_within_what_was_asked_counts() -> None:
    patrols = [patrol(NOW + n * HOUR, EAST) for n in range(6)]
    told = seen(*patrols, since=NOW + 90 * HOUR / 60, until=NOW + 4 * HOUR)
    assert told.observed == timedelta(hours=2, minutes=30)
    assert [look.at for look in told.looks] == [NOW + n * HOUR for n in (2, 3, 4)]


def test_without_patrols_nothing_was_watched() -> None:
    told = seen()
    assert (told.observed, told.seen_from, told.looks) == (timedelta(), None, ())
