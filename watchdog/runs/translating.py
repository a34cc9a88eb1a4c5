"""Rows of another system in our columns, by a map. Pure."""

from __future__ import annotations

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from providers.fingerprint import fingerprint
from watchdog.runs.cells import EXAMPLE_TIME, shown
from watchdog.runs.column_map import ColumnMap, FieldMap
from watchdog.runs.columns import COLUMN, Cell
from watchdog.runs.formats import Row
from watchdog.runs.rows import Fault

EPOCHS = {"epoch": 1, "epoch_ms": 1_000, "epoch_us": 1_000_000}
"""How many of its units are a second."""
FILE, LINE = "@file", "@line"
"""Columns that every file has: its name without suffixes, and the number of the row's line."""
BARE = re.compile(r"(\.(csv|jsonl?|ndjson|txt|log|psv|tsv|gz))+$", re.IGNORECASE)


class _CellFaultError(ValueError):
    """Why a cell of theirs gives no value of ours."""


@dataclass(frozen=True, slots=True)
class Translator:
    """Their rows into ours, by a map."""

    columns: ColumnMap
    file: str

    def leaves_out(self, row: Row, line: int) -> bool:
        return any(
            _matching(str(self._cell(row, line, each.column) or ""), each.is_) is not None
            for each in self.columns.skip
        )

    def row(self, row: Row, line: int) -> dict[str, object] | list[Fault]:
        """Cells by our names, as texts or JSON values; what cannot be translated is a fault."""
        found: dict[str, object] = {}
        faults = []
        for name, told in self.columns.fields.items():
            try:
                found[name] = self._value(row, line, name, told)
            except _CellFaultError as error:
                faults.append(Fault(name, str(error)))
        return faults or found

    def _value(self, row: Row, line: int, name: str, told: FieldMap) -> object:
        if told.column is None:
            return self._made(row, line, name, told)
        cell = self._cell(row, line, told.column)
        if cell is None:
            return None
        if told.words:
            word = _matching(str(cell), tuple(told.words))
            return told.other if word is None else told.words[word]
        if COLUMN[name].cell is Cell.TIME:
            return self._moment(row, line, cell, told)
        if told.scale is not None:
            return _number(cell) * told.scale
        return cell if isinstance(cell, str | int | float | Decimal) else str(cell)

    def _made(self, row: Row, line: int, name: str, told: FieldMap) -> object:
        """Of no column, or of several."""
        if told.text is not None:
            return self._text(row, line, told.text)
        if told.count is not None:
            listed = _inside(row, told.count)
            return len(listed) if isinstance(listed, list) else None
        if told.fingerprint is not None:
            parts = {each: self._cell(row, line, each) for each in told.fingerprint}
            known = any(each is not None for each in parts.values())
            return fingerprint(name, parts) if known else None
        return told.value

    def _moment(self, row: Row, line: int, cell: object, told: FieldMap) -> object:
        at = _moment_of(cell, told.time)
        if told.plus_seconds is not None:
            seconds = self._cell(row, line, told.plus_seconds)
            if seconds is None:
                return None
            parts = Decimal(1) if told.per is None else self._divisor(row, line, told.per)
            at += timedelta(seconds=float(_number(seconds) / parts))
        return at.isoformat()

    def _divisor(self, row: Row, line: int, column: str) -> Decimal:
        parts = _number(self._cell(row, line, column) or 0)
        if not parts:
            raise _CellFaultError(f"{column} is 0 or empty: nothing can be divided by it")
        return parts

    def _text(self, row: Row, line: int, template: str) -> str | None:
        parts = []
        for literal, column, _, _ in string.Formatter().parse(template):
            parts.append(literal)
            if column is None:
                continue
            cell = self._cell(row, line, column)
            if cell is None:
                return None
            parts.append(str(cell))
        return "".join(parts)

    def _cell(self, row: Row, line: int, column: str) -> Any:
        """A column, or a path through JSON. None where it is missing, empty or said to be
        unknown.
        """
        if column == FILE:
            return self.file
        if column == LINE:
            return line
        found: Any = row[column] if column in row else _inside(row, column)
        if isinstance(found, list) and len(found) == 1 and not isinstance(found[0], dict | list):
            found = found[0]  # newer versions of Slurm list the one state that there is
        if isinstance(found, str):
            found = found.strip()
        return None if found == "" or found in self.columns.unknown else found


def _inside(row: Any, path: str) -> Any:
    for part in path.split("."):
        if isinstance(row, Mapping):
            row = row.get(part)
        elif isinstance(row, list) and part.isdecimal() and int(part) < len(row):
            row = row[int(part)]
        else:
            return None
    return row


def _matching(word: str, patterns: Sequence[str]) -> str | None:
    """The pattern that a word is, or whose beginning it has."""
    if word in patterns:
        return word
    open_ended = (each for each in patterns if each.endswith("*"))
    return next((each for each in open_ended if word.startswith(each[:-1])), None)


def _moment_of(cell: object, how: str | None) -> datetime:
    text = str(cell)
    try:
        if how in EPOCHS:
            seconds = Decimal(text) / EPOCHS[how]
            return datetime.fromtimestamp(float(seconds), UTC)
        if how is not None:
            return datetime.strptime(text, how)  # noqa: DTZ007 - its zone comes later
        return datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError, InvalidOperation):
        wanted = f"by {how!r}" if how else f"like {EXAMPLE_TIME}"
        raise _CellFaultError(f"{shown(cell)} is not a time {wanted}") from None


def _number(cell: object) -> Decimal:
    try:
        found = Decimal(str(cell))
    except InvalidOperation:
        raise _CellFaultError(f"{shown(cell)} is not a number") from None
    if not found.is_finite():
        raise _CellFaultError(f"{shown(cell)} is not a finite number")
    return found


def bare_name(path: Path) -> str:
    """A file's name without the suffixes that only tell its format."""
    return BARE.sub("", path.name)
