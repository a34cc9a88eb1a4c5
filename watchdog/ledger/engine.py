"""DuckDB, embedded: it shows the tables to SQL and runs the views over them."""

import tempfile
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import unquote

import duckdb
from deltalake import DeltaTable

from watchdog.ledger.datafiles import quoted
from watchdog.ledger.tables import DAY, Column, Table, Type
from watchdog.ledger.views import RAW

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Engine:
    """One connection. Not to be shared by threads."""

    def __init__(self) -> None:
        self.connection = duckdb.connect(
            config={
                "autoinstall_known_extensions": False,  # nothing is fetched while it runs
                "pandas_analyze_sample": 0,  # columns of objects hold text: no guessing
                "python_enable_replacements": False,  # a name in SQL never means a variable
                "temp_directory": str(
                    Path(tempfile.gettempdir()) / f"spend-watchdog-{uuid.uuid4()}"
                ),
            }
        )
        self.connection.execute("set TimeZone = 'UTC'")
        self._shown: dict[str, object] = {}

    def show(
        self, table: Table, delta: DeltaTable, *, in_folder: bool, predicate: str | None = None
    ) -> None:
        """Make the table visible as `raw_<name>`, or only those of its days that the predicate
        picks. Of a bucket's table the rows are fetched.
        """
        state = (delta.version(), predicate)
        if self._shown.get(table.name) == state:
            return
        self._shown.pop(table.name, None)
        if in_folder:
            files = delta.file_uris(file_pruning_predicate=predicate)
            self._view(table, [unquote(file) for file in files])
        else:
            self._fetch(table, delta, predicate)
        self._shown[table.name] = state

    def show_files(self, table: Table, files: Sequence[str]) -> None:
        """The same of some files only, by their paths."""
        self._shown.pop(table.name, None)
        self._view(table, files)

    def relation(self, sql: str, values: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
        return self.connection.sql(sql, params=dict(values))

    def rows(self, relation: duckdb.DuckDBPyRelation) -> list[dict[str, object]]:
        """Python values: aware UTC times, exact decimals, None for NULL and NaN."""
        kinds = dict(zip(relation.columns, map(str, relation.types), strict=True))
        told = relation.project(", ".join(_plain(name, kind) for name, kind in kinds.items()))
        rows = told.fetchall()
        names = tuple(kinds)
        times = [place for place, name in enumerate(names) if kinds[name] == Type.TIME.upper()]
        if not times:
            return [dict(zip(names, row, strict=True)) for row in rows]
        return [dict(zip(names, _with_times(row, times), strict=True)) for row in rows]

    def _view(self, table: Table, files: Sequence[str]) -> None:
        rows = f"select {_nothing(table)} where false"
        if files:
            listed = ", ".join(quoted(file) for file in files)
            columns = ", ".join(_stored(table, column) for column in table.columns)
            source = f"read_parquet([{listed}], hive_partitioning = false)"
            rows = f"select {columns} from {source}"  # noqa: S608 - names are the tables' own
        self.connection.execute(f"create or replace temp view {RAW}{table.name} as {rows}")

    def _fetch(self, table: Table, delta: DeltaTable, predicate: str | None) -> None:
        columns = ", ".join(f'"{name}"' for name in table.names)
        self.connection.register("fetched", delta.scan(predicate=predicate))
        rows = f"select {columns} from fetched"  # noqa: S608 - names are the tables' own
        self.connection.execute(f"create or replace temp table {RAW}{table.name} as {rows}")
        self.connection.unregister("fetched")


def _stored(table: Table, column: Column) -> str:
    """Files hold every column but the one by which they are parted, which follows from another."""
    if column is DAY and table.day_of is not None:
        return f'cast("{table.day_of}" as date) as "{DAY.name}"'
    return f'"{column.name}"'


def _nothing(table: Table) -> str:
    return ", ".join(f'cast(null as {c.type}) as "{c.name}"' for c in table.columns)


def _plain(name: str, kind: str) -> str:
    """Times as microseconds: the zone's own rules need a database that not every host has."""
    quoted_name = '"' + name.replace('"', '""') + '"'
    if kind == Type.TIME.upper():
        return f"epoch_us({quoted_name}) as {quoted_name}"
    if kind in {"DOUBLE", "FLOAT"}:
        return f"case when not isnan({quoted_name}) then {quoted_name} end as {quoted_name}"
    return quoted_name


def _with_times(row: tuple[object, ...], places: Sequence[int]) -> list[object]:
    values = list(row)
    for place in places:
        values[place] = at_microsecond(values[place])
    return values


def at_microsecond(since: object) -> datetime | None:
    """The time so many microseconds after 1970 began."""
    return EPOCH + timedelta(microseconds=since) if isinstance(since, int) else None
