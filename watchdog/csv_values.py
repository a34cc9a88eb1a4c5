"""Cells of a CSV file that a spreadsheet shows and does not run."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from watchdog.cleaning import clean
from watchdog.json_values import moment, money

if TYPE_CHECKING:
    import pandas as pd

FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
"""A spreadsheet computes text that begins like this, also in its full-width forms (OWASP, CSV
Injection)."""


def for_csv(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with money in plain digits, times in RFC 3339, and texts that are only text."""
    return frame.map(_cell)


def _cell(value: object) -> object:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Decimal):
        return money(value)
    if isinstance(value, datetime) and value == value:  # noqa: PLR0124 - NaT is not itself
        return moment(value)
    return value


def _text(value: str) -> str:
    """Cleaned first: what is taken away may stand before the sign."""
    shown = clean(value)
    return f"'{shown}" if shown.startswith(FORMULA) else shown
