"""Machines whose clocks differ from the store's: their letters are put right where that is safe."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from watchdog.ledger.tables import Table, Type

TOLERATED = timedelta(minutes=1)
"""What sending takes, and what clocks that are kept right may differ by."""
MOVED_FORWARD_AT_MOST = timedelta(hours=1)
"""A letter that arrived later than this after it was sent may have been put aside and moved back,
so its rows keep their times. One from the future is always moved: it must never count as fresh."""

Rows = Sequence[Mapping[str, object]]


def skew_of(sent_at: datetime, arrived_at: datetime) -> timedelta | None:
    """How far the sender's clock is ahead of the store's; None: they agree."""
    skew = sent_at - arrived_at
    return skew if abs(skew) > TOLERATED else None


def righted(table: Table, rows: Rows, skew: timedelta) -> Rows:
    """The rows by the store's clock.

    Readings are moved by whole intervals, so that they stay on the grid of all others.
    """
    if skew < -MOVED_FORWARD_AT_MOST:
        return rows
    names = [column.name for column in table.columns if column.type is Type.TIME]
    on_grid = table.name == "readings"
    return [_moved(row, names, skew, on_grid=on_grid) for row in rows]


def _moved(
    row: Mapping[str, object], names: Sequence[str], skew: timedelta, *, on_grid: bool
) -> Mapping[str, object]:
    begin, end = row.get("started_at"), row.get("ended_at")
    if on_grid and isinstance(begin, datetime) and isinstance(end, datetime) and end > begin:
        skew = _whole(skew, end - begin)
    moved = {name: told - skew for name in names if isinstance(told := row.get(name), datetime)}
    return {**row, **moved}


def _whole(skew: timedelta, interval: timedelta) -> timedelta:
    """The nearest number of whole intervals, as a span of time."""
    return round(skew / interval) * interval
