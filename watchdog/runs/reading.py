"""Run files, read row by row: CSV, JSON lines (both also gzipped) and Parquet."""

import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Run
from watchdog.runs.cells import close_to, shown, shown_name
from watchdog.runs.column_map import ColumnMap
from watchdog.runs.columns import COLUMNS
from watchdog.runs.formats import Row, Rows, csv_rows, json_rows
from watchdog.runs.mapped_rows import mapped_rows
from watchdog.runs.parquet import ParquetFile
from watchdog.runs.rows import NO_DEFAULTS, Fault, run_from
from watchdog.runs.text_lines import RunFileError, TextLines
from watchdog.runs.translating import Translator, bare_name

RowsOfText: TypeAlias = Callable[[Path, TextLines], Rows]

TEXT_FORMATS: Mapping[str, RowsOfText] = MappingProxyType(
    {".csv": csv_rows, ".jsonl": json_rows, ".ndjson": json_rows}
)
PARQUET = ".parquet"
SUFFIXES = (*TEXT_FORMATS, *(f"{suffix}.gz" for suffix in TEXT_FORMATS), PARQUET)
NAMES = tuple(column.name for column in COLUMNS)
MADE_BY_THE_LEDGER = ("revision", "observed_at", "told_by")
"""Columns of an export that every ledger makes anew."""
KNOWN = frozenset({*NAMES, *MADE_BY_THE_LEDGER})
MOST_UNKNOWN_NAMES = 20


class RunPathError(RunFileError):
    """A path that cannot be a run file: a usage error, found before anything is read."""

    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with one field of one row."""

    file: str
    line: int
    """The header of a CSV is 1; in a Parquet file the number of the row, from 1."""
    field: str
    """A column, or `row` where the row as a whole is broken."""
    why: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.field}: {self.why}"


class RunFile:
    """Iterates over `(line, Run | Problem)`: the run, or every problem, of each row.

    Memory grows only with the ids seen, for an id may stand in one row only.
    """

    def __init__(
        self,
        path: Path,
        *,
        now: datetime,
        strict: bool = False,
        defaults: Mapping[str, object] = NO_DEFAULTS,
        columns: ColumnMap | None = None,
    ) -> None:
        self.path = path
        self._suffix = checked_suffix(path, mapped=columns is not None)
        self._columns = columns
        self._translator = None if columns is None else Translator(columns, bare_name(path))
        self._left_out = 0
        self._now = now
        self._strict = strict
        self._defaults = defaults
        self._naive_zone: tzinfo | None = None if columns is None else columns.zone
        self._naive_line = 0
        self._line_of: dict[str, int] = {}
        self._unknown_names: dict[str, None] = {}
        self._bytes_read: Callable[[], int] = int

    def __iter__(self) -> Iterator[tuple[int, Run | Problem]]:
        with closing(self._rows()) as rows:
            for line, row in rows:
                if self._is_left_out(line, row):
                    self._left_out += 1
                    continue
                found = [row] if isinstance(row, Fault) else self._run_of(line, row)
                if isinstance(found, Run):
                    yield line, found
                    continue
                for fault in found:
                    yield line, self._problem(line, fault)

    @property
    def bytes_read(self) -> int:
        """Of the file as it lies on the disk; asked for while iterating."""
        return self._bytes_read()

    @property
    def notices(self) -> tuple[str, ...]:
        """What was read in a way that its writer may not mean; complete after the last row."""
        return tuple(self._notices())

    def _rows(self) -> Rows:
        try:
            if self._suffix == PARQUET:
                parquet = ParquetFile(self.path)
                self._bytes_read = parquet.bytes_read
                yield from parquet.rows()
                return
            with TextLines(self.path) as lines:
                self._bytes_read = lines.bytes_read
                if self._columns is None:
                    yield from TEXT_FORMATS[self._suffix](self.path, lines)
                else:
                    yield from mapped_rows(self.path, lines, self._suffix, self._columns)
        except OSError as error:
            raise RunFileError(f"{self.path}: cannot be read: {error.strerror}") from error

    def _is_left_out(self, line: int, row: Row | Fault) -> bool:
        if self._translator is None or isinstance(row, Fault):
            return False
        return self._translator.leaves_out(row, line)

    def _run_of(self, line: int, row: Row) -> Run | list[Fault]:
        if self._translator is not None:
            translated = self._translator.row(row, line)
            if isinstance(translated, list):
                return translated
            row = translated
        elif not KNOWN.issuperset(row):
            self._remember_unknown_names(row)
        found = self._read(row)
        if isinstance(found, list) and self._may_take_for_utc(found):
            self._naive_zone = UTC
            self._naive_line = line
            found = self._read(row)
        run_id = found.run_id if isinstance(found, Run) else str(row.get("run_id") or "").strip()
        first = self._line_of.setdefault(run_id, line) if run_id else line
        if first == line:
            return found
        twice = Fault("run_id", f"{shown(run_id)} stands in line {first} too; keep one row a run")
        return [twice] if isinstance(found, Run) else [twice, *found]

    def _read(self, row: Row) -> Run | list[Fault]:
        return run_from(row, now=self._now, defaults=self._defaults, naive_zone=self._naive_zone)

    def _may_take_for_utc(self, faults: list[Fault]) -> bool:
        return not self._strict and any(fault.no_zone for fault in faults)

    def _problem(self, line: int, fault: Fault) -> Problem:
        return Problem(file=str(self.path), line=line, field=fault.field, why=fault.why)

    def _remember_unknown_names(self, row: Row) -> None:
        for name in row:
            if name not in KNOWN and len(self._unknown_names) < MOST_UNKNOWN_NAMES:
                self._unknown_names[name] = None

    def _notices(self) -> Iterator[str]:
        if self._unknown_names:
            names = ", ".join(map(_with_meant, self._unknown_names))
            yield f"{self.path}: columns that are not known and were not read: {names}"
        if self._naive_line:
            remedy = "write Z behind them" if self._columns is None else "say time_zone in the map"
            yield (
                f"{self.path}:{self._naive_line}: times without a time zone were taken for UTC; "
                f"{remedy}"
            )
        if self._left_out:
            yield f"{self.path}: {self._left_out:,} rows were left out, as the map's skip says"


def _with_meant(name: str) -> str:
    if not name:
        return "one without a name"
    meant = close_to(name, NAMES)
    return f"{shown_name(name)} (did you mean {meant}?)" if meant else shown_name(name)


def checked_suffix(path: Path, *, mapped: bool = False) -> str:
    """The suffix that names the format, without `.gz`; refuses what cannot be a run file.

    Mapped: JSON documents too, and what is neither JSON nor Parquet is text with delimiters.
    """
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        raise RunPathError(f"{path}: does not exist") from None
    except OSError as error:
        raise RunPathError(f"{path}: cannot be read: {error.strerror}") from error
    if is_folder:
        raise RunPathError(f"{path}: is a folder; name the files in it")
    name = path.name.lower()
    if mapped:
        return _mapped_suffix(path, Path(name.removesuffix(".gz")).suffix)
    if not name.endswith(SUFFIXES):
        raise RunPathError(
            f"{path}: is not a run file; its name has to end in {', '.join(SUFFIXES)}"
        )
    return Path(name.removesuffix(".gz")).suffix


def _mapped_suffix(path: Path, suffix: str) -> str:
    if suffix == PARQUET:
        raise RunPathError(f"{path}: a map cannot be used with Parquet; write it as CSV or JSON")
    return suffix


def read_runs(
    path: Path,
    *,
    now: datetime,
    strict: bool = False,
    defaults: Mapping[str, object] = NO_DEFAULTS,
    columns: ColumnMap | None = None,
) -> RunFile:
    """The runs of a file and what is wrong with it, row by row; no ledger is needed.

    Strict: times without a zone are problems; else they are taken for UTC, and a notice says so.
    `defaults` are values of `Run` where the file leaves a cell unknown. `columns` None: the file
    has the product's own.
    """
    return RunFile(path, now=now, strict=strict, defaults=defaults, columns=columns)
