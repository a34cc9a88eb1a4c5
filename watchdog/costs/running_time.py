"""When a machine ran, boot by boot, as far as anybody can vouch for it.

Three witnesses: the cloud's present answer (last start, last stop), its audit trail, and the
ledger's own sightings. Each vouches for stretches by itself, and what none vouches for is left out:
so a further sighting, of a cloud that tells starts, can add time and never takes any away.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from policies.facts import Machine, Transition
from policies.phases import Span

Row = Mapping[str, object]
Interval = tuple[datetime, datetime]


def spans_of(
    machine: Machine,
    transitions: Sequence[Transition],
    observations: Sequence[Row],
    window_start: datetime,
    now: datetime,
) -> tuple[Span, ...]:
    """When the machine ran between `window_start` and `now`: a span a boot, oldest first.

    `transitions`: its starts and stops from the audit trail. `observations`: its rows of the
    ledger, oldest first. The last span is open while the machine runs, however little is known of
    its start.
    """
    if window_start != hour_of(window_start):
        raise ValueError(f"metering begins on a clock hour, not at {window_start:%H:%M:%S}")
    sightings = [_sighting(row) for row in observations]
    trail = _trail(machine, transitions)
    vouched = [
        *trail.boots(),
        *(interval for each in sightings for interval in _vouched(each, trail)),
        *_unbroken([*sightings, _sighted_now(machine, now)]),
        *_present(machine, trail, now),
    ]
    spans = _merged(_cut(vouched, machine.started_at, window_start, now))
    if not _runs(machine):
        return tuple(Span(started_at=begin, ended_at=end) for begin, end in spans)
    if not spans or spans[-1][1] != now:
        spans.append((now, now))
    ended = [Span(started_at=begin, ended_at=end) for begin, end in spans[:-1]]
    return (*ended, Span(started_at=spans[-1][0], ended_at=None))


def hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Trail:
    """Starts and stops that the cloud told, each in order of time."""

    starts: Sequence[datetime]
    stops: Sequence[datetime]

    def stop_after(self, moment: datetime) -> datetime | None:
        """When a boot that ran at `moment` stopped; None: not told, or another began before."""
        stop = _next(self.stops, moment)
        start = _next(self.starts, moment)
        return None if stop is None or (start is not None and start < stop) else stop

    def boots(self) -> Iterator[Interval]:
        for start in self.starts:
            stop = self.stop_after(start)
            if stop is not None:
                yield start, stop


def _trail(machine: Machine, transitions: Sequence[Transition]) -> _Trail:
    """The launch counts as a start only beside an audit trail: without one, nobody can tell how
    often the machine was stopped and started since.
    """
    told = (machine.started_at, machine.first_launched_at if transitions else None)
    starts = [each.at for each in transitions if each.started]
    starts += [moment for moment in told if moment is not None]
    stops = [each.at for each in transitions if not each.started]
    stops += [] if machine.stopped_at is None else [machine.stopped_at]
    return _Trail(starts=sorted(starts), stops=sorted(stops))


def _next(moments: Sequence[datetime], moment: datetime) -> datetime | None:
    index = bisect_right(moments, moment)
    return moments[index] if index < len(moments) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Sighting:
    """What one row of the ledger says of a machine."""

    ran: bool
    started_at: datetime | None
    stopped_at: datetime | None
    seen_at: datetime


def _sighting(row: Row) -> _Sighting:
    seen = _moment(row["observed_at"])
    if seen is None:
        raise TypeError("an observation without a time")
    return _Sighting(
        ran=row["state"] == "running" or row["metered"] is True,
        started_at=_moment(row["started_at"]),
        stopped_at=_moment(row["stopped_at"]),
        seen_at=seen,
    )


def _sighted_now(machine: Machine, now: datetime) -> _Sighting:
    return _Sighting(
        ran=_runs(machine),
        started_at=machine.started_at,
        stopped_at=machine.stopped_at,
        seen_at=now,
    )


def _moment(value: object) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    raise TypeError(f"{value!r} is no time")


def _vouched(seen: _Sighting, trail: _Trail) -> Iterator[Interval]:
    """A boot that was seen running ran from its start until its stop, else until it was seen."""
    if seen.ran:
        begin = seen.started_at or seen.seen_at
        yield begin, trail.stop_after(seen.seen_at) or seen.seen_at
    elif seen.started_at is not None and seen.stopped_at is not None:
        yield seen.started_at, seen.stopped_at


def _unbroken(sightings: Sequence[_Sighting]) -> Iterator[Interval]:
    """Where no start is told, sightings in a row vouch for the time between them."""
    begin = None
    for each in sightings:
        begin = (begin or each.seen_at) if each.ran and each.started_at is None else None
        if begin is not None:
            yield begin, each.seen_at


def _present(machine: Machine, trail: _Trail, now: datetime) -> Iterator[Interval]:
    """The boot that the cloud's present answer speaks of."""
    start, stop = machine.started_at, machine.stopped_at
    if not _runs(machine):
        if start is not None and stop is not None:
            yield start, stop
    elif start is not None:
        yield start, now
    elif trail.starts and trail.stop_after(trail.starts[-1]) is None:
        yield trail.starts[-1], now


def _runs(machine: Machine) -> bool:
    return machine.running or machine.metered is True


def _cut(
    intervals: Sequence[Interval],
    last_start: datetime | None,
    window_start: datetime,
    now: datetime,
) -> list[Interval]:
    """Inside the window, and no earlier boot reaching into the present one."""
    found = []
    for begin, end in intervals:
        earlier = last_start is not None and begin < last_start
        limit = min(now, last_start) if earlier and last_start is not None else now
        if max(begin, window_start) < min(end, limit):
            found.append((max(begin, window_start), min(end, limit)))
    return sorted(found)


def _merged(intervals: Sequence[Interval]) -> list[Interval]:
    """Overlapping stretches as one. Those that only touch are two boots."""
    merged: list[Interval] = []
    for begin, end in intervals:
        if merged and begin < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
