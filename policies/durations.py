"""Durations as people write them: `90s`, `15m`, `6h`, `3d`."""

import re
from datetime import timedelta

PATTERN = r"(\d{1,6})([smhd])"
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_duration(text: str) -> timedelta:
    """The duration; `ValueError` with a sentence where the text is none."""
    found = re.fullmatch(PATTERN, text.strip())
    if found:
        return timedelta(**{_UNITS[found.group(2)]: int(found.group(1))})
    if text.strip().startswith("-"):
        raise ValueError(f"must not be negative, as {text} is")
    raise ValueError(f"must be a duration such as 90s, 15m, 6h or 3d, not {text}")
