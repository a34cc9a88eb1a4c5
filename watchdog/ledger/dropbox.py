"""The inbox as a machine sees it that may do nothing but put objects there.

Loads neither Delta Lake nor DuckDB, so that it fits into a small process.
"""

from __future__ import annotations

import gzip
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

import obstore
from obstore.exceptions import AlreadyExistsError

from watchdog.ledger.failures import LedgerError, told_as
from watchdog.ledger.inbox import INBOX
from watchdog.ledger.location import located
from watchdog.ledger.objects import checked

PATIENCE: Mapping[str, str] = {
    "connect_timeout": "3s",
    "timeout": "10s",
    "max_retries": "1",
    "retry_timeout": "5s",
}
"""What cannot be sent now is sent later: there is no need to insist."""


class Dropbox:
    """Puts letters into a ledger's inbox. Needs no right but to create objects there."""

    def __init__(self, url: str, options: Mapping[str, str], *, with_sdk: bool = False) -> None:
        """`with_sdk`: also look for credentials with the cloud's own SDK, which takes memory.

        Raises `LedgerUrlError` for an address that cannot be one.
        """
        location = located(url, {**PATIENCE, **options})
        self._location = location if with_sdk else replace(location, with_sdk=False)

    def put(self, table: str, name: str, letter: str, *, sent_at: datetime) -> None:
        """Put a letter of `inbox.letter_text` under a name that no other letter ever has.

        One that lies there already is this one, whose answer was lost. `sent_at` is the time by
        this machine's clock; the reader compares it with the store's. Raises `LedgerError`.
        """
        key = checked(f"{INBOX}/{table}/{name}.json.gz")
        stamped = f'{{"sent_at":"{sent_at.isoformat()}",{letter.removeprefix("{")}'
        body = gzip.compress(stamped.encode(), mtime=0)
        if self._location.folder is not None:
            self._make_folder()
        with told_as(f"ledger {self._location.url}: {key} cannot be written"):
            try:
                obstore.put(self._location.objects, key, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return

    def _make_folder(self) -> None:
        folder = self._location.folder
        if folder is None:
            raise LedgerError(f"ledger {self._location.url}: this is no folder")
        with told_as(f"ledger {self._location.url} cannot be made"):
            folder.mkdir(parents=True, exist_ok=True)
