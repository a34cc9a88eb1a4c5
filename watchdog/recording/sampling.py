"""Asks NVML beside the command, as seldom as it must be to cost next to nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

from providers.base import ProviderUnavailable
from providers.local.nvml import Driver, installed
from watchdog.recording.process_id import parent
from watchdog.recording.usage import Usage, Use, visible_gpus

MOST_OF_A_CORE = 0.005
"""How much of one core the looks may take, by the time that they took so far."""
SHORTEST_S = 1.0
LONGEST_S = 15.0
LONGEST_DESCENT = 100


class Sampling:
    """A thread that looks until it is told to end."""

    def __init__(self, command: int, elapsed: Callable[[], float]) -> None:
        """`command`: its process id; `elapsed`: seconds since its start."""
        self._family = _Family(command)
        self._usage = Usage(ours=self._family.has, visible=visible_gpus(os.environ))
        self._elapsed = elapsed
        self._lock = threading.Lock()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpus", daemon=True)

    def start(self) -> None:
        if installed():
            self._thread.start()

    def told(self) -> Use:
        """What was seen so far."""
        with self._lock:
            return self._usage.told()

    def end(self) -> None:
        self._ending.set()

    def _run(self) -> None:
        driver = Driver()
        try:
            while not self._ending.is_set():
                began_s = time.thread_time()
                self._look(driver)
                took_s = time.thread_time() - began_s
                self._ending.wait(min(LONGEST_S, max(SHORTEST_S, took_s / MOST_OF_A_CORE)))
        except ProviderUnavailable:
            return  # no GPU of NVIDIA's here
        finally:
            driver.close()

    def _look(self, driver: Driver) -> None:
        sample = driver.sample()
        with self._lock:
            self._usage.add(sample, self._elapsed())


class _Family:
    """The processes that descend from the command. One that was of it stays of it."""

    def __init__(self, first: int) -> None:
        self._members = {first}

    def has(self, pid: int) -> bool | None:
        """None: a container does not see it, for the driver counts processes as the host does."""
        if pid not in self._members and parent(pid) is None:
            return None
        line: list[int] = []
        at: int | None = pid
        while at is not None and at > 1 and len(line) < LONGEST_DESCENT:
            if at in self._members:
                self._members.update(line)
                return True
            line.append(at)
            at = parent(at)
        return False
