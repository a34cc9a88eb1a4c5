"""Run files as people write them, in a temporary folder."""

import csv
import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from policies.facts import Run
from watchdog.runs.columns import COLUMN, COLUMNS, Cell
from watchdog.runs.reading import Problem, read_runs
from watchdog.runs.revision import cells_of

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GOOD = {
    "run_id": "r1",
    "workload": "llama",
    "started_at": "2026-01-01T00:00:00Z",
    "outcome": "succeeded",
}
NAMES = tuple(column.name for column in COLUMNS)


def row(**cells: object) -> dict[str, object]:
    """A good row with other cells."""
    return {**GOOD, **cells}


def write_csv(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    names = list(dict.fromkeys(name for each in rows for name in each))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_jsonl(path: Path, rows: Iterable[object]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows), encoding="utf-8")
    return path


def write_gzip(path: Path, text: bytes) -> Path:
    path.write_bytes(gzip.compress(text))
    return path


def write_parquet(path: Path, select: str) -> Path:
    """What DuckDB selects, as a Parquet file."""
    with duckdb.connect() as connection:
        connection.execute("set TimeZone = 'UTC'")
        connection.execute(f"copy ({select}) to '{path}' (format parquet)")
    return path


def write_runs(path: Path, runs: Sequence[Run]) -> Path:
    """Runs in the format that the suffix names; JSON lines and Parquet with typed cells."""
    rows = [dict(zip(NAMES, cells_of(run), strict=True)) for run in runs]
    if path.suffix == ".csv":
        return write_csv(path, rows)
    lines = path.with_name(f"{path.name}.jsonl")
    write_jsonl(lines, [{name: _typed(name, cell) for name, cell in row.items()} for row in rows])
    if path.suffix == ".jsonl":
        return lines
    types = {column.name: _TYPES[column.cell] for column in COLUMNS}
    return write_parquet(
        path, f"select * from read_json('{lines}', columns = {types}, format = 'newline_delimited')"
    )


def _typed(name: str, cell: str | None) -> object:
    if cell is None:
        return None
    match COLUMN[name].cell:
        case Cell.INTEGER:
            return int(cell)
        case Cell.NUMBER:
            return float(cell)
        case _:
            return cell


_TYPES = {
    Cell.TEXT: "VARCHAR",
    Cell.WORD: "VARCHAR",
    Cell.TIME: "TIMESTAMPTZ",
    Cell.INTEGER: "BIGINT",
    Cell.NUMBER: "DOUBLE",
    Cell.MONEY: "DECIMAL(18,9)",
}


def read(path: Path, *, strict: bool = False) -> tuple[list[Run], list[str]]:
    """The good runs, and what is said of the others."""
    runs: list[Run] = []
    said: list[str] = []
    for _, found in read_runs(path, now=NOW, strict=strict):
        if isinstance(found, Problem):
            said.append(str(found).removeprefix(f"{path.parent}/"))
        else:
            runs.append(found)
    return runs, said


def notices(path: Path) -> list[str]:
    file = read_runs(path, now=NOW)
    for _ in file:
        pass
    return [each.replace(f"{path.parent}/", "") for each in file.notices]
