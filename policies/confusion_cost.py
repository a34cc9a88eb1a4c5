"""What a finding of confusion cost: GPU-hours and dollars of the repeats, each moment once. Pure.

Dollars are those of charges where a run's machines were metered throughout; else what the run tells
of its cost; else its hours at a known price. What none of them tells is unknown, and makes the sum
unknown.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import TypeAlias

from policies.facts import Run
from policies.streaks import Piece

HOUR = timedelta(hours=1)
MICRO = Decimal("0.000001")
Slot: TypeAlias = tuple[str, datetime]
"""A machine's clock hour."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """What was metered of one machine in one clock hour, all phases together."""

    hours: float
    usd: Decimal | None
    """None: some of it has no price."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rented:
    """What is known of a machine that runs name."""

    id: str
    gpus: int | None
    hourly_usd: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What dollars are worked out from."""

    machines: Mapping[str, Rented]
    """By each name that a run may call them: the id, and the native id alone."""
    billed: Mapping[Slot, Billed]
    list_hourly_usd: Callable[[Run], Decimal | None]
    """The price of an hour of all that a run used, where its machines are not known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    gpu_hours: float | None
    usd: Decimal | None
    """None: unknown, in whole or in part; `why` says of what."""
    basis: tuple[str, ...]
    """Where the dollars come from: `metered`, `told`, `price`; several where runs differ."""
    why: str | None
    """What is not known; None: nothing is missing."""


def cost_of(pieces: Sequence[Piece], prices: Prices) -> Cost:
    """Pieces that share a machine share its time: no moment of a GPU counts twice."""
    by_basis: dict[str | None, list[Piece]] = defaultdict(list)
    for piece in pieces:
        by_basis[_basis(piece, prices)].append(piece)
    usd = _dollars(by_basis, prices).quantize(MICRO)
    unpriced = len(by_basis.get(None, []))
    uncounted = sum(_gpus(piece, prices) is None for piece in pieces)
    return Cost(
        gpu_hours=None if uncounted else round(_gpu_hours(pieces, prices), 6),
        usd=None if unpriced else usd,
        basis=tuple(sorted({_WORDS[basis] for basis in by_basis if basis is not None})),
        why=_why(len(pieces), unpriced, uncounted, usd),
    )


def _why(pieces: int, unpriced: int, uncounted: int, usd: Decimal) -> str | None:
    told = []
    if uncounted:
        told.append(f"{uncounted} of {pieces} repeats do not tell their GPUs")
    if unpriced:
        told.append(f"{unpriced} of {pieces} repeats have no charge, no cost and no price")
        if unpriced < pieces:
            told[-1] += f"; the others cost {usd:.2f} USD"
    return "; ".join(told) or None


METER, CHARGED, TOLD, PRICED, LISTED = "meter", "charged", "told", "priced", "listed"
_WORDS = {METER: "metered", CHARGED: "metered", TOLD: "told", PRICED: "price", LISTED: "price"}


def _basis(piece: Piece, prices: Prices) -> str | None:
    """The best that tells the dollars of a whole piece; None: nothing does."""
    run = piece.run
    if piece.metered:
        return None if piece.usd is None else METER
    machines = _machines(run, prices)
    if machines and all(_is_charged(each, piece, prices) for each in machines):
        return CHARGED
    if run.cost_usd is not None and run.duration_s is not None:
        return TOLD
    if machines and all(_is_priced(each, piece, prices) for each in machines):
        return PRICED
    return None if prices.list_hourly_usd(run) is None else LISTED


def _machines(run: Run, prices: Prices) -> tuple[Rented, ...]:
    """The run's machines; none where any of them is not known."""
    found = [prices.machines.get(name) for name in dict.fromkeys(run.machine_ids)]
    known = [each for each in found if each is not None]
    return tuple(known) if len(known) == len(found) else ()


def _is_charged(machine: Rented, piece: Piece, prices: Prices) -> bool:
    slots = [prices.billed.get((machine.id, hour)) for hour in _hours(piece)]
    return all(each is not None and each.usd is not None for each in slots)


def _is_priced(machine: Rented, piece: Piece, prices: Prices) -> bool:
    return machine.hourly_usd is not None or _is_charged(machine, piece, prices)


def _hours(piece: Piece) -> Iterator[datetime]:
    hour = _hour_of(piece.started_at)
    while hour < piece.ended_at:
        yield hour
        hour += HOUR


def _hour_of(moment: datetime) -> datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def _dollars(by_basis: Mapping[str | None, Sequence[Piece]], prices: Prices) -> Decimal:
    total = sum((piece.usd or Decimal(0) for piece in by_basis.get(METER, ())), Decimal(0))
    on_machines = [*by_basis.get(CHARGED, ()), *by_basis.get(PRICED, ())]
    for slot, (machine, used) in _used(on_machines, prices).items():
        total += _slot_usd(machine, prices.billed.get(slot), used.hours)
    for piece in by_basis.get(TOLD, ()):
        total += (piece.run.cost_usd or Decimal(0)) * _part(piece)
    for piece in by_basis.get(LISTED, ()):
        hourly = prices.list_hourly_usd(piece.run) or Decimal(0)
        total += hourly * Decimal(str(piece.hours))
    return total


def _slot_usd(machine: Rented, billed: Billed | None, hours: float) -> Decimal:
    """Of what was billed never more than all of it: a run may claim time that no meter saw."""
    if billed is None or billed.usd is None:
        return (machine.hourly_usd or Decimal(0)) * Decimal(str(hours))
    share = min(1.0, hours / billed.hours) if billed.hours else 0.0
    return billed.usd * Decimal(str(share))


def _part(piece: Piece) -> Decimal:
    """The share of its run's time."""
    duration_s = piece.run.duration_s
    if not duration_s:
        return Decimal(1)
    return Decimal(str(min(1.0, piece.hours * 3600 / duration_s)))


@dataclass(slots=True)
class _Used:
    """What pieces took of one machine in one clock hour."""

    hours: float = 0.0
    """Hours of the whole machine: half of its GPUs for an hour are half an hour."""
    gpu_hours: float = 0.0


def _used(pieces: Sequence[Piece], prices: Prices) -> dict[Slot, tuple[Rented, _Used]]:
    """By machine and clock hour, each moment once, however many pieces share it."""
    by_machine: dict[str, tuple[Rented, list[Piece]]] = {}
    for piece in pieces:
        for machine in _machines(piece.run, prices):
            by_machine.setdefault(machine.id, (machine, []))[1].append(piece)
    found: dict[Slot, tuple[Rented, _Used]] = {}
    for machine, several in by_machine.values():
        for begin, end, gpus in _stretches(machine, several):
            hour = _hour_of(begin)
            while hour < end:
                part = (min(end, hour + HOUR) - max(begin, hour)) / HOUR
                used = found.setdefault((machine.id, hour), (machine, _Used()))[1]
                used.hours += part * (min(1.0, gpus / machine.gpus) if machine.gpus else 1.0)
                used.gpu_hours += part * gpus
                hour += HOUR
    return found


def _stretches(
    machine: Rented, pieces: Sequence[Piece]
) -> Iterator[tuple[datetime, datetime, float]]:
    """Spans in which the same pieces run, with the GPUs that they hold: never more than it has."""
    steps: dict[datetime, tuple[int, float]] = defaultdict(lambda: (0, 0.0))
    for piece in pieces:
        gpus = _gpus_on(machine, piece.run)
        for moment, turn in ((piece.started_at, 1), (piece.ended_at, -1)):
            count, held = steps[moment]
            steps[moment] = (count + turn, held + turn * gpus)
    running, held = 0, 0.0
    for begin, end in pairwise(sorted(steps)):
        running += steps[begin][0]
        held += steps[begin][1]
        if running:
            yield begin, end, held if machine.gpus is None else min(held, float(machine.gpus))


def _gpus_on(machine: Rented, run: Run) -> float:
    """What a run holds of one of its machines; one that does not tell holds the whole machine."""
    if run.gpus is None:
        return float(machine.gpus or 0)
    return run.gpus / len(dict.fromkeys(run.machine_ids))


def _gpus(piece: Piece, prices: Prices) -> float | None:
    """GPUs of a piece; None: nobody tells."""
    if piece.metered and piece.gpus is not None:
        return float(piece.gpus)
    if piece.run.gpus is not None:
        return float(piece.run.gpus)
    machines = _machines(piece.run, prices)
    counts = [each.gpus for each in machines if each.gpus is not None]
    return float(sum(counts)) if machines and len(counts) == len(machines) else None


def _gpu_hours(pieces: Sequence[Piece], prices: Prices) -> float:
    placed = [each for each in pieces if not each.metered and _machines(each.run, prices)]
    alone = [each for each in pieces if each.metered or not _machines(each.run, prices)]
    total = sum(used.gpu_hours for _, used in _used(placed, prices).values())
    return total + sum(each.hours * (_gpus(each, prices) or 0.0) for each in alone)
