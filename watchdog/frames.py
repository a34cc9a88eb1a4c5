"""Frames at the edge, as rows for JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from watchdog.json_values import moment, money

if TYPE_CHECKING:
    import pandas as pd


def as_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Plain values for JSON: money as decimal strings, times as RFC 3339, missing as None."""
    told = frame.astype(object).where(frame.notna(), None)
    return [
        {str(name): plain(value) for name, value in row.items()}
        for row in told.to_dict(orient="records")
    ]


def plain(value: object) -> object:
    """One value for JSON."""
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return moment(value)
    item = getattr(value, "item", None)
    return item() if callable(item) else value
