"""Laws of the breakdown, on random fleets, against a slow computation with exact fractions."""

import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.facts import Attribution, Machine
from policies.verdicts import Phase, Stretch
from tests.builders import attribution, machine, price
from tests.watchdog.costs.accounts import DAY, PATROL, Accounts, at, column, dollars, run_row
from watchdog.costs.breakdown import BY
from watchdog.costs.metering import charges_for

Row = Mapping[str, object]
Interval = tuple[datetime, datetime]
HOUR = timedelta(hours=1)
BEGIN = at("6:00")
END = at("12:00")
MINUTE = timedelta(minutes=1)
MS = timedelta(milliseconds=1)

MINUTES = st.integers(0, 12 * 60)
LENGTHS = st.lists(st.integers(1, 90), min_size=1, max_size=6)
PHASES = st.lists(st.sampled_from(list(Phase)), min_size=6, max_size=6)
PRICES = st.none() | st.decimals("0.000001", "500", places=6)
SHARES = st.sampled_from([1.0, 1.0, 0.75, 0.5, 0.25, 1 / 3])
WORKLOADS = st.sampled_from(["a", "b", None])


@st.composite
def metered(draw: st.DrawFn) -> tuple[Machine, list[Stretch]]:
    """A machine that booted at some minute and ran on for a while."""
    boot = BEGIN + draw(st.integers(0, 90)) * MINUTE
    usd = draw(PRICES)
    box = machine(started_at=boot, price=price(None if usd is None else str(usd)))
    edges = [boot]
    for length in draw(LENGTHS):
        edges.append(edges[-1] + length * MINUTE)
    phases = draw(PHASES)
    stretches = [
        Stretch(started_at=begin, ended_at=end, phase=phase)
        for (begin, end), phase in zip(pairwise(edges), phases, strict=False)
    ]
    return box, stretches


@st.composite
def attributions(draw: st.DrawFn) -> Attribution:
    begin, end = sorted([draw(MINUTES), draw(MINUTES)])
    return attribution(
        draw(WORKLOADS),
        started_at=DAY + begin * MINUTE,
        ended_at=None if draw(st.booleans()) else DAY + end * MINUTE,
        share=draw(SHARES),
        rule=f"run {draw(st.sampled_from('xyz'))}",
    )


@st.composite
def runs(draw: st.DrawFn) -> dict[str, object]:
    begin, end = sorted([draw(MINUTES), draw(MINUTES)])
    row = run_row(draw(st.sampled_from("xyz")), "0:00", "0:00")
    return row | {"started_at": DAY + begin * MINUTE, "ended_at": DAY + end * MINUTE}


def distinct(told: Sequence[Attribution]) -> list[Attribution]:
    """One attribution a key of the table."""
    return list({(each.started_at, each.workload, each.rule): each for each in told}.values())


def expected(
    charges: Sequence[Row], box: Machine, told: Sequence[Attribution]
) -> dict[str, Fraction]:
    """Dollars by workload, exactly."""
    usd: dict[str, Fraction] = defaultdict(Fraction)
    by_hour: dict[datetime, list[Row]] = defaultdict(list)
    for charge in charges:
        begin = charge["ChargePeriodStart"]
        assert isinstance(begin, datetime)
        by_hour[begin].append(charge)
    for hour, rows in by_hour.items():
        if not BEGIN <= hour < END:
            continue
        cost = Fraction(dollars(list_costs(rows)))
        for name, share in shares(billed(hour, rows, box), told).items():
            usd[name] += cost * share
    return usd


def list_costs(rows: Sequence[Row]) -> list[Decimal | None]:
    costs = [row["ListCost"] for row in rows]
    return [cost if isinstance(cost, Decimal) else None for cost in costs]


def billed(hour: datetime, rows: Sequence[Row], box: Machine) -> Interval:
    lasted = timedelta(hours=float(sum(Decimal(str(row["ConsumedQuantity"])) for row in rows)))
    lasted = timedelta(milliseconds=round(lasted.total_seconds() * 1000))
    assert box.started_at is not None
    begin = max(hour, box.started_at)
    return begin, begin + lasted


def shares(window: Interval, told: Sequence[Attribution]) -> dict[str, Fraction]:
    begin, end = window
    weights: dict[str, Fraction] = defaultdict(Fraction)
    for each in told:
        overlap = min(end, each.ended_at or end) - max(begin, each.started_at)
        if overlap > timedelta():
            weights[each.workload or "unattributed"] += Fraction(each.share) * (overlap // MS)
    length = Fraction((end - begin) // MS)
    covered = sum(weights.values(), Fraction())
    nearly = covered > length * Fraction(999999, 1000000)
    total = covered if nearly else length
    weights["unattributed"] += total - covered
    return {name: weight / total for name, weight in weights.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    fleet=metered(),
    told=st.lists(attributions(), max_size=5),
    failed=st.lists(runs(), max_size=4),
    by=st.sampled_from(BY),
)
def test_parts_add_up_to_their_charges_exactly_and_to_the_right_workload(
    fleet: tuple[Machine, list[Stretch]],
    told: list[Attribution],
    failed: list[dict[str, object]],
    by: str,
) -> None:
    box, stretches = fleet
    told = distinct(told)
    charges = charges_for(box, stretches, observed_at=PATROL)
    with tempfile.TemporaryDirectory() as folder:
        accounts = Accounts(Path(folder))
        accounts.ledger.append("charges", charges)
        accounts.belongs(*told)
        accounts.attempted(*failed)
        by_workload = accounts.costs("6:00", "12:00")
        otherwise = accounts.costs("6:00", "12:00", by=by)

    inside = [row for row in charges if str(BEGIN) <= str(row["ChargePeriodStart"]) < str(END)]
    paid = dollars(list_costs(inside))
    for each in (by_workload, otherwise):
        assert (each.totals.total or 0) == paid
        for name, usd in each.totals.amounts().items():
            assert dollars(column(each, name)) == (usd or 0)
        for row in each.rows:
            assert 0 <= (row.failed_runs or 0) <= (row.total or 0)
            assert 0 <= (row.not_productive or 0) <= (row.total or 0)
    assert by_workload.totals.amounts() == otherwise.totals.amounts()
    right = expected(charges, box, told)
    found = {row.key: row.total or Decimal(0) for row in by_workload.rows}
    assert set(found) <= set(right)
    for name, exact in right.items():
        told_usd = Fraction(found.get(name, Decimal(0)))
        assert abs(told_usd - exact) <= len(charges) * Fraction(2, 10**9)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    patrols=st.lists(
        st.tuples(st.integers(0, 3), metered(), st.booleans()), min_size=1, max_size=5
    ),
)
def test_charges_are_read_as_the_ledgers_own_view_reads_them(
    patrols: list[tuple[int, tuple[Machine, list[Stretch]], bool]],
) -> None:
    """Later patrols replace hours of earlier ones; one that was told twice counts once."""
    newest = {minute: fleet for minute, fleet, _ in patrols}
    with tempfile.TemporaryDirectory() as folder:
        accounts = Accounts(Path(folder))
        for minute, _, twice in patrols:
            box, stretches = newest[minute]
            rows = charges_for(box, stretches, observed_at=PATROL + minute * MINUTE)
            for _ in range(1 + twice):
                accounts.ledger.append("charges", rows)
        told = accounts.costs("0:00", "24:00", by="phase")
        view = accounts.ledger.rows("charges")
    by_phase: dict[str, Decimal] = defaultdict(Decimal)
    for row in view:
        by_phase[str(row["x_Phase"])] += Decimal(str(row["ListCost"] or 0))
    assert {row.key: row.total or Decimal(0) for row in told.rows} == by_phase
