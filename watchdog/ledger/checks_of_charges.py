"""Whether charges add up: nothing negative, no hour twice, and the view's totals are the rows'."""

from collections.abc import Iterator
from decimal import Decimal

import duckdb

from watchdog.ledger.check import Check, broken, counted, fine

WHAT = "charges"
AMOUNTS = ("ConsumedQuantity", "ListUnitPrice", "ListCost", "EffectiveCost")
TOTALS = ("ConsumedQuantity", "ListCost", "EffectiveCost")
MOST_HOURS = Decimal(61) / 60
"""Of one machine in one clock hour: clocks of the audit trail and the inventory differ."""

_HOURS = """
select
    ResourceId,
    strftime(date_trunc('hour', ChargePeriodStart), '%Y-%m-%d %H:%M') as hour,
    count(distinct observed_at) as told,
    sum(case when ConsumedUnit = 'Hours' and x_Meter = 'compute' then ConsumedQuantity end) as hours
from ({view})
group by ResourceId, x_Meter, date_trunc('hour', ChargePeriodStart)
having told > 1 or hours > {most}
order by all
"""
_BY_KEY = """
with newest as (
    select
        ResourceId,
        x_Meter,
        date_trunc('hour', ChargePeriodStart) as hour,
        x_Phase,
        observed_at,
        max(observed_at) over (
            partition by ResourceId, x_Meter, date_trunc('hour', ChargePeriodStart)
        ) as last_told,
        {columns}
    from raw_charges
),
by_key as (
    select {extremes}
    from newest
    where observed_at = last_told
    group by ResourceId, x_Meter, hour, x_Phase
)
select {sums} from by_key
"""


def charge_checks(connection: duckdb.DuckDBPyConnection, view: str) -> Iterator[Check]:
    """`view`: the query that shows the charges; the raw rows are visible as `raw_charges`."""
    faults = [
        *_negative(connection),
        *_twice(connection, view),
        *_totals(connection, view),
    ]
    yield from faults
    if not faults:
        [[rows, usd]] = connection.execute(
            f"select count(*), sum(ListCost) from ({view})"  # noqa: S608 - the ledger's own query
        ).fetchall()
        told = f"{counted(rows, 'row')}, {usd or 0:.2f} USD at list price"
        yield fine(WHAT, f"{told}: none negative, no hour twice, totals add up")


def _negative(connection: duckdb.DuckDBPyConnection) -> Iterator[Check]:
    for name in AMOUNTS:
        [[count]] = connection.execute(
            f'select count(*) from raw_charges where "{name}" < 0'  # noqa: S608 - a literal above
        ).fetchall()
        if count:
            yield broken(WHAT, f"{counted(count, 'row')} with a negative {name}")


def _twice(connection: duckdb.DuckDBPyConnection, view: str) -> Iterator[Check]:
    asked = _HOURS.format(view=view, most=f"{MOST_HOURS:.9f}")
    found = connection.execute(asked).fetchall()
    if found:
        resource, hour, told, hours = found[0]
        why = "two patrols' rows" if told > 1 else f"{hours.normalize():f} hours in it"
        first = f"the first {resource} at {hour} UTC ({why})"
        yield broken(WHAT, f"{counted(len(found), 'hour')} counted twice, {first}")


def _totals(connection: duckdb.DuckDBPyConnection, view: str) -> Iterator[Check]:
    """By another way than the view's own: of each key the smallest and the largest that was told
    last. They differ only where two patrols of one moment told different things.
    """
    asked = _BY_KEY.format(
        columns=", ".join(TOTALS),
        extremes=", ".join(f"min({n}) as least_{n}, max({n}) as most_{n}" for n in TOTALS),
        sums=", ".join(f"coalesce(sum(least_{n}), 0), coalesce(sum(most_{n}), 0)" for n in TOTALS),
    )
    [limits] = connection.execute(asked).fetchall()
    shown = ", ".join(f"coalesce(sum({name}), 0)" for name in TOTALS)
    [totals] = connection.execute(f"select {shown} from ({view})").fetchall()  # noqa: S608 - the ledger's own
    for name, total, least, most in zip(TOTALS, totals, limits[::2], limits[1::2], strict=True):
        if not least <= total <= most:
            yield broken(WHAT, f"{name}: the view adds up to {total}, the rows by key to {least}")
