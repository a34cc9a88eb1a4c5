"""One cell, as text or as a JSON value, read into the value of its column. Pure."""

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from difflib import get_close_matches
from functools import lru_cache
from math import isfinite
from types import MappingProxyType
from typing import TypeAlias

from watchdog.runs.columns import COLUMNS, Cell, Column

Reader: TypeAlias = Callable[[object], object]
"""From a cell that is neither None nor empty to its value; None where only blanks stand in it."""

EXAMPLE_TIME = "2026-01-31T14:05:09Z"
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)?", re.ASCII)
SHOWN_CHARACTERS = 60
NANO_DOLLAR = Decimal("0.000000001")
PLAIN_DIGITS = 18
"""Digits that surely stay below 2^63."""
PLAIN_NUMBER = re.compile(r"-?\d+(?:\.\d*)?", re.ASCII)
LONGEST_NUMBER = 400
"""Characters: what is longer is no figure, and slow to convert."""

OTHER_SYSTEMS_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "completed": "succeeded",
        "done": "succeeded",
        "finished": "succeeded",
        "ok": "succeeded",
        "success": "succeeded",
        "crashed": "failed",
        "error": "failed",
        "aborted": "cancelled",
        "interrupted": "cancelled",
        "killed": "cancelled",
        "stopped": "cancelled",
        "active": "running",
        "out_of_memory": "oom",
        "memory": "oom",
        "node_fail": "node_failure",
        "spot": "preempted",
        "on-premises": "local",
        "remote": "cloud",
    }
)
"""What other systems call it. Only ever suggested: a word is not translated behind one's back."""


class UnreadableCellError(ValueError):
    """Why a cell cannot be read, in words that follow the column's name."""


def shown(value: object) -> str:
    """A value as it may stand in a message: one line, nothing that a terminal obeys, not long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def shown_name(name: str) -> str:
    """A column's name as it may stand in a message: as it is, unless a terminal would obey it."""
    return name if name.isprintable() and len(name) <= SHOWN_CHARACTERS else shown(name)


def shown_time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


@lru_cache(maxsize=1000)
def close_to(word: str, words: tuple[str, ...]) -> str | None:
    """The one of `words` that was probably meant; None where none is near."""
    meant_by = {other: word for other, word in OTHER_SYSTEMS_WORDS.items() if word in words}
    meant_by |= {each: each for each in words}
    lower = word.strip().lower().replace(" ", "_")
    near = get_close_matches(lower, meant_by, n=1, cutoff=0.7)
    return meant_by[near[0]] if near else None


def text(raw: object) -> str | None:
    if not isinstance(raw, str):
        return _text_of_other(raw)
    if not raw.isprintable():  # nearly all text is, and the question is cheap; else look closer
        _refuse_unstorable(raw)
    return raw.strip() or None


def _text_of_other(raw: object) -> str:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return str(raw)
    raise UnreadableCellError(f"{shown(raw)} is not text; put it in quotes")


def _refuse_unstorable(value: str) -> None:
    if "\0" in value:
        raise UnreadableCellError("holds a NUL byte; remove it")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UnreadableCellError("is not valid UTF-8 text; save the file as UTF-8") from None


def moment(raw: object) -> datetime | None:
    """Aware and in UTC; naive where the cell names no zone: what that means, its reader decides."""
    if not isinstance(raw, str):
        raise UnreadableCellError(_not_a_time(raw))
    stripped = raw.strip()
    if not stripped:
        return None
    if RFC_3339.fullmatch(stripped) is None:
        raise UnreadableCellError(_not_a_time(raw))
    try:
        value = datetime.fromisoformat(stripped.upper())
        return value if value.tzinfo in (UTC, None) else value.astimezone(UTC)
    except (ValueError, OverflowError):
        raise UnreadableCellError(_not_a_time(raw)) from None


def _not_a_time(raw: object) -> str:
    return f"{shown(raw)} is not a time; write it as RFC 3339, like {EXAMPLE_TIME}"


def _exact(raw: object) -> Decimal | None:
    """The finite number in a cell, exactly as written; None where only blanks stand in it."""
    if isinstance(raw, str):
        stripped = raw.strip()
        if not stripped:
            return None
        number = _exact_of_text(stripped)
    elif isinstance(raw, int | float | Decimal) and not isinstance(raw, bool):
        number = raw if isinstance(raw, Decimal) else Decimal(repr(raw))
    else:
        raise UnreadableCellError(f"{shown(raw)} is not a number")
    if not number.is_finite():
        raise UnreadableCellError(
            f"{shown(raw)} is not a finite number; leave it empty where it is unknown"
        )
    return number


def _exact_of_text(stripped: str) -> Decimal:
    """Decimal takes underscores and the digits of every script; a file's figures have neither."""
    if not stripped.isascii() or "_" in stripped or len(stripped) > LONGEST_NUMBER:
        raise UnreadableCellError(f"{shown(stripped)} is not a number")
    try:
        return Decimal(stripped)
    except InvalidOperation:
        raise UnreadableCellError(f"{shown(stripped)} is not a number") from None


def _within(number: Decimal | float, raw: object, column: Column) -> None:
    below = column.least is not None and number < column.least
    above = column.most is not None and number > column.most
    if not below and not above:
        return
    if column.unit == "percent":
        raise UnreadableCellError(f"{shown(raw)} is outside 0 to 100 percent")
    if below:
        raise UnreadableCellError(f"{shown(raw)} is negative")
    raise UnreadableCellError(f"{shown(raw)} is too large")


def _integer_of(column: Column) -> Reader:
    def integer(raw: object) -> int | None:
        if isinstance(raw, str) and len(raw) <= PLAIN_DIGITS and raw.isascii() and raw.isdigit():
            return int(raw)  # nearly every cell; no column's bounds are narrower
        if isinstance(raw, int) and not isinstance(raw, bool):
            _within(raw, raw, column)
            return raw
        number = _exact(raw)
        if number is None:
            return None
        _within(number, raw, column)
        if number != number.to_integral_value():
            raise UnreadableCellError(f"{shown(raw)} is not a whole number")
        return int(number)

    return integer


def _number_of(column: Column) -> Reader:
    def number(raw: object) -> float | None:
        if isinstance(raw, str) and len(raw) <= PLAIN_DIGITS and PLAIN_NUMBER.fullmatch(raw):
            value = float(raw)  # nearly every cell
            _within(value, raw, column)
            return value
        exact = _exact(raw)
        if exact is None:
            return None
        value = float(exact)
        if not isfinite(value):
            raise UnreadableCellError(f"{shown(raw)} is too large")
        _within(value, raw, column)
        return value

    return number


def _money_of(column: Column) -> Reader:
    def money(raw: object) -> Decimal | None:
        number = _exact(raw)
        if number is None:
            return None
        _within(number, raw, column)
        return number.quantize(NANO_DOLLAR)

    return money


def _word_of(column: Column) -> Reader:
    members = {str(word): word for word in column.words}

    def word(raw: object) -> str | None:
        stripped = text(raw)
        if stripped is None:
            return None
        if stripped in members:
            return members[stripped]
        meant = close_to(stripped, tuple(members))
        advice = f"did you mean {meant}? " if meant else ""
        raise UnreadableCellError(
            f"{shown(stripped)} is not a known word; {advice}use one of {', '.join(members)}"
        )

    return word


def _reader_of(column: Column) -> Reader:
    match column.cell:
        case Cell.TEXT:
            return text
        case Cell.TIME:
            return moment
        case Cell.WORD:
            return _word_of(column)
        case Cell.INTEGER:
            return _integer_of(column)
        case Cell.NUMBER:
            return _number_of(column)
        case Cell.MONEY:
            return _money_of(column)


READERS: Mapping[str, Reader] = MappingProxyType(
    {column.name: _reader_of(column) for column in COLUMNS}
)
