"""Readings become phases of metered time: what each minute of a rented GPU was spent on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np

from policies.facts import Reading
from policies.grids import (
    CODE,
    DEFAULT_LIMITS,
    FALLBACK_SIGNAL,
    NO_MEMORY_SIGNAL,
    NO_NETWORK_SIGNAL,
    PHASES,
    QUIET_CODES,
    UNKNOWN_CODE,
    Grid,
    PhaseLimits,
    grids_of,
    lasting,
)
from policies.verdicts import QUIET, Phase, PhaseNow, Stretch


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch between a start of the machine and its end, or a later part of one."""

    started_at: datetime
    ended_at: datetime | None
    """None while it runs."""
    booted_at: datetime | None = None
    """When the machine booted, at `started_at` or before; None: nobody knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What is remembered of this boot from before the readings begin."""

    seen_from: datetime | None = None
    first_active_at: datetime | None = None
    last_active_at: datetime | None = None
    """End of the last activity."""
    quiet_measured_s: float = 0.0
    """Seconds that were measured between `last_active_at` (else `seen_from`) and the readings."""


NOTHING_EARLIER = Earlier()


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    stretches: tuple[Stretch, ...]
    now: PhaseNow


def timeline(
    readings: Sequence[Reading],
    *,
    spans: Sequence[Span],
    until: datetime,
    gpus: int | None,
    board_power_w: float | None = None,
    limits: PhaseLimits = DEFAULT_LIMITS,
    earlier: Earlier = NOTHING_EARLIER,
) -> Timeline:
    """The phases of one machine inside its spans, up to `until`, and the phase it is in now.

    `gpus` None: the machine's number of GPUs is unknown; then those that report are believed.
    Time inside a span that no reading covers is `unknown`. Where two grids cover the same time the
    finer one is believed. `earlier` speaks of the last span only.
    """
    grids = sorted(grids_of(readings, gpus, board_power_w, limits), key=lambda grid: -grid.period_s)
    if not grids:
        return _unmeasured(spans, until)
    edges: list[tuple[float, float, int]] = []
    current = None
    for span in spans:
        is_last = span is spans[-1]
        marked = [
            _with_setup(grid, span, earlier if is_last else NOTHING_EARLIER, limits)
            for grid in grids
        ]
        edges.extend(_cut(marked, span, until))
        if is_last:
            current = (marked[-1], span)
    stretches = tuple(_stretch(*edge) for edge in edges)
    if current is None or current[1].ended_at is not None:
        return Timeline(stretches=stretches, now=_unknown("it does not run"))
    return Timeline(
        stretches=stretches, now=_now(*current, until=until, limits=limits, earlier=earlier)
    )


def _with_setup(grid: Grid, span: Span, earlier: Earlier, limits: PhaseLimits) -> Grid:
    """The same grid with the time before the first sustained activity of this boot as set-up."""
    if earlier.first_active_at is not None or span.booted_at is None:
        return grid
    begin = _index(grid, span.booted_at)
    end = _index(grid, span.booted_at + limits.setup)
    if end <= 0 or begin >= len(grid.codes):
        return grid
    after_boot = grid.codes[max(0, begin) :] == CODE[Phase.ACTIVE]
    sustained = lasting(after_boot, limits.sustained, grid.period_s)
    first = int(np.argmax(sustained)) + max(0, begin) if sustained.any() else len(grid.codes)
    window = slice(max(0, begin), max(0, min(end, first)))
    codes = grid.codes.copy()
    before = codes[window]
    before[before != UNKNOWN_CODE] = CODE[Phase.SETUP]
    return replace(grid, codes=codes)


def _index(grid: Grid, moment: datetime) -> int:
    return int((moment.timestamp() - grid.started_s) // grid.period_s)


def _cut(grids: Sequence[Grid], span: Span, until: datetime) -> list[tuple[float, float, int]]:
    """The span as edges `(from, to, phase code)`; grids come coarsest first, the finer one wins."""
    begin = span.started_at.timestamp()
    end = min(until, span.ended_at or until).timestamp()
    edges = [(begin, end, UNKNOWN_CODE)] if end > begin else []
    for grid in grids:
        edges = _overlaid(edges, _grid_edges(grid, begin, end))
    return _joined(edges)


def _grid_edges(grid: Grid, begin: float, end: float) -> list[tuple[float, float, int]]:
    changes = np.flatnonzero(np.diff(grid.codes)) + 1
    bounds = [0, *changes.tolist(), len(grid.codes)]
    edges = []
    for low, high in pairwise(bounds):
        start = max(begin, grid.started_s + low * grid.period_s)
        stop = min(end, grid.started_s + high * grid.period_s)
        if stop > start:
            edges.append((float(start), float(stop), int(grid.codes[low])))
    return edges


def _overlaid(
    under: list[tuple[float, float, int]], over: list[tuple[float, float, int]]
) -> list[tuple[float, float, int]]:
    """`over` laid on `under`, where it knows something."""
    known = [edge for edge in over if edge[2] != UNKNOWN_CODE]
    if not known:
        return under
    rest = under
    for start, stop, _ in known:
        rest = [piece for edge in rest for piece in _without(edge, start, stop)]
    return sorted(rest + known)


def _without(
    edge: tuple[float, float, int], start: float, stop: float
) -> list[tuple[float, float, int]]:
    begin, end, code = edge
    if stop <= begin or start >= end:
        return [edge]
    pieces = [(begin, min(start, end), code), (max(stop, begin), end, code)]
    return [piece for piece in pieces if piece[1] > piece[0]]


def _joined(edges: list[tuple[float, float, int]]) -> list[tuple[float, float, int]]:
    joined: list[tuple[float, float, int]] = []
    for edge in edges:
        if joined and joined[-1][2] == edge[2] and joined[-1][1] == edge[0]:
            joined[-1] = (joined[-1][0], edge[1], edge[2])
        else:
            joined.append(edge)
    return joined


def _stretch(begin: float, end: float, code: int) -> Stretch:
    return Stretch(started_at=_moment(begin), ended_at=_moment(end), phase=PHASES[code])


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, tz=UTC)


def _now(
    grid: Grid, span: Span, *, until: datetime, limits: PhaseLimits, earlier: Earlier
) -> PhaseNow:
    """The phase of the newest measured interval, since when, and how sure that is."""
    begin = max(0, _index(grid, span.started_at))
    end = min(len(grid.codes), _index(grid, until) + 1)
    measured = np.flatnonzero(grid.measured[begin:end])
    if not len(measured):
        return _unknown_now(grid, None, f"nothing was measured since {_clock(grid, begin)}")
    last = begin + int(measured[-1])
    newest = _at(grid, last + 1)
    if until - newest > max(limits.stale, timedelta(seconds=3 * grid.period_s)):
        return _unknown_now(grid, newest, f"the newest measurement ended at {newest:%H:%M} UTC")
    phase = PHASES[grid.codes[last]]
    if phase is Phase.UNKNOWN:
        return _unknown_now(grid, newest, grid.last_values)
    if phase not in QUIET:
        coverage = len(measured) / max(1, last + 1 - begin)
        return _phase_now(grid, phase, None, coverage, len(measured), newest)
    pause = _pause(grid, begin, last, span, limits, earlier)
    intervals_before = earlier.quiet_measured_s / grid.period_s if pause.first == begin else 0.0
    seen = int(grid.measured[pause.first : last + 1].sum()) + intervals_before
    total = max(1.0, (newest - pause.counted_from).total_seconds() / grid.period_s)
    found = _phase_now(grid, phase, pause.since, min(1.0, seen / total), seen, newest)
    return replace(found, why=(*found.why, *pause.before))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pause:
    first: int
    """Index of its first interval in the grid."""
    since: datetime
    counted_from: datetime
    """From when what was not measured lowers its coverage: the end of the activity before it."""
    before: tuple[str, ...] = ()
    """What counted as activity last, in a sentence; empty where none was seen since the boot."""


def _pause(
    grid: Grid, begin: int, last: int, span: Span, limits: PhaseLimits, earlier: Earlier
) -> _Pause:
    """The current pause: after the last activity, or after set-up.

    It begins with a measured quiet interval: what was not measured is not counted as idle. What was
    not measured between activity and pause makes it less sure, so that a lost measurement makes a
    pause neither longer nor surer.
    """
    quiet = np.isin(grid.codes[begin : last + 1], QUIET_CODES)
    unknown = grid.codes[begin : last + 1] == UNKNOWN_CODE
    busy = np.flatnonzero(~quiet & ~unknown)
    after = begin + (int(busy[-1]) + 1 if len(busy) else 0)
    first = after + int(np.argmax(quiet[after - begin :]))
    boot = span.booted_at or span.started_at
    since = max(boot, _at(grid, first))
    if len(busy):
        ended = max(boot, _at(grid, after))
        before = _before(PHASES[grid.codes[after - 1]], ended)
        return _Pause(first=first, since=since, counted_from=ended, before=before)
    if first == begin and earlier.last_active_at is not None:
        since = max(boot, min(since, earlier.last_active_at))
        before = _before(None, earlier.last_active_at)
        return _Pause(first=first, since=since, counted_from=since, before=before)
    if first == begin and earlier.seen_from is not None:
        since = min(since, max(earlier.seen_from, boot + limits.setup))
    return _Pause(first=first, since=since, counted_from=since)


def _before(phase: Phase | None, ended: datetime) -> tuple[str, ...]:
    """`phase` None: the ledger remembers when, and not whether it computed or moved data."""
    when = f"until {ended:%Y-%m-%d %H:%M} UTC"
    if phase is Phase.SETUP:
        return (f"it was being set up {when}",)
    return (f"it last worked{'' if phase is None else f' ({phase.value})'} {when}",)


def _at(grid: Grid, index: int) -> datetime:
    """When an interval begins."""
    return _moment(grid.started_s + index * grid.period_s)


def _phase_now(
    grid: Grid,
    phase: Phase,
    since: datetime | None,
    coverage: float,
    intervals: float,
    newest: datetime,
) -> PhaseNow:
    """Confidence is signal × coverage × n / (n + 0.3): one interval alone gives three quarters."""
    confidence = grid.signal * coverage * intervals / (intervals + 0.3)
    why = [grid.last_values]
    if grid.signal == NO_MEMORY_SIGNAL and phase is Phase.IDLE:
        why.append("GPU memory was not measured, so an open notebook cannot be ruled out")
    if grid.signal == NO_NETWORK_SIGNAL and phase in QUIET:
        why.append("the network was not measured, so a dataset on its way cannot be ruled out")
    return PhaseNow(
        phase=phase,
        quiet_since=since,
        confidence=round(confidence, 3),
        coverage=round(coverage, 3),
        why=tuple(why),
        source=grid.source,
        measured_until=newest,
        sees_gpus=grid.signal > FALLBACK_SIGNAL,
        host_activity=grid.host_activity,
        period=timedelta(seconds=grid.period_s),
    )


def _unknown_now(grid: Grid, newest: datetime | None, why: str) -> PhaseNow:
    return replace(
        _unknown(why),
        why=tuple(dict.fromkeys((why, grid.last_values))),
        source=grid.source,
        measured_until=newest,
        sees_gpus=grid.signal > FALLBACK_SIGNAL,
    )


def _unknown(why: str) -> PhaseNow:
    return PhaseNow(
        phase=Phase.UNKNOWN,
        quiet_since=None,
        confidence=0.0,
        coverage=0.0,
        why=(why,),
        source=None,
        measured_until=None,
    )


def _clock(grid: Grid, index: int) -> str:
    return f"{_at(grid, index):%Y-%m-%d %H:%M} UTC"


def _unmeasured(spans: Sequence[Span], until: datetime) -> Timeline:
    edges = [edge for span in spans for edge in _cut([], span, until)]
    now = _unknown("no metric of this machine was found")
    return Timeline(stretches=tuple(_stretch(*edge) for edge in edges), now=now)
