"""The inbox as a machine sees it that may do nothing but put objects there.

Loads neither Delta Lake nor DuckDB, so that it fits into a small process.
"""

from __future__ import annotations

import gzip
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

import obstore
from obstore.exceptions import AlreadyExistsError

from watchdog.ledger.failures import told_as
from watchdog.ledger.inbox import INBOX
from watchdog.ledger.location import Location, located
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

    def __init__(
        self,
        url: str,
        *,
        region: Callable[[], str | None] = lambda: None,
        with_sdk: bool = False,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`region`: the region to look for an S3 bucket where the environment names none.

        `with_sdk`: also look for credentials with the cloud's own SDK, which takes memory; without
        it there are those of the environment and those of the machine's own role. Raises
        `LedgerUrlError` for an address that cannot be one.
        """
        self._place = located(url, {})
        self._region = region
        self._with_sdk = with_sdk
        self._environ = environ
        self._located: tuple[str | None, Location] | None = None

    def put(self, table: str, name: str, letter: str, *, sent_at: datetime) -> None:
        """Put a letter of `inbox.letter_text` under a name that no other letter ever has.

        One that lies there already is this one, whose answer was lost. `sent_at` is the time by
        this machine's clock; the reader compares it with the store's. Raises `LedgerError`.
        """
        key = checked(f"{INBOX}/{table}/{name}.json.gz")
        stamped = f'{{"sent_at":"{sent_at.isoformat()}",{letter.removeprefix("{")}'
        body = gzip.compress(stamped.encode(), mtime=0)
        location = self._location(self._region())
        with told_as(f"ledger {self._place.url}: {key} cannot be written"):
            if self._place.folder is not None:
                self._place.folder.mkdir(parents=True, exist_ok=True)
            try:
                obstore.put(location.objects, key, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return

    def _location(self, region: str | None) -> Location:
        """The place by what is known now: a machine may learn its region only after a while."""
        if self._located is None or self._located[0] != region:
            options = {**PATIENCE, **self._s3(region)}
            found = replace(self._place, options=options, with_sdk=self._with_sdk)
            self._located = (region, found)
        return self._located[1]

    def _s3(self, region: str | None) -> dict[str, str]:
        if not self._place.url.startswith("s3:"):
            return {}
        told = {}
        if region is not None and not self._environ.keys() & {"AWS_REGION", "AWS_DEFAULT_REGION"}:
            told["aws_region"] = region
        metadata = self._environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT")
        if metadata:
            told["aws_metadata_endpoint"] = metadata.rstrip("/")
        return told
