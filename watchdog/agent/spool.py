"""A folder for what could not be sent yet. Bounded: the oldest goes first, and is counted."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

MOST_BYTES = 8 * 1024 * 1024
MOST_FILES = 3000
"""Ten days of an object every five minutes."""
ENDING = ".json"


class Spool:
    """Whole files only: each is written aside and then given its name."""

    def __init__(
        self, folder: Path, *, most_bytes: int = MOST_BYTES, most_files: int = MOST_FILES
    ) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._most_files = most_files
        self._folder.mkdir(parents=True, exist_ok=True)
        for left in self._folder.glob("*.part"):  # of a process that was killed while writing
            left.unlink(missing_ok=True)

    def put(self, name: str, text: str) -> int:
        """Keep a text, in place of an older one of the same name; how many others had to go."""
        part = self._folder / f"{name}.{os.getpid()}.part"
        try:
            with part.open("w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            part.replace(self._folder / f"{name}{ENDING}")
        finally:
            part.unlink(missing_ok=True)
        return self._make_room()

    def names(self) -> list[str]:
        """Oldest first."""
        return sorted((path.stem for path in self._folder.glob(f"*{ENDING}")), key=_age)

    def text(self, name: str) -> str | None:
        """None: it is gone, or cannot be read."""
        with suppress(OSError, UnicodeDecodeError):
            return (self._folder / f"{name}{ENDING}").read_text(encoding="utf-8")
        return None

    def remove(self, name: str) -> None:
        (self._folder / f"{name}{ENDING}").unlink(missing_ok=True)

    def _make_room(self) -> int:
        names = self.names()
        sizes = {name: self._size(name) for name in names}
        files, size, dropped = len(names), sum(sizes.values()), 0
        while files > self._most_files or (size > self._most_bytes and files > 1):
            oldest = names[dropped]
            self.remove(oldest)
            files, size, dropped = files - 1, size - sizes[oldest], dropped + 1
        return dropped

    def _size(self, name: str) -> int:
        with suppress(OSError):
            return (self._folder / f"{name}{ENDING}").stat().st_size
        return 0


def _age(name: str) -> str:
    """Names carry their time after the table: `readings-20261123T080000Z-…`."""
    return name.partition("-")[2]
