"""Monday morning: when the people who could have stopped it come back."""

from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

MORNING = time(9, 0)
WEEK = timedelta(days=7)
MICROSECONDS = 3_600_000_000
"""In an hour."""


def next_monday(at: datetime) -> datetime:
    """The first Monday 09:00 UTC after `at`; exactly then, it is the one a week later."""
    now = at.astimezone(UTC)
    monday = (now - timedelta(days=now.weekday())).date()
    morning = datetime.combine(monday, MORNING, tzinfo=UTC)
    return morning if now < morning else morning + WEEK


def cost_until(end: datetime, *, at: datetime, hourly_usd: Decimal | None) -> Decimal | None:
    """What a machine costs from `at` to `end` if nobody stops it. None: its price is unknown."""
    if hourly_usd is None:
        return None
    return hourly_usd * Decimal((end - at) // timedelta(microseconds=1)) / MICROSECONDS
