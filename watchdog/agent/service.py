"""The agent's life: look, sleep, look; and an end that keeps nobody waiting."""

from __future__ import annotations

import fcntl
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from watchdog.agent.recorder import Recorder
from watchdog.agent.sender import Sender

LAST_TRY_S = 4.0
"""How long the end may take: systemd and clouds give a machine little more before they pull."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agent:
    recorder: Recorder
    sender: Sender
    sample_every_s: float


def run(agent: Agent, *, looks: int | None = None) -> None:
    """Look until a signal ends it, or so many times. What was seen is spooled before this ends."""
    ended = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        del signum, frame
        ended.set()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, end)
    done = 0
    due = time.monotonic()
    while not ended.is_set():
        agent.recorder.look(now())
        agent.sender.wake()  # first after the first look: then the machine's region is known
        done += 1
        if done == looks:
            break
        due = max(due + agent.sample_every_s, time.monotonic())
        ended.wait(due - time.monotonic())
    agent.recorder.close()
    agent.sender.finish(LAST_TRY_S)


def now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def alone(folder: Path, say: Callable[[str], None]) -> Iterator[bool]:
    """Whether no other agent uses this folder; it is held until the end of the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say(f"another agent already works from {folder}: nothing to do")
            yield False
            return
        yield True
