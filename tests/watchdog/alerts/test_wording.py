from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.alerts.wording import counted, duration, hourly, hours, moment, money


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        (None, "price unknown"),
        (Decimal(0), "$0.00"),
        (Decimal("3.06"), "$3.06"),
        (Decimal("3.065"), "$3.07"),
        (Decimal("98.32000000"), "$98.32"),
        (Decimal("1234567.891"), "$1,234,567.89"),
        (Decimal("0.0263"), "$0.0263"),
        (Decimal("0.05"), "$0.05"),
        (Decimal("0.09996"), "$0.10"),
        (Decimal("0.00003"), "under $0.0001"),
        (Decimal("-12.5"), "-$12.50"),
        (Decimal("1E+3"), "$1,000.00"),
    ],
)
def test_money(amount: Decimal | None, told: str) -> None:
    assert money(amount) == told


def test_an_hourly_price_is_never_a_zero_for_an_unknown() -> None:
    assert hourly(None) == "price unknown"
    assert hourly(Decimal("32.7726")) == "$32.77/h"


@given(st.decimals(min_value="0.1", max_value="1e9", places=6))
def test_money_is_right_to_the_cent(amount: Decimal) -> None:
    told = Decimal(money(amount).removeprefix("$").replace(",", ""))
    assert abs(told - amount) <= Decimal("0.005")


@pytest.mark.parametrize(
    ("minutes", "told"),
    [
        (None, "unknown"),
        (0, "0 min"),
        (0.5, "under 1 min"),
        (35.9, "35 min"),
        (60, "1 h"),
        (250, "4 h 10 min"),
        (52 * 60, "2 d 4 h"),
        (2 * 1440 + 3, "2 d"),
        (14 * 1440, "14 d"),
    ],
)
def test_duration(minutes: float | None, told: str) -> None:
    assert duration(minutes) == told


def test_counts_hours_and_moments() -> None:
    assert [counted(1, "machine"), counted(2, "machine"), counted(0, "entry", "entries")] == [
        "1 machine",
        "2 machines",
        "0 entries",
    ]
    assert [hours(336.0), hours(4.5), hours(1234.56)] == ["336 h", "4.5 h", "1,234.6 h"]
    assert moment(datetime(2026, 11, 30, 9, tzinfo=UTC)) == "Mon 30 Nov 09:00 UTC"
