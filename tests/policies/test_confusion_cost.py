"""What repeats cost: by the meter, by the run's own word or by price, each moment once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.confusion_cost import Billed, Cost, Prices, Rented, Slot, cost_of
from policies.facts import Run
from policies.streaks import Piece
from tests.builders import NOW, run

I1 = "aws:1:us-east-1:i-1"
EIGHT = Rented(id=I1, gpus=8, hourly_usd=Decimal(32))
BEGIN = NOW - timedelta(days=1)


def piece(
    run_id: str = "r", *, begin: float = 0, hours: float = 1, of: Run | None = None, **changes: Any
) -> Piece:
    start = BEGIN + timedelta(hours=begin)
    end = start + timedelta(hours=hours)
    told = of or run(run_id, started_at=start, ended_at=end, **changes)
    return Piece(run=told, started_at=start, ended_at=end)


def prices(
    *machines: Rented,
    billed: Mapping[Slot, Billed] | None = None,
    listed: Decimal | None = None,
) -> Prices:
    named = {name: each for each in machines for name in (each.id, each.id.rsplit(":", 1)[-1])}
    return Prices(machines=named, billed=billed or {}, list_hourly_usd=lambda _run: listed)


def hours(machine: str, *costs: tuple[float, str | None]) -> dict[Slot, Billed]:
    return {
        (machine, BEGIN + timedelta(hours=n)): Billed(
            hours=length, usd=None if usd is None else Decimal(usd)
        )
        for n, (length, usd) in enumerate(costs)
    }


def paid(pieces: Sequence[Piece], known: Prices) -> tuple[float | None, Decimal | None]:
    cost = cost_of(pieces, known)
    return cost.gpu_hours, cost.usd


def test_the_meter_is_believed_before_the_run_and_the_price() -> None:
    billed = hours(I1, (1, "30"), (1, "20"))
    told = [piece(hours=1.5, gpus=8, machine_id="i-1", cost_usd=Decimal(999))]
    cost = cost_of(told, prices(EIGHT, billed=billed, listed=Decimal(7)))
    assert cost == Cost(gpu_hours=12.0, usd=Decimal("40.000000"), basis=("metered",), why=None)


def test_what_was_not_metered_throughout_is_what_the_run_tells() -> None:
    told = [piece(hours=2, gpus=8, machine_id="i-1", cost_usd=Decimal(50))]
    cost = cost_of(told, prices(EIGHT, billed=hours(I1, (1, "30"))))
    assert (cost.usd, cost.basis) == (Decimal(50), ("told",))


def test_a_part_of_a_run_costs_its_part() -> None:
    whole = run(started_at=BEGIN, ended_at=BEGIN + timedelta(hours=4), cost_usd=Decimal(40))
    assert cost_of([piece(of=whole, hours=1)], prices()).usd == Decimal(10)


def test_without_either_it_is_hours_at_the_machines_price_or_by_list() -> None:
    own = cost_of([piece(hours=2, gpus=8, machine_id="i-1")], prices(EIGHT))
    assert (own.usd, own.basis) == (Decimal(64), ("price",))
    listed = cost_of([piece(hours=2, gpus=8)], prices(listed=Decimal(3)))
    assert (listed.usd, listed.basis) == (Decimal(6), ("price",))


def test_unknown_dollars_stay_unknown_and_say_of_how_many() -> None:
    cost = cost_of([piece("a", cost_usd=Decimal(5)), piece("b")], prices())
    assert (cost.gpu_hours, cost.usd) == (2.0, None)
    assert (
        cost.why == "1 of 2 repeats have no charge, no cost and no price; the others cost 5.00 USD"
    )


def test_an_unpriced_charge_is_no_free_hour() -> None:
    free = Rented(id=I1, gpus=8, hourly_usd=None)
    told = [piece(machine_id="i-1")]
    assert cost_of(told, prices(free, billed=hours(I1, (1, None)))).usd is None


def test_unknown_gpus_stay_unknown_unless_the_machine_tells_them() -> None:
    cost = cost_of([piece(gpus=None, cost_usd=Decimal(1))], prices())
    assert (cost.gpu_hours, cost.why) == (None, "1 of 1 repeats do not tell their GPUs")
    assert paid([piece(gpus=None, machine_id="i-1")], prices(EIGHT)) == (8.0, Decimal(32))


def test_runs_that_share_a_machine_share_its_time() -> None:
    together = [piece(name, gpus=8, machine_id="i-1") for name in "abc"]
    assert paid(together, prices(EIGHT)) == (8.0, Decimal(32))
    halves = [piece(name, gpus=4, machine_id="i-1") for name in "ab"]
    assert paid(halves, prices(EIGHT)) == (8.0, Decimal(32))
    assert paid(halves[:1], prices(EIGHT)) == (4.0, Decimal(16))
    after = [piece("a", gpus=8, machine_id="i-1"), piece("b", begin=1, gpus=8, machine_id=I1)]
    assert paid(after, prices(EIGHT)) == (16.0, Decimal(64))


def test_a_machine_costs_nothing_between_the_runs() -> None:
    unknown = Rented(id=I1, gpus=None, hourly_usd=Decimal(32))
    apart = [piece("a", machine_id="i-1"), piece("b", begin=3, machine_id="i-1")]
    assert paid(apart, prices(unknown)) == (2.0, Decimal(64))


def test_a_run_on_two_machines_costs_both() -> None:
    other = Rented(id="aws:1:us-east-1:i-2", gpus=8, hourly_usd=Decimal(8))
    assert paid([piece(gpus=16, machine_id="i-1;i-2")], prices(EIGHT, other)) == (16.0, Decimal(40))
    unknown = cost_of([piece(gpus=16, machine_id="i-1;i-9")], prices(EIGHT))
    assert unknown.usd is None


def test_no_more_than_the_meter_saw() -> None:
    """The machine was billed for half of the hour that the run claims."""
    told = [piece(gpus=8, machine_id="i-1")]
    assert cost_of(told, prices(EIGHT, billed=hours(I1, (0.5, "16")))).usd == Decimal(16)


def test_what_a_meter_told_of_getting_ready_is_taken_as_it_is() -> None:
    told = run(started_at=BEGIN, ended_at=NOW, gpus=1)
    ready = Piece(
        run=told,
        started_at=BEGIN - timedelta(minutes=30),
        ended_at=BEGIN,
        metered=True,
        usd=Decimal("2.5"),
        gpus=8,
    )
    assert paid([ready], prices()) == (4.0, Decimal("2.5"))


def test_nothing_costs_nothing() -> None:
    assert cost_of([], prices()) == Cost(gpu_hours=0.0, usd=Decimal(0), basis=(), why=None)


@st.composite
def on_one_machine(draw: st.DrawFn) -> list[Piece]:
    return [
        piece(
            f"r{number}",
            begin=draw(st.integers(0, 40)) / 8,
            hours=draw(st.integers(0, 24)) / 8,
            gpus=draw(st.sampled_from([None, 1, 4, 8, 16])),
            machine_id="i-1",
        )
        for number in range(draw(st.integers(1, 8)))
    ]


@given(on_one_machine())
@settings(max_examples=150, deadline=None)
def test_pieces_never_cost_more_than_the_machine_in_their_time(pieces: list[Piece]) -> None:
    """Counted again in eighths of an hour, the grid on which they lie."""
    step = timedelta(hours=1) / 8

    def runs_at(moment: datetime) -> bool:
        return any(each.started_at <= moment < each.ended_at for each in pieces)

    busy = sum(runs_at(BEGIN + n * step) for n in range(8 * 10)) / 8
    gpu_hours, usd = paid(pieces, prices(EIGHT))
    assert usd is not None
    assert gpu_hours is not None
    assert usd <= Decimal(32) * Decimal(str(busy)) + Decimal("0.001")
    assert gpu_hours <= 8 * busy + 0.001


@given(on_one_machine(), st.integers(0, 7))
@settings(max_examples=100, deadline=None)
def test_one_more_repeat_never_makes_it_cheaper(pieces: list[Piece], left_out: int) -> None:
    fewer = [each for number, each in enumerate(pieces) if number != left_out]
    assert (paid(fewer, prices(EIGHT))[1] or 0) <= (paid(pieces, prices(EIGHT))[1] or 0)


@pytest.mark.parametrize("minutes", [7, 61, 1441])
def test_a_stretch_across_hours_and_days_adds_up(minutes: int) -> None:
    odd = piece(begin=0.3, hours=minutes / 60, gpus=8, machine_id="i-1")
    expected = (Decimal(32) * minutes / 60).quantize(Decimal("0.0001"))
    assert abs((paid([odd], prices(EIGHT))[1] or Decimal(0)) - expected) < Decimal("0.001")
