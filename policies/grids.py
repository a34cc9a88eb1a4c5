"""What each interval of one machine's readings shows, before time is cut at boots and stops.

A machine is judged on the maximum over its GPUs and over time, never on a mean: one busy GPU of
eight makes an active machine, and one unmeasured GPU makes an unknown one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isnan
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.facts import Reading, Series
from policies.verdicts import QUIET, Phase

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.int8]

PHASES = tuple(Phase)
CODE = {phase: code for code, phase in enumerate(PHASES)}
QUIET_CODES = np.array([CODE[phase] for phase in QUIET], dtype=np.int8)
UNKNOWN_CODE = CODE[Phase.UNKNOWN]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseLimits:
    """Where one phase ends and the next begins. Sources of the figures stand beside them."""

    active_pct: float = 5.0
    """A GPU at or above this computes. On LLM clusters utilisation is bimodal: a third of all
    samples at most 2 %, nearly none from there to 50 % (AcmeTrace utilisation CDFs)."""
    parked_mib: float = 500.0
    """Memory in use on one GPU from which a process holds it. A CUDA context alone takes 300–500
    MiB; a driver with nothing loaded shows less."""
    transfer_bytes_per_s: float = 500_000.0
    """Network traffic, each direction by itself, from which a dataset is on its way. An idle
    machine's agents and an open shell stay below a tenth of it."""
    setup: timedelta = timedelta(hours=2)
    """How long after a boot the time before the first sustained activity counts as set-up."""
    sustained: timedelta = timedelta(minutes=10)
    """How long activity must last to end set-up: a smoke test does not."""
    pinned_pct: float = 95.0
    hung_power_share: float = 0.3
    """Below this share of the board's power limit a pinned GPU computes nothing: a kernel spinning
    in a deadlocked collective keeps 100 % (ROCm/device-metrics-exporter#34)."""
    hung: timedelta = timedelta(minutes=30)
    written_bytes_per_s: float = 50_000.0
    stale: timedelta = timedelta(minutes=15)
    """Without a measurement for this long (or three periods) nothing is known about now."""
    fallback_cpu_pct: float = 5.0
    fallback_network_bytes_per_s: float = 50_000.0
    fallback_busy_cpu_pct: float = 20.0
    fallback_quiet: timedelta = timedelta(hours=1)
    """Without a GPU metric the host must be quiet for this long before it is called idle."""


DEFAULT_LIMITS = PhaseLimits()

GPU_SIGNAL = 1.0
NO_MEMORY_SIGNAL = 0.7
"""Utilisation without memory: an open notebook cannot be told from an empty machine."""
NO_NETWORK_SIGNAL = 0.8
"""GPUs without the host's network counters: a dataset on its way cannot be told from idleness."""
FALLBACK_SIGNAL = 0.4
"""CPU, network and disk alone: a CUDA job can run on one core of 96 and no network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """The phases of one machine on one regular grid, before spans cut it."""

    started_s: int
    period_s: int
    codes: Codes
    measured: Mask
    """Intervals in which the signal that decides was there."""
    signal: float
    source: str
    last_values: str
    """What each GPU showed in the newest measured interval, for people."""
    host_activity: tuple[str, ...] | None = None
    """What CPU, disk and network did in the newest intervals, in words; None: not measured."""


def grids_of(
    readings: Sequence[Reading], gpus: int | None, board_power_w: float | None, limits: PhaseLimits
) -> list[Grid]:
    """One grid for each resolution that the readings have; GPU signals before the host's."""
    together: dict[tuple[datetime, int, int], list[Reading]] = {}
    for reading in readings:
        key = (reading.started_at, reading.period_s, reading.intervals)
        together.setdefault(key, []).append(reading)
    found = []
    for same in together.values():
        of_gpus = [reading for reading in same if reading.gpu is not None]
        host = next((reading for reading in same if reading.gpu is None), None)
        if of_gpus:
            found.append(_gpu_grid(of_gpus, host, gpus, board_power_w, limits))
        elif host is not None:
            found.append(_host_grid(host, limits))
    return found


def _gpu_grid(
    readings: Sequence[Reading],
    host: Reading | None,
    gpus: int | None,
    board_power_w: float | None,
    limits: PhaseLimits,
) -> Grid:
    first = readings[0]
    utilisation = _rows([reading.utilisation_max_pct for reading in readings])
    missing = gpus is not None and len(readings) < gpus
    busy = utilisation >= limits.active_pct
    active: Mask = np.any(busy, axis=0)
    measured: Mask = ~np.any(np.isnan(utilisation), axis=0)
    if missing:
        measured[:] = False
    quiet = measured & ~active
    memory = _columns(readings, "memory_used_mib")
    codes = np.full(first.intervals, UNKNOWN_CODE, dtype=np.int8)
    codes[active] = CODE[Phase.ACTIVE]
    codes[quiet] = CODE[Phase.IDLE]
    if memory is not None:
        codes[quiet & (memory >= limits.parked_mib).any(axis=0)] = CODE[Phase.PARKED]
    codes[quiet & _moving(host, first.period_s, limits)] = CODE[Phase.TRANSFER]
    codes[_hung(readings, busy, host, board_power_w, limits)] = CODE[Phase.HUNG]
    return Grid(
        started_s=int(first.started_at.timestamp()),
        period_s=first.period_s,
        codes=codes,
        measured=measured | active,
        signal=min(_gpu_signal(memory, quiet), _network_signal(host, quiet)),
        source=first.source,
        last_values=_last_values(readings, gpus),
        host_activity=host_activity(host, limits),
    )


def host_activity(
    host: Reading | None, limits: PhaseLimits = DEFAULT_LIMITS
) -> tuple[str, ...] | None:
    """What CPU, disk and network do, in words; empty: nothing. None: traffic was not measured.

    Of the newest two measured intervals, each by itself: one that is busy is enough. A CPU that was
    not measured says nothing here; see `cpu_measured`.
    """
    if host is None or host.received_bytes is None or host.sent_bytes is None:
        return None
    received = np.frombuffer(host.received_bytes)
    newest = np.flatnonzero(~np.isnan(received))[-2:]
    if not len(newest):
        return None
    found = []
    cpu = np.frombuffer(host.utilisation_max_pct)[newest]
    busiest = float(np.nanmax(cpu, initial=0.0))
    if busiest >= limits.fallback_busy_cpu_pct:
        found.append(f"its CPU is at {busiest:.0f} %")
    moved = (
        ("it receives", host.received_bytes, limits.fallback_network_bytes_per_s),
        ("it sends", host.sent_bytes, limits.fallback_network_bytes_per_s),
        ("it writes", host.written_bytes, limits.written_bytes_per_s),
    )
    for what, column, floor in moved:
        bytes_ = float(np.nanmax(_column(column, host.intervals)[newest], initial=0.0))
        rate = bytes_ / host.period_s
        if rate >= floor:
            found.append(f"{what} {rate / 1000:,.0f} kB/s")
    return tuple(found)


def cpu_measured(host: Reading | None) -> bool:
    """Whether the newest interval with traffic also tells of the CPU."""
    if host is None or host.received_bytes is None:
        return False
    newest = np.flatnonzero(~np.isnan(np.frombuffer(host.received_bytes)))[-1:]
    cpu = np.frombuffer(host.utilisation_max_pct)
    return bool(len(newest)) and not np.isnan(cpu[newest]).any()


def _gpu_signal(memory: Floats | None, quiet: Mask) -> float:
    if memory is None or np.isnan(memory[:, quiet]).any():
        return NO_MEMORY_SIGNAL
    return GPU_SIGNAL


def _network_signal(host: Reading | None, quiet: Mask) -> float:
    """Network matters only where the GPUs are quiet, so a busy machine's host need not be read."""
    if not quiet.any():
        return GPU_SIGNAL
    if host is None or host.received_bytes is None or host.sent_bytes is None:
        return NO_NETWORK_SIGNAL
    seen = np.frombuffer(host.received_bytes)[quiet] + np.frombuffer(host.sent_bytes)[quiet]
    return NO_NETWORK_SIGNAL if np.isnan(seen).any() else GPU_SIGNAL


def _host_grid(host: Reading, limits: PhaseLimits) -> Grid:
    """Phases by CPU, network and disk. Quiet counts only where it lasts; between is unknown."""
    cpu = np.frombuffer(host.utilisation_max_pct)
    received = _column(host.received_bytes, host.intervals)
    sent = _column(host.sent_bytes, host.intervals)
    written = _column(host.written_bytes, host.intervals)
    floor = limits.fallback_network_bytes_per_s * host.period_s
    quiet: Mask = (cpu < limits.fallback_cpu_pct) & (received < floor) & (sent < floor)
    quiet &= np.isnan(written) | (written < limits.written_bytes_per_s * host.period_s)
    codes = np.full(host.intervals, UNKNOWN_CODE, dtype=np.int8)
    codes[cpu >= limits.fallback_busy_cpu_pct] = CODE[Phase.ACTIVE]
    codes[lasting(quiet, limits.fallback_quiet, host.period_s)] = CODE[Phase.IDLE]
    return Grid(
        started_s=int(host.started_at.timestamp()),
        period_s=host.period_s,
        codes=codes,
        measured=~np.isnan(cpu),
        signal=FALLBACK_SIGNAL,
        source=host.source,
        last_values="no GPU metric; judged by CPU, network and disk alone",
    )


def _rows(columns: Sequence[Series]) -> Floats:
    return np.frombuffer(b"".join(columns)).reshape(len(columns), -1)


def _columns(readings: Sequence[Reading], name: str) -> Floats | None:
    """One row a GPU; None where any GPU lacks the column altogether."""
    columns = [getattr(reading, name) for reading in readings]
    if any(column is None for column in columns):
        return None
    return _rows(columns)


def _column(column: Series | None, intervals: int) -> Floats:
    if column is None:
        return np.full(intervals, np.nan)
    return np.frombuffer(column)


def _moving(host: Reading | None, period_s: int, limits: PhaseLimits) -> Mask | bool:
    if host is None:
        return False
    floor = limits.transfer_bytes_per_s * period_s
    received = _column(host.received_bytes, host.intervals)
    sent = _column(host.sent_bytes, host.intervals)
    return (received >= floor) | (sent >= floor)


def _hung(
    readings: Sequence[Reading],
    busy: Mask,
    host: Reading | None,
    board_power_w: float | None,
    limits: PhaseLimits,
) -> Mask | slice:
    """Where every busy GPU is pinned at near-idle power, and nothing was written or sent."""
    nowhere = slice(0, 0)
    if host is None or board_power_w is None or host.sent_bytes is None:
        return nowhere
    mean, power = _columns(readings, "utilisation_mean_pct"), _columns(readings, "power_w")
    if mean is None or power is None or host.written_bytes is None:
        return nowhere
    stuck = (mean >= limits.pinned_pct) & (power < limits.hung_power_share * board_power_w)
    still = np.frombuffer(host.sent_bytes) < limits.fallback_network_bytes_per_s * host.period_s
    still &= np.frombuffer(host.written_bytes) < limits.written_bytes_per_s * host.period_s
    candidates = busy.any(axis=0) & (stuck | ~busy).all(axis=0) & still
    return lasting(candidates, limits.hung, host.period_s)


def lasting(mask: Mask, at_least: timedelta, period_s: int) -> Mask:
    """The parts of a mask that hold for at least so long without a break."""
    needed = max(1, -(-int(at_least.total_seconds()) // period_s))
    lasting = np.zeros_like(mask)
    for begin, end in _runs(mask):
        if end - begin >= needed:
            lasting[begin:end] = True
    return lasting


def _runs(mask: Mask) -> Iterable[tuple[int, int]]:
    """`(begin, end)` of each unbroken run of true elements."""
    padded = np.concatenate(([False], mask, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _last_values(readings: Sequence[Reading], gpus: int | None) -> str:
    """`GPU 0, 1: 0 %, 0.0 GiB held; GPU 2: 97 %`, from the newest interval that each one has."""
    alike: dict[str, list[str]] = {}
    for reading in readings:
        alike.setdefault(_last_value(reading), []).append(str(reading.gpu))
    told = [f"GPU {', '.join(names)}: {value}" for value, names in alike.items()]
    if gpus is not None and len(readings) < gpus:
        told.append(f"{gpus - len(readings)} of {gpus} GPUs report nothing")
    return "; ".join(told)


def _last_value(reading: Reading) -> str:
    held = reading.memory_used_mib
    for index in range(reading.intervals - 1, -1, -1):
        used = reading.utilisation_max_pct[index]
        if not isnan(used):
            return f"{used:.0f} %{_held(held, index)}"
    return f"not measured{_held(held, -1) if reading.intervals else ''}"


def _held(memory_used_mib: Series | None, index: int) -> str:
    if memory_used_mib is None or isnan(memory_used_mib[index]):
        return ""
    return f", {memory_used_mib[index] / 1024:.1f} GiB held"
