"""A view as a file: whole, or not at all."""

import uuid
from collections.abc import Mapping
from contextlib import suppress
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

import duckdb

from watchdog.ledger.datafiles import quoted
from watchdog.ledger.engine import Engine
from watchdog.ledger.failures import LedgerError, NoSuchViewError, told_as
from watchdog.ledger.tables import TABLES, Type
from watchdog.ledger.views import RAW, exportable

FORMATS: Mapping[str, str] = MappingProxyType(
    {
        "csv": "format csv, header",
        "jsonl": "format json",
        "parquet": "format parquet, compression zstd",
    }
)
OUTSIDE_NAMES: Mapping[str, str] = MappingProxyType({"workload_group": "group"})
"""What importers and exports call a column that is a word of SQL."""


def export(
    engine: Engine,
    relation: duckdb.DuckDBPyRelation,
    sql: str,
    values: Mapping[str, object],
    *,
    target: Path,
    kind: str,
) -> int:
    """Write a query's rows to a file beside the target, then put it in the target's place.

    `relation`: the same query, which tells its columns.
    """
    if kind not in FORMATS:
        raise LedgerError(f"{kind} is no format of exports; they are {', '.join(FORMATS)}")
    columns = zip(relation.columns, map(str, relation.types), strict=True)
    shown = ", ".join(_column(name, of, kind) for name, of in columns)
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    select = f"select {shown} from ({sql})"  # noqa: S608 - the ledger's own query and columns
    copy = f"copy ({select}) to {quoted(str(beside))} ({FORMATS[kind]})"
    with told_as(f"{target} cannot be written"):
        try:
            [[count]] = engine.connection.execute(copy, dict(values)).fetchall()
            beside.replace(target)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise
    return int(count)


def refuse_unknown(what: str) -> None:
    """Raises `NoSuchViewError` unless a view or a raw table is called so."""
    known = (*exportable(), *(f"{RAW}{table}" for table in TABLES))
    if what in known:
        return
    close = get_close_matches(what, known, n=1)
    hint = f"did you mean {close[0]}? " if close else ""
    if what == "breakdown":
        hint = "`spend-watchdog costs --format csv` writes the breakdown. "
    raise NoSuchViewError(
        f"{what} is nothing that can be exported: {hint}There are {', '.join(exportable())},"
        f" and with {RAW} before its name every row of a table"
    )


def _column(name: str, of: str, kind: str) -> str:
    """Times as RFC 3339 in UTC and amounts as exact decimals, where a format has only text."""
    value = f'"{name}"'
    if kind != "parquet" and of == Type.TIME.upper():
        value = f"strftime({value} at time zone 'UTC', '%Y-%m-%dT%H:%M:%S.%fZ')"
    if kind == "jsonl" and of.startswith("DECIMAL"):
        value = f"cast({value} as varchar)"
    return f'{value} as "{OUTSIDE_NAMES.get(name, name)}"'
