"""When somebody last typed here: by the terminals' own times, not by who is logged in.

The kernel moves a terminal's access time when a program reads what was typed, and by no output; it
does so in steps of eight seconds. An open but silent tmux therefore ages. What is typed into a
desktop's windows without a terminal, or into a notebook in a browser, is not seen here.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from providers.local.host import ROOT

TERMINALS = ("dev/pts/[0-9]*", "dev/tty[0-9]*")


def last_input_at(root: Path = ROOT) -> datetime | None:
    """None: no open terminal tells of any input. A closed one takes its time with it."""
    times = [_typed_at(path) for pattern in TERMINALS for path in root.glob(pattern)]
    newest = max((each for each in times if each is not None), default=None)
    return None if newest is None else datetime.fromtimestamp(newest, tz=UTC)


def _typed_at(path: Path) -> float | None:
    """None where nothing was read since the terminal was opened or changed its owner."""
    with suppress(OSError):
        told = path.stat()
        if told.st_atime > told.st_ctime:
            return told.st_atime
    return None
