"""Times in AWS answers."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from botocore.utils import parse_timestamp


@lru_cache(maxsize=65536)
def moment(value: str | float) -> datetime:
    """A time in an answer, in UTC.

    botocore's own parser takes 12 µs a time and answers in local time; metric answers repeat the
    same few thousand times millions of times over.
    """
    if isinstance(value, (int, float)):
        return datetime.fromtimestamp(value, UTC)
    try:
        told = datetime.fromisoformat(value)
    except ValueError:
        told = parse_timestamp(value)
    return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
