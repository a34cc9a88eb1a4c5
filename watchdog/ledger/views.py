"""The queries: one SQL file a view, each named like its file, each free to read the others.

A table `x` is `raw_x` in SQL, every row that was ever appended; the view `x` is what holds now.
Parameters are written `$name`. Comments at the top of a file may say

    -- optional: $since, $resources     parameters that are NULL unless given
    -- prune: readings.date >= $since   only these days of a table are looked at

The latter must hold for the view and all that it reads.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path

from watchdog.ledger.failures import LedgerError
from watchdog.ledger.tables import TABLES

FOLDER = Path(__file__).parent / "sql"
RAW = "raw_"

_COMMENT = re.compile(r"--[^\n]*")
_LITERAL = re.compile(r"'[^']*'")
_READS = re.compile(r"\b(?:from|join)\s+([a-z_]\w*)", re.IGNORECASE)
_PARAMETER = re.compile(r"\$([a-z_]\w*)", re.IGNORECASE)
_OPTIONAL = re.compile(r"^-- optional: (.*)$", re.MULTILINE)
_PRUNE = re.compile(r"^-- prune: (\w+)\.date (>=|<=) \$(\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prune:
    """Of this table only the days up to, or from, a parameter's day are looked at."""

    table: str
    operator: str
    parameter: str


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    name: str
    sql: str
    reads: tuple[str, ...]
    """Views and raw tables, by their names in SQL."""
    parameters: frozenset[str]
    optional: frozenset[str]
    prunes: tuple[Prune, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A view with all that it reads, as one statement over raw tables."""

    sql: str
    tables: tuple[str, ...]
    parameters: frozenset[str]
    optional: frozenset[str]
    prunes: tuple[Prune, ...]

    def values(self, given: Mapping[str, object]) -> dict[str, object]:
        """A value for each parameter. Naive times are refused: nobody knows when they were."""
        naive = [n for n, v in given.items() if isinstance(v, datetime) and v.tzinfo is None]
        unknown = sorted(given.keys() - self.parameters)
        missing = sorted(self.parameters - self.optional - given.keys())
        for names, why in ((unknown, "is unknown"), (missing, "is missing"), (naive, "is naive")):
            if names:
                raise LedgerError(f"the parameter {names[0]} of the query {why}")
        return {name: given.get(name) for name in self.parameters}

    def predicate(self, table: str, values: Mapping[str, object]) -> str | None:
        """Which days of a table are looked at, as SQL; None: all."""
        told = [
            f"date {each.operator} '{_day(values[each.parameter])}'"
            for each in self.prunes
            if each.table == table and values[each.parameter] is not None
        ]
        return " and ".join(told) or None


def _day(value: object) -> date:
    if isinstance(value, datetime):
        return value.astimezone(UTC).date()
    if isinstance(value, date):
        return value
    raise LedgerError(f"{value!r} is neither a time nor a date")


def names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in FOLDER.glob("*.sql")))


def exportable() -> tuple[str, ...]:
    """The views that can be shown whole, since nothing has to be said with them."""
    return tuple(name for name in names() if query(name).parameters <= query(name).optional)


@cache
def query(name: str) -> Query:
    """The view, or with `raw_` before its name the table, as one statement."""
    if name.startswith(RAW) and name.removeprefix(RAW) in TABLES:
        return Query(
            sql=f"select * from {name}",  # noqa: S608 - names are the tables' own
            tables=(name.removeprefix(RAW),),
            parameters=frozenset(),
            optional=frozenset(),
            prunes=(),
        )
    if name not in names():
        known = ", ".join(names())
        raise LedgerError(f"the ledger has no view {name}; it has {known}, and {RAW}<table>")
    views = _with_all_it_reads(name)
    parts = [f"{view.name} as (\n{view.sql}\n)" for view in views]
    reads = dict.fromkeys(read for view in views for read in view.reads if read.startswith(RAW))
    return Query(
        sql=f"with {', '.join(parts)}\nselect * from {name}",
        tables=tuple(read.removeprefix(RAW) for read in reads),
        parameters=frozenset().union(*(view.parameters for view in views)),
        optional=frozenset().union(*(view.optional for view in views)),
        prunes=views[-1].prunes,
    )


def _with_all_it_reads(name: str, above: tuple[str, ...] = ()) -> list[View]:
    """The view and the views that it reads, each after those that it needs."""
    if name in above:
        raise LedgerError(f"the views {' and '.join((*above, name))} read each other")
    view = _view(name)
    found: dict[str, View] = {}
    for read in view.reads:
        if not read.startswith(RAW):
            found |= {each.name: each for each in _with_all_it_reads(read, (*above, name))}
    return [*found.values(), view]


@cache
def _view(name: str) -> View:
    text = (FOLDER / f"{name}.sql").read_text(encoding="utf-8")
    sql = _COMMENT.sub("", text).strip().rstrip(";")
    words = _LITERAL.sub("''", sql)
    readable = {*names(), *(f"{RAW}{table}" for table in TABLES)}
    optional = ",".join(_OPTIONAL.findall(text))
    return View(
        name=name,
        sql=sql,
        reads=tuple(dict.fromkeys(r for r in _READS.findall(words) if r in readable - {name})),
        parameters=frozenset(_PARAMETER.findall(words)),
        optional=frozenset(_PARAMETER.findall(optional)),
        prunes=tuple(
            Prune(table=table, operator=operator, parameter=parameter)
            for table, operator, parameter in _PRUNE.findall(text)
        ),
    )
