"""What a run uses of its machine's GPUs, folded sample by sample. Pure but for who asks NVML."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from providers.local.nvml import Device, Sample

ACTIVE_PCT = 5.0
"""A GPU at or above this computes; the phases of machines begin there too."""
SUSTAINED_S = 5.0
"""How long activity must last to end set-up: a test of the device does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuUse:
    """One GPU over the run. None: NVML did not tell."""

    gpu: str
    model: str | None
    memory_total_mib: float | None
    peak_memory_mib: float | None
    utilisation_mean_pct: float | None
    utilisation_max_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """All of the run's GPUs. Empty, None: nobody can tell which it used, or what of them."""

    gpus: tuple[GpuUse, ...] = ()
    setup_seconds: float | None = None

    @property
    def peak_memory_mib(self) -> float | None:
        return max(
            (g.peak_memory_mib for g in self.gpus if g.peak_memory_mib is not None), default=None
        )

    @property
    def utilisation_mean_pct(self) -> float | None:
        """None where one of them was not measured."""
        means = [gpu.utilisation_mean_pct for gpu in self.gpus]
        told = [mean for mean in means if mean is not None]
        return sum(told) / len(told) if told and len(told) == len(means) else None


@dataclass(slots=True)
class _Seen:
    model: str | None = None
    total_mib: float | None = None
    peak_mib: float | None = None
    own_peak_mib: float | None = None
    shared: bool = False
    weighted: float = 0.0
    measured_s: float = 0.0
    max_pct: float | None = None
    active_since_s: float | None = None
    sustained_at_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Usage:
    """Folds samples. Times are seconds since the run's start."""

    ours: Callable[[int], bool | None]
    """Whether a process belongs to the run; None: it cannot be seen from here."""
    visible: tuple[str, ...] | None
    """The GPUs that the run may see, by index; None: all, or nobody can tell."""
    _seen: dict[str, _Seen] = field(default_factory=dict)
    _used: set[str] = field(default_factory=set)
    _last_s: float = 0.0

    def add(self, sample: Sample, at_s: float) -> None:
        lasted_s = at_s - self._last_s
        self._last_s = at_s
        for device in sample.devices:
            self._add(device, at_s, lasted_s)

    def _add(self, device: Device, at_s: float, lasted_s: float) -> None:
        seen = self._seen.setdefault(device.id, _Seen())
        seen.model = seen.model or device.model
        seen.total_mib = device.memory_total_mib or seen.total_mib
        seen.peak_mib = _larger(seen.peak_mib, device.memory_used_mib)
        whose = [(self.ours(each.pid), each) for each in device.processes or ()]
        own = [each for ours, each in whose if ours]
        seen.shared |= any(ours is False for ours, _ in whose)
        if own:
            self._used.add(device.id)
            held = [each.held_mib for each in own]
            if None not in held:
                seen.own_peak_mib = _larger(
                    seen.own_peak_mib, sum(each for each in held if each is not None)
                )
        _add_utilisation(seen, device.utilisation_pct, at_s, lasted_s)

    def told(self) -> Use:
        names = self._gpus()
        gpus = tuple(_told(name, self._seen[name]) for name in names)
        starts = [at for name in names if (at := self._seen[name].sustained_at_s) is not None]
        return Use(gpus=gpus, setup_seconds=min(starts, default=None))

    def _gpus(self) -> list[str]:
        """Those on which a process of the run was seen; else those that it may see, by name, or
        that were busy while nobody else was seen on any.
        """
        if self._used:
            return [name for name in self._seen if name in self._used]
        if self.visible is not None:
            return [name for name in self._seen if name in self.visible]
        if any(seen.shared for seen in self._seen.values()):
            return []
        return [name for name, seen in self._seen.items() if (seen.max_pct or 0.0) >= ACTIVE_PCT]


def visible_gpus(environ: Mapping[str, str]) -> tuple[str, ...] | None:
    """By `CUDA_VISIBLE_DEVICES`, where it names indices or slices."""
    text = environ.get("CUDA_VISIBLE_DEVICES")
    if text is None:
        return None
    names = [each.strip() for each in text.split(",") if each.strip()]
    if all(name.isdecimal() or name.startswith("MIG-") for name in names):
        return tuple(names)
    return None


def _add_utilisation(seen: _Seen, pct: float | None, at_s: float, lasted_s: float) -> None:
    if pct is None:
        return
    seen.weighted += pct * lasted_s
    seen.measured_s += lasted_s
    seen.max_pct = _larger(seen.max_pct, pct)
    if pct < ACTIVE_PCT:
        seen.active_since_s = None
        return
    if seen.active_since_s is None:
        seen.active_since_s = at_s
    if seen.sustained_at_s is None and at_s - seen.active_since_s >= SUSTAINED_S:
        seen.sustained_at_s = seen.active_since_s


def _told(name: str, seen: _Seen) -> GpuUse:
    """Where others' processes are on the GPU too, only the run's own memory counts."""
    peak = seen.own_peak_mib if seen.shared else seen.peak_mib
    return GpuUse(
        gpu=name,
        model=seen.model,
        memory_total_mib=seen.total_mib,
        peak_memory_mib=peak,
        utilisation_mean_pct=seen.weighted / seen.measured_s if seen.measured_s else None,
        utilisation_max_pct=seen.max_pct,
    )


def _larger(one: float | None, other: float | None) -> float | None:
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
