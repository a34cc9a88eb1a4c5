"""Options that several commands share, and how their values are read."""

import re
from datetime import UTC, datetime, time, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from policies.durations import PATTERN, parse_duration
from watchdog.cli.completing import policy_names

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


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
    """A date in UTC, an RFC 3339 time, or a duration: so long ago. Not before 1970."""
    try:
        at = _ago(text) if re.fullmatch(PATTERN, text.strip()) else _written(text)
    except OverflowError:
        at = datetime.min.replace(tzinfo=UTC)
    if at < EPOCH:
        raise typer.BadParameter(f"{text!r} lies before 1970: nothing was watched then")
    return at


def deadline(text: str) -> datetime:
    """A moment to come: an RFC 3339 time, or a date, which means its end (UTC)."""
    try:
        at = _written(text)
        return at + timedelta(days=1) if len(text.strip()) == len("2026-11-23") else at
    except OverflowError:
        raise typer.BadParameter(f"{text!r} lies beyond the year 9999") from None


def _ago(text: str) -> datetime:
    return datetime.now(UTC) - parse_duration(text)


def _written(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is no time: write a date (2026-11-23), an RFC 3339 time"
            " (2026-11-23T08:00:00Z), or how long ago (90s, 15m, 6h, 3d)"
        ) from None
    if len(text.strip()) == len("2026-11-23"):
        return datetime.combine(at.date(), time(), tzinfo=UTC)
    if at.tzinfo is None:
        raise typer.BadParameter(f"{text!r} has no time zone: add Z for UTC")
    return at.astimezone(UTC)


Since = Annotated[
    datetime | None,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="From this date or time on, or so long ago (7d); 30d unless told.",
        show_default=False,
    ),
]
Until = Annotated[
    datetime | None,
    typer.Option(
        parser=moment,
        metavar="TIME",
        help="Up to this date or time, or so long ago; now unless told.",
        show_default=False,
    ),
]
PolicyName = Annotated[
    str | None,
    typer.Option(
        "--policy",
        help="Policy file or pack.",
        metavar="FILE",
        show_default=False,
        autocompletion=policy_names,
    ),
]
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


def since_of(since: datetime | None, end: datetime) -> datetime:
    """Where the time up to `end` begins: thirty days before it unless told."""
    start = since or end - timedelta(days=30)
    if start >= end:
        from watchdog.settings import SettingsError  # noqa: PLC0415 - heavy, not for --help

        raise SettingsError(
            f"--since {start:%Y-%m-%d %H:%M} is not before --until {end:%Y-%m-%d %H:%M}"
        )
    return start


def chosen(output: Format, *, json: bool) -> Format:
    return Format.JSON if json else output
