"""Spot prices over time: remembered, told anew, and unknown where nobody told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from policies.verdicts import Phase, Stretch
from providers.price_facts import SpotMarket, SpotPrice
from tests.builders import machine
from watchdog.costs.metering import charges_for
from watchdog.costs.prices_over_time import prices_of
from watchdog.costs.spot_pricing import KnownPrice, known_from, steps_of, with_told

DAY = datetime(2026, 11, 23, tzinfo=UTC)
NOON = DAY + timedelta(hours=12)
MARKET = SpotMarket(
    provider="aws",
    account="1",
    region="us-east-1",
    zone="us-east-1a",
    machine_type="g5.xlarge",
    product="Linux/UNIX",
)


def at(clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return DAY + timedelta(hours=hour, minutes=minute)


def told(*prices: tuple[str, str]) -> list[SpotPrice]:
    return [
        SpotPrice(market=MARKET, started_at=at(clock), hourly_usd=Decimal(usd))
        for clock, usd in prices
    ]


def shown(known: tuple[KnownPrice, ...], until: datetime = NOON) -> list[tuple[str, str | None]]:
    """Steps by clock, the first without its beginning."""
    _, *steps = steps_of(known, until=until)
    return [
        (f"{each.started_at:%H:%M}", None if (usd := each.price.hourly_usd) is None else str(usd))
        for each in steps
    ]


def first(*prices: tuple[str, str]) -> tuple[KnownPrice, ...]:
    """What is known after a first reading from 8:00 to 10:00."""
    return with_told((), told(*prices), since=at("8:00"), until=at("10:00"))


def test_each_price_holds_until_the_next_one_begins() -> None:
    known = first(("7:10", "0.40"), ("9:20", "0.50"))
    assert shown(known, at("10:00")) == [("07:10", "0.40"), ("09:20", "0.50")]


def test_before_the_first_and_after_the_last_telling_it_is_unknown() -> None:
    steps = steps_of(first(("8:30", "0.40")), until=NOON)
    assert [each.price.hourly_usd for each in steps] == [None, Decimal("0.40"), None]
    assert str(steps[0].price.why) == "no spot price is told of that time"
    assert str(steps[2].price.why) == "no spot price is told from 2026-11-23 10:00 on"


def test_a_market_of_which_nothing_is_told_is_unknown() -> None:
    (step,) = steps_of((), until=NOON)
    assert step.price.hourly_usd is None


def test_the_price_in_force_goes_on_until_a_change_is_told() -> None:
    """EC2 tells it again; a server that does not only tells what changed."""
    again = with_told(
        first(("7:10", "0.40")), told(("7:10", "0.40")), since=at("10:00"), until=NOON
    )
    silent = with_told(first(("7:10", "0.40")), [], since=at("10:00"), until=NOON)
    changed = with_told(
        first(("7:10", "0.40")), told(("11:20", "0.5")), since=at("10:00"), until=NOON
    )
    assert shown(again) == shown(silent) == [("07:10", "0.40")]
    assert shown(changed) == [("07:10", "0.40"), ("11:20", "0.5")]


def test_a_hole_stays_a_hole() -> None:
    known = with_told(
        first(("7:10", "0.40")), told(("11:20", "0.5")), since=at("11:00"), until=NOON
    )
    assert shown(known) == [("07:10", "0.40"), ("10:00", None), ("11:20", "0.5")]
    assert known_from(known) == at("11:20")
    assert known_from(first(("7:10", "0.40"), ("9:20", "0.5"))) == at("7:10")
    assert known_from(()) is None


clocks = st.lists(st.integers(0, 12 * 60 - 1), min_size=1, max_size=12, unique=True)


@given(clocks, st.integers(1, 12 * 60 - 1))
def test_reading_in_two_parts_is_as_good_as_reading_once(minutes: list[int], cut: int) -> None:
    prices = [
        SpotPrice(
            market=MARKET,
            started_at=DAY + timedelta(minutes=minute),
            hourly_usd=Decimal(place + 1),
        )
        for place, minute in enumerate(sorted(minutes))
    ]
    middle = DAY + timedelta(minutes=cut)
    early = [each for each in prices if each.started_at <= middle]
    late = [each for each in prices if each.started_at > middle]
    part = with_told((), early, since=DAY, until=middle)
    whole = with_told((), prices, since=DAY, until=NOON)
    assert with_told(part, [*early[-1:], *late], since=middle, until=NOON) == whole
    assert with_told(whole, prices, since=DAY, until=NOON) == whole


def test_an_hour_in_which_the_price_changed_is_metered_by_minutes() -> None:
    """9:00 to 9:20 at 0.40 and 9:20 to 9:45 at 0.55, when it stopped.

    0.40 · 20/60 + 0.55 · 25/60 = 0.13333… + 0.22916… = 0.3625
    """
    box = machine(machine_type="g5.xlarge", started_at=at("9:00"))
    known = first(("7:10", "0.40"), ("9:20", "0.55"))
    spans = prices_of(box, (), (), steps_of(known, until=at("10:00")))
    ran = Stretch(started_at=at("9:00"), ended_at=at("9:45"), phase=Phase.IDLE)
    (charge,) = charges_for(box, [ran], observed_at=NOON, priced=spans)
    assert charge["ListCost"] == Decimal("0.362500000")
    assert charge["ConsumedQuantity"] == Decimal("0.750000000")
    assert charge["ListUnitPrice"] is None, "there were two"
    assert charge["x_Basis"] == "spot"
