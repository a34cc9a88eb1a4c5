"""Tells a signal to the wrapper alone from one that everybody got: a second process sees it too.

Ctrl-C, a closed terminal, `timeout`, systemd and Slurm send to every process; then the command has
its signal already, and must not get another.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Collection
from types import FrameType

LATE_BY_S = 0.25
"""How much later the witness may see a signal on a busy machine."""


class Witness:
    """A process that does nothing but tell which signals reached it; ends with the wrapper."""

    def __init__(self, signals: Collection[int]) -> None:
        """Signals are blocked here while it starts. Must be made before any thread."""
        self._heard, told = os.pipe()
        lifeline, self._alive = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            _watch(signals, told, lifeline)
        os.close(told)
        os.close(lifeline)
        self._seen: list[int] = []

    def saw(self, number: int) -> bool:
        """Whether this signal reached the witness too. Waits a moment for it."""
        until = time.monotonic() + LATE_BY_S
        while not self._took(number):
            left_s = until - time.monotonic()
            if left_s <= 0 or not select.select([self._heard], [], [], left_s)[0]:
                return False
            told = os.read(self._heard, 4096)
            if not told:  # the witness is gone
                return False
            self._seen += told
        return True

    def end(self) -> None:
        os.close(self._alive)
        os.close(self._heard)

    def _took(self, number: int) -> bool:
        if number not in self._seen:
            return False
        self._seen.remove(number)
        return True


def _watch(signals: Collection[int], told: int, lifeline: int) -> None:
    """The witness's own process. Holds nothing open that others wait for."""

    def tell(number: int, frame: FrameType | None) -> None:
        del frame
        os.write(told, bytes([number]))

    try:
        keep_only({told, lifeline})
        for number in signals:
            signal.signal(number, tell)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.read(lifeline, 1)
    finally:
        os._exit(0)


def keep_only(kept: Collection[int]) -> None:
    """Close every other descriptor of this process; the standard ones lead nowhere then."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in {0, 1, 2} - set(kept):
        os.dup2(nowhere, number)
    begin = 3
    for number in sorted(each for each in kept if each >= begin):
        os.closerange(begin, number)
        begin = number + 1
    os.closerange(begin, max(begin, os.sysconf("SC_OPEN_MAX")))
