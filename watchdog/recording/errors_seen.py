"""The last of what a command writes on standard error, without coming between it and its reader.

Four cases. A terminal is left as it is: nothing that stands between could keep isatty, window size,
job control *and* the order of what standard output and error print there. A file is left as it is
and its end is read afterwards. A pipe or a socket is relayed, byte for byte, by a process of its
own, so that the command goes on if the wrapper is killed. Anything else is left as it is.
"""

from __future__ import annotations

import mmap
import os
import select
import stat
import time
from typing import Protocol

from watchdog.recording.witness import keep_only

STDERR = 2
TAIL_BYTES = 64 * 1024
AT_ONCE = TAIL_BYTES
STILL_HELD_S = 0.3
"""A process that the command left behind may hold its standard error; nobody waits for that."""


class Errors(Protocol):
    """What of standard error can be seen."""

    @property
    def target(self) -> int | None:
        """The descriptor that the command gets as its standard error; None: the one there is."""

    def began(self) -> None:
        """The command has started."""

    def tail(self) -> bytes:
        """The end of what was written, once the command has ended. Empty: nothing to be seen."""


def errors_seen() -> Errors:
    """By what standard error is. Starts the relay where one is needed: before any thread."""
    try:
        kind = os.fstat(STDERR).st_mode
    except OSError:
        return Unseen()
    if stat.S_ISREG(kind):
        return InFile()
    if stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind):
        return Relayed()
    return Unseen()


class Unseen:
    target = None

    def began(self) -> None:
        pass

    def tail(self) -> bytes:
        return b""


class InFile:
    """What came into the file since the start."""

    target = None

    def __init__(self) -> None:
        self._from = os.fstat(STDERR).st_size

    def began(self) -> None:
        pass

    def tail(self) -> bytes:
        try:
            file = os.open(f"/proc/self/fd/{STDERR}", os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return b""
        try:
            size = os.fstat(file).st_size
            begin = self._from if size >= self._from else 0  # it was cut meanwhile
            return os.pread(file, TAIL_BYTES, max(begin, size - TAIL_BYTES))
        except OSError:
            return b""
        finally:
            os.close(file)


class Relayed:
    """A process that passes on what it reads, and keeps the end of it in shared memory."""

    def __init__(self) -> None:
        self._kept = _Kept()
        reader, writer = os.pipe()
        self.target: int | None = writer
        self._pid = os.fork()
        if self._pid == 0:
            _relay(reader, self._kept)
        os.close(reader)

    def began(self) -> None:
        if self.target is not None:
            os.close(self.target)
        self.target = None

    def tail(self) -> bytes:
        """Waits until all that was written has been passed on, however slow its reader is."""
        idle_since = time.monotonic()
        while not self._ended():
            if self._kept.busy:
                idle_since = time.monotonic()
            elif time.monotonic() - idle_since > STILL_HELD_S:
                break
            time.sleep(0.005)
        return self._kept.tail()

    def _ended(self) -> bool:
        try:
            return os.waitpid(self._pid, os.WNOHANG) != (0, 0)
        except ChildProcessError:
            return True


class _Kept:
    """A ring of bytes that two processes share: one writes, one reads."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, TAIL_BYTES + 9)

    @property
    def busy(self) -> bool:
        return bool(self._memory[TAIL_BYTES + 8])

    @busy.setter
    def busy(self, now: bool) -> None:
        self._memory[TAIL_BYTES + 8] = now

    @property
    def _count(self) -> int:
        return int.from_bytes(self._memory[TAIL_BYTES : TAIL_BYTES + 8], "little")

    def add(self, data: bytes) -> None:
        """At most as much as is kept."""
        count = self._count
        place = count % TAIL_BYTES
        first = data[: TAIL_BYTES - place]
        rest = data[len(first) :]
        self._memory[place : place + len(first)] = first
        self._memory[: len(rest)] = rest
        after = count + len(data)
        self._memory[TAIL_BYTES : TAIL_BYTES + 8] = after.to_bytes(8, "little")

    def tail(self) -> bytes:
        count = self._count
        if count <= TAIL_BYTES:
            return self._memory[:count]
        place = count % TAIL_BYTES
        return self._memory[place:TAIL_BYTES] + self._memory[:place]


def _relay(reader: int, kept: _Kept) -> None:
    """The relay's own process. Signals that are passed on stay blocked here: it ends last."""
    try:
        keep_only({reader, STDERR})
        while True:
            kept.busy = False
            data = os.read(reader, AT_ONCE)
            kept.busy = True
            if not data:
                break
            kept.add(data)
            _write(data)
    except OSError:
        pass  # nobody reads any more: the command learns of it at its next write, as it would alone
    finally:
        os._exit(0)


def _write(data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(STDERR, left) :]
        except BlockingIOError:
            select.select([], [STDERR], [])
