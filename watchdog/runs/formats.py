"""CSV and JSON lines as rows of raw cells with their line numbers. No cell is read here."""

import csv
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import TypeAlias

from watchdog.runs.cells import close_to, shown, shown_name
from watchdog.runs.columns import COLUMN, REQUIRED
from watchdog.runs.rows import Fault
from watchdog.runs.text_lines import RunFileError, TextLines

Row: TypeAlias = Mapping[str, object]
Rows: TypeAlias = Generator[tuple[int, Row | Fault]]
"""Line (CSV: the header is 1), or row of a Parquet file, with its cells or what is broken."""


MOST_NAMES = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a text file of rows is laid out."""

    delimiter: str = ","
    names: tuple[str, ...] | None = None
    """Of the columns, where the file has no header."""
    of_the_contract: bool = True
    """Whether the columns are those of the product; else a mapping says what they mean."""


PRODUCT = Layout()


def check_header(path: Path, names: list[str], *, line: int | None, required: bool = True) -> None:
    """Refuses a file that names a column twice or, unless a mapping says otherwise, lacks a
    required one.
    """
    where = str(path) if line is None else f"{path}:{line}"
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise RunFileError(f"{where}: two columns are called {_listed(twice)}; rename one")
    missing = [name for name in REQUIRED if name not in names]
    if not missing or not required:
        return
    raise RunFileError(
        f"{where}: missing columns: {', '.join(missing)}; the file has: "
        f"{_listed(names)}{_advice(missing, names)}"
    )


def _listed(names: list[str]) -> str:
    listed = ", ".join(shown_name(name) for name in names[:MOST_NAMES] if name)
    return f"{listed}, …" if len(names) > MOST_NAMES else listed


def _advice(missing: list[str], names: list[str]) -> str:
    only = names[0] if len(names) == 1 else ""
    for separator, called in ((";", "semicolons"), ("\t", "tabs"), ("|", "bars")):
        if separator in only:
            return f". Its columns are separated by {called}; separate them by commas"
    others = tuple(name for name in names if name not in COLUMN)
    near = [(close_to(name, others), name) for name in missing]
    renames = [f"{shown_name(old)} to {new}" for old, new in near if old]
    return f". Rename {', '.join(renames)}?" if renames else ""


def csv_rows(path: Path, lines: TextLines, layout: Layout = PRODUCT) -> Rows:
    """A record that is not CSV is one fault; the lines after its first are read anew."""
    reader = csv.reader(lines, strict=True, delimiter=layout.delimiter)
    names = layout.names or _csv_header(path, reader, lines, layout)
    width = len(names)
    while True:
        lines.begin_record()
        first = lines.number + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            lines.give_back_all_but_first()
            reader = csv.reader(lines, strict=True, delimiter=layout.delimiter)
            yield first, Fault("row", _why_not_csv(error))
            continue
        if len(cells) == width:
            yield first, dict(zip(names, cells, strict=True))
        elif cells:
            yield first, Fault("row", _why_width(len(cells), width))


def _csv_header(
    path: Path, reader: Iterator[list[str]], lines: TextLines, layout: Layout
) -> Sequence[str]:
    """Blank lines before it are passed over."""
    try:
        names = next((cells for cells in reader if cells), None)
    except csv.Error as error:
        raise RunFileError(f"{path}:{lines.number}: the header {_why_not_csv(error)}") from error
    if names is None:
        raise RunFileError(f"{path}: is empty; its first line has to name the columns")
    names = [name.strip() for name in names]
    check_header(path, names, line=lines.number, required=layout.of_the_contract)
    return names


def _why_not_csv(error: csv.Error) -> str:
    said = str(error)
    if "unexpected end" in said:
        return "has a quote that is never closed; close it, or double a quote inside a value"
    if "field limit" in said:
        return (
            f"has a cell of more than {csv.field_size_limit():,} characters; is a quote not closed?"
        )
    if "new-line" in said:
        return "has a carriage return outside quotes; end lines with LF or CRLF"
    return "has text behind a closing quote; double each quote inside a quoted value"


def _why_width(found: int, width: int) -> str:
    advice = "put a value that holds a comma in quotes" if found > width else "are commas missing?"
    return f"has {found} cells where the header has {width}; {advice}"


def json_rows(path: Path, lines: TextLines) -> Rows:
    for line in lines:
        lines.begin_record()
        if line.isspace():
            continue
        if lines.number == 1 and line.lstrip().startswith("["):
            raise RunFileError(f"{path}: is a JSON array; write one object a line, without commas")
        yield lines.number, _object_of(line)
    if lines.number == 0:
        raise RunFileError(f"{path}: is empty; write one JSON object a line")


def _object_of(line: str) -> Row | Fault:
    try:
        found = json.loads(line.rstrip(), parse_float=Decimal)
    except json.JSONDecodeError as error:
        return Fault("row", f"is not JSON: {error.msg} at character {error.pos + 1}")
    except RecursionError:
        return Fault("row", "is not JSON that can be read: it is nested too deeply")
    except ValueError:  # Python's own limit: some thousand digits
        return Fault("row", "is not JSON that can be read: a number in it is too long")
    if not isinstance(found, dict):
        return Fault("row", f"{shown(found)} is not a JSON object; write {{…}}, one a line")
    return found
