"""The command as a process: started untouched, signalled as if nobody stood between, waited for."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import FrameType

from watchdog.recording.errors_seen import Errors, errors_seen
from watchdog.recording.witness import Witness

NOT_FOUND = 127
NOT_RUNNABLE = 126
PASSED_ON = (
    signal.SIGHUP,
    signal.SIGINT,
    signal.SIGQUIT,
    signal.SIGTERM,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
PYTHON_IGNORES = (signal.SIGPIPE, signal.SIGXFSZ)
"""Python does for itself; a command must not inherit it."""


class CannotStartError(Exception):
    """The command cannot be started."""

    def __init__(self, text: str, exit_code: int) -> None:
        super().__init__(text)
        self.exit_code = exit_code


@dataclass(slots=True, kw_only=True)
class Command:
    """One that runs. It shares the wrapper's process group, terminal and open files."""

    pid: int
    started_at: datetime
    began_s: float
    """By the monotonic clock."""
    witness: Witness
    errors: Errors
    received: list[tuple[int, float]] = field(default_factory=list)
    """Signals that reached the wrapper, and when by the monotonic clock."""
    ended_s: float | None = None

    def now(self) -> datetime:
        """The time by a clock that is never set back, so that later words are always newer."""
        return self.started_at + timedelta(seconds=self.elapsed_s())

    def elapsed_s(self) -> float:
        return time.monotonic() - self.began_s

    def ended_at(self) -> datetime:
        ended_s = time.monotonic() if self.ended_s is None else self.ended_s
        return self.started_at + timedelta(seconds=ended_s - self.began_s)

    def received_within(self, last_s: float) -> list[int]:
        """Signals that reached the wrapper in the last seconds before the end."""
        ended_s = time.monotonic() if self.ended_s is None else self.ended_s
        return [number for number, at_s in self.received if ended_s - at_s <= last_s]

    def wait(self) -> int:
        """Its exit code; 128 + N where signal N ended it."""
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        self.ended_s = time.monotonic()
        for number in PASSED_ON:
            if signal.getsignal(number) == self.passed_on:
                signal.signal(number, signal.SIG_IGN)
        _, status = os.waitpid(self.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def passed_on(self, number: int, frame: FrameType | None) -> None:
        """The handler of signals: what reached the wrapper alone is passed on."""
        del frame
        self.received.append((number, time.monotonic()))
        if self.ended_s is None and not self.witness.saw(number):
            os.kill(self.pid, number)


def started(words: Sequence[str]) -> Command:
    """Starts the command at once. Must be called before any thread is made."""
    heeded = [each for each in PASSED_ON if signal.getsignal(each) is not signal.SIG_IGN]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, heeded)
    errors = errors_seen()
    witness = Witness(heeded)
    started_at, began_s = datetime.now(UTC), time.monotonic()
    try:
        pid = _spawned(words, errors.target, before)
    except OSError as error:
        witness.end()
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        raise _told(words[0], error) from None
    errors.began()
    command = Command(
        pid=pid, started_at=started_at, began_s=began_s, witness=witness, errors=errors
    )
    for number in heeded:
        signal.signal(number, command.passed_on)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return command


def _spawned(words: Sequence[str], errors: int | None, mask: set[int | signal.Signals]) -> int:
    """Every other descriptor is inherited as it is."""
    actions = [] if errors is None else [(os.POSIX_SPAWN_DUP2, errors, 2)]

    def spawn(argv: Sequence[str]) -> int:
        return os.posix_spawnp(
            argv[0],
            list(argv),
            os.environ,
            file_actions=actions,
            setsigmask=mask,
            setsigdef=PYTHON_IGNORES,
        )

    try:
        return spawn(words)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    # a script without a first line that names its shell
    return spawn(["/bin/sh", shutil.which(words[0]) or words[0], *words[1:]])


def _told(name: str, error: OSError) -> CannotStartError:
    if isinstance(error, FileNotFoundError):
        return CannotStartError(f"{name}: there is no such command", NOT_FOUND)
    why = error.strerror or str(error)
    return CannotStartError(f"{name}: cannot be started: {why}", NOT_RUNNABLE)
