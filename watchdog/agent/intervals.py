"""Looks at a machine become the rows of one five-minute interval. Pure: no clock, no input."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from providers.local.host import Counters, HostUse, use_between
from providers.local.nvml import Device, Sample

PERIOD_S = 300
"""The grid of all fine readings."""
SOURCE = "agent"

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was seen of the machine at one moment. None: not told."""

    at: datetime
    sample: Sample | None
    counters: Counters | None


def interval_of(at: datetime) -> datetime:
    """The start of the interval in which a moment lies."""
    return datetime.fromtimestamp(at.timestamp() // PERIOD_S * PERIOD_S, tz=UTC)


@dataclass(slots=True, kw_only=True)
class Interval:
    """One interval under way."""

    started_at: datetime
    devices: dict[str, list[Device]] = field(default_factory=dict)
    uses: list[tuple[float, HostUse]] = field(default_factory=list)
    """What the host did between two looks, and the seconds between them."""

    def add(self, look: Look, before: Look | None) -> None:
        """`before`: the look before this one, of this interval or the last."""
        for device in look.sample.devices if look.sample is not None else ():
            self.devices.setdefault(device.id, []).append(device)
        if before is None or before.counters is None or look.counters is None:
            return
        seconds = look.counters.at_s - before.counters.at_s
        if 0 < seconds <= PERIOD_S:
            self.uses.append((seconds, use_between(before.counters, look.counters)))

    def rows(self, machine: str, *, sample_every_s: float) -> list[Row]:
        """One row a GPU or slice, and one of the host; nothing for what was not seen."""
        common: dict[str, object] = {
            "resource": machine,
            "source": SOURCE,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "observed_at": self.ended_at,
        }
        told = [
            {**common, "gpu": gpu, **_of_gpu(devices, sample_every_s)}
            for gpu, devices in self.devices.items()
        ]
        if self.uses:
            told.append({**common, "gpu": None, **_of_host(self.uses)})
        return [{name: value for name, value in row.items() if value is not None} for row in told]

    @property
    def ended_at(self) -> datetime:
        """Rows carry it as the time they were found out: of two agents' rows the busier counts."""
        return self.started_at + timedelta(seconds=PERIOD_S)


def _of_gpu(devices: Sequence[Device], sample_every_s: float) -> dict[str, object]:
    used = list(_known(device.utilisation_pct for device in devices))
    held = _most(device.memory_used_mib for device in devices)
    total = _most(device.memory_total_mib for device in devices)
    return {
        "utilisation_max_pct": _most(used),
        "utilisation_mean_pct": _mean(used),
        "memory_used_mib": None if held is None else round(held),
        "memory_total_mib": None if total is None else round(total),
        "power_w": _mean(_known(device.power_w for device in devices)),
        "coverage": round(min(1.0, len(used) * sample_every_s / PERIOD_S), 3),
    }


def _of_host(uses: Sequence[tuple[float, HostUse]]) -> dict[str, object]:
    cpu = list(_known(use.cpu_pct for _, use in uses))
    return {
        "utilisation_max_pct": None if not cpu else round(max(cpu), 1),
        "utilisation_mean_pct": _mean(cpu),
        "received_bytes": _bytes((s, use.received_bytes_per_s) for s, use in uses),
        "sent_bytes": _bytes((s, use.sent_bytes_per_s) for s, use in uses),
        "written_bytes": _bytes((s, use.written_bytes_per_s) for s, use in uses),
        "coverage": round(min(1.0, sum(seconds for seconds, _ in uses) / PERIOD_S), 3),
    }


def _bytes(rates: Iterable[tuple[float, float | None]]) -> int | None:
    """The rate while it was seen stands for the whole interval, as utilisation does."""
    told = [(seconds, rate) for seconds, rate in rates if rate is not None]
    seen_s = sum(seconds for seconds, _ in told)
    if not seen_s:
        return None
    return round(sum(seconds * rate for seconds, rate in told) / seen_s * PERIOD_S)


def _known(values: Iterable[float | None]) -> Iterator[float]:
    return (value for value in values if value is not None)


def _most(values: Iterable[float | None]) -> float | None:
    return max(_known(values), default=None)


def _mean(values: Iterable[float]) -> float | None:
    told = list(values)
    return round(sum(told) / len(told), 1) if told else None
