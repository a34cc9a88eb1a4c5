"""The workstation as a provider of one machine. Reads only; NVML keeps no history."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Literal

from policies.facts import (
    Accelerator,
    Gap,
    Machine,
    MachineState,
    Price,
    Purchase,
    Reading,
    Scope,
    StopTerms,
    Window,
)
from providers.base import Probe, ProviderUnavailable, Seen
from providers.local import nvml
from providers.local.host import Host, HostUse, host_use, this_host
from providers.local.nvml import Device, Sample
from providers.local.prices import LocalWishes, price_of
from providers.local.readings import holds_now, readings_from

REGION = "local"
MACHINE_TYPE = "workstation"
UNNAMED = "unknown GPU"
HOW_TO_MEASURE = (
    "NVML keeps no history: run `spend-watchdog patrol --provider local --every 5m`, or a cron line"
)
STAYS = StopTerms(can_stop=False, why="a workstation is not stopped by the watchdog")


def _now() -> datetime:
    return datetime.now(UTC)


class LocalProvider:
    """The machine on which this runs, with its GPUs and MIG slices."""

    name = "local"
    how_to_measure = HOW_TO_MEASURE
    sees_only_now: Literal[True] = True

    def __init__(
        self,
        wishes: LocalWishes,
        *,
        sampler: Callable[[], Sample] = nvml.sample,
        host: Callable[[], Host] = this_host,
        use: Callable[[], HostUse | None] = host_use,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._wishes = wishes
        self._sampler = sampler
        self._host = host()
        self._use = use
        self._clock = clock
        self._calls: Counter[str] = Counter()
        self._newest: Sample | None = None

    @classmethod
    def here(cls, wishes: LocalWishes) -> LocalProvider:
        """Raises `ProviderUnavailable` where this machine has no GPU with a driver."""
        provider = cls(wishes)
        provider._sample()
        return provider

    def machines(self) -> Seen[Machine]:
        try:
            sample = self._sample()
        except ProviderUnavailable as why:
            return Seen(gaps=(self._gap("machines", str(why)),))
        return Seen(values=(self._machine(sample),), scopes=(self._scope,))

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        """One fresh sample, for a window that reaches up to now; of older ones nothing is known."""
        known = [machine.id for machine in machines if machine.id == self._id]
        if not known or not holds_now(window, self._clock()):
            return Seen()
        try:
            sample = self._sample()
        except ProviderUnavailable as why:
            return Seen(gaps=(self._gap("GPU metrics", str(why)),))
        silent = [device for device in sample.devices if device.utilisation_pct is None]
        return Seen(
            values=tuple(readings_from(self._id, window, sample, self._use())),
            gaps=tuple(self._silent(device) for device in silent),
        )

    def price(self, machine: Machine) -> Price:
        """By the settings and the power that the newest sample showed."""
        sample = self._newest
        return price_of(
            self._wishes,
            boards=sample.boards if sample is not None else machine.gpus or 1,
            power_w=None if sample is None else sample.power_w,
            on=self._clock().date(),
        )

    def api_calls(self) -> Mapping[str, int]:
        return dict(self._calls)

    def watching_usd(self) -> Decimal | None:
        return Decimal(0)

    def role_text(self) -> str:
        return "No role is needed: NVML answers every user of this machine."

    def probes(self) -> Iterator[Probe]:
        try:
            sample = self._sample()
        except ProviderUnavailable as why:
            yield Probe(what="NVIDIA driver", ok=False, told=str(why))
            return
        yield Probe(
            what="NVIDIA driver",
            ok=True,
            told=f"version {sample.driver or 'unknown'}, {sample.boards} GPU(s)",
        )
        for device in sample.devices:
            yield _probe(device)
        price = self.price(self._machine(sample))
        told = price.why or f"{price.hourly_usd} USD an hour, as set"
        yield Probe(what="price", ok=None if price.hourly_usd is None else True, told=told)

    def _sample(self) -> Sample:
        self._calls["nvml:Sample"] += 1
        self._newest = self._sampler()
        return self._newest

    @property
    def _id(self) -> str:
        return f"local:{self._host.name}:{REGION}:{self._host.identity}"

    @property
    def _scope(self) -> Scope:
        return Scope(provider="local", account=self._host.name, region=REGION)

    def _machine(self, sample: Sample) -> Machine:
        return Machine(
            id=self._id,
            provider="local",
            account=self._host.name,
            region=REGION,
            zone=None,
            name=self._host.name,
            state=MachineState.RUNNING,
            metered=True,
            machine_type=MACHINE_TYPE,
            accelerators=_accelerators(sample.devices),
            purchase=Purchase.ON_DEMAND,
            first_launched_at=None,
            started_at=self._host.booted_at,
            stopped_at=None,
            group=self._id,
            stop_terms=STAYS,
            operating_system=self._host.system,
            host_names=(self._host.name,),
            vcpus=self._host.vcpus,
            needs_setup=False,
        )

    def _silent(self, device: Device) -> Gap:
        told = f"GPU {device.id} tells no utilisation ({device.trouble or 'no answer'})"
        if device.is_slice:
            told += ": before Hopper NVML has none for MIG slices; DCGM has"
        return self._gap("GPU metrics", told, resource=self._id)

    def _gap(self, what: str, why: str, resource: str | None = None) -> Gap:
        return Gap(
            provider="local",
            account=self._host.name,
            region=REGION,
            what=what,
            why=why,
            resource=resource,
        )


def _accelerators(devices: Sequence[Device]) -> tuple[Accelerator, ...]:
    """Devices that are alike are one kind; a slice counts as one."""
    kinds = Counter((device.model, device.memory_total_mib) for device in devices)
    return tuple(
        Accelerator(
            model=model or UNNAMED,
            count=count,
            kind="gpu",
            manufacturer="NVIDIA",
            memory_mib=None if memory_mib is None else int(memory_mib),
        )
        for (model, memory_mib), count in kinds.items()
    )


def _probe(device: Device) -> Probe:
    model = device.model or UNNAMED
    if device.utilisation_pct is None:
        return Probe(
            what=f"GPU {device.id}", ok=None, told=f"{model}: no utilisation ({device.trouble})"
        )
    held = "memory not told"
    if device.memory_used_mib is not None and device.memory_total_mib is not None:
        held = f"{device.memory_used_mib / 1024:.1f} of {device.memory_total_mib / 1024:.1f} GiB"
    return Probe(
        what=f"GPU {device.id}", ok=True, told=f"{model}: {device.utilisation_pct:.0f} %, {held}"
    )
