"""One sample becomes readings on a window's grid: its last interval, and nothing before."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from datetime import datetime, timedelta
from math import nan

from policies.facts import Reading, Series, Window
from providers.local.host import HostUse
from providers.local.nvml import Device, Sample

SOURCE = "nvml"


def holds_now(window: Window, now: datetime) -> bool:
    """Whether the window's last interval is so new that a sample taken now may stand for it."""
    fresh = timedelta(seconds=2 * window.period_s)
    return window.intervals > 0 and abs(now - window.ended_at) < fresh


def readings_from(
    machine: str, window: Window, sample: Sample, host: HostUse | None
) -> Iterator[Reading]:
    """One reading a GPU or slice, and one of the host where the kernel tells."""
    for device in sample.devices:
        yield _of_device(machine, window, device)
    if host is not None:
        yield _of_host(machine, window, host)


def _of_device(machine: str, window: Window, device: Device) -> Reading:
    used = _last(window, device.utilisation_pct)
    return Reading(
        resource=machine,
        gpu=device.id,
        source=SOURCE,
        started_at=window.started_at,
        period_s=window.period_s,
        utilisation_max_pct=used,
        utilisation_mean_pct=used,
        memory_used_mib=_last(window, device.memory_used_mib),
        memory_total_mib=_last(window, device.memory_total_mib),
        power_w=_last(window, device.power_w),
    )


def _of_host(machine: str, window: Window, host: HostUse) -> Reading:
    """Rates of the sample stand for the whole interval, as its utilisation does."""
    cpu = _last(window, host.cpu_pct)
    return Reading(
        resource=machine,
        gpu=None,
        source=SOURCE,
        started_at=window.started_at,
        period_s=window.period_s,
        utilisation_max_pct=cpu,
        utilisation_mean_pct=cpu,
        received_bytes=_last(window, _bytes(host.received_bytes_per_s, window)),
        sent_bytes=_last(window, _bytes(host.sent_bytes_per_s, window)),
        written_bytes=_last(window, _bytes(host.written_bytes_per_s, window)),
    )


def _bytes(per_s: float | None, window: Window) -> float | None:
    return None if per_s is None else per_s * window.period_s


def _last(window: Window, value: float | None) -> Series:
    column = array("d", [nan]) * window.intervals
    column[-1] = nan if value is None else value
    return column
