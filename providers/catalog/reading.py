"""Reads files of the sources: CSV or JSON, plain or gzipped. Says which line is wrong, and why."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any


class CatalogueError(Exception):
    """A source cannot be read. The message names file, line and field."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a CSV file that knows where it stands."""

    file: str
    line: int
    cells: dict[str, str]

    def text(self, field: str) -> str:
        found = self.cells.get(field)
        if not found:
            raise CatalogueError(f"{self.file}, line {self.line}, {field}: nothing there")
        return found

    def one_of(self, field: str, known: tuple[str, ...]) -> str:
        text = self.text(field)
        if text not in known:
            expected = " or ".join(known)
            raise CatalogueError(
                f"{self.file}, line {self.line}, {field}: {text!r} is not {expected}"
            )
        return text

    def json_object(self, field: str) -> dict[str, Any]:
        text = self.text(field)
        try:
            found = json.loads(text)
        except json.JSONDecodeError:
            found = None
        if not isinstance(found, dict):
            raise CatalogueError(f"{self.file}, line {self.line}, {field}: {text!r} is no object")
        return found

    def whole(self, field: str) -> int:
        text = self.text(field)
        if not text.isdecimal():
            raise CatalogueError(f"{self.file}, line {self.line}, {field}: {text!r} is no count")
        return int(text)

    def price(self, field: str) -> str | None:
        """Dollars as exact decimal text. Empty and zero mean unknown, not free: None."""
        text = self.cells.get(field) or "0"
        try:
            dollars = Decimal(text)
        except InvalidOperation:
            dollars = Decimal(-1)
        if not dollars.is_finite() or dollars < 0:
            raise CatalogueError(f"{self.file}, line {self.line}, {field}: {text!r} is no price")
        return f"{dollars:f}" if dollars else None


def csv_rows(folder: Path, name: str, fields: tuple[str, ...]) -> Iterator[Row]:
    reader = csv.DictReader(_text(folder, name).splitlines())
    missing = [field for field in fields if field not in (reader.fieldnames or ())]
    if missing:
        raise CatalogueError(f"{name}, line 1: no column {', '.join(missing)}")
    for cells in reader:
        yield Row(name, reader.line_num, cells)


def json_object(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_text(folder, name))
    except json.JSONDecodeError as error:
        raise CatalogueError(f"{name}, line {error.lineno}: no JSON ({error.msg})") from error
    if not isinstance(found, dict):
        raise CatalogueError(f"{name}: an object by machine type was expected")
    return found


def _text(folder: Path, name: str) -> str:
    path = folder / name
    try:
        raw = path.read_bytes()
        return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode("utf-8")
    except FileNotFoundError as error:
        raise CatalogueError(
            f"{path}: not found; --from takes the folder of the price sources"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CatalogueError(f"{path}: cannot be read ({error})") from error
