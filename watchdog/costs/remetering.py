"""An hour that is metered again replaces the older rows, but only with at least as much knowledge.

A patrol may know less than an earlier one did: metrics or spot prices are refused this time, the
audit trail is not read again once it was read, a machine that was shut down from within tells no
time. What is known by then stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

Row = Mapping[str, object]
Slot = tuple[object, object, datetime]
"""A resource, a meter and the beginning of a clock hour."""

SLACK_HOURS = Decimal(1) / 60
"""Clocks of the audit trail and the inventory differ by seconds: that is no loss."""
UNMEASURED = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Known:
    hours: Decimal
    measured_hours: Decimal
    priced_hours: Decimal


NOTHING_KNOWN = _Known(hours=Decimal(0), measured_hours=Decimal(0), priced_hours=Decimal(0))


def as_well_known(charges: Sequence[Row], metered: Iterable[Row]) -> list[Row]:
    """The charges of those hours of which they tell as much as the ledger has, or more.

    `metered`: rows of the ledger's view `metered_hours` for at least the same hours.
    """
    before = {
        _slot(row): _Known(
            hours=_decimal(row["hours"]),
            measured_hours=_decimal(row["measured_hours"]),
            priced_hours=_decimal(row["priced_hours"]),
        )
        for row in metered
    }
    now = _known(charges)
    kept = {slot for slot in now if not _loses(now[slot], before.get(slot, NOTHING_KNOWN))}
    return [charge for charge in charges if _slot(charge) in kept]


def _known(charges: Iterable[Row]) -> dict[Slot, _Known]:
    hours: dict[Slot, Decimal] = defaultdict(Decimal)
    measured: dict[Slot, Decimal] = defaultdict(Decimal)
    priced: dict[Slot, Decimal] = defaultdict(Decimal)
    for charge in charges:
        slot, quantity = _slot(charge), _decimal(charge["ConsumedQuantity"])
        hours[slot] += quantity
        measured[slot] += Decimal(0) if charge["x_Phase"] == UNMEASURED else quantity
        priced[slot] += Decimal(0) if charge["ListCost"] is None else quantity
    return {
        slot: _Known(hours=hours[slot], measured_hours=measured[slot], priced_hours=priced[slot])
        for slot in hours
    }


def _loses(now: _Known, before: _Known) -> bool:
    """Time first, since it is money; of the same time, the more that was priced and measured."""
    if abs(now.hours - before.hours) > SLACK_HOURS:
        return now.hours < before.hours
    if now.priced_hours < before.priced_hours - SLACK_HOURS:
        return True
    return now.measured_hours < before.measured_hours - SLACK_HOURS


def _slot(row: Row) -> Slot:
    begin = row["ChargePeriodStart"]
    if not isinstance(begin, datetime):
        raise TypeError(f"{begin!r} is no time")
    return row["ResourceId"], row["x_Meter"], begin


def _decimal(value: object) -> Decimal:
    return value if isinstance(value, Decimal) else Decimal(str(value))
