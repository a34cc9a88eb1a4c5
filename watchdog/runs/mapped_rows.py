"""Rows of other systems' files, with their line numbers, before a map says what they mean."""

import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from watchdog.runs.column_map import ColumnMap
from watchdog.runs.formats import Layout, Rows, csv_rows, json_rows
from watchdog.runs.rows import Fault
from watchdog.runs.text_lines import RunFileError, TextLines

LINES = frozenset({".jsonl", ".ndjson"})
DOCUMENT = ".json"


def mapped_rows(path: Path, lines: TextLines, suffix: str, columns: ColumnMap) -> Rows:
    """By suffix JSON lines or a JSON document, whose rows are numbered from 1; else text."""
    if suffix in LINES:
        yield from json_rows(path, lines)
    elif suffix == DOCUMENT:
        yield from _document_rows(path, lines, columns)
    else:
        layout = Layout(delimiter=columns.delimiter, names=columns.columns, of_the_contract=False)
        yield from csv_rows(path, lines, layout)


def _document_rows(path: Path, lines: TextLines, columns: ColumnMap) -> Rows:
    try:
        told = json.loads("".join(lines), parse_float=Decimal)
    except RecursionError:
        raise RunFileError(f"{path}: is JSON that is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise RunFileError(f"{path}:{error.lineno}: is not JSON: {error.msg}") from None
    for number, row in enumerate(_list(path, told, columns), start=1):
        if isinstance(row, Mapping):
            yield number, row
        else:
            yield number, Fault("row", "is not a JSON object")


def _list(path: Path, told: Any, columns: ColumnMap) -> list[Any]:
    for part in columns.rows.split(".") if columns.rows else ():
        told = told.get(part) if isinstance(told, Mapping) else None
    if isinstance(told, list):
        return told
    if isinstance(told, Mapping) and columns.rows is None:
        return [told]
    raise RunFileError(f"{path}: has no list of rows at {columns.rows!r}, where the map looks")
