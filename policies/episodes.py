"""Episodes: stretches of GPU activity that no recorded run explains, each told as a run. Pure.

What is known of an episode is what readings show: when, how much memory, how busy. How it ended
they do not show, so its outcome is `unknown` unless something else on the machine tells it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from policies.facts import Run, RunOutcome
from policies.verdicts import Phase, Stretch

SOURCE = "episode"
REPLACED = "replaced-by:"
"""The alias of an episode that turned out to be a part of another one."""
JOINED = timedelta(minutes=30)
"""Activity that pauses for less goes on: a validation, a checkpoint, a dataset of the next epoch
take minutes, and a person who starts the next attempt takes longer as a rule."""
LATE = timedelta(minutes=15)
"""How late a metric may be: until then silence is no end."""
Period = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bout:
    """Activity without a longer pause."""

    started_at: datetime
    ended_at: datetime
    """End of the last active interval, so far."""
    ongoing: bool
    setup_s: float | None = None
    """Seconds of set-up just before it; None: no boot precedes it, or nobody saw all of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a patrol sees of one machine's time."""

    seen_from: datetime
    fine_from: datetime
    """From here on intervals are short; before they last `coarse`."""
    now: datetime
    runs: bool
    """Whether the machine runs."""
    unbroken: bool
    """Whether everything before `seen_from` was looked at, too, by earlier patrols."""
    at_least: timedelta
    """Activity that is shorter in all, such as a smoke test, is no episode."""
    fine: timedelta = timedelta(minutes=5)
    coarse: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What becomes of a machine's episodes."""

    bouts: tuple[tuple[Bout, Run | None], ...]
    """Each with the episode that is known of it already."""
    replaced: tuple[tuple[Run, Bout], ...]
    """Episodes that are a part of a bout which another one tells."""
    over: tuple[Run, ...]
    """Episodes that went on when they were told last, and that nothing continues."""


def is_episode(run: Run) -> bool:
    return run.source == SOURCE


def is_replaced(run: Run) -> bool:
    return any(alias.startswith(REPLACED) for alias in (run.aliases or "").split(";"))


def episode_id(machine: str, started_at: datetime) -> str:
    """The same for everybody who sees it begin there."""
    return f"{SOURCE}:{machine}:{started_at.astimezone(UTC):%Y%m%dT%H%M%SZ}"


def planned(
    stretches: Sequence[Stretch],
    *,
    explained: Iterable[Period],
    known: Sequence[Run],
    view: View,
    breaks: Sequence[datetime] = (),
) -> Plan:
    """What the phases of a machine say about episodes, beside those that are known.

    `explained`: when recorded runs were at work on it. `breaks`: when something that was at work is
    known to have ended, such as a container: what follows after a pause is another attempt. An
    episode that ended before the finely read time is settled: what is read again of it, more
    coarsely or thinned, does not change it.
    """
    settled = [each for each in known if _is_settled(each, view)]
    open_ones = [each for each in known if not _is_settled(each, view)]
    taken = [*explained, *((each.started_at, each.ended_at or each.started_at) for each in settled)]
    found = bouts(stretches, explained=taken, view=view, breaks=breaks)
    told: list[tuple[Bout, Run | None]] = []
    replaced: list[tuple[Run, Bout]] = []
    left = sorted(open_ones, key=lambda each: (each.started_at, each.run_id))
    for bout in found:
        same = [each for each in left if _same(each, bout, view)]
        left = [each for each in left if each not in same]
        told.append((_whole(bout, same, view), same[0] if same else None))
        replaced += [(each, bout) for each in same[1:]]
    over = tuple(each for each in left if each.outcome is RunOutcome.RUNNING)
    return Plan(bouts=tuple(told), replaced=tuple(replaced), over=over)


def bouts(
    stretches: Sequence[Stretch],
    *,
    explained: Iterable[Period],
    view: View,
    breaks: Sequence[datetime] = (),
) -> tuple[Bout, ...]:
    """Activity outside the explained time, joined over pauses shorter than `JOINED`.

    An interval in which a recorded run was at work is explained whole. A stop of the machine, a
    recorded run and a break end a bout, however short the pause. What is not measured is no
    activity, and ends a bout only where it lasts as long as a pause that does.
    """
    taken = sorted(_rounded(each, view) for each in _clipped(explained, view))
    pieces = [
        piece
        for stretch in stretches
        if stretch.phase is Phase.ACTIVE
        for piece in _outside((stretch.started_at, stretch.ended_at), taken)
    ]
    stops = [one.ended_at for one, other in pairwise(stretches) if one.ended_at < other.started_at]
    found = []
    for several in _joined(pieces, taken, stops, breaks, view):
        begin, end = several[0][0], several[-1][1]
        if sum((stop - start for start, stop in several), timedelta()) < view.at_least:
            continue
        ongoing = view.runs and view.now - end < JOINED + LATE
        ongoing &= not any(end <= stop for stop in stops)
        ongoing &= not any(end <= start <= end + JOINED for start, _ in taken)
        setup_s = _setup_s(stretches, begin, view)
        found.append(Bout(started_at=begin, ended_at=end, ongoing=ongoing, setup_s=setup_s))
    return tuple(found)


def replaced_by(run: Run, other: str) -> Run:
    """The episode as a part of another one: it counts no more."""
    kept = [alias for alias in (run.aliases or "").split(";") if alias]
    ended_at = run.ended_at or run.started_at
    outcome = RunOutcome.UNKNOWN if run.outcome is RunOutcome.RUNNING else run.outcome
    aliases = ";".join([*kept, f"{REPLACED}{other}"])
    return replace(run, outcome=outcome, ended_at=ended_at, aliases=aliases)


def _is_settled(episode: Run, view: View) -> bool:
    return episode.ended_at is not None and episode.ended_at < view.fine_from


def _same(episode: Run, bout: Bout, view: View) -> bool:
    if episode.ended_at is not None:
        return episode.started_at < bout.ended_at and bout.started_at < episode.ended_at
    if episode.started_at < view.seen_from:
        return view.unbroken and bout.started_at < view.seen_from + JOINED
    return bout.started_at <= episode.started_at < bout.ended_at


def _whole(bout: Bout, same: Sequence[Run], view: View) -> Bout:
    """With what of it lies before the time that is seen now."""
    if not same or same[0].started_at >= view.seen_from:
        return bout
    return replace(bout, started_at=same[0].started_at, setup_s=same[0].setup_seconds)


def _rounded(period: Period, view: View) -> Period:
    """Outwards, to the intervals in which activity is seen."""
    begin, end = _floor(period[0], view), _floor(period[1], view)
    return begin, end if end == period[1] else end + _step(period[1], view)


def _step(moment: datetime, view: View) -> timedelta:
    return view.coarse if moment < view.fine_from else view.fine


def _floor(moment: datetime, view: View) -> datetime:
    seconds = moment.timestamp() % _step(moment, view).total_seconds()
    return moment - timedelta(seconds=seconds)


def _clipped(periods: Iterable[Period], view: View) -> Iterator[Period]:
    for begin, end in periods:
        seen = max(begin, view.seen_from), min(end, view.now)
        if seen[0] < seen[1]:
            yield seen


def _outside(piece: Period, taken: Sequence[Period]) -> Iterator[Period]:
    """The parts of a piece that nothing takes; `taken` in order of time."""
    begin, end = piece
    for start, stop in taken:
        if stop <= begin or start >= end:
            continue
        if begin < start:
            yield begin, start
        begin = max(begin, stop)
    if begin < end:
        yield begin, end


def _joined(
    pieces: Sequence[Period],
    taken: Sequence[Period],
    stops: Sequence[datetime],
    breaks: Sequence[datetime],
    view: View,
) -> list[list[Period]]:
    joined: list[list[Period]] = []
    for piece in pieces:
        before = joined[-1][-1][1] if joined else None
        if before is not None and piece[0] - before < JOINED:
            gap = before, piece[0]
            if not _is_cut(gap, taken, stops, breaks, view):
                joined[-1].append(piece)
                continue
        joined.append([piece])
    return joined


def _is_cut(
    gap: Period,
    taken: Sequence[Period],
    stops: Sequence[datetime],
    breaks: Sequence[datetime],
    view: View,
) -> bool:
    """What ended the activity may lie inside its last interval."""
    before, begin = gap
    last = before - _step(before, view)
    return (
        any(before <= stop <= begin for stop in stops)
        or any(start < begin and stop > before for start, stop in taken)
        or (before < begin and any(last <= each <= begin for each in breaks))
    )


def _setup_s(stretches: Sequence[Stretch], begin: datetime, view: View) -> float | None:
    for stretch in stretches:
        if stretch.phase is Phase.SETUP and stretch.ended_at == begin:
            seen_whole = stretch.started_at > view.seen_from
            return (begin - stretch.started_at).total_seconds() if seen_whole else None
    return None
