"""Empties the spool into the ledger's inbox, beside the looking, so that no look waits for it."""

from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol

from watchdog.agent.spool import Spool
from watchdog.ledger.failures import LedgerError

FIRST_WAIT_S = 15.0
LONGEST_WAIT_S = 900.0

Say = Callable[[str], None]


class Inbox(Protocol):
    def put(self, table: str, name: str, letter: str, *, sent_at: datetime) -> None:
        """Raises `LedgerError`."""


class Sender:
    """Sends spooled letters, oldest first; after a failure it waits, longer each time."""

    def __init__(
        self,
        *,
        spool: Spool,
        inbox: Inbox,
        still_open: Callable[[], Collection[str]],
        clock: Callable[[], datetime],
        say: Say,
    ) -> None:
        self._spool = spool
        self._inbox = inbox
        self._still_open = still_open
        self._clock = clock
        self._say = say
        self._wait_s = 0.0
        self._failed_with: str | None = None
        self._ending = threading.Event()
        self._wanted = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sender", daemon=True)

    def wake(self) -> None:
        """There may be something to send."""
        if not self._thread.is_alive() and not self._ending.is_set():
            self._thread.start()
        self._wanted.set()

    def finish(self, within_s: float) -> None:
        """One last try, that is given up on after so long: a shutdown waits for nobody."""
        self._ending.set()
        self._wanted.set()
        if self._thread.is_alive():
            self._thread.join(within_s)

    def send(self) -> bool:
        """Whether everything that is ready was sent."""
        for name in self._spool.names():
            if name in self._still_open():
                continue
            text = self._spool.text(name)
            if text is None:
                self._spool.remove(name)
                continue
            try:
                self._inbox.put(
                    name.partition("-")[0], _unique(name, text), text, sent_at=self._clock()
                )
            except LedgerError as error:
                self._tell(f"not sent, kept for later: {error}")
                return False
            self._spool.remove(name)
        if self._failed_with is not None:
            self._tell(None)
        return True

    def waits_after(self, *, sent: bool) -> float:
        """Seconds until the next try; 0: as soon as there is something to send."""
        longer = min(LONGEST_WAIT_S, max(FIRST_WAIT_S, 2 * self._wait_s))
        self._wait_s = 0.0 if sent else longer
        return self._wait_s

    def _run(self) -> None:
        while True:
            ending = self._ending.is_set()
            wait_s = self.waits_after(sent=self._sent())
            if ending:
                return
            if wait_s:  # a fleet must not come back all at once
                self._ending.wait(wait_s * random.uniform(0.8, 1.2))  # noqa: S311 - no secret
            else:
                self._wanted.wait()
            self._wanted.clear()

    def _sent(self) -> bool:
        try:
            return self.send()
        except Exception as error:  # noqa: BLE001 - nothing that happens here may end the sending
            self._tell(f"not sent, kept for later: {type(error).__name__}: {error}")
            return False

    def _tell(self, failure: str | None) -> None:
        if failure == self._failed_with:
            return
        self._failed_with = failure
        self._say(failure or "the ledger's inbox takes letters again")


def _unique(name: str, text: str) -> str:
    """No two letters share it: neither those of two agents nor of two machines."""
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    return f"{name.partition('-')[2]}-{digest}"
