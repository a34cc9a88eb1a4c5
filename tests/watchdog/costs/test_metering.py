"""What an hour costs, to the cent and by hand."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Machine
from policies.phases import Span, timeline
from policies.verdicts import Phase, Stretch
from tests.builders import NOW, machine, price
from watchdog.costs.metering import charges_for
from watchdog.costs.prices_over_time import BEGINNING, PricedSpan

DAY = datetime(2026, 11, 23, tzinfo=UTC)
Row = dict[str, object]


def at(clock: str) -> datetime:
    hours, minutes = clock.split(":")
    return DAY + timedelta(hours=int(hours), minutes=int(minutes))


def stretch(begin: str, end: str, phase: Phase = Phase.IDLE) -> Stretch:
    return Stretch(started_at=at(begin), ended_at=at(end), phase=phase)


def metered(
    *stretches: Stretch, box: Machine | None = None, priced: Sequence[PricedSpan] = ()
) -> list[Row]:
    box = box or machine(started_at=at("0:00"), price=price("98.32"))
    return charges_for(box, stretches, observed_at=NOW, priced=priced)


def hourly(rows: Sequence[Row]) -> list[tuple[int, str, str, str | None]]:
    """Hour, phase, hours and dollars."""
    found = []
    for row in rows:
        begin, cost = row["ChargePeriodStart"], row["ListCost"]
        assert isinstance(begin, datetime)
        told = None if cost is None else f"{cost:f}"
        found.append((begin.hour, str(row["x_Phase"]), f"{row['ConsumedQuantity']:f}", told))
    return found


def priced_from(clock: str | None, hourly_usd: str | None, machine_type: str) -> PricedSpan:
    begin = BEGINNING if clock is None else at(clock)
    return PricedSpan(started_at=begin, price=price(hourly_usd), machine_type=machine_type)


def test_a_stop_at_twenty_past() -> None:
    rows = metered(stretch("8:00", "9:20"))
    assert hourly(rows) == [
        (8, "idle", "1.000000000", "98.320000000"),
        (9, "idle", "0.333333333", "32.773333333"),
    ]


def test_a_boot_at_ten_past_is_metered_from_then_on() -> None:
    box = machine(started_at=at("8:10"), price=price("1.00"))
    rows = metered(stretch("8:10", "9:00", Phase.SETUP), box=box)
    assert hourly(rows) == [(8, "setup", "0.833333333", "0.833333333")]
    assert rows[0]["x_Boot"] == "20261123T081000Z"


def test_an_hour_with_three_phases_adds_up_to_the_price_of_an_hour() -> None:
    rows = metered(
        stretch("8:00", "8:20", Phase.SETUP),
        stretch("8:20", "8:40", Phase.TRANSFER),
        stretch("8:40", "9:00", Phase.ACTIVE),
    )
    assert hourly(rows) == [
        (8, "setup", "0.333333333", "32.773333333"),
        (8, "transfer", "0.333333334", "32.773333334"),
        (8, "active", "0.333333333", "32.773333333"),
    ]


def test_two_stretches_of_one_phase_in_one_hour_are_one_row() -> None:
    rows = metered(
        stretch("8:00", "8:15"), stretch("8:15", "8:30", Phase.ACTIVE), stretch("8:30", "9:00")
    )
    assert hourly(rows) == [
        (8, "active", "0.250000000", "24.580000000"),
        (8, "idle", "0.750000000", "73.740000000"),
    ]


def test_a_resize_at_a_quarter_to_sums_both_prices_in_one_row() -> None:
    rows = metered(
        stretch("8:00", "9:00"),
        priced=[priced_from(None, "1.006", "g5.xlarge"), priced_from("8:45", "98.32", "p5.48x")],
    )
    assert hourly(rows) == [(8, "idle", "1.000000000", "25.334500000")]
    assert rows[0]["ListUnitPrice"] is None
    assert rows[0]["ResourceType"] == "p5.48x"


def test_an_hour_that_is_unpriced_in_part_is_unpriced() -> None:
    rows = metered(
        stretch("8:00", "8:30"),
        stretch("8:30", "9:00", Phase.ACTIVE),
        priced=[priced_from(None, None, "x1"), priced_from("8:15", "4.00", "x2")],
    )
    assert hourly(rows) == [
        (8, "active", "0.500000000", "2.000000000"),
        (8, "idle", "0.500000000", None),
    ]


def test_an_unpriced_machine_costs_nothing_known_never_zero() -> None:
    box = machine(started_at=at("0:00"), price=price(None))
    rows = metered(stretch("8:00", "9:00"), box=box)
    assert rows[0]["ListCost"] is None
    assert rows[0]["EffectiveCost"] is None
    assert rows[0]["ListUnitPrice"] is None
    assert rows[0]["ConsumedQuantity"] == Decimal(1)


def test_a_month_end_is_cut_at_midnight_utc() -> None:
    begin = datetime(2026, 11, 30, 23, 0, tzinfo=UTC)
    idle = Stretch(started_at=begin, ended_at=begin + timedelta(hours=2), phase=Phase.IDLE)
    rows = charges_for(machine(started_at=begin), [idle], observed_at=NOW)
    assert [row["date"] for row in rows] == ["2026-11-30", "2026-12-01"]
    assert rows[1]["ChargePeriodStart"] == datetime(2026, 12, 1, tzinfo=UTC)
    assert rows[1]["ChargePeriodEnd"] == datetime(2026, 12, 1, 1, tzinfo=UTC)


def test_a_row_says_whose_and_what_it_is() -> None:
    box = machine(started_at=at("0:00"), group="cluster-7", tags={"team": "nlp"})
    row = metered(stretch("8:00", "9:00"), box=box)[0]
    assert {name: row[name] for name in row if name not in {"ResourceId", "observed_at"}} == {
        "ProviderName": "aws",
        "SubAccountId": "123456789012",
        "RegionId": "us-east-1",
        "ResourceName": "trainer-1",
        "ResourceType": "g5.xlarge",
        "ServiceName": "Compute",
        "ChargeCategory": "Usage",
        "ChargePeriodStart": at("8:00"),
        "ChargePeriodEnd": at("9:00"),
        "ConsumedQuantity": Decimal(1),
        "ConsumedUnit": "Hours",
        "ListUnitPrice": Decimal("1.00"),
        "ListCost": Decimal(1),
        "EffectiveCost": Decimal(1),
        "BillingCurrency": "USD",
        "Tags": '{"team": "nlp"}',
        "x_Phase": "idle",
        "x_Basis": "list",
        "x_Meter": "compute",
        "x_MachineGroup": "cluster-7",
        "x_Boot": "20261123T000000Z",
        "date": "2026-11-23",
    }


def test_two_boots_in_an_hour_are_one_row_and_the_later_boot_names_it() -> None:
    box = machine(started_at=at("8:50"))
    rows = metered(stretch("8:05", "8:20"), stretch("8:50", "9:00"), box=box)
    assert hourly(rows) == [(8, "idle", "0.416666667", "0.416666667")]
    assert rows[0]["x_Boot"] == "20261123T085000Z"


def test_an_earlier_boot_is_named_where_its_start_is_known() -> None:
    box = machine(started_at=at("12:00"))
    rows = metered(stretch("6:00", "7:00"), stretch("8:05", "9:00"), box=box)
    assert [row["x_Boot"] for row in rows] == [None, "20261123T080500Z"]


def test_an_hour_cut_within_a_boot_is_refused() -> None:
    with pytest.raises(ValueError, match="begin on the hour"):
        metered(stretch("8:17", "9:00"))


def test_nothing_metered_is_nothing_charged() -> None:
    assert metered() == []


MINUTES = st.lists(st.integers(1, 90), min_size=1, max_size=12)
PHASES = st.lists(st.sampled_from(list(Phase)), min_size=12, max_size=12)
PRICES = st.decimals("0.000001", "500", places=6)
MICROSECONDS = st.integers(0, 59_999_999)


def chopped(minutes: Sequence[int], phases: Sequence[Phase], extra_us: int) -> list[Stretch]:
    """Stretches that follow each other from 6:00 on, at odd microseconds."""
    found, begin = [], at("6:00")
    for length, phase in zip(minutes, phases, strict=False):
        end = begin + timedelta(minutes=length, microseconds=extra_us)
        found.append(Stretch(started_at=begin, ended_at=end, phase=phase))
        begin = end
    return found


@given(minutes=MINUTES, phases=PHASES, hourly_usd=PRICES, extra_us=MICROSECONDS)
def test_an_hours_dollars_add_up_to_price_times_time(
    minutes: list[int], phases: list[Phase], hourly_usd: Decimal, extra_us: int
) -> None:
    stretches = chopped(minutes, phases, extra_us)
    box = machine(started_at=at("6:00"), price=price(str(hourly_usd)))
    rows = charges_for(box, stretches, observed_at=NOW)
    by_hour: dict[datetime, Decimal] = {}
    for row in rows:
        begin, cost = row["ChargePeriodStart"], row["ListCost"]
        assert isinstance(begin, datetime)
        assert isinstance(cost, Decimal)
        assert cost >= 0
        by_hour[begin] = by_hour.get(begin, Decimal(0)) + cost
    for begin, dollars in by_hour.items():
        exact = Fraction(hourly_usd) * Fraction(billed_us(stretches, begin), 3_600_000_000)
        assert abs(Fraction(dollars) - exact) < Fraction(1, 10**9)
    keys = [(row["ChargePeriodStart"], row["x_Phase"]) for row in rows]
    assert len(set(keys)) == len(keys)


def billed_us(stretches: Sequence[Stretch], hour: datetime) -> int:
    """Microseconds of an hour that the stretches cover, computed the slow way."""
    total = timedelta()
    for each in stretches:
        begin, end = max(each.started_at, hour), min(each.ended_at, hour + timedelta(hours=1))
        total += max(timedelta(), end - begin)
    return total // timedelta(microseconds=1)


@given(minutes=MINUTES, phases=PHASES, cut=st.integers(1, 10))
def test_metering_the_last_hours_again_repeats_their_rows(
    minutes: list[int], phases: list[Phase], cut: int
) -> None:
    stretches = chopped(minutes, phases, 0)
    box = machine(started_at=at("6:00"))
    since = at("6:00") + timedelta(hours=cut)
    later = [
        Stretch(started_at=max(each.started_at, since), ended_at=each.ended_at, phase=each.phase)
        for each in stretches
        if each.ended_at > since
    ]
    whole = charges_for(box, stretches, observed_at=NOW)
    again = charges_for(box, later, observed_at=NOW)
    assert again == [row for row in whole if row["ChargePeriodStart"] in hours_from(since)]


def hours_from(since: datetime) -> set[datetime]:
    return {since + timedelta(hours=hour) for hour in range(24)}


def test_phases_of_a_timeline_are_charged_as_they_are() -> None:
    span = Span(started_at=at("6:30"), ended_at=None)
    line = timeline([], spans=[span], until=at("8:00"), gpus=1)
    rows = charges_for(machine(started_at=at("6:30")), line.stretches, observed_at=NOW)
    assert hourly(rows) == [
        (6, "unknown", "0.500000000", "0.500000000"),
        (7, "unknown", "1.000000000", "1.000000000"),
    ]
