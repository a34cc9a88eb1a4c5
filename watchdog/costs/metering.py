"""From phases to money: what each clock hour of a machine cost, phase by phase.

Pure, and repeatable: the rows of an hour replace the older rows of that hour as a whole, so an hour
must be metered from its beginning.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache, partial
from itertools import groupby, pairwise

from policies.facts import Machine
from policies.verdicts import Phase, Stretch
from watchdog.costs.prices_over_time import BEGINNING, PricedSpan
from watchdog.costs.running_time import hour_of, spans_of

__all__ = ["charges_for", "spans_of"]

EPOCH = BEGINNING
TICK = timedelta(microseconds=1)
HOUR = timedelta(hours=1)
TICKS_AN_HOUR = HOUR // TICK
NANO = Decimal("0.000000001")
"""Money and hours are kept to nine places."""
COMPUTE = "compute"
PHASES = tuple(Phase)
PLACE = {phase: place for place, phase in enumerate(PHASES)}


def charges_for(
    machine: Machine,
    stretches: Sequence[Stretch],
    *,
    observed_at: datetime,
    priced: Sequence[PricedSpan] = (),
) -> list[dict[str, object]]:
    """One row for each clock hour and phase in which the machine ran, ordered by both.

    `priced`: prices over time, where the machine's own price does not hold throughout. The hours
    and the dollars of an hour's rows add up to its exact time and cost, rounded once.
    """
    _refuse_cut_hours(machine, stretches)
    own = PricedSpan(started_at=BEGINNING, price=machine.price, machine_type=machine.machine_type)
    prices = tuple(priced) or (own,)
    same = _same_in_every_row(machine, observed_at)
    boots = _boots_by_hour(machine, stretches)
    rows_of = cache(partial(_hour_rows, prices))
    return [
        {**same, **_period(hour), "x_Boot": boots[hour], **row}
        for hour, parts in sorted(_parts_by_hour(stretches, prices).items())
        for row in rows_of(tuple(sorted(parts.items())))
    ]


def _refuse_cut_hours(machine: Machine, stretches: Sequence[Stretch]) -> None:
    """Only a boot may begin within an hour: a cut hour would replace a whole one."""
    for begin in _block_starts(stretches):
        inside_boot = machine.started_at is not None and begin > machine.started_at
        if inside_boot and begin != hour_of(begin):
            raise ValueError(
                f"{machine.id} is metered from {begin:%H:%M:%S} on, within a clock hour and a boot:"
                " begin on the hour"
            )


def _block_starts(stretches: Sequence[Stretch]) -> list[datetime]:
    """Where stretches begin that do not continue the one before."""
    first = [stretches[0].started_at] if stretches else []
    later = [b.started_at for a, b in pairwise(stretches) if b.started_at != a.ended_at]
    return first + later


def _boots_by_hour(machine: Machine, stretches: Sequence[Stretch]) -> dict[int, str | None]:
    """The boot that ran last in each hour; None where its start is not known."""
    starts = set(_block_starts(stretches))
    boots: dict[int, str | None] = {}
    boot: str | None = None
    present = machine.boot
    for stretch in stretches:
        if machine.started_at is not None and stretch.started_at >= machine.started_at:
            boot = present
        elif stretch.started_at in starts:
            begin = stretch.started_at
            boot = None if begin == hour_of(begin) else f"{begin:%Y%m%dT%H%M%SZ}"
        first, last = _tick(stretch.started_at), _tick(stretch.ended_at) - 1
        for hour in range(first // TICKS_AN_HOUR, last // TICKS_AN_HOUR + 1):
            boots[hour] = boot
    return boots


def _parts_by_hour(
    stretches: Sequence[Stretch], prices: Sequence[PricedSpan]
) -> dict[int, dict[tuple[int, int], int]]:
    """By hour since 1970: microseconds by place of the phase and place of the price."""
    edges = [_tick(each.started_at) for each in prices]
    bounds = list(zip(edges, [*edges[1:], FOREVER], strict=True))
    found: dict[int, dict[tuple[int, int], int]] = defaultdict(dict)
    for stretch in stretches:
        begin, end = _tick(stretch.started_at), _tick(stretch.ended_at)
        place = PLACE[stretch.phase]
        for index, (valid_from, valid_until) in enumerate(bounds):
            low, high = max(begin, valid_from), min(end, valid_until)
            while low < high:
                hour = low // TICKS_AN_HOUR
                edge = min(high, (hour + 1) * TICKS_AN_HOUR)
                parts = found[hour]
                parts[place, index] = parts.get((place, index), 0) + edge - low
                low = edge
    return found


def _hour_rows(
    prices: Sequence[PricedSpan], parts: Sequence[tuple[tuple[int, int], int]]
) -> list[dict[str, object]]:
    """Each row takes what its hour's running total, rounded, grows by: so the rows add up."""
    rows: list[dict[str, object]] = []
    time, cost = Decimal(0), Decimal(0)
    for place, several in groupby(parts, key=lambda part: part[0][0]):
        ticks = {index: count for (_, index), count in several}
        used = [prices[index] for index in ticks]
        time_before, time = time, time + sum(ticks.values())
        dollars = _tick_dollars(ticks, prices)
        list_cost = None
        if dollars is not None:
            cost_before, cost = cost, cost + dollars
            list_cost = _hourly(cost) - _hourly(cost_before)
        rows.append(
            {
                "ResourceType": used[-1].machine_type,
                "ConsumedQuantity": _hourly(time) - _hourly(time_before),
                "ListUnitPrice": _only({each.price.hourly_usd for each in used}),
                "ListCost": list_cost,
                "EffectiveCost": list_cost,
                "x_Phase": PHASES[place].value,
                "x_Basis": "+".join(sorted({each.price.basis for each in used})),
            }
        )
    return rows


def _tick_dollars(ticks: Mapping[int, int], prices: Sequence[PricedSpan]) -> Decimal | None:
    """Hourly prices times microseconds. None where any part is unpriced: it is not the sum."""
    total = Decimal(0)
    for index, count in ticks.items():
        hourly = prices[index].price.hourly_usd
        if hourly is None:
            return None
        total += hourly * count
    return total


def _only(values: set[Decimal | None]) -> Decimal | None:
    """The one value; None where there are several."""
    return next(iter(values)) if len(values) == 1 else None


def _hourly(ticks: Decimal) -> Decimal:
    return (ticks / TICKS_AN_HOUR).quantize(NANO)


def _tick(moment: datetime) -> int:
    return (moment - EPOCH) // TICK


FOREVER = _tick(datetime.max.replace(tzinfo=UTC))


@lru_cache(maxsize=1024)
def _period(hour: int) -> dict[str, object]:
    begin = EPOCH + hour * HOUR
    return {
        "ChargePeriodStart": begin,
        "ChargePeriodEnd": begin + HOUR,
        "date": f"{begin:%Y-%m-%d}",
    }


def _same_in_every_row(machine: Machine, observed_at: datetime) -> dict[str, object]:
    """FOCUS columns. What was really paid stands on a bill only: until then it is the list cost."""
    return {
        "ProviderName": machine.provider,
        "SubAccountId": machine.account,
        "RegionId": machine.region,
        "ResourceId": machine.id,
        "ResourceName": machine.name,
        "ServiceName": "Compute",
        "ChargeCategory": "Usage",
        "ConsumedUnit": "Hours",
        "BillingCurrency": "USD",
        "Tags": json.dumps(dict(sorted(machine.tags.items()))),
        "x_Meter": COMPUTE,
        "x_MachineGroup": machine.group,
        "observed_at": observed_at,
    }
