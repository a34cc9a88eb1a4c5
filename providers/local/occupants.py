"""Which processes hold a GPU: their ids and names, as NVML tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

BYTES_PER_MIB = 1024 * 1024
LONGEST_NAME = 40
NAMED_AT_MOST = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """One process on one GPU or slice."""

    pid: int
    """By the count of the host; a container may count otherwise."""
    name: str | None
    """The program's file name; None: it ended meanwhile, or NVML may not tell."""
    held_mib: float | None


class _Occupied(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def processes(self) -> Sequence[Process] | None: ...


def processes_on(ask: Callable[..., Any], device: Any) -> tuple[Process, ...] | None:
    """Those that compute there, the largest first. None: NVML does not tell."""
    told = ask("nvmlDeviceGetComputeRunningProcesses", device)
    if told is None:
        return None
    found = [
        Process(
            pid=each.pid,
            name=_name(ask("nvmlSystemGetProcessName", each.pid)),
            held_mib=None if each.usedGpuMemory is None else each.usedGpuMemory / BYTES_PER_MIB,
        )
        for each in told
    ]
    return tuple(sorted(found, key=lambda each: -(each.held_mib or 0.0)))


def held_by(devices: Iterable[_Occupied]) -> str | None:
    """One sentence for people; None where no process is told."""
    places: dict[int, list[str]] = {}
    names: dict[int, str] = {}
    for device in devices:
        for process in device.processes or ():
            places.setdefault(process.pid, []).append(device.id)
            names[process.pid] = process.name or "a process"
    told = [
        f"{names[pid]} (pid {pid}) on GPU {', '.join(where)}"
        for pid, where in list(places.items())[:NAMED_AT_MOST]
    ]
    if not told:
        return None
    more = len(places) - len(told)
    return f"held by {'; '.join(told)}" + (f"; and {more} more" if more else "")


def _name(told: object) -> str | None:
    """Whoever runs a program chooses its name: nothing but visible characters goes on."""
    if not isinstance(told, str) or not told.split():
        return None
    file = told.split()[0].rsplit("/", 1)[-1]
    return "".join(each for each in file if each.isprintable())[:LONGEST_NAME] or None
