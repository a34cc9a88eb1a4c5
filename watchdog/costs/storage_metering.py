"""From eras to money: what each clock hour of a storage cost. Pure, and repeatable.

The row of an hour replaces the older row of that hour, so an hour is metered from its beginning.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache

from policies.facts import Storage, StorageEra, StorageMeter
from watchdog.costs.metering import HOUR, NANO, TICK, TICKS_AN_HOUR
from watchdog.costs.running_time import hour_of

__all__ = ["HOUR", "METER", "storage_charges"]

METER = "storage"
HOURS_A_MONTH = 730
NO_PHASE = "unknown"
"""Storage has no phases: it is billed while it exists."""
END = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Piece:
    """A part of a clock hour in which one era held."""

    era: StorageEra
    ticks: int


def storage_charges(
    storage: Storage,
    eras: Sequence[StorageEra],
    *,
    since: datetime,
    until: datetime,
    observed_at: datetime,
) -> list[dict[str, object]]:
    """One row for each clock hour from `since` (widened to its hour) until `until`, oldest first.

    What lies before the first era is not known, and has no row.
    """
    if not eras:
        return []
    same = _same_in_every_row(storage, observed_at)
    edges = [*(era.started_at for era in eras[1:]), END]
    whole = [_amounts((_Piece(era, TICKS_AN_HOUR),)) for era in eras]
    place = 0
    begin = max(hour_of(since), hour_of(eras[0].started_at))
    rows: list[dict[str, object]] = []
    while begin < until:
        while edges[place] <= begin:
            place += 1
        end = begin + HOUR
        if eras[place].started_at <= begin and end <= min(edges[place], until):
            rows.append({**same, **_period(begin), **whole[place]})
        else:
            pieces = tuple(_pieces(eras[place:], edges[place:], begin, min(end, until)))
            rows += [{**same, **_period(begin), **_amounts(pieces)}] if pieces else []
        begin = end
    return rows


def _pieces(
    eras: Sequence[StorageEra], edges: Sequence[datetime], begin: datetime, end: datetime
) -> Iterator[_Piece]:
    for era, edge in zip(eras, edges, strict=True):
        if era.started_at >= end:
            return
        low, high = max(begin, era.started_at), min(end, edge)
        if low < high:
            yield _Piece(era, (high - low) // TICK)


def _amounts(pieces: Sequence[_Piece]) -> dict[str, object]:
    """Unknown where any part of the hour is: a part of the sum is not the sum."""
    cost, quantity = Decimal(0), Decimal(0)
    priced, measured = True, True
    for piece in pieces:
        share = Decimal(piece.ticks) / TICKS_AN_HOUR
        month = piece.era.month_usd
        priced = priced and month is not None
        cost += (month or Decimal(0)) * share / HOURS_A_MONTH
        amount = _quantity(piece.era.meters)
        measured = measured and amount is not None
        quantity += (amount or Decimal(0)) * share
    list_cost = cost.quantize(NANO) if priced else None
    return {
        "ConsumedQuantity": quantity.quantize(NANO) if measured else None,
        "ConsumedUnit": _unit(pieces[-1].era.meters),
        "ListUnitPrice": (cost / quantity).quantize(NANO) if priced and quantity else None,
        "ListCost": list_cost,
        "EffectiveCost": list_cost,
        "x_Basis": "list" if priced else NO_PHASE,
    }


def _quantity(meters: Sequence[StorageMeter]) -> Decimal | None:
    """GB where there are any (IOPS and throughput come on top of them), else addresses."""
    unit = _unit(meters).removesuffix("-Hours")
    amounts = [meter.quantity for meter in meters if meter.unit == unit]
    known = [amount for amount in amounts if amount is not None]
    return sum(known, Decimal(0)) if len(known) == len(amounts) else None


def _unit(meters: Sequence[StorageMeter]) -> str:
    units = {meter.unit for meter in meters}
    return "address-Hours" if units == {"address"} else "GB-Hours"


@lru_cache(maxsize=1024)
def _period(begin: datetime) -> Mapping[str, object]:
    return {
        "ChargePeriodStart": begin,
        "ChargePeriodEnd": begin + HOUR,
        "date": f"{begin:%Y-%m-%d}",
    }


def _same_in_every_row(storage: Storage, observed_at: datetime) -> Mapping[str, object]:
    return {
        "ProviderName": storage.provider,
        "SubAccountId": storage.account,
        "RegionId": storage.region,
        "ResourceId": storage.id,
        "ResourceName": storage.name,
        "ResourceType": storage.kind,
        "ServiceName": "Storage",
        "ChargeCategory": "Usage",
        "BillingCurrency": "USD",
        "Tags": json.dumps(dict(sorted(storage.tags.items()))),
        "x_Phase": NO_PHASE,
        "x_Meter": METER,
        "x_MachineGroup": None,
        "x_Boot": None,
        "observed_at": observed_at,
    }
