"""Rows of Python values become texts that SQL casts, or are refused: nothing is rounded or guessed.

An append of 1.5 into a whole number must not become 1, nor a naive time whatever zone this is.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from difflib import get_close_matches
from numbers import Integral, Real
from operator import itemgetter
from types import MappingProxyType, NoneType
from typing import Any

from watchdog.ledger.failures import LedgerError
from watchdog.ledger.tables import Column, Table, Type

NANO = Decimal("0.000000001")
MOST_MONEY = 10**9
LEAST_INTEGER, MOST_INTEGER = -(2**63), 2**63 - 1

NUMPY_FLAGS = frozenset({"numpy.bool", "numpy.bool_"})

Texts = list[str | None]


class UnfitError(Exception):
    """A value that the column cannot hold as it is."""


def texts_of(table: Table, rows: Sequence[Mapping[str, object]]) -> dict[str, Texts]:
    """The rows by columns, each value as the text that stands for it in SQL; None is NULL."""
    told = set().union(*rows)
    refuse_names(table, told)
    columns = [column for column in table.columns if column.name in told]
    values = _by_column([column.name for column in columns], rows)
    return {
        column.name: column_texts(table, column, of_column)
        for column, of_column in zip(columns, values, strict=True)
    }


def _by_column(
    names: Sequence[str], rows: Sequence[Mapping[str, object]]
) -> Iterable[Sequence[object]]:
    try:
        return zip(*map(itemgetter(*names), rows), strict=True)
    except KeyError:  # a row lacks a column: slower
        return [[row.get(name) for row in rows] for name in names]


def refuse_names(table: Table, names: set[str]) -> None:
    """Columns that the table does not have, and required ones that are not there at all."""
    for name in sorted(names - set(table.names)):
        close = get_close_matches(name, table.names, n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise LedgerError(f"{table.name}: there is no column {name}{hint}")
    missing = [c.name for c in table.columns if c.required and c.name not in names]
    if missing:
        raise LedgerError(f"{table.name}: every row needs {', '.join(missing)}")


def column_texts(table: Table, column: Column, values: Sequence[object]) -> Texts:
    """One column's values as texts. NaN and NaT are unknown, and so NULL."""
    accepts, write, words = _WRITERS[column.type]
    odd = {kind for kind in set(map(type, values)) if not (kind is NoneType or accepts(kind))}
    if odd:
        place = next(place for place, value in enumerate(values) if type(value) in odd)
        raise _refusal(table, column, place, values[place], f"is no {words}")
    if column.type is Type.TIME:
        values = [_without_fold(value) for value in values]
    known: dict[object, str | None] = {None: None}
    for value in dict.fromkeys(values):
        if value is None:
            continue
        try:
            known[value] = None if value != value else write(value)  # noqa: PLR0124 - NaN
        except UnfitError as error:
            raise _refusal(table, column, values.index(value), value, str(error)) from None
    texts = list(map(known.__getitem__, values))
    if column.required and None in texts:
        raise _refusal(table, column, texts.index(None), None, "is missing; every row needs one")
    return texts


def _refusal(table: Table, column: Column, place: int, value: object, why: str) -> LedgerError:
    shown = "" if value is None else f"{value!r:.80} "
    return LedgerError(f"{table.name}: row {place + 1}: {column.name}: {shown}{why}")


def _text(value: Any) -> str:
    text = str.__str__(value)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnfitError("is not valid Unicode") from None
    return text


def _without_fold(value: Any) -> Any:
    """Where a clock shows an hour twice, Python takes both for equal; in UTC they are not."""
    if value is None or value.tzinfo is UTC or not getattr(value, "fold", 0):
        return value
    return value.astimezone(UTC)


def _time(value: Any) -> str:
    if value.tzinfo is None:
        raise UnfitError("has no time zone: nobody knows when it was")
    if getattr(value, "nanosecond", 0):
        raise UnfitError("is finer than a microsecond")
    try:
        return datetime.isoformat(value.astimezone(UTC))
    except OverflowError:
        raise UnfitError("lies outside the calendar") from None


def _day(value: Any) -> str:
    try:
        day = date.fromisoformat(value) if isinstance(value, str) else value
    except ValueError:
        raise UnfitError("is no date such as 2026-11-23") from None
    if isinstance(value, str) and value != day.isoformat():
        raise UnfitError("is no date such as 2026-11-23")
    return str(day.isoformat())


def _money(value: Any) -> str:
    exact = value if isinstance(value, Decimal) else _decimal(value)
    if not exact.is_finite() or abs(exact) >= MOST_MONEY:
        raise UnfitError(f"is not an amount below {MOST_MONEY:,}")
    kept = exact.quantize(NANO)
    if kept != exact and not (isinstance(value, float) and float(kept) == value):
        raise UnfitError("has more than nine decimals")
    return f"{kept:f}"


def _decimal(value: Any) -> Decimal:
    return Decimal(int(value)) if isinstance(value, Integral) else Decimal(repr(float(value)))


def _integer(value: Any) -> str:
    try:
        whole = int(value)
    except (OverflowError, ValueError):
        raise UnfitError("is no whole number") from None
    if whole != value:
        raise UnfitError("is no whole number")
    if not LEAST_INTEGER <= whole <= MOST_INTEGER:
        raise UnfitError("does not fit into 64 bits")
    return str(whole)


def _number(value: Any) -> str:
    try:
        double = float(value)
    except OverflowError:
        raise UnfitError("does not fit into a double") from None
    if double != value:
        raise UnfitError("does not fit into a double without loss")
    return repr(double)


def _flag(value: Any) -> str:
    return "true" if value else "false"


def _is(*wanted: type) -> Callable[[type], bool]:
    def accepts(kind: type) -> bool:
        return issubclass(kind, wanted) and not issubclass(kind, bool)

    return accepts


def _is_flag(kind: type) -> bool:
    return issubclass(kind, bool) or f"{kind.__module__}.{kind.__name__}" in NUMPY_FLAGS


def _is_day(kind: type) -> bool:
    return issubclass(kind, date | str) and not issubclass(kind, datetime)


_WRITERS: Mapping[Type, tuple[Callable[[type], bool], Callable[[Any], str], str]] = (
    MappingProxyType(
        {
            Type.TEXT: (_is(str), _text, "text"),
            Type.TIME: (_is(datetime), _time, "time"),
            Type.DAY: (_is_day, _day, "date"),
            Type.MONEY: (_is(Decimal, Integral, float), _money, "amount"),
            Type.INTEGER: (_is(Integral, float), _integer, "whole number"),
            Type.NUMBER: (_is(Real), _number, "number"),
            Type.FLAG: (_is_flag, _flag, "flag"),
        }
    )
)
"""By type: which Python types are taken, how one is written, what it is called."""
