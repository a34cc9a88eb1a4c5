"""Rows are gathered into letters; a letter that is still open lies in the spool already."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from watchdog.agent.spool import Spool
from watchdog.ledger.inbox import letter_text

Row = Mapping[str, object]
Say = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class _Open:
    name: str
    full_at: datetime
    rows: list[Row] = field(default_factory=list)


class Letters:
    """One open letter a table. Whatever ends this process, only what came after is lost."""

    def __init__(self, spool: Spool, *, batch: timedelta, say: Say) -> None:
        """`batch`: how long a letter stays open."""
        self._spool = spool
        self._batch = batch
        self._say = say
        self._open: dict[str, _Open] = {}

    @property
    def still_open(self) -> Collection[str]:
        """Names of spooled letters to which rows will be added."""
        return [letter.name for letter in list(self._open.values())]

    def add(self, table: str, rows: Sequence[Row], *, started_at: datetime) -> None:
        """Rows of an interval that began then."""
        if not rows:
            return
        letter = self._open.get(table)
        if letter is None:
            name = f"{table}-{started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
            letter = self._open[table] = _Open(name=name, full_at=started_at + self._batch)
        letter.rows += rows
        try:
            dropped = self._spool.put(letter.name, letter_text(table, letter.rows))
        except OSError as error:
            self._say(f"the spool cannot be written, readings are lost: {error}")
            return
        if dropped:
            self._say(f"the spool is full: its {dropped} oldest letters were given up")

    def close(self, until: datetime) -> None:
        """Letters that are full by then may be sent."""
        for table, letter in list(self._open.items()):
            if letter.full_at <= until:
                del self._open[table]

    def close_all(self) -> None:
        self._open.clear()
