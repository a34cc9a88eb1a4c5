"""Options that several commands share, and how their values are read."""

from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from policies.durations import parse_duration


class Format(StrEnum):
    TABLE = "table"
    JSON = "json"
    CSV = "csv"


def duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def moment(text: str) -> datetime:
    """A date in UTC, or an RFC 3339 time."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write a date (2026-11-23) or an RFC 3339 time"
            " (2026-11-23T08:00:00Z)"
        ) from None
    if len(text.strip()) == len("2026-11-23"):
        return datetime.combine(at.date(), time(), tzinfo=UTC)
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z for UTC")
    return at.astimezone(UTC)


Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="Settings file.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Output = Annotated[Format, typer.Option("--format", help="How to print.")]
LedgerUrl = Annotated[
    str | None,
    typer.Option("--ledger", metavar="URL", help="Ledger folder or URL.", show_default=False),
]


def chosen(output: Format, *, json: bool) -> Format:
    return Format.JSON if json else output
