"""One sample of this machine's GPUs, through NVML. What NVML does not tell is None, never zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from providers.base import ProviderUnavailable
from providers.local.gpm import utilisation_by_instance
from providers.local.occupants import Process, processes_on

BYTES_PER_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One GPU, or one MIG slice of one. None: NVML did not tell."""

    board: int
    """The index of the GPU; slices of one GPU share it."""
    id: str
    """The index of a whole GPU, the UUID of a slice."""
    is_slice: bool = False
    model: str | None = None
    utilisation_pct: float | None = None
    """Over the driver's last sampling period, a sixth of a second to a second."""
    memory_used_mib: float | None = None
    """Without what the driver keeps for itself, where it tells the two apart."""
    memory_total_mib: float | None = None
    power_w: float | None = None
    """Of the whole board; None for a slice, which has no meter of its own."""
    trouble: str | None = None
    """What NVML answered instead of a utilisation."""
    processes: tuple[Process, ...] | None = None
    """Those that compute on it; None: NVML does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """All GPUs at one moment."""

    driver: str | None
    devices: tuple[Device, ...]
    boards: int
    power_w: float | None
    """Of all boards together; None where one of them does not tell."""


def installed() -> bool:
    """Whether NVML's Python binding is here; the driver may still be missing."""
    return find_spec("pynvml") is not None


def sample() -> Sample:
    """Raises `ProviderUnavailable` without a driver, `ModuleNotFoundError` without the binding."""
    import pynvml  # noqa: PLC0415 - an SDK, asked for only where the provider is used

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise ProviderUnavailable(_no_driver(error.value, str(error))) from None
    try:
        return _sampled(pynvml)
    except pynvml.NVMLError as error:
        raise ProviderUnavailable(f"the NVIDIA driver does not list its GPUs: {error}") from None
    finally:
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()


class Driver:
    """NVML, kept open between samples: starting the driver for each would cost more than asking.

    NVML counts who opens it, so `sample` may open and close it in between.
    """

    def __init__(self) -> None:
        self._open = False

    def sample(self) -> Sample:
        """As the function `sample`; a driver that comes later, or comes back, is found."""
        try:
            told = sample()
        except ProviderUnavailable:
            self.close()
            raise
        self._hold()
        return told

    def close(self) -> None:
        if not self._open:
            return
        import pynvml  # noqa: PLC0415

        self._open = False
        with suppress(pynvml.NVMLError):
            pynvml.nvmlShutdown()

    def _hold(self) -> None:
        if self._open:
            return
        import pynvml  # noqa: PLC0415

        with suppress(pynvml.NVMLError):
            pynvml.nvmlInit()
            self._open = True


def _no_driver(code: int, told: str) -> str:
    known = {
        9: "the NVIDIA driver is not loaded here; `nvidia-smi` says more",
        12: "no NVIDIA driver is installed here",
        18: "the NVIDIA driver was updated and the loaded one is older: restart this machine",
    }
    return known.get(code, f"the NVIDIA driver does not answer: {told}")


def _sampled(nvml: Any) -> Sample:
    count = nvml.nvmlDeviceGetCount()
    if not count:
        raise ProviderUnavailable("the NVIDIA driver sees no GPU here")
    ask = _Questions(nvml)
    devices: list[Device] = []
    powers: list[float | None] = []
    for index in range(count):
        handle = ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            devices.append(Device(board=index, id=str(index), trouble=ask.last_trouble))
            powers.append(None)
            continue
        powers.append(_watts(ask, handle))
        slices = tuple(_slices(ask, handle, index))
        devices.extend(slices or (_whole(ask, handle, index, powers[-1]),))
    told = [power for power in powers if power is not None]
    return Sample(
        driver=ask("nvmlSystemGetDriverVersion"),
        devices=tuple(devices),
        boards=count,
        power_w=sum(told) if len(told) == count else None,
    )


class _Questions:
    """Calls of NVML of which each may fail by itself: old driver, old card, lost card."""

    def __init__(self, nvml: Any) -> None:
        self.nvml = nvml
        self.last_trouble: str | None = None

    def __call__(self, name: str, *arguments: Any) -> Any:
        try:
            return getattr(self.nvml, name)(*arguments)
        except self.nvml.NVMLError as error:
            self.last_trouble = str(error)
            return None

    @property
    def memory_without_reserve(self) -> Any:
        """The newer memory figure: the older one counts the driver's own reserve as used."""
        return self.nvml.nvmlMemory_v2


def _whole(ask: _Questions, handle: Any, index: int, power_w: float | None) -> Device:
    return _device(ask, handle, board=index, id_=str(index), power_w=power_w)


def _slices(ask: _Questions, handle: Any, index: int) -> Iterator[Device]:
    """The slices of a card in MIG mode: they describe it. Nothing where the mode is off."""
    mode = ask("nvmlDeviceGetMigMode", handle)
    if mode is None or not mode[0]:
        return
    found: list[tuple[int | None, Device]] = []
    for place in range(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0):
        part = ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, place)
        if part is not None:
            uuid = ask("nvmlDeviceGetUUID", part) or f"{index}.{place}"
            device = _device(ask, part, board=index, id_=uuid, is_slice=True)
            found.append((ask("nvmlDeviceGetGpuInstanceId", part), device))
    silent = {at for at, each in found if at is not None and each.utilisation_pct is None}
    told = utilisation_by_instance(ask.nvml, ask, handle, silent)
    for at, device in found:
        pct = None if at is None else told.get(at)
        yield device if pct is None else replace(device, utilisation_pct=pct, trouble=None)


def _device(
    ask: _Questions,
    handle: Any,
    *,
    board: int,
    id_: str,
    is_slice: bool = False,
    power_w: float | None = None,
) -> Device:
    memory = ask("nvmlDeviceGetMemoryInfo", handle, ask.memory_without_reserve)
    memory = memory or ask("nvmlDeviceGetMemoryInfo", handle)
    model = ask("nvmlDeviceGetName", handle)
    rates = ask("nvmlDeviceGetUtilizationRates", handle)
    return Device(
        board=board,
        id=id_,
        is_slice=is_slice,
        model=None if model is None else model.removeprefix("NVIDIA "),
        utilisation_pct=None if rates is None else float(rates.gpu),
        memory_used_mib=None if memory is None else memory.used / BYTES_PER_MIB,
        memory_total_mib=None if memory is None else memory.total / BYTES_PER_MIB,
        power_w=power_w,
        trouble=ask.last_trouble if rates is None else None,
        processes=processes_on(ask, handle),
    )


def _watts(ask: _Questions, handle: Any) -> float | None:
    milliwatts = ask("nvmlDeviceGetPowerUsage", handle)
    return None if milliwatts is None else milliwatts / 1000
