"""What an hour of one machine cost at each moment, where its type changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from policies.facts import UNPRICED, Machine, MachineState, Price, Transition

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
CLOCK_SLACK = timedelta(minutes=5)
"""The audit trail and the inventory name the same start within this."""


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
) -> tuple[PricedSpan, ...]:
    """The machine's prices over time, oldest first.

    Time on the type that it has now is priced as now; time on another type at the price that was
    last seen for it on this machine, and not at all where none was.
    """
    prices = {str(row["machine_type"]): _price(row) for row in observations}
    prices[machine.machine_type] = machine.price
    spans: list[PricedSpan] = []
    for moment, machine_type in _types(machine, transitions, observations):
        if spans and spans[-1].machine_type == machine_type:
            continue
        price = prices.get(machine_type, _never_seen(machine_type))
        spans.append(PricedSpan(started_at=moment, price=price, machine_type=machine_type))
    return (replace(spans[0], started_at=BEGINNING), *spans[1:])


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
    moment = started or row["observed_at"]
    if not isinstance(moment, datetime):
        raise TypeError(f"{moment!r} is no time")
    return moment


def _price(row: Mapping[str, object]) -> Price:
    hourly = row["hourly_usd"]
    return replace(
        UNPRICED,
        hourly_usd=None if hourly is None else Decimal(str(hourly)),
        basis=str(row["price_basis"]),
    )


def _never_seen(machine_type: str) -> Price:
    return replace(UNPRICED, why=f"this machine was never seen as {machine_type}")
