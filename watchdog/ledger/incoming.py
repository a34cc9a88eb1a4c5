"""What is to be appended, made visible to SQL with the types of its table."""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

import duckdb
import numpy as np

from watchdog.ledger.casting import column_texts, refuse_names, texts_of
from watchdog.ledger.failures import LedgerError
from watchdog.ledger.tables import DAY, Column, Table, Type

if TYPE_CHECKING:
    import pandas as pd

NAME = "incoming"
"""What the rows are called in SQL."""

_WHOLE = r"U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)"
_SOURCES: Mapping[Type, str] = MappingProxyType(
    {
        Type.TEXT: r"VARCHAR|ENUM.*",
        Type.TIME: r"TIMESTAMP WITH TIME ZONE",
        Type.DAY: r"DATE|VARCHAR|TIMESTAMP(_NS|_MS|_S)?",
        Type.MONEY: rf"DECIMAL.*|DOUBLE|FLOAT|{_WHOLE}",
        Type.INTEGER: rf"{_WHOLE}|DOUBLE|FLOAT",
        Type.NUMBER: rf"DOUBLE|FLOAT|{_WHOLE}",
        Type.FLAG: r"BOOLEAN",
    }
)
"""Which types of a frame's column may stand for which of a table's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Incoming:
    select: str
    """The query that gives the rows with the table's columns."""
    rows: int


@contextmanager
def registered(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    rows: "Sequence[Mapping[str, object]] | pd.DataFrame",
) -> Iterator[Incoming]:
    """Refuses what does not fit without loss. There is at least one row."""
    if hasattr(rows, "iloc"):
        texts, typed = _of_frame(connection, table, cast("pd.DataFrame", rows))
    else:
        texts, typed = _of_rows(connection, table, rows), {}
    told = {*texts, *typed}
    try:
        _check(connection, table, typed, told)
        yield Incoming(select=_select(table, told), rows=len(rows))
    finally:
        connection.unregister(NAME)


def _of_rows(
    connection: duckdb.DuckDBPyConnection, table: Table, rows: Sequence[Mapping[str, object]]
) -> set[str]:
    texts = texts_of(table, rows)
    connection.register(NAME, {name: np.array(v, dtype=object) for name, v in texts.items()})
    return set(texts)


def _of_frame(
    connection: duckdb.DuckDBPyConnection, table: Table, frame: "pd.DataFrame"
) -> tuple[set[str], dict[str, str]]:
    """Columns of Python objects as texts; the others as they are, by their types in SQL."""
    names = [str(name) for name in frame.columns]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise LedgerError(f"{table.name}: the column {min(twice)} stands twice in the frame")
    refuse_names(table, set(names))
    columns = {column.name: column for column in table.columns}
    objects = [name for name in names if frame[name].dtype == object]
    texts = {
        name: np.array(column_texts(table, columns[name], _values(frame[name])), dtype=object)
        for name in objects
    }
    typed = [name for name in names if name not in texts]
    for name in typed:
        _refuse_nanoseconds(table, frame[name])
    connection.register(NAME, frame.assign(**texts))
    described = connection.execute(f"describe {NAME}").fetchall()
    kinds = {name: kind for name, kind, *_ in described}
    return set(texts), {name: kinds[name] for name in typed}


def _values(series: Any) -> list[object]:
    return list(series.where(series.notna(), None))


def _refuse_nanoseconds(table: Table, series: Any) -> None:
    if getattr(series.dtype, "unit", None) == "ns" and (series.dt.nanosecond > 0).any():
        raise LedgerError(f"{table.name}: {series.name}: a time is finer than a microsecond")


def _check(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    typed: Mapping[str, str],
    told: set[str],
) -> None:
    """One pass over the rows: every value must survive the way to the table's type and back."""
    checks = [
        check for c in table.columns if c.name in typed for check in _checks(c, typed[c.name])
    ]
    if table.day_of is not None and DAY.name in told:
        day = f'cast("{table.day_of}" as timestamptz)::date'
        wrong = f'cast("{DAY.name}" as date) is distinct from {day}'
        checks.append((DAY.name, f'"{DAY.name}"', wrong, f"is not the UTC date of {table.day_of}"))
    if not checks:
        return
    counts = ", ".join(
        f"count(*) filter (where {wrong}), first({value}::varchar) filter (where {wrong})"
        for _, value, wrong, _ in checks
    )
    select = f"select {counts} from {NAME}"  # noqa: S608 - names are the tables' own
    [found] = connection.execute(select).fetchall()
    for (name, _, _, why), count, sample in zip(checks, found[::2], found[1::2], strict=True):
        if count:
            shown = "a value" if sample is None else repr(sample)
            raise LedgerError(f"{table.name}: {name}: {shown} {why} ({count} rows)")


def _checks(column: Column, kind: str) -> list[tuple[str, str, str, str]]:
    """`(column, value, what makes a row wrong, why)`."""
    value = f'"{column.name}"'
    found = []
    if not re.fullmatch(_SOURCES[column.type], kind):
        naive = column.type is Type.TIME and kind.startswith("TIMESTAMP")
        why = "has no time zone" if naive else f"is {kind}, and cannot be {column.type.value}"
        found.append((column.name, value, f"{value} is not null", why))
    elif kind.lower() != column.type:
        cast = f"try_cast({value} as {column.type})"
        lost = f"{value} is not null and try_cast({cast} as {kind}) is distinct from {value}"
        why = f"does not fit into {column.type.value} without loss"
        found.append((column.name, value, lost, why))
    if column.required:
        found.append((column.name, value, f"{value} is null", "is missing; every row needs one"))
    return found


def _select(table: Table, told: set[str]) -> str:
    columns = ", ".join(_cast(table, column, told) for column in table.columns)
    return f"select {columns} from {NAME}"  # noqa: S608 - names are the tables' own


def _cast(table: Table, column: Column, told: set[str]) -> str:
    if column.name in told:
        value = f'"{column.name}"'
    elif column is DAY and table.day_of is not None:
        value = f'cast("{table.day_of}" as timestamptz)'
    else:
        value = "null"
    return f'cast({value} as {column.type}) as "{column.name}"'
