"""Which stretches of activity are one episode, and that patrols neither double nor lose any."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.episodes import (
    JOINED,
    LATE,
    SOURCE,
    Plan,
    View,
    bouts,
    episode_id,
    is_replaced,
    planned,
    replaced_by,
)
from policies.facts import Run, RunOutcome
from policies.verdicts import Phase, Stretch

T0 = datetime(2026, 11, 23, tzinfo=UTC)
STEP = timedelta(minutes=5)
HOUR = timedelta(hours=1)
MACHINE = "aws:1:us-east-1:i-1"
AT_LEAST = timedelta(minutes=10)


def at(steps: float) -> datetime:
    return T0 + steps * STEP


def view(now: float, seen_from: float = 0, **changes: Any) -> View:
    values: dict[str, Any] = {
        "fine_from": at(seen_from),
        "runs": True,
        "unbroken": True,
        "at_least": AT_LEAST,
    }
    return View(seen_from=at(seen_from), now=at(now), **(values | changes))


def stretches(codes: str, first: int = 0) -> list[Stretch]:
    """A letter an interval: `A` active, `i` idle, `?` unknown, `s` set-up, `.` it did not run."""
    phases = {"A": Phase.ACTIVE, "i": Phase.IDLE, "?": Phase.UNKNOWN, "s": Phase.SETUP}
    found: list[Stretch] = []
    for place, code in enumerate(codes, start=first):
        if code == ".":
            continue
        phase = phases[code]
        last = found[-1] if found else None
        if last is not None and (last.phase, last.ended_at) == (phase, at(place)):
            found[-1] = Stretch(started_at=last.started_at, ended_at=at(place + 1), phase=phase)
        else:
            found.append(Stretch(started_at=at(place), ended_at=at(place + 1), phase=phase))
    return found


def spans(
    codes: str, explained: Sequence[tuple[float, float]] = (), **changes: Any
) -> list[tuple[int, int, bool]]:
    seen = view(len(codes), **changes)
    taken = [(at(begin), at(end)) for begin, end in explained]
    return [
        ((each.started_at - T0) // STEP, (each.ended_at - T0) // STEP, each.ongoing)
        for each in bouts(stretches(codes), explained=taken, view=seen)
    ]


@pytest.mark.parametrize(
    ("codes", "explained", "found"),
    [
        ("iiAAAA" + 9 * "i", [], [(2, 6, False)]),
        ("iiAAAA" + 8 * "i", [], [(2, 6, True)]),
        ("iiAAAA" + 9 * "?", [], [(2, 6, False)]),
        ("AA" + 5 * "i" + "AA" + 9 * "i", [], [(0, 9, False)]),
        ("AA" + 6 * "i" + "AA" + 9 * "i", [], [(0, 2, False), (8, 10, False)]),
        ("AA" + 5 * "?" + "AA" + 9 * "i", [], [(0, 9, False)]),
        ("AA.AA" + 9 * "i", [], [(0, 2, False), (3, 5, False)]),
        ("AiA" + 9 * "i", [], [(0, 3, False)]),
        ("A" + 9 * "i", [], []),
        ("????", [], []),
        ("AAAAAAAA" + 9 * "i", [(2.5, 4.5)], [(0, 2, False), (5, 8, False)]),
        ("AAAAAAAA", [(2, 999)], [(0, 2, False)]),
        ("AAAAAAAA", [(-99, 999)], []),
    ],
)
def test_bouts(
    codes: str, explained: list[tuple[float, float]], found: list[tuple[int, int, bool]]
) -> None:
    assert spans(codes, explained) == found


def test_set_up_is_told_where_it_was_seen_whole() -> None:
    (seen,) = bouts(stretches("ssAA", 1), explained=(), view=view(9))
    assert seen.setup_s == 600.0
    (cut,) = bouts(stretches("ssAA"), explained=(), view=view(9))
    assert cut.setup_s is None


def test_hours_that_were_read_coarsely_are_explained_whole() -> None:
    hour = [Stretch(started_at=T0, ended_at=T0 + 3 * HOUR, phase=Phase.ACTIVE)]
    coarse = view(99, fine_from=T0 + 5 * HOUR)
    found = bouts(hour, explained=[(T0 + 80 * STEP / 5, T0 + 85 * STEP / 5)], view=coarse)
    assert [(each.started_at, each.ended_at) for each in found] == [
        (T0, T0 + HOUR),
        (T0 + 2 * HOUR, T0 + 3 * HOUR),
    ]


def told(plan: Plan, known: Sequence[Run]) -> list[Run]:
    """The episodes that are known after the plan."""
    after = {run.run_id: run for run in known}
    ids = {}
    for bout, older in plan.bouts:
        name = episode_id(MACHINE, bout.started_at) if older is None else older.run_id
        ids[bout] = name
        after[name] = Run(
            run_id=name,
            workload="w",
            started_at=bout.started_at,
            outcome=RunOutcome.RUNNING if bout.ongoing else RunOutcome.UNKNOWN,
            ended_at=None if bout.ongoing else bout.ended_at,
            source=SOURCE,
        )
    for run, bout in plan.replaced:
        after[run.run_id] = replaced_by(run, ids[bout])
    for run in plan.over:
        after[run.run_id] = Run(
            run_id=run.run_id,
            workload="w",
            started_at=run.started_at,
            outcome=RunOutcome.UNKNOWN,
            source=SOURCE,
        )
    return [run for run in after.values() if not is_replaced(run)]


def watched(
    codes: str, patrols: Sequence[int], late: int
) -> list[tuple[datetime, datetime | None]]:
    """What patrols at these times make of it, each reading three hours back; the newest `late`
    intervals are never there yet."""
    known: list[Run] = []
    before: int | None = None
    for now in patrols:
        begin = max(0, (now - 36) // 12 * 12)
        seen = codes[begin : max(begin, now - late)] + "?" * min(late, now - begin)
        plan = planned(
            stretches(seen, begin),
            explained=(),
            known=known,
            view=view(now, begin, unbroken=before is not None and before >= begin),
        )
        known = told(plan, known)
        before = now
    return sorted((run.started_at, run.ended_at) for run in known)


@st.composite
def days(draw: st.DrawFn) -> str:
    parts = st.tuples(st.sampled_from("Aii"), st.integers(1, 20))
    drawn = draw(st.lists(parts, min_size=1, max_size=14))
    return "".join(code * length for code, length in drawn) + "i" * 48


@settings(max_examples=300, deadline=None)
@given(codes=days(), data=st.data(), late=st.integers(0, 2))
def test_patrols_tell_what_one_look_at_all_of_it_tells(
    codes: str, data: st.DataObject, late: int
) -> None:
    """However often they come (hourly at least), whatever they repeat, however late metrics are."""
    gaps = data.draw(st.lists(st.integers(0, 12), min_size=1, max_size=40))
    times = [0]
    for gap in gaps:
        times.append(times[-1] + gap)
    times = [time for time in times if time < len(codes)]
    times += range(times[-1], len(codes) + 1, 12)
    times.append(len(codes))
    whole = bouts(stretches(codes), explained=(), view=view(len(codes)))
    assert watched(codes, times, late) == [(each.started_at, each.ended_at) for each in whole]


def test_the_limits_leave_room_for_a_patrol_to_see_the_end() -> None:
    """A patrol reads an hour more than it must: an episode that goes on has its end in there."""
    assert JOINED + LATE < HOUR
