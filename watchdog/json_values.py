"""How money and times are written where others read them by program."""

from datetime import UTC, datetime
from decimal import Decimal


def money(amount: Decimal | None) -> str | None:
    """Plain digits, never an exponent."""
    return None if amount is None else f"{amount:f}"


def moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")
