"""The machine around the GPUs: its lasting identity, its boot, and what its processors did.

Read from the kernel's own files. Where they are missing (no Linux) the answer is None.
"""

from __future__ import annotations

import hashlib
import os
import platform
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path("/")
REGION = "local"
SECTOR_BYTES = 512
"""The kernel counts disk traffic in these, whatever the disk's own sectors are."""
APART_S = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    name: str
    identity: str
    """The same over reboots; a machine that is installed anew gets another."""
    booted_at: datetime | None
    vcpus: int | None
    system: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Counters since boot; None where the kernel does not tell."""

    at_s: float
    cpu_busy: int
    cpu_all: int
    received_bytes: int | None
    sent_bytes: int | None
    written_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HostUse:
    """What the host did between two looks at its counters."""

    cpu_pct: float | None
    received_bytes_per_s: float | None
    sent_bytes_per_s: float | None
    written_bytes_per_s: float | None


def local_id(host: Host) -> str:
    """The id of a workstation among all machines."""
    return f"local:{host.name}:{REGION}:{host.identity}"


def this_host(root: Path = ROOT) -> Host:
    name = socket.gethostname().replace(":", "-") or "workstation"
    return Host(
        name=name,
        identity=_identity(root, name),
        booted_at=_booted_at(root),
        vcpus=os.cpu_count(),
        system=platform.system(),
    )


def _identity(root: Path, name: str) -> str:
    """A digest: the machine id itself is confidential and the ledger may be shared."""
    for place in ("etc/machine-id", "var/lib/dbus/machine-id"):
        text = _text(root / place).strip()
        if text:
            return _digest(text)
    return _digest(name)


def _digest(text: str) -> str:
    return hashlib.sha256(f"cloud-spend-watchdog {text}".encode()).hexdigest()[:16]


def _booted_at(root: Path) -> datetime | None:
    for line in _text(root / "proc/stat").splitlines():
        if line.startswith("btime "):
            return datetime.fromtimestamp(int(line.split()[1]), tz=UTC)
    return None


def host_use(root: Path = ROOT, sleep: Callable[[float], None] = time.sleep) -> HostUse | None:
    """Two looks at the counters, a moment apart."""
    before = counters(root)
    if before is None:
        return None
    sleep(APART_S)
    after = counters(root)
    return None if after is None else use_between(before, after)


def counters(root: Path = ROOT) -> Counters | None:
    first = _text(root / "proc/stat").partition("\n")[0].split()
    if first[:1] != ["cpu"]:
        return None
    ticks = [int(each) for each in first[1:9]]
    received, sent = _network(root)
    return Counters(
        at_s=time.monotonic(),
        cpu_busy=sum(ticks) - ticks[3] - ticks[4],
        cpu_all=sum(ticks),
        received_bytes=received,
        sent_bytes=sent,
        written_bytes=_written(root),
    )


def out_of_memory_kills(root: Path = ROOT) -> int | None:
    """Processes that the kernel ended since boot because memory ran out; None: not told."""
    for line in _text(root / "proc/vmstat").splitlines():
        if line.startswith("oom_kill "):
            return int(line.split()[1])
    return None


def use_between(before: Counters, after: Counters) -> HostUse:
    seconds = after.at_s - before.at_s
    ticks = after.cpu_all - before.cpu_all
    busy = max(0, after.cpu_busy - before.cpu_busy)
    return HostUse(
        cpu_pct=min(100.0, 100 * busy / ticks) if ticks > 0 else None,
        received_bytes_per_s=_rate(before.received_bytes, after.received_bytes, seconds),
        sent_bytes_per_s=_rate(before.sent_bytes, after.sent_bytes, seconds),
        written_bytes_per_s=_rate(before.written_bytes, after.written_bytes, seconds),
    )


def _rate(before: int | None, after: int | None, seconds: float) -> float | None:
    """None for a counter that went back: an interface or a disk was taken away."""
    if before is None or after is None or after < before or seconds <= 0:
        return None
    return (after - before) / seconds


def _network(root: Path) -> tuple[int | None, int | None]:
    """Bytes in and out of real interfaces; bridges and tunnels would count them again."""
    rows = {}
    for line in _text(root / "proc/net/dev").splitlines()[2:]:
        name, _, figures = line.partition(":")
        rows[name.strip()] = figures.split()
    names = _real(root / "sys/class/net", rows) or [name for name in rows if name != "lo"]
    if not names:
        return None, None
    return sum(int(rows[name][0]) for name in names), sum(int(rows[name][8]) for name in names)


def _written(root: Path) -> int | None:
    """Bytes written to real disks; partitions and volumes on top would count them again."""
    rows = {}
    for line in _text(root / "proc/diskstats").splitlines():
        fields = line.split()
        rows[fields[2]] = fields
    names = _real(root / "sys/block", rows)
    if not names:
        return None
    return sum(int(rows[name][9]) * SECTOR_BYTES for name in names)


def _real(folder: Path, names: Iterable[str]) -> list[str]:
    return [name for name in names if (folder / name / "device").exists()]


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
