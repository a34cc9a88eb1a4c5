"""Pauses in recorded readings: on the maximum over GPUs, never across what nobody measured."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from math import isnan

from policies.grids import DEFAULT_LIMITS
from policies.pauses import Pause
from policies.verdicts import Phase
from watchdog.backtest.reading_files import Sample

STALE_S = DEFAULT_LIMITS.stale.total_seconds()


@dataclass(frozen=True, slots=True)
class Stretch:
    """A span of one resource's time, in seconds since 1970."""

    started_s: float
    ended_s: float
    workloads: frozenset[str] = frozenset()
    """Those that were at work when it ended."""


def pauses_of_readings(samples: Iterable[Sample]) -> list[Pause]:
    """The pauses of every resource, in the order of their beginnings.

    Computing and moving data are activity. Where a GPU that has been seen is not measured for a
    quarter of an hour, or for three of its intervals, the pause is not followed any further.
    """
    by_resource: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        if not _is_unmeasured(sample):
            by_resource[sample.resource].append(sample)
    found = [pause for name, told in by_resource.items() for pause in _of_resource(name, told)]
    return sorted(found, key=lambda pause: (pause.began_at, pause.resource))


def _is_unmeasured(sample: Sample) -> bool:
    return sample.utilisation_max_pct is None or isnan(sample.utilisation_max_pct)


def _is_active(sample: Sample) -> bool:
    span_s = sample.ended_s - sample.started_s
    floor = DEFAULT_LIMITS.transfer_bytes_per_s * span_s
    moved = max(sample.received_bytes or 0.0, sample.sent_bytes or 0.0)
    return (sample.utilisation_max_pct or 0.0) >= DEFAULT_LIMITS.active_pct or moved >= floor


def _of_resource(name: str, samples: list[Sample]) -> Iterator[Pause]:
    samples.sort(key=lambda sample: (sample.started_s, sample.ended_s))
    begin, end = samples[0].started_s, max(each.ended_s for each in samples)
    active = _merged(_stretch(each) for each in samples if _is_active(each))
    holes = _merged(sorted(_holes(samples, end), key=lambda hole: hole.started_s))
    first = Stretch(begin, begin, _named(each for each in samples if each.started_s == begin))
    for before, after in pairwise((first, *active, Stretch(end, end))):
        for piece in _without(Stretch(before.ended_s, after.started_s), holes):
            over = piece.ended_s == after.started_s and after.ended_s > after.started_s
            yield _pause(name, before, piece, over=over, phase=_phase(samples, piece.started_s))


def _stretch(sample: Sample) -> Stretch:
    return Stretch(sample.started_s, sample.ended_s, _named([sample]))


def _named(samples: Iterable[Sample]) -> frozenset[str]:
    return frozenset(each.workload for each in samples if each.workload is not None)


def _merged(stretches: Iterable[Stretch]) -> list[Stretch]:
    """Those that touch or overlap become one. They come in the order of their beginnings."""
    merged: list[Stretch] = []
    for each in stretches:
        last = merged[-1] if merged else None
        if last is None or each.started_s > last.ended_s:
            merged.append(each)
        elif each.ended_s > last.ended_s:
            merged[-1] = Stretch(last.started_s, each.ended_s, each.workloads)
        elif each.ended_s == last.ended_s:
            both = last.workloads | each.workloads
            merged[-1] = Stretch(last.started_s, last.ended_s, both)
    return merged


def _holes(samples: Sequence[Sample], end: float) -> Iterator[Stretch]:
    """Where a GPU that was seen before was not measured."""
    newest: dict[str | None, Sample] = {}
    for sample in samples:
        before = newest.get(sample.gpu)
        if before is not None and _is_hole(before, sample.started_s):
            yield Stretch(before.ended_s, sample.started_s)
        if before is None or sample.ended_s >= before.ended_s:
            newest[sample.gpu] = sample
    for last in newest.values():
        if _is_hole(last, end):
            yield Stretch(last.ended_s, end)


def _is_hole(before: Sample, until: float) -> bool:
    return until - before.ended_s > max(STALE_S, 3 * (before.ended_s - before.started_s))


def _without(quiet: Stretch, holes: Sequence[Stretch]) -> Iterator[Stretch]:
    begin = quiet.started_s
    for hole in holes:
        if hole.ended_s <= begin or hole.started_s >= quiet.ended_s:
            continue
        if hole.started_s > begin:
            yield Stretch(begin, hole.started_s)
        begin = hole.ended_s
    if begin < quiet.ended_s:
        yield Stretch(begin, quiet.ended_s)


def _phase(samples: Sequence[Sample], started_s: float) -> Phase:
    """What the first quiet interval shows: whether memory is held."""
    at = bisect_left(samples, started_s, key=lambda sample: sample.started_s)
    held = samples[at].memory_used_mib if at < len(samples) else None
    parked = held is not None and held >= DEFAULT_LIMITS.parked_mib
    return Phase.PARKED if parked else Phase.IDLE


def _pause(name: str, before: Stretch, piece: Stretch, *, over: bool, phase: Phase) -> Pause:
    ended_at = datetime.fromtimestamp(piece.ended_s, tz=UTC)
    return Pause(
        resource=name,
        began_at=datetime.fromtimestamp(piece.started_s, tz=UTC),
        ended_at=ended_at if over else None,
        seen_until=ended_at,
        workloads=tuple(sorted(before.workloads)),
        activity_s=before.ended_s - before.started_s,
        phase=phase,
    )
