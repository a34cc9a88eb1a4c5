"""What hours of storage cost, against figures worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Storage, StorageEra, StorageMeter
from watchdog.costs.storage_metering import storage_charges

CENT = Decimal("0.01")
MONTH = timedelta(hours=730)
FIRST = datetime(2026, 1, 31, 20, tzinfo=UTC)


def gigabytes(quantity: str | None, month_usd: str | None = "0.08") -> StorageMeter:
    return StorageMeter(
        name="gp3 capacity",
        unit="GB",
        quantity=None if quantity is None else Decimal(quantity),
        unit_month_usd=None if month_usd is None else Decimal(month_usd),
    )


def iops(quantity: str) -> StorageMeter:
    return StorageMeter(
        name="gp3 IOPS", unit="IOPS", quantity=Decimal(quantity), unit_month_usd=Decimal("0.005")
    )


def era(started_at: datetime, *meters: StorageMeter) -> StorageEra:
    return StorageEra(started_at=started_at, meters=meters)


def disk(**changes: Any) -> Storage:
    values: dict[str, Any] = {
        "id": "aws:123456789012:us-east-1:vol-1",
        "kind": "volume",
        "name": "scratch",
        "size_bytes": 100 * 2**30,
        "monthly_cost_usd": Decimal(8),
    }
    return Storage(**(values | changes))


def charged(
    *eras: StorageEra, since: datetime = FIRST, until: datetime | None = None
) -> list[dict[str, object]]:
    end = until or since + MONTH
    return storage_charges(disk(), eras, since=since, until=end, observed_at=end)


def cost(rows: list[dict[str, object]]) -> Decimal:
    return sum((Decimal(str(row["ListCost"])) for row in rows), Decimal(0))


@pytest.mark.parametrize(
    ("meters", "by_hand"),
    [
        ([gigabytes("100")], "8.00"),
        ([gigabytes("100"), iops("1000")], "13.00"),
        ([gigabytes("123.456789", "0.0125")], "1.54"),
        ([gigabytes("512000", "0.023")], "11776.00"),
        ([gigabytes("1", "0.00099")], "0.00"),
    ],
)
@pytest.mark.parametrize(
    "begin",
    [FIRST, datetime(2026, 2, 28, 12, tzinfo=UTC), datetime(2027, 12, 31, 23, tzinfo=UTC)],
)
def test_730_hours_cost_a_month_across_its_end(
    meters: list[StorageMeter], by_hand: str, begin: datetime
) -> None:
    rows = charged(era(begin - timedelta(days=90), *meters), since=begin)
    assert len(rows) == 730
    assert cost(rows).quantize(CENT) == Decimal(by_hand)


def test_a_february_costs_its_672_hours() -> None:
    begin = datetime(2026, 2, 1, tzinfo=UTC)
    rows = charged(
        era(begin, gigabytes("100")), since=begin, until=datetime(2026, 3, 1, tzinfo=UTC)
    )
    assert len(rows) == 672
    assert cost(rows).quantize(CENT) == Decimal("7.36")


def test_a_resize_in_the_middle_of_an_hour() -> None:
    """18 minutes of 1,000 GB and 42 minutes of 2,500 GB."""
    resized = FIRST + timedelta(minutes=18)
    rows = charged(
        era(FIRST, gigabytes("1000")),
        era(resized, gigabytes("2500")),
        until=FIRST + timedelta(hours=2),
    )
    first, second = rows
    assert first["ConsumedQuantity"] == Decimal(2050)
    assert first["ListCost"] == (Decimal(2050) * Decimal("0.08") / 730).quantize(Decimal("1e-9"))
    assert second["ConsumedQuantity"] == Decimal(2500)
    assert first["ChargePeriodStart"] == FIRST
    assert (first["x_Meter"], first["x_Phase"], first["ServiceName"]) == (
        "storage",
        "unknown",
        "Storage",
    )


def test_what_begins_within_an_hour_is_charged_from_then_on() -> None:
    begun = FIRST + timedelta(minutes=45)
    (row,) = charged(era(begun, gigabytes("730")), until=FIRST + timedelta(hours=1))
    assert row["ConsumedQuantity"] == Decimal("182.5")
    assert row["ListCost"] == Decimal("0.02")


def test_an_hour_with_a_part_that_nobody_can_price_has_no_cost() -> None:
    rows = charged(
        era(FIRST, gigabytes(None)),
        era(FIRST + timedelta(minutes=30), gigabytes("100")),
        until=FIRST + timedelta(hours=2),
    )
    assert rows[0]["ListCost"] is None
    assert rows[0]["ConsumedQuantity"] is None
    assert rows[1]["ListCost"] is not None
    unpriced = charged(era(FIRST, gigabytes("100", None)), until=FIRST + timedelta(hours=1))
    assert unpriced[0]["ListCost"] is None
    assert unpriced[0]["ConsumedQuantity"] == Decimal(100)


def test_before_the_first_era_nothing_is_known() -> None:
    assert charged() == []
    late = era(FIRST + timedelta(days=3), gigabytes("1"))
    assert len(charged(late)) == 730 - 72


@given(
    minutes=st.lists(st.integers(0, 600), min_size=1, max_size=6, unique=True),
    sizes=st.lists(st.integers(0, 10_000), min_size=6, max_size=6),
)
def test_hours_add_up_to_what_was_there(minutes: list[int], sizes: list[int]) -> None:
    starts = sorted(FIRST + timedelta(minutes=each) for each in minutes)
    eras = [era(start, gigabytes(str(size))) for start, size in zip(starts, sizes, strict=False)]
    until = FIRST + timedelta(hours=12)
    rows = charged(*eras, until=until)
    ends = [*starts[1:], until]
    gigabyte_hours = sum(
        Decimal(size) * Decimal((end - start).total_seconds()) / 3600
        for start, end, size in zip(starts, ends, sizes, strict=False)
    )
    quantity = sum(Decimal(str(row["ConsumedQuantity"])) for row in rows)
    assert quantity == pytest.approx(gigabyte_hours, abs=Decimal("1e-6"))
    assert cost(rows) == pytest.approx(gigabyte_hours * Decimal("0.08") / 730, abs=Decimal("1e-7"))
