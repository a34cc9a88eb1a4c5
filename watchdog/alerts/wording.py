"""Money and time in the words of messages and tables."""

from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

UNKNOWN_PRICE = "price unknown"
UNKNOWN = "unknown"

CENT = Decimal("0.01")
TEN_CENTS = Decimal("0.10")
FINE = Decimal("0.0001")
"""Below ten cents, two decimals would be too coarse for a price by the hour."""

HOUR = 60
DAY = 24 * HOUR


def money(amount: Decimal | None) -> str:
    """`$1,234.56`; `price unknown` for None. Tiny amounts keep four decimals."""
    if amount is None:
        return UNKNOWN_PRICE
    sign = "-" if amount < 0 else ""
    size = abs(amount)
    if 0 < size < FINE:
        return f"under ${FINE}"
    if size < TEN_CENTS:
        fine = f"{size.quantize(FINE, ROUND_HALF_UP):f}"
        return f"{sign}${fine.removesuffix('00')}"
    return f"{sign}${size.quantize(CENT, ROUND_HALF_UP):,f}"


def hourly(amount: Decimal | None) -> str:
    """`$3.06/h`; `price unknown` for None."""
    return UNKNOWN_PRICE if amount is None else f"{money(amount)}/h"


def duration(minutes: float | None) -> str:
    """`2 d 4 h`, `4 h 10 min`, `35 min`: the two largest units, rounded down."""
    if minutes is None:
        return UNKNOWN
    whole = int(minutes)
    if whole < 1:
        return "under 1 min" if minutes > 0 else "0 min"
    days, rest = divmod(whole, DAY)
    hours, left = divmod(rest, HOUR)
    parts = [(days, "d"), (hours, "h"), (left, "min")]
    largest = next(index for index, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[largest : largest + 2] if count)


def hours(amount: float) -> str:
    """`336 h`, `4.5 h`: one decimal where it says something."""
    return f"{amount:,.1f}".removesuffix(".0") + " h"


def counted(count: int, noun: str, plural: str | None = None) -> str:
    """`1 machine`, `3 machines`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def moment(at: datetime) -> str:
    """`Mon 30 Nov 09:00 UTC`. Expects a time in UTC."""
    return f"{WEEKDAYS[at.weekday()]} {at.day} {MONTHS[at.month - 1]} {at:%H:%M} UTC"


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Written out, since the locale would have its own."""
