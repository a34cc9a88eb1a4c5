"""A process of one boot of one host, named so that no other is ever taken for it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from providers.local.host import this_host

ROOT = Path("/")
SYSTEM = "process"
"""How such a name begins among a run's ids in other systems."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where process ids mean the same: one boot of one host, in one space of process ids."""

    host: str
    """A digest of the host's lasting identity."""
    boot: str
    space: str
    """Containers of one host count processes by themselves."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessId:
    place: Place
    pid: int
    started_ticks: int
    """When it started, in the kernel's ticks since boot: ids are used again."""

    def text(self) -> str:
        place = self.place
        return f"{SYSTEM}:{place.host}:{place.boot}:{place.space}:{self.pid}:{self.started_ticks}"


def this_place(root: Path = ROOT) -> Place | None:
    """None: this system does not tell (no Linux)."""
    try:
        boot = (root / "proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        space = str((root / "proc/self/ns/pid").readlink())
    except OSError:
        return None
    digits = "".join(each for each in space if each.isdigit())
    return Place(host=this_host(root).identity, boot=boot, space=digits)


def this_process(root: Path = ROOT) -> ProcessId | None:
    place, ticks = this_place(root), started_ticks(os.getpid(), root)
    if place is None or ticks is None:
        return None
    return ProcessId(place=place, pid=os.getpid(), started_ticks=ticks)


def read(text: str) -> ProcessId | None:
    """None: the text names no process."""
    parts = text.split(":")
    if len(parts) != len(("system", "host", "boot", "space", "pid", "ticks")):
        return None
    system, host, boot, space, pid, ticks = parts
    if system != SYSTEM or not (pid.isdecimal() and ticks.isdecimal()):
        return None
    place = Place(host=host, boot=boot, space=space)
    return ProcessId(place=place, pid=int(pid), started_ticks=int(ticks))


def gone(process: ProcessId, here: Place | None, root: Path = ROOT) -> bool | None:
    """Whether it has ended; None: that cannot be seen from here."""
    if here is None or process.place.host != here.host:
        return None
    if process.place.boot != here.boot:
        return True
    if process.place.space != here.space:
        return None
    return started_ticks(process.pid, root) != process.started_ticks


def started_ticks(pid: int, root: Path = ROOT) -> int | None:
    """None: there is no such process, or it is dead and only not yet waited for."""
    fields = _stat(pid, root)
    return None if fields is None or fields[0] in {"Z", "X"} else int(fields[19])


def parent(pid: int, root: Path = ROOT) -> int | None:
    fields = _stat(pid, root)
    return None if fields is None else int(fields[1])


def _stat(pid: int, root: Path) -> list[str] | None:
    """The fields after the program's name, which may hold anything."""
    try:
        text = (root / "proc" / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()
