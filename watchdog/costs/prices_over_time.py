"""What an hour of one machine cost at each moment: its type may change, and so may its price."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from policies.facts import UNPRICED, Machine, MachineState, Price, Transition

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SLACK = timedelta(minutes=5)
"""The audit trail and the inventory name the same start within this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceStep:
    """A price of one machine type, from a moment until the next one begins."""

    started_at: datetime
    price: Price


@dataclass(frozen=True, slots=True, kw_only=True)
class PricedSpan:
    """A price and the machine type that it is of, from a moment until the next one begins."""

    started_at: datetime
    price: Price
    machine_type: str


def prices_of(
    machine: Machine,
    transitions: Sequence[Transition],
    observations: Sequence[Mapping[str, object]],
    told: Sequence[PriceStep] = (),
) -> tuple[PricedSpan, ...]:
    """The machine's prices over time, oldest first.

    A price that changed holds from when it was first seen: what was metered before is not priced
    anew, but for time that had no price. Time on another type is priced by what was seen of that
    type on this machine, and not at all where nothing was.
    `told`: prices of the present type over all time, where a market told them; they go first.
    """
    steps = _seen_prices(machine, observations)
    if told:
        steps[machine.machine_type] = list(told)
    types = _merged(_types(machine, transitions, observations))
    ends = [moment for moment, _ in types[1:]]
    spans: list[PricedSpan] = []
    for (begin, machine_type), end in zip(types, [*ends, None], strict=True):
        several = steps.get(machine_type) or [_never_seen(machine_type)]
        spans += [
            PricedSpan(started_at=each.started_at, price=each.price, machine_type=machine_type)
            for each in _between(several, begin, end)
        ]
    return (replace(spans[0], started_at=BEGINNING), *spans[1:])


def _between(steps: Sequence[PriceStep], begin: datetime, end: datetime | None) -> list[PriceStep]:
    """The steps from a moment on: the one in force then, else the first, begins with it."""
    first = max(0, bisect_right([each.started_at for each in steps], begin) - 1)
    later = [
        each
        for each in steps[first + 1 :]
        if each.started_at > begin and (end is None or each.started_at < end)
    ]
    return [replace(steps[first], started_at=begin), *later]


def _seen_prices(
    machine: Machine, observations: Sequence[Mapping[str, object]]
) -> dict[str, list[PriceStep]]:
    """By type, the prices that it had when it was seen. The newest is the machine's own."""
    found: dict[str, list[PriceStep]] = {}
    for row in observations:
        step = PriceStep(started_at=_moment(row["observed_at"]), price=_price(row))
        found.setdefault(str(row["machine_type"]), []).append(step)
    newest = found.setdefault(machine.machine_type, [])
    since = newest.pop().started_at if newest else BEGINNING
    newest.append(PriceStep(started_at=since, price=machine.price))
    return {machine_type: _changes(steps) for machine_type, steps in found.items()}


def _changes(steps: Sequence[PriceStep]) -> list[PriceStep]:
    """Steps that change something. Time without a price has the next one that was known."""
    found: list[PriceStep] = []
    for step in sorted(steps, key=lambda step: step.started_at, reverse=True):
        later = found[-1].price if found else None
        unknown = step.price.hourly_usd is None and later is not None
        price = later if unknown and later is not None else step.price
        if found and _alike(price, found[-1].price):
            found[-1] = replace(found[-1], started_at=step.started_at)
        else:
            found.append(replace(step, price=price))
    return found[::-1]


def _alike(one: Price, other: Price) -> bool:
    return (one.hourly_usd, one.basis) == (other.hourly_usd, other.basis)


def _merged(types: Sequence[tuple[datetime, str]]) -> list[tuple[datetime, str]]:
    found: list[tuple[datetime, str]] = []
    for moment, machine_type in types:
        if not found or found[-1][1] != machine_type:
            found.append((moment, machine_type))
    return [(BEGINNING, found[0][1]), *found[1:]]


def _types(
    machine: Machine,
    transitions: Sequence[Transition],
    observations: Sequence[Mapping[str, object]],
) -> list[tuple[datetime, str]]:
    """From when on it was of which type.

    The audit trail is believed only about boots from before the first that was observed: it tells
    the type of the launch, and nothing of a later resize.
    """
    observed = [(_since(row), str(row["machine_type"])) for row in observations]
    if machine.running or not observed:
        observed.append((machine.started_at or BEGINNING, machine.machine_type))
    first = min(moment for moment, _ in observed) - CLOCK_SLACK
    told = [
        (each.at, each.machine_type)
        for each in transitions
        if each.started and each.machine_type and each.at < first
    ]
    return sorted([*told, *observed], key=lambda pair: pair[0])


def _since(row: Mapping[str, object]) -> datetime:
    """A running machine has its type since its start; a stopped one may have just got another."""
    started = row["started_at"] if row["state"] == MachineState.RUNNING.value else None
    return _moment(started or row["observed_at"])


def _moment(value: object) -> datetime:
    if not isinstance(value, datetime):
        raise TypeError(f"{value!r} is no time")
    return value


def _price(row: Mapping[str, object]) -> Price:
    hourly = row["hourly_usd"]
    return replace(
        UNPRICED,
        hourly_usd=None if hourly is None else Decimal(str(hourly)),
        basis=str(row["price_basis"]),
    )


def _never_seen(machine_type: str) -> PriceStep:
    why = f"this machine was never seen as {machine_type}"
    return PriceStep(started_at=BEGINNING, price=replace(UNPRICED, why=why))
