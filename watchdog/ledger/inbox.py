"""The inbox: objects that machines and people drop, and that the next writer folds into tables.

Nobody needs more than the right to put objects to drop one. Folding appends first and removes
then, so that a fold that was cut short is done again; the tables' keys see to it that nothing
counts twice.
"""

import json
import uuid
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from watchdog.ledger.casting import texts_of
from watchdog.ledger.failures import LedgerError
from watchdog.ledger.objects import Objects
from watchdog.ledger.tables import TABLES, Type

INBOX = "inbox"
REJECTED = f"{INBOX}/rejected"
SCHEMA = "spend-watchdog/inbox/1"
AT_ONCE = 500
"""Objects that are appended by one commit a table."""
READERS = 16

Rows = Sequence[Mapping[str, object]]
Append = Callable[[str, Rows], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    counts: Mapping[str, int]
    """Rows by table."""
    problems: tuple[str, ...]
    """One line an object that could not be read, with its key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    key: str
    table: str
    rows: Rows


class _UnreadableError(Exception):
    """Why an object cannot be folded in."""


def drop(objects: Objects, kind: str, rows: Rows) -> str:
    """Put rows of the table `kind` into the inbox; the key under which they lie."""
    if kind not in TABLES:
        raise LedgerError(f"there is no table {kind}; the ledger has {', '.join(TABLES)}")
    texts_of(TABLES[kind], rows)
    letter = {"schema": SCHEMA, "table": kind, "rows": [dict(row) for row in rows]}
    key = f"{INBOX}/{kind}/{uuid.uuid4().hex}.json"
    objects.put_once(key, json.dumps(letter, default=_told).encode())
    return key


def fold(objects: Objects, append: Append) -> FoldResult:
    """Append what lies in the inbox, and remove what was appended."""
    keys = [key for key in objects.keys(INBOX) if not key.startswith(f"{REJECTED}/")]
    counts: Counter[str] = Counter()
    problems: list[str] = []
    for first in range(0, len(keys), AT_ONCE):
        by_table: dict[str, list[_Letter]] = defaultdict(list)
        for letter in _opened(objects, keys[first : first + AT_ONCE], problems):
            by_table[letter.table].append(letter)
        for table, letters in by_table.items():
            counts[table] += append(table, [row for letter in letters for row in letter.rows])
            objects.remove([letter.key for letter in letters])
    return FoldResult(counts=dict(counts), problems=tuple(problems))


def problems(objects: Objects) -> list[str]:
    """One line an object that cannot be folded in. Nothing is moved."""
    found = []
    for key in objects.keys(INBOX):
        body = None if key.startswith(f"{REJECTED}/") else objects.find(key)
        try:
            if body is not None:
                _letter(key, body)
        except _UnreadableError as error:
            found.append(f"{key}: {error}")
    return found


def _opened(objects: Objects, keys: Sequence[str], problems: list[str]) -> list[_Letter]:
    """The objects that can be read. One that cannot is put aside, and a problem tells of it."""
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        bodies = list(pool.map(objects.find, keys))
    letters = []
    for key, body in zip(keys, bodies, strict=True):
        if body is None:  # another writer has folded it in
            continue
        try:
            letters.append(_letter(key, body))
        except _UnreadableError as error:
            aside = f"{REJECTED}/{key.removeprefix(f'{INBOX}/')}"
            objects.move(key, aside)
            problems.append(
                f"{key}: {error}; it lies in {aside} now: mend it and move it back, or delete it"
            )
    return letters


def _letter(key: str, body: bytes) -> _Letter:
    try:
        told = json.loads(body)
    except ValueError as error:
        raise _UnreadableError(f"is no whole JSON ({error})") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        raise _UnreadableError(f"is not of the schema {SCHEMA}")
    table, rows = TABLES.get(str(told.get("table"))), told.get("rows")
    if table is None:
        raise _UnreadableError(f"names no table of the ledger, but {told.get('table')!r}")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _UnreadableError("has no list of rows")
    kinds = {column.name: column.type for column in table.columns}
    revived = [{n: _revived(n, v, kinds.get(n)) for n, v in row.items()} for row in rows]
    try:
        texts_of(table, revived)
    except LedgerError as error:
        raise _UnreadableError(str(error)) from None
    return _Letter(key=key, table=table.name, rows=revived)


def _revived(name: str, value: Any, kind: Type | None) -> object:
    """The value that JSON had to write as text."""
    if not isinstance(value, str) or kind not in {Type.TIME, Type.MONEY}:
        return value
    try:
        return datetime.fromisoformat(value) if kind is Type.TIME else Decimal(value)
    except (ValueError, InvalidOperation):
        raise _UnreadableError(f"{name}: {value!r} is no {kind.value}") from None


def _told(value: object) -> str:
    """Times in UTC and amounts, as JSON holds them."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    raise TypeError(f"{value!r} cannot be written as JSON")
