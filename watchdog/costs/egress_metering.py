"""From counted bytes to money: what each clock hour of an egress meter cost.

Pure, and repeatable: an hour's row replaces the older row of that hour.

Clouds bill what leaves by the account's volume of the month. An hour is therefore priced where it
lies in that volume: behind what all meters of the account counted before it in its month, as far as
the ledger knows. What nobody watched is missing there, so that a first patrol in the middle of a
month starts in too low a tier; and an hour that was priced stays so, whatever is found of earlier
ones later. Meters of the same hour follow each other by their ids.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from providers.egress import BYTES_A_GB, EgressCounter, Tier

EGRESS = "egress"
BASIS = "list, all to the internet"
"""What kind of price it is where the counter cannot tell where the bytes went."""
HOUR = timedelta(hours=1)
NANO = Decimal("0.000000001")
NOTHING = Decimal(0)

Row = Mapping[str, object]
Pool = tuple[object, object, object]
"""Provider, account and service: what shares the tiers of a month."""


@dataclass(frozen=True, slots=True)
class _Hour:
    """What one meter counted in one hour; `counter` None: the ledger tells, and it stays."""

    at: datetime
    resource: str
    gb: Decimal
    counter: EgressCounter | None


def month_of(moment: datetime) -> datetime:
    """The beginning of its month in UTC."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def first_hour(counters: Iterable[EgressCounter]) -> datetime | None:
    return min((hour for each in counters for hour in each.hours), default=None)


def egress_charges(
    counters: Sequence[EgressCounter], known: Iterable[Row], *, observed_at: datetime
) -> list[dict[str, object]]:
    """One row for each counter and hour that was measured, by time and id.

    `known`: the view `egress_metered` since the month of the first hour, in detail from that hour.
    """
    begin = first_hour(counters)
    if begin is None:
        return []
    base, hours = _told(counters, known)
    same = {each.id: _same_in_every_row(each, observed_at) for each in counters}
    rows = []
    for pool, several in hours.items():
        month, position = month_of(begin), base[pool]
        for each in sorted(several, key=lambda one: (one.at, one.resource)):
            if month_of(each.at) != month:
                month, position = month_of(each.at), NOTHING
            if each.counter is not None:
                usd = dollars(each.counter.tariff.tiers, position, each.gb)
                rows.append(_row(same[each.resource], each.counter, each, usd))
            position += each.gb
    return rows


def _told(
    counters: Sequence[EgressCounter], known: Iterable[Row]
) -> tuple[Mapping[Pool, Decimal], Mapping[Pool, list[_Hour]]]:
    """The volume of each pool before the first hour, and the hours from there on."""
    base: dict[Pool, Decimal] = defaultdict(Decimal)
    hours: dict[Pool, list[_Hour]] = defaultdict(list)
    for counter in counters:
        pool: Pool = (counter.scope.provider, counter.scope.account, counter.tariff.service)
        for at, count in counter.hours.items():
            hours[pool].append(_Hour(at, counter.id, gigabytes(count), counter))
    read_again = {(each.resource, each.at) for several in hours.values() for each in several}
    for row in known:
        of = (row["provider"], row["account"], row["service"])
        gb, hour = Decimal(str(row["gb"])), row["hour"]
        if not isinstance(hour, datetime):
            base[of] += gb
        elif (str(row["resource"]), hour) not in read_again:
            hours[of].append(_Hour(hour, str(row["resource"]), gb, None))
    return base, hours


def gigabytes(count: int) -> Decimal:
    """To nine places, as the ledger keeps it: a byte more or less."""
    return (Decimal(count) / BYTES_A_GB).quantize(NANO)


def dollars(tiers: Sequence[Tier], before_gb: Decimal, gb: Decimal) -> Decimal | None:
    """What this volume costs behind that one. None without tiers: nobody could price it."""
    if not tiers:
        return None
    begin, end = before_gb, before_gb + gb
    total = NOTHING
    for place, tier in enumerate(tiers):
        upto = tiers[place + 1].from_gb if place + 1 < len(tiers) else end
        low, high = max(begin, tier.from_gb), min(end, upto)
        if low < high:
            total += (high - low) * tier.usd_per_gb
    return total.quantize(NANO)


def changed(charges: Sequence[Mapping[str, object]], known: Iterable[Row]) -> list[Row]:
    """The charges that say something new: most hours are read several times."""
    before = {(row["resource"], row["hour"]): (row["gb"], row["usd"]) for row in known}
    return [
        charge
        for charge in charges
        if before.get((charge["ResourceId"], charge["ChargePeriodStart"]))
        != (charge["ConsumedQuantity"], charge["ListCost"])
    ]


def _row(
    same: Mapping[str, object], counter: EgressCounter, hour: _Hour, usd: Decimal | None
) -> dict[str, object]:
    return {
        **same,
        "ChargePeriodStart": hour.at,
        "ChargePeriodEnd": hour.at + HOUR,
        "ConsumedQuantity": hour.gb,
        "ListCost": usd,
        "EffectiveCost": usd,
        "x_Basis": _basis(counter, usd),
        "date": f"{hour.at:%Y-%m-%d}",
    }


def _same_in_every_row(counter: EgressCounter, observed_at: datetime) -> dict[str, object]:
    """FOCUS columns. What was really paid stands on a bill only: until then it is the list cost."""
    tiers, tags = counter.tariff.tiers, counter.tags
    return {
        "ProviderName": counter.scope.provider,
        "SubAccountId": counter.scope.account,
        "RegionId": counter.scope.region,
        "ResourceId": counter.id,
        "ResourceName": counter.name,
        "ResourceType": counter.kind,
        "ServiceName": counter.tariff.service,
        "ChargeCategory": "Usage",
        "ConsumedUnit": "GB",
        "ListUnitPrice": tiers[0].usd_per_gb if len(tiers) == 1 else None,
        "BillingCurrency": "USD",
        "Tags": None if tags is None else json.dumps(dict(sorted(tags.items()))),
        "x_Phase": "unknown",
        "x_Meter": EGRESS,
        "observed_at": observed_at,
    }


def _basis(counter: EgressCounter, usd: Decimal | None) -> str:
    if usd is None:
        return "unknown"
    return BASIS if counter.upper_bound else "list"
