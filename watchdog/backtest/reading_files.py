"""Recorded readings from a file, in the columns that all importers and exports share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from watchdog.runs.text_lines import RunFileError

REQUIRED = ("resource", "started_at", "ended_at", "utilisation_max_pct")
TEXTS = ("resource", "gpu", "workload")
TIMES = ("started_at", "ended_at")
NUMBERS = ("utilisation_max_pct", "memory_used_mib", "received_bytes", "sent_bytes")
OPEN_WITH: Mapping[str, str] = {
    ".csv": "read_csv(?, header = true, all_varchar = true)",
    ".jsonl": "read_json(?, format = 'newline_delimited')",
    ".ndjson": "read_json(?, format = 'newline_delimited')",
    ".parquet": "read_parquet(?, binary_as_string = true)",
}
MOST_PCT = 100.0
ROWS_AT_ONCE = 10_000


class ReadingPathError(RunFileError):
    """A path that cannot be a file of readings: a usage error."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Sample:
    """One GPU over one interval. Times in seconds since 1970."""

    resource: str
    gpu: str | None
    workload: str | None
    started_s: float
    ended_s: float
    utilisation_max_pct: float | None
    memory_used_mib: float | None
    received_bytes: float | None
    sent_bytes: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingFile:
    samples: list[Sample]
    bad: int
    """Rows that were left out."""
    notice: str | None
    """What is wrong with them."""


def read_readings(path: Path) -> ReadingFile:
    """A CSV, JSON lines (both also gzipped) or Parquet file. Times without a zone are UTC."""
    suffix = "".join(path.suffixes[-2:] if path.suffix == ".gz" else path.suffixes[-1:])
    opened = OPEN_WITH.get(suffix.removesuffix(".gz"))
    if opened is None:
        raise ReadingPathError(f"{path}: must be one of {', '.join(OPEN_WITH)}, or .csv.gz")
    if not path.is_file():
        raise ReadingPathError(f"{path}: there is no such file")
    samples: list[Sample] = []
    wrong: list[str] = []
    with duckdb.connect() as connection:
        try:
            for number, cells in enumerate(_rows(connection, path, opened), start=1):
                why = _fault(cells)
                if why is None:
                    samples.append(Sample(*cells[1:]))
                else:
                    wrong.append(f"row {number}: {why}")
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise RunFileError(f"{path}: cannot be read: {said}") from error
    notice = f"{path}: {len(wrong)} rows were left out; {wrong[0]}" if wrong else None
    return ReadingFile(samples=samples, bad=len(wrong), notice=notice)


def _rows(
    connection: duckdb.DuckDBPyConnection, path: Path, opened: str
) -> Iterator[Sequence[Any]]:
    """Whether a utilisation stands there at all, and then the cells of a sample."""
    connection.execute("set TimeZone = 'UTC'")
    source = ["".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))]
    names = [name for name, *_ in connection.execute(f"describe from {opened}", source).fetchall()]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise RunFileError(
            f"{path}: missing columns: {', '.join(missing)}; the file has: {', '.join(names)}"
        )
    wanted = [
        *[_text(name) if name in names else "null" for name in ("utilisation_max_pct", *TEXTS)],
        *[f"epoch(try_cast({_text(name)} as timestamptz))" for name in TIMES],
        *[
            f"try_cast({_text(name)} as double)" if name in names else "null::double"
            for name in NUMBERS
        ],
    ]
    found = connection.execute(f"select {', '.join(wanted)} from {opened}", source)  # noqa: S608 - constants
    while rows := found.fetchmany(ROWS_AT_ONCE):
        yield from rows


def _text(name: str) -> str:
    """Blank is missing."""
    return f"nullif(trim({name}::varchar), '')"


def _fault(cells: Sequence[Any]) -> str | None:
    told, resource, _, _, started, ended, utilisation, *_ = cells
    if resource is None:
        return "resource is missing"
    if not isinstance(started, float) or not isinstance(ended, float):
        return "started_at and ended_at must be RFC 3339 times"
    if ended <= started:
        return "ended_at must lie after started_at"
    is_number = isinstance(utilisation, float) and 0.0 <= utilisation <= MOST_PCT
    if told is not None and str(told).lower() != "nan" and not is_number:
        return f"utilisation_max_pct must be a number from 0 to 100, not {told}"
    return None
