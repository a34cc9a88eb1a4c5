"""Looks at the machine in, letters in the spool out."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta

from providers.base import ProviderUnavailable
from providers.identity import Identity, Unidentified
from providers.local.host import Counters
from providers.local.nvml import Sample
from watchdog.agent.intervals import PERIOD_S, Interval, Look, Row, interval_of
from watchdog.agent.spool import Spool
from watchdog.ledger.inbox import letter_text

ASK_AGAIN = timedelta(seconds=30)
"""A machine that boots may be up before its metadata service can be reached."""
KEPT_NAMELESS = 288
"""Intervals that wait for the machine's name: a day."""

Say = Callable[[str], None]


class Recorder:
    """Holds the interval under way; each one that has ended lies in the spool at once."""

    def __init__(
        self,
        *,
        spool: Spool,
        sampler: Callable[[], Sample],
        counters: Callable[[], Counters | None],
        whoami: Callable[[], Identity | Unidentified],
        machine: str | None = None,
        sample_every_s: float,
        batch: timedelta,
        say: Say,
    ) -> None:
        """`machine`: its id; None: `whoami` is asked until it knows."""
        self._spool = spool
        self._sampler = sampler
        self._counters = counters
        self._whoami = whoami
        self._sample_every_s = sample_every_s
        self._batch = batch
        self._say = say
        self._machine = machine
        self._ask_at: datetime | None = None
        self._last: Look | None = None
        self._interval: Interval | None = None
        self._nameless: deque[Interval] = deque(maxlen=KEPT_NAMELESS)
        self._rows: list[Row] = []
        self._open: tuple[str, datetime] | None = None
        self._said: str | None = None

    @property
    def open_letter(self) -> str | None:
        """The spooled letter that more rows will be added to."""
        return None if self._open is None else self._open[0]

    def look(self, now: datetime) -> None:
        """One look. Whatever cannot be seen is left out, and said once."""
        self._identify(now)
        look = Look(at=now, sample=self._sampled(), counters=self._counters())
        start = interval_of(now)
        if self._interval is not None and self._interval.started_at != start:
            self._end_interval()
        if self._interval is None:
            self._interval = Interval(started_at=start)
        self._interval.add(look, self._last)
        self._last = look

    def close(self) -> None:
        """What was seen so far goes into the spool, the interval under way included."""
        self._end_interval()
        self._close_letter()

    def _identify(self, now: datetime) -> None:
        if self._machine is not None:
            return
        if self._ask_at is not None and now < self._ask_at <= now + ASK_AGAIN:
            return
        found = self._whoami()
        if isinstance(found, Identity):
            self._machine = found.machine
            self._say_once(f"this is {found.machine}")
            return
        self._ask_at = now + ASK_AGAIN
        self._say_once(found.why)

    def _sampled(self) -> Sample | None:
        try:
            return self._sampler()
        except (ProviderUnavailable, ModuleNotFoundError) as why:
            self._say_once(f"no GPU is measured: {why}")
            return None

    def _end_interval(self) -> None:
        if self._interval is not None:
            self._nameless.append(self._interval)
            self._interval = None
        if self._machine is None:
            return
        for interval in self._nameless:
            self._add(interval, self._machine)
        self._nameless.clear()

    def _add(self, interval: Interval, machine: str) -> None:
        rows = interval.rows(machine, sample_every_s=self._sample_every_s)
        if not rows:
            return
        if self._open is None:
            name = f"readings-{interval.started_at:%Y%m%dT%H%M%SZ}-{secrets.token_hex(4)}"
            self._open = (name, interval.started_at + self._batch)
        name, full_at = self._open
        self._rows += rows
        self._keep(name, letter_text("readings", self._rows))
        if interval.started_at + timedelta(seconds=PERIOD_S) >= full_at:
            self._close_letter()

    def _close_letter(self) -> None:
        self._open = None
        self._rows = []

    def _keep(self, name: str, text: str) -> None:
        try:
            dropped = self._spool.put(name, text)
        except OSError as error:
            self._say_once(f"the spool cannot be written, readings are lost: {error}")
            return
        if dropped:
            self._say(f"the spool is full: its {dropped} oldest letters were given up")

    def _say_once(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._say(text)
