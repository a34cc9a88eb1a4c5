"""Starts and stops that could not be read are asked for again, and told as missing until then."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Gap, Machine, Reading, Scope, Transition, Window
from policies.rules import load_pack
from policies.verdicts import Phase
from providers.base import Seen, Unread
from tests.builders import NOW, machine, reading
from tests.shelf import SCOPE, Shelf
from watchdog.costs.breakdown import breakdown
from watchdog.costs.running_time import hour_of
from watchdog.debts import settled, to_ask
from watchdog.gather import BACKFILL, Watched, windows_at
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport
from watchdog.remember import history_owed

QUARTER = timedelta(minutes=15)
LAUNCHED, STOPPED = NOW - timedelta(days=5), NOW - timedelta(days=3)
STARTED = NOW - timedelta(hours=6)
ONE = machine(first_launched_at=LAUNCHED, started_at=STARTED)
WHAT = "start and stop history"
DENIED = Gap(
    provider="aws",
    account=SCOPE.account,
    region=SCOPE.region,
    what=WHAT,
    why="not allowed (AccessDeniedException): grant cloudtrail:LookupEvents",
)
MOVES = (
    Transition(machine=ONE.id, at=LAUNCHED, started=True, event="RunInstances", by="ana"),
    Transition(machine=ONE.id, at=STOPPED, started=False, event="StopInstances", by="ana"),
    Transition(machine=ONE.id, at=STARTED, started=True, event="StartInstances", by="ana"),
)
WHOLE = {"setup": 4.0, "idle": 26.0, "active": 24.0}
"""The hours of both boots; two of each are set-up."""
FORTNIGHT = Window(started_at=NOW - timedelta(days=14), ended_at=NOW, period_s=3600)


class Cloud(Shelf):
    """Its audit trail answers one patrol after the other as it is told; then it tells all."""

    def __init__(
        self, *machines: Machine, answers: Sequence[Seen[Transition]], **told: Any
    ) -> None:
        super().__init__(*machines, **told)
        self._answers = list(answers)

    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        self.history_asked.append(window)
        return self._answers.pop(0) if self._answers else Seen(values=MOVES)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def of_a_fortnight() -> tuple[Reading, ...]:
    """Idle before it was stopped, but for one day of work; and since it was started again."""
    hours = [None] * (9 * 24) + [0.0] * 24 + [90.0] * 24 + [None] * (72 - 6) + [0.0] * 3
    start = NOW - timedelta(days=14)
    return (
        reading(hours, resource=ONE.id, period_s=3600, started_at=start),
        reading([0.0] * 36, resource=ONE.id),
    )


def look(
    ledger: Ledger, cloud: Shelf, at: datetime = NOW, *, backfill: timedelta | None = None
) -> PatrolReport:
    parts = Parts(providers=[cloud], ledger=ledger, policy=load_pack("observe"))
    return patrol(parts, now=at, backfill=backfill)


def hours(ledger: Ledger) -> dict[str, float]:
    """By phase, of the fortnight before the first patrol, at a dollar an hour."""
    told = breakdown(ledger, since=NOW - timedelta(days=14), until=NOW, by="phase").rows
    return {row.key: round(float(row.total or Decimal("nan")), 2) for row in told}


def test_what_was_refused_is_told_and_asked_again_until_it_comes(ledger: Ledger) -> None:
    refused: Seen[Transition] = Seen(gaps=(DENIED,))
    cloud = Cloud(ONE, answers=[refused, refused], readings=of_a_fortnight())
    assert look(ledger, cloud).gaps == (DENIED,)
    assert hours(ledger) == {"setup": 2.0, "idle": 4.0}
    assert look(ledger, cloud, NOW + QUARTER).gaps == (DENIED,)
    assert cloud.history_asked == [FORTNIGHT, FORTNIGHT]
    asked = len(cloud.asked)
    told = look(ledger, cloud, NOW + 2 * QUARTER)
    assert told.gaps == ()
    assert cloud.history_asked == [FORTNIGHT] * 3
    assert hours(ledger) == WHOLE
    assert len(cloud.asked) == asked + 1, "the fortnight's metrics lie in the ledger"
    assert told.backfilled_from == FORTNIGHT.started_at
    assert [line.idle_hours for line in told.backfill] == [pytest.approx(26.0)]


def test_what_came_is_never_asked_for_again(ledger: Ledger) -> None:
    cloud = Cloud(ONE, answers=[Seen(gaps=(DENIED,))], readings=of_a_fortnight())
    for quarters in range(5):
        look(ledger, cloud, NOW + quarters * QUARTER)
    assert len(cloud.history_asked) == 2
    assert hours(ledger) == WHOLE
    plain = Cloud(ONE, answers=[], readings=of_a_fortnight())
    fresh = Ledger.open(f"{ledger.url}-2")
    for quarters in range(3):
        look(fresh, plain, NOW + quarters * QUARTER)
    assert len(plain.history_asked) == 1
    assert hours(fresh) == hours(ledger)


def several_gpus() -> tuple[Reading, ...]:
    """Four GPUs, one of which works on one day, and the network; by hours, then finely."""
    start = NOW - timedelta(days=14)
    found = []
    for name in ("0", "1", "2", "3", None):
        pct = 90.0 if name == "2" else 0.0
        day = [0.0] * 24 if name is None else [pct] * 24
        told = [*[None] * (9 * 24), *[0.0] * 24, *day, *[None] * (72 - 6), *[0.0] * 3]
        whole = {"gpu": name, "resource": ONE.id, "started_at": start, "period_s": 3600}
        fine = {"gpu": name, "resource": ONE.id, "started_at": NOW - timedelta(hours=3)}
        more = "received_bytes" if name is None else "memory_used_mib"
        found += [reading(told, **whole, **{more: told}), reading([0.0] * 36, **fine)]  # type: ignore[arg-type]
    return tuple(found)


def test_what_comes_late_costs_the_same_as_what_came_at_once(ledger: Ledger) -> None:
    box = machine(gpus=4, first_launched_at=LAUNCHED, started_at=STARTED)
    at_once = Ledger.open(f"{ledger.url}-2")
    late = Cloud(box, answers=[Seen(gaps=(DENIED,))], readings=several_gpus())
    for of, cloud in ((ledger, late), (at_once, Cloud(box, answers=[], readings=several_gpus()))):
        for quarters in range(3):
            look(of, cloud, NOW + quarters * QUARTER)
    assert hours(ledger) == hours(at_once)
    assert hours(ledger)["active"] == 24.0
    kept = [r for r in ledger.rows("readings") if r["ended_at"] <= NOW]  # type: ignore[operator]
    assert len(kept) == len([r for r in at_once.rows("readings") if r["ended_at"] <= NOW])  # type: ignore[operator]


def test_what_is_metered_again_does_not_hide_the_present(ledger: Ledger) -> None:
    """The ledger's readings are as fine as this pass's, and older."""
    cloud = Cloud(ONE, answers=[Seen(gaps=(DENIED,))], readings=of_a_fortnight())
    look(ledger, cloud)
    later = NOW + timedelta(hours=6)
    start = later - timedelta(hours=7)
    busy = reading([0.0] * 12 + [90.0] * 72, resource=ONE.id, started_at=start)
    (judged,) = look(ledger, Cloud(ONE, answers=[], readings=[busy]), later).machines
    assert judged.phase.phase is Phase.ACTIVE
    assert hours(ledger) == WHOLE


def test_a_trail_that_breaks_is_owed_like_one_that_refuses(ledger: Ledger) -> None:
    class Broken(Cloud):
        def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
            if not self.history_asked:
                self.history_asked.append(window)
                raise RuntimeError("surprise")
            return super().transitions(machines, window)

    cloud = Broken(ONE, answers=[], readings=of_a_fortnight())
    assert [gap.what for gap in look(ledger, cloud).gaps] == [WHAT]
    assert look(ledger, cloud, NOW + QUARTER).gaps == ()
    assert hours(ledger) == WHOLE


def test_the_settings_may_accept_the_gap_and_it_is_still_owed(ledger: Ledger) -> None:
    cloud = Cloud(ONE, answers=[Seen(gaps=(DENIED,))] * 2, readings=of_a_fortnight())
    parts = Parts(
        providers=[cloud], ledger=ledger, policy=load_pack("observe"), accepted_gaps=[WHAT]
    )
    assert patrol(parts, now=NOW).gaps == ()
    assert patrol(parts, now=NOW + QUARTER).gaps == ()
    patrol(parts, now=NOW + 2 * QUARTER)
    assert hours(ledger) == WHOLE


def test_a_trail_read_in_part_is_read_on_from_there(ledger: Ledger) -> None:
    middle = STOPPED - timedelta(days=1)
    part = replace(FORTNIGHT, ended_at=middle)
    newer = Seen(values=MOVES[1:], gaps=(DENIED,), unread=(Unread(scope=SCOPE, window=part),))
    cloud = Cloud(ONE, answers=[newer], readings=of_a_fortnight())
    assert look(ledger, cloud).gaps == (DENIED,)
    look(ledger, cloud, NOW + QUARTER)
    look(ledger, cloud, NOW + 2 * QUARTER)
    assert cloud.history_asked == [FORTNIGHT, part]


@pytest.mark.parametrize(
    ("later", "asked"),
    [
        (QUARTER, timedelta(days=14)),
        (timedelta(days=13), timedelta(days=1)),
        (timedelta(days=13, hours=23, minutes=50), timedelta(hours=1)),
        (timedelta(days=14), None),
        (timedelta(days=20), None),
    ],
)
def test_a_debt_is_bounded_by_the_backfill_and_ends_with_it(
    later: timedelta, asked: timedelta | None
) -> None:
    now = NOW + later
    windows = windows_at(now, now - QUARTER, BACKFILL)
    told = to_ask(windows, FORTNIGHT, hour_of(now - BACKFILL))
    assert (told and told.ended_at - told.started_at) == asked
    assert told is None or told.ended_at == NOW


def test_a_shorter_backfill_does_not_forget_the_older_debt(ledger: Ledger) -> None:
    cloud = Cloud(ONE, answers=[Seen(gaps=(DENIED,))], readings=of_a_fortnight())
    look(ledger, cloud)
    look(ledger, cloud, NOW + QUARTER, backfill=timedelta(days=1))
    assert cloud.history_asked[1].started_at == FORTNIGHT.started_at
    assert hours(ledger) == WHOLE
    assert history_owed(ledger) == {}


def test_only_the_place_that_owes_is_asked_again(ledger: Ledger) -> None:
    west = replace(SCOPE, region="us-west-2")
    far = machine(
        "far", id=f"aws:{SCOPE.account}:us-west-2:i-far", region="us-west-2", started_at=STARTED
    )

    class Two(Cloud):
        def machines(self) -> Seen[Machine]:
            return Seen(values=(ONE, far), scopes=(SCOPE, west))

        def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
            self.places.append({each.region for each in machines})
            return super().transitions(machines, window)

        places: list[set[str | None]] = []  # noqa: RUF012 - one instance

    cloud = Two(answers=[Seen(values=MOVES, gaps=(replace(DENIED, region="us-west-2"),))])
    look(ledger, cloud)
    assert list(history_owed(ledger)) == [west]
    look(ledger, cloud, NOW + QUARTER)
    assert cloud.places == [{"us-east-1", "us-west-2"}, {"us-west-2"}]
    assert history_owed(ledger) == {}


def test_rows_of_earlier_versions_owe_nothing(ledger: Ledger) -> None:
    scope = {
        "provider": "aws",
        "account": SCOPE.account,
        "region": SCOPE.region,
        "watched_from": "2026-11-09T08:00:00Z",
        "watched_until": "2026-11-23T08:00:00Z",
    }
    row = {"patrol_id": "old", "at": NOW, "scopes_json": json.dumps([scope])}
    ledger.append("patrols", [row])
    assert history_owed(ledger) == {}
    cloud = Cloud(ONE, answers=[], readings=of_a_fortnight())
    assert look(ledger, cloud, NOW + QUARTER).gaps == ()
    assert cloud.history_asked == []


def test_a_patrol_that_does_not_see_the_place_leaves_the_debt(ledger: Ledger) -> None:
    cloud = Cloud(ONE, answers=[Seen(gaps=(DENIED,))], readings=of_a_fortnight())
    look(ledger, cloud)

    class Blind(Cloud):
        def machines(self) -> Seen[Machine]:
            return Seen()

    look(ledger, Blind(answers=[]), NOW + QUARTER)
    assert history_owed(ledger) == {SCOPE: FORTNIGHT}


MACHINE_HOURS = 14 * 24


@given(st.lists(st.integers(0, MACHINE_HOURS) | st.none(), max_size=8), st.booleans())
def test_the_whole_time_is_read_once_whatever_comes_in_between(
    answers: list[int | None],
    long_silence: bool,  # noqa: FBT001 - hypothesis passes it by place
) -> None:
    """Each answer leaves out so many hours from the beginning; None: refused."""
    owed: Window | None = None
    now, until = NOW, None
    read: list[Window] = []
    for left in [*answers, 0]:
        before = owed
        windows = windows_at(now, until, BACKFILL)
        asked = to_ask(windows, owed, now - 10 * BACKFILL)
        if asked is not None:
            edge = asked.ended_at if left is None else asked.started_at + timedelta(hours=left)
            rest = replace(asked, ended_at=min(edge, asked.ended_at))
            gaps = () if left == 0 else (DENIED,)
            unread = (Unread(scope=SCOPE, window=rest),) if left else ()
            watched = settled(
                Watched(scope=SCOPE, windows=windows), asked, Seen(gaps=gaps, unread=unread)
            )
            owed = watched.history_owed
            read.append(replace(asked, started_at=owed.ended_at if owed else asked.started_at))
            assert before is None or asked.started_at <= before.started_at
        until, now = now, now + (timedelta(days=2) if long_silence else QUARTER)
    assert owed is None
    pieces = sorted((each.started_at, each.ended_at) for each in read)
    reached = FORTNIGHT.started_at
    for begin, end in pieces:
        assert begin <= reached
        reached = max(reached, end)
    assert reached >= NOW


def test_a_gap_of_another_place_owes_nothing_here() -> None:
    watched = Watched(scope=SCOPE, windows=windows_at(NOW, None, BACKFILL))
    other = replace(DENIED, region="eu-west-1")
    assert settled(watched, FORTNIGHT, Seen(gaps=(other,))).history_owed is None
    everywhere = replace(DENIED, account=None, region=None)
    assert settled(watched, FORTNIGHT, Seen(gaps=(everywhere,))).history_owed == FORTNIGHT
    assert Scope(provider="aws", account=None, region=None) != SCOPE
