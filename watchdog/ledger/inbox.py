"""The inbox: objects that machines and people drop, and that the next writer folds into tables.

Nobody needs more than the right to put objects to drop one. Folding appends first and removes
then, so that a fold that was cut short is done again; the tables' keys see to it that nothing
counts twice.
"""

import json
import uuid
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any

from watchdog.ledger.casting import texts_of
from watchdog.ledger.clocks import righted, skew_of
from watchdog.ledger.failures import LedgerError
from watchdog.ledger.objects import Found, Objects
from watchdog.ledger.tables import TABLES, Type

INBOX = "inbox"
REJECTED = f"{INBOX}/rejected"
SCHEMA = "spend-watchdog/inbox/1"
AT_ONCE = 500
"""Objects that are appended by one commit a table."""
READERS = 16
GZIP = b"\x1f\x8b"
MOST_BYTES = 64 * 1024 * 1024
"""Of one object's text: whoever may drop one must not fill the memory of who reads it."""

Rows = Sequence[Mapping[str, object]]
Append = Callable[[str, Rows], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class FoldResult:
    counts: Mapping[str, int]
    """Rows by table."""
    problems: tuple[str, ...]
    """One line an object that could not be read, with its key."""
    skews: Mapping[str, timedelta] = field(default_factory=dict)
    """By machine, how far its clock was ahead of the store's, where they differ by more than a
    minute. Its rows were put right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Letter:
    key: str
    table: str
    rows: Rows
    skew: timedelta | None
    """How far the sender's clock was ahead; None: it was right, or nobody can tell."""


class _UnreadableError(Exception):
    """Why an object cannot be folded in."""


def drop(objects: Objects, kind: str, rows: Rows) -> str:
    """Put rows of the table `kind` into the inbox; the key under which they lie."""
    if kind not in TABLES:
        raise LedgerError(f"there is no table {kind}; the ledger has {', '.join(TABLES)}")
    texts_of(TABLES[kind], rows)
    key = f"{INBOX}/{kind}/{uuid.uuid4().hex}.json"
    objects.put_once(key, letter_text(kind, rows).encode())
    return key


def letter_text(kind: str, rows: Rows, **also: str) -> str:
    """Rows of the table `kind` as the inbox holds them."""
    letter = {"schema": SCHEMA, "table": kind, **also, "rows": [dict(row) for row in rows]}
    return json.dumps(letter, default=_told, separators=(",", ":"))


def fold(objects: Objects, append: Append) -> FoldResult:
    """Append what lies in the inbox, and remove what was appended."""
    keys = [key for key in objects.keys(INBOX) if not key.startswith(f"{REJECTED}/")]
    counts: Counter[str] = Counter()
    problems: list[str] = []
    skews: dict[str, timedelta] = {}
    for first in range(0, len(keys), AT_ONCE):
        by_table: dict[str, list[_Letter]] = defaultdict(list)
        for letter in _opened(objects, keys[first : first + AT_ONCE], problems):
            by_table[letter.table].append(letter)
            skews |= _skews(letter)
        for table, letters in by_table.items():
            counts[table] += append(table, [row for letter in letters for row in letter.rows])
            objects.remove([letter.key for letter in letters])
    return FoldResult(counts=dict(counts), problems=tuple(problems), skews=skews)


def _skews(letter: _Letter) -> dict[str, timedelta]:
    if letter.skew is None:
        return {}
    senders = {row.get("resource") or row.get("machine") for row in letter.rows}
    return {str(sender): letter.skew for sender in senders if sender is not None}


def problems(objects: Objects) -> list[str]:
    """One line an object that cannot be folded in. Nothing is moved."""
    found = []
    for key in objects.keys(INBOX):
        letter = None if key.startswith(f"{REJECTED}/") else objects.found(key)
        try:
            if letter is not None:
                _letter(key, letter)
        except _UnreadableError as error:
            found.append(f"{key}: {error}")
    return found


def _opened(objects: Objects, keys: Sequence[str], problems: list[str]) -> list[_Letter]:
    """The objects that can be read. One that cannot is put aside, and a problem tells of it."""
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        objects_found = list(pool.map(objects.found, keys))
    letters = []
    for key, found in zip(keys, objects_found, strict=True):
        if found is None:  # another writer has folded it in
            continue
        try:
            letters.append(_letter(key, found))
        except _UnreadableError as error:
            aside = f"{REJECTED}/{key.removeprefix(f'{INBOX}/')}"
            objects.move(key, aside)
            problems.append(
                f"{key}: {error}; it lies in {aside} now: mend it and move it back, or delete it"
            )
    return letters


def _letter(key: str, found: Found) -> _Letter:
    try:
        told = json.loads(_plain(found.body))
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
    skew = _skew(told.get("sent_at"), found)
    if skew is not None:
        revived = [dict(row) for row in righted(table, revived, skew)]
    return _Letter(key=key, table=table.name, rows=revived, skew=skew)


def _plain(body: bytes) -> bytes:
    """The text of a body that may be compressed."""
    if not body.startswith(GZIP):
        return body
    opened = zlib.decompressobj(wbits=31)
    try:
        text = opened.decompress(body, MOST_BYTES)
    except zlib.error as error:
        raise _UnreadableError(f"is no whole gzip file ({error})") from None
    if not opened.eof:
        too_long = bool(opened.unconsumed_tail)
        why = f"holds more than {MOST_BYTES} bytes" if too_long else "is no whole gzip file"
        raise _UnreadableError(why)
    return text


def _skew(sent_at: object, found: Found) -> timedelta | None:
    """By the sender's own clock at sending; a letter without it cannot be checked."""
    if sent_at is None:
        return None
    sent = _revived("sent_at", sent_at, Type.TIME)
    if not isinstance(sent, datetime) or sent.tzinfo is None:
        raise _UnreadableError(f"sent_at: {sent_at!r} is no time with a zone")
    return skew_of(sent, found.arrived_at)


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
