"""Frames at the edge: as a table for a terminal, as rows for JSON."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from watchdog.cleaning import clean
from watchdog.json_values import moment, money

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


def as_rows(frame: pd.DataFrame) -> list[dict[str, object]]:
    """Plain values for JSON: money as decimal strings, times as RFC 3339, missing as None."""
    told = frame.astype(object).where(frame.notna(), None)
    return [
        {str(name): plain(value) for name, value in row.items()}
        for row in told.to_dict(orient="records")
    ]


def as_table(frame: pd.DataFrame, *, title: str) -> Table:
    from rich.markup import escape  # noqa: PLC0415 - not needed for JSON
    from rich.table import Table  # noqa: PLC0415

    shown = Table(title=escape(title), title_justify="left")
    for name in frame.columns:
        shown.add_column(str(name))
    for row in as_rows(frame):
        shown.add_row(*[escape(_cell(value)) for value in row.values()])
    return shown


def _cell(value: object) -> str:
    return "–" if value is None else clean(str(value))


def plain(value: object) -> object:
    """One value for JSON."""
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime):
        return moment(value)
    item = getattr(value, "item", None)
    return item() if callable(item) else value
