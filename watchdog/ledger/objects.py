"""Objects that are created once: claims, incidents, the inbox."""

from __future__ import annotations

import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import obstore
from obstore.exceptions import AlreadyExistsError

from watchdog.ledger.failures import LedgerError, told_as
from watchdog.ledger.location import Location

_KEY = re.compile(r"[^/\x00-\x1f]+(/[^/\x00-\x1f]+)*")
_HIDDEN = re.compile(r"#\d+$")
"""A folder hides names that end like this: they are writes under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One object as it lies there."""

    body: bytes
    arrived_at: datetime
    """By the store's clock."""


class Objects:
    """Bodies by key, in a folder or a bucket alike. A key is a path with `/` between its parts."""

    def __init__(self, location: Location) -> None:
        self._location = location

    def put_once(self, key: str, body: bytes) -> bool:
        """Whether the body now stands under this key; False: another one stands there.

        After a conflict it is read back: it may be one's own, whose answer was lost.
        """
        with told_as(self._place(checked(key), "cannot be written")):
            try:
                obstore.put(self._store, key, body, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return self.find(key) == body
        return True

    def upload(self, key: str, file: Path) -> None:
        """A file under a name that nobody else has."""
        with told_as(self._place(key, "cannot be written")):
            obstore.put(self._store, key, file)

    def get(self, key: str) -> bytes:
        body = self.find(key)
        if body is None:
            raise LedgerError(f"ledger {self._location.url}: there is no object {key}")
        return body

    def find(self, key: str) -> bytes | None:
        """None: there is none."""
        found = self.found(key)
        return None if found is None else found.body

    def found(self, key: str) -> Found | None:
        """The body, and when the store received it; None: there is none."""
        with told_as(self._place(checked(key), "cannot be read")):
            try:
                answer = obstore.get(self._store, key)
                return Found(body=bytes(answer.bytes()), arrived_at=answer.meta["last_modified"])
            except FileNotFoundError:
                return None

    def keys(self, prefix: str) -> list[str]:
        """All keys in the folder `prefix`, sorted."""
        return sorted(self.sizes(prefix))

    def sizes(self, prefix: str) -> dict[str, int]:
        """The bytes of all objects in the folder `prefix`, by key."""
        with told_as(self._place(prefix, "cannot be listed")):
            found = obstore.list(self._store, prefix.rstrip("/") or None)
            return {each["path"]: each["size"] for chunk in found for each in chunk}

    def folders(self) -> set[str]:
        """The folders at the top that hold something. In a bucket there are no others."""
        with told_as(self._place("", "cannot be listed")):
            found = obstore.list_with_delimiter(self._store)["common_prefixes"]
        return {name for name in found if self._location.folder is None or self.any_in(name)}

    def any_in(self, prefix: str) -> bool:
        with told_as(self._place(prefix, "cannot be listed")):
            return any(obstore.list(self._store, prefix, chunk_size=1))

    def move(self, key: str, target: str) -> None:
        """The body under another key. Another process may have moved it already."""
        with told_as(self._place(key, "cannot be moved")), suppress(FileNotFoundError):
            obstore.rename(self._store, key, target)

    def remove(self, keys: Sequence[str]) -> None:
        """What is gone already is no error."""
        with told_as(self._place(keys[0] if keys else "", "cannot be removed")):
            try:
                obstore.delete(self._store, list(keys))
            except FileNotFoundError:
                for key in keys:
                    with suppress(FileNotFoundError):
                        obstore.delete(self._store, key)

    @property
    def _store(self) -> obstore.store.ObjectStore:
        return self._location.objects

    def _place(self, key: str, what: str) -> str:
        return f"ledger {self._location.url}: {key or 'its top'} {what}"


def checked(key: str) -> str:
    parts = key.split("/")
    if not _KEY.fullmatch(key) or {".", ".."} & set(parts) or _HIDDEN.search(key):
        raise LedgerError(f"{key!r} cannot be the key of an object in a ledger")
    return key
