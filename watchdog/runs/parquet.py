"""Parquet as rows of raw cells, through DuckDB: each value becomes the text a CSV would hold."""

from collections.abc import Iterator
from pathlib import Path

import duckdb

from watchdog.runs.columns import COLUMN
from watchdog.runs.formats import Row, check_header
from watchdog.runs.text_lines import RunFileError

ROWS_AT_ONCE = 2048
MEMORY = "256MB"
NESTED = ("[]", "STRUCT", "MAP", "UNION")


class ParquetFile:
    """Rows are numbered from 1: a Parquet file has no lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows_in_all = 0
        self._rows_read = 0
        self._connection = duckdb.connect(config={"memory_limit": MEMORY})

    def bytes_read(self) -> int:
        """The rows read, as the share of the file's bytes that they stand for."""
        return self._path.stat().st_size * self._rows_read // max(1, self._rows_in_all)

    def rows(self) -> Iterator[tuple[int, Row]]:
        with self._connection as connection:
            try:
                yield from self._rows(connection)
            except duckdb.Error as error:
                said = str(error).splitlines()[0]
                raise RunFileError(f"{self._path}: cannot be read as Parquet: {said}") from error

    def _rows(self, connection: duckdb.DuckDBPyConnection) -> Iterator[tuple[int, Row]]:
        source = [_literal(self._path)]
        read = "from read_parquet(?, binary_as_string = true)"
        columns = connection.execute(f"describe select * {read}", source).fetchall()
        types = {str(name): str(kind) for name, kind, *_ in columns}
        check_header(self._path, list(types), line=None)
        self._refuse_nested(types)
        self._rows_in_all = _count(connection.execute(f"select count(*) {read}", source))
        cells = ", ".join(_as_text(name, kind) for name, kind in types.items())
        found = connection.execute(f"select {cells} {read}", source)
        while rows := found.fetchmany(ROWS_AT_ONCE):
            for row in rows:
                self._rows_read += 1
                yield self._rows_read, dict(zip(types, row, strict=True))

    def _refuse_nested(self, types: dict[str, str]) -> None:
        for name, kind in types.items():
            if name in COLUMN and any(mark in kind for mark in NESTED):
                raise RunFileError(
                    f"{self._path}: column {name} holds {kind}; write one value in each cell"
                )


def _count(answer: duckdb.DuckDBPyConnection) -> int:
    return int((answer.fetchone() or (0,))[0])


def _literal(path: Path) -> str:
    """DuckDB takes a path for a pattern; brackets make each sign of a pattern stand for itself."""
    return "".join(f"[{sign}]" if sign in "*?[" else sign for sign in str(path))


def _as_text(name: str, kind: str) -> str:
    column = '"' + name.replace('"', '""') + '"'
    if name not in COLUMN:
        return "null"
    if kind.endswith("WITH TIME ZONE"):
        return f"({column} at time zone 'UTC')::varchar || 'Z'"
    return f"{column}::varchar"
