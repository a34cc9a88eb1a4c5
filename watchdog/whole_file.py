"""Files that people ask for by name: written whole, or not at all."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO


class CannotWriteError(Exception):
    """The file cannot be written there. Says why."""

    exit_code = 1


@contextmanager
def whole_file(target: Path) -> Iterator[TextIO]:
    """Text that takes the target's place once all of it is written. Raises `CannotWriteError`."""
    beside = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}")
    try:
        with beside.open("w", encoding="utf-8", newline="") as file:
            yield file
        beside.replace(target)
    except OSError as error:
        raise CannotWriteError(f"{target} cannot be written: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            beside.unlink()
