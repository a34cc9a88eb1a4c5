"""An incident's events, and what comes next: never a stop without a warning and its grace."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from policies.ladder import EventKind, Incident, IncidentEvent, Move, Step, fold, next_step
from policies.verdicts import Decision, Finding, Phase, PhaseNow, Veto, Wanted
from tests.builders import NOW
from tests.policies.test_vetoes import phase

GRACE = timedelta(minutes=30)
CLAIM = timedelta(minutes=10)
MINUTE = timedelta(minutes=1)
FRESH = Incident(machine="m", boot="b", opened_at=NOW)


def decision(wanted: Wanted = Wanted.STOP, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "machine": "m",
        "wanted": wanted,
        "findings": (),
        "why": (),
        "grace": GRACE,
    }
    return Decision(**(values | changes))


def events(*kinds: tuple[EventKind, datetime], **detail: str) -> list[IncidentEvent]:
    return [
        IncidentEvent(
            n=n,
            at=at,
            kind=kind,
            by="p1",
            detail={"stop_at": (at + GRACE).isoformat(), **detail}
            if kind is EventKind.WARNED
            else {},
        )
        for n, (kind, at) in enumerate(kinds)
    ]


def step(
    happened: Sequence[IncidentEvent] | None,
    now: datetime,
    *,
    wants: Decision | None = None,
    seen: PhaseNow | None = None,
    kept_until: datetime | None = None,
) -> Step:
    return next_step(
        None if happened is None else fold(FRESH, happened),
        wants or decision(),
        seen or phase(),
        kept_until=kept_until,
        claim_lasts=CLAIM,
        now=now,
    )


WARNED = events((EventKind.OPENED, NOW), (EventKind.TELLING, NOW), (EventKind.WARNED, NOW))


def test_a_warning_comes_first_and_announces_the_stop() -> None:
    first = step(None, NOW)
    assert (first.move, first.stop_at) == (Move.WARN, NOW + GRACE)


def test_grace_is_counted_from_the_delivered_warning() -> None:
    assert step(WARNED, NOW + GRACE - MINUTE).move is Move.NOTHING
    assert step(WARNED, NOW + GRACE).move is Move.STOP


def test_a_shorter_grace_does_not_break_what_was_announced() -> None:
    hasty = decision(grace=MINUTE)
    assert step(WARNED, NOW + GRACE - MINUTE, wants=hasty).move is Move.NOTHING
    patient = decision(grace=2 * GRACE)
    assert step(WARNED, NOW + GRACE, wants=patient).move is Move.NOTHING


def test_an_undelivered_warning_is_none() -> None:
    failed = events((EventKind.OPENED, NOW), (EventKind.TELLING, NOW), (EventKind.UNDELIVERED, NOW))
    assert step(failed, NOW + MINUTE).move is Move.WARN
    assert step(failed, NOW + 2 * GRACE).move is Move.WARN


def test_whoever_is_telling_people_has_it_for_a_while() -> None:
    telling = events((EventKind.OPENED, NOW), (EventKind.TELLING, NOW))
    assert step(telling, NOW + CLAIM - MINUTE).move is Move.NOTHING
    assert step(telling, NOW + CLAIM).move is Move.WARN


def test_a_claim_without_an_outcome_is_looked_into_when_it_is_over() -> None:
    claimed = [*WARNED, IncidentEvent(n=3, at=NOW + GRACE, kind=EventKind.STOP_INTENDED, by="p2")]
    assert step(claimed, NOW + GRACE + CLAIM - MINUTE).move is Move.NOTHING
    assert step(claimed, NOW + GRACE + CLAIM).move is Move.LOOK


def test_a_failed_stop_is_tried_again_without_a_new_warning() -> None:
    failed = [
        *WARNED,
        IncidentEvent(n=3, at=NOW + GRACE, kind=EventKind.STOP_INTENDED, by="p2"),
        IncidentEvent(n=4, at=NOW + GRACE, kind=EventKind.STOP_FAILED, by="p2"),
    ]
    assert step(failed, NOW + GRACE + MINUTE).move is Move.STOP


def test_a_keep_is_followed_by_a_new_warning() -> None:
    later = NOW + timedelta(hours=3)
    assert step(WARNED, later, kept_until=NOW + timedelta(hours=2)).move is Move.WARN
    assert step(WARNED, later, kept_until=NOW - MINUTE).move is Move.STOP


def test_an_old_warning_is_repeated() -> None:
    assert step(WARNED, NOW + timedelta(hours=25)).move is Move.WARN


def test_activity_closes_it() -> None:
    at_work = phase(phase=Phase.ACTIVE, quiet_since=None)
    assert step(WARNED, NOW + GRACE, seen=at_work).move is Move.CLOSE
    assert step(None, NOW, seen=at_work).move is Move.NOTHING


def test_what_is_not_measured_is_neither_stopped_nor_closed() -> None:
    dark = phase(phase=Phase.UNKNOWN)
    assert step(WARNED, NOW + GRACE, seen=dark).move is Move.NOTHING
    finding = Finding(rule="unmeasured", because="nobody knows", waste_usd_per_hour=None)
    unmeasured = decision(Wanted.UNKNOWN, findings=(finding,))
    assert step(None, NOW, seen=dark, wants=unmeasured).move is Move.NOTIFY


def test_a_veto_is_told_once_a_day() -> None:
    vetoed = decision(vetoes=(Veto(name="mature", why="its work is mature"),))
    assert step(None, NOW, wants=vetoed).move is Move.NOTIFY
    told = events((EventKind.OPENED, NOW), (EventKind.NOTIFIED, NOW))
    assert step(told, NOW + timedelta(hours=23), wants=vetoed).move is Move.NOTHING
    assert step(told, NOW + timedelta(hours=24), wants=vetoed).move is Move.NOTIFY


def test_a_rule_that_only_warns_never_stops() -> None:
    gentle = decision(Wanted.WARN)
    assert step(None, NOW, wants=gentle) == Step(
        move=Move.WARN, why="the rule warns and goes no further"
    )
    for hours in range(1, 72):
        assert step(WARNED, NOW + timedelta(hours=hours), wants=gentle).move is not Move.STOP


KINDS = st.sampled_from(list(EventKind))


@given(
    kinds=st.lists(st.tuples(KINDS, st.integers(0, 5)), max_size=12),
    minutes=st.integers(0, 3000),
)
def test_a_stop_always_has_a_delivered_warning_and_its_grace_behind_it(
    kinds: list[tuple[EventKind, int]], minutes: int
) -> None:
    at, told = NOW, []
    for kind, wait in kinds:
        at += wait * MINUTE
        told.append((kind, at))
    happened = events(*told)
    now = at + minutes * MINUTE
    if step(happened, now).move is not Move.STOP:
        return
    warnings = [event.at for event in happened if event.kind is EventKind.WARNED]
    assert warnings
    assert now - warnings[-1] >= GRACE
    assert not fold(FRESH, happened).ended


@given(wanted=st.sampled_from(list(Wanted)), seen=st.sampled_from(list(Phase)))
def test_only_a_wanted_stop_of_a_quiet_machine_is_ever_a_stop(wanted: Wanted, seen: Phase) -> None:
    move = step(WARNED, NOW + GRACE, wants=decision(wanted), seen=phase(phase=seen)).move
    may = wanted is Wanted.STOP and seen in {Phase.IDLE, Phase.PARKED, Phase.HUNG}
    assert (move is Move.STOP) == may


def test_it_folds_piece_by_piece_as_at_once() -> None:
    whole = fold(FRESH, WARNED)
    piecewise = FRESH
    for event in WARNED:
        piecewise = fold(piecewise, [event])
    assert whole == piecewise
    assert whole.n == len(WARNED)
