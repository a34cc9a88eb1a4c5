from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.alerts.monday import cost_until, next_monday

MONDAY = datetime(2026, 11, 30, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "monday"),
    [
        (datetime(2026, 11, 27, 18, tzinfo=UTC), MONDAY),  # a Friday evening
        (datetime(2026, 11, 29, 23, 59, tzinfo=UTC), MONDAY),  # a Sunday
        (datetime(2026, 11, 30, 0, 0, tzinfo=UTC), MONDAY),
        (datetime(2026, 11, 30, 8, 59, 59, tzinfo=UTC), MONDAY),
        (datetime(2026, 11, 30, 9, 0, tzinfo=UTC), MONDAY + timedelta(days=7)),
        (datetime(2026, 11, 30, 9, 0, 1, tzinfo=UTC), MONDAY + timedelta(days=7)),
        (datetime(2026, 12, 29, 12, tzinfo=UTC), datetime(2027, 1, 4, 9, tzinfo=UTC)),
    ],
)
def test_the_next_monday_morning(at: datetime, monday: datetime) -> None:
    assert next_monday(at) == monday


def test_a_local_time_is_read_as_the_moment_it_is() -> None:
    sydney = timezone(timedelta(hours=11))
    at = datetime(2026, 11, 30, 19, 30, tzinfo=sydney)  # 08:30 UTC
    assert next_monday(at) == MONDAY


@given(st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001
def test_it_is_always_a_monday_at_most_a_week_away(at: datetime) -> None:
    monday = next_monday(at)
    assert (monday.weekday(), monday.hour, monday.minute) == (0, 9, 0)
    assert timedelta(0) < monday - at <= timedelta(days=7)


def test_the_cost_until_then() -> None:
    friday = datetime(2026, 11, 27, 18, tzinfo=UTC)
    assert cost_until(MONDAY, at=friday, hourly_usd=Decimal("3.06")) == Decimal("192.78")
    half_past = datetime(2026, 11, 30, 8, 30, tzinfo=UTC)
    assert cost_until(MONDAY, at=half_past, hourly_usd=Decimal("98.32")) == Decimal("49.16")
    assert cost_until(MONDAY, at=friday, hourly_usd=None) is None
