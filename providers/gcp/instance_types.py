"""What a machine carries: guest accelerators, else its type by catalogue or API. Never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from policies.facts import Accelerator
from providers.catalog import offers

PLAIN_FAMILIES = frozenset(
    {
        *("c2", "c2d", "c3", "c3d", "c4", "c4a", "c4d", "custom", "e2", "f1", "g1", "h3", "h4d"),
        *("m1", "m2", "m3", "m4", "n1", "n2", "n2d", "n4", "n4a", "n4d", "t2a", "t2d", "x4", "z3"),
    }
)
"""Families whose types carry no accelerator; those of N1 are attached to the machine. Google's page
on machine families, 2026-10."""

LOCAL_SSD_GIB = 375
"""The size of one local SSD partition. Titanium SSDs differ and stand on the machine's disks."""

MEMORY_MIB: Mapping[str, tuple[str, int]] = {
    "nvidia-tesla-k80": ("K80", 12 * 1024),
    "nvidia-tesla-p4": ("P4", 8 * 1024),
    "nvidia-tesla-p100": ("P100", 16 * 1024),
    "nvidia-tesla-t4": ("T4", 16 * 1024),
    "nvidia-tesla-v100": ("V100", 16 * 1024),
    "nvidia-tesla-a100": ("A100", 40 * 1024),
    "nvidia-a100-80gb": ("A100", 80 * 1024),
    "nvidia-l4": ("L4", 24 * 1024),
    "nvidia-h100-80gb": ("H100", 80 * 1024),
    "nvidia-h100-mega-80gb": ("H100", 80 * 1024),
    "nvidia-h200-141gb": ("H200", 141 * 1024),
    "nvidia-b200": ("B200", 180 * 1024),
    "nvidia-gb200": ("GB200", 186 * 1024),
    "nvidia-rtx-pro-6000": ("RTX PRO 6000", 96 * 1024),
}
"""By accelerator type, model and memory of one GPU: Google's page on GPU platforms, 2026-10."""

_WORKSTATION = "-vws"
"""Ends the name of an accelerator that is rented with NVIDIA's licence for workstations."""
_VCPUS = re.compile(r"-(?:standard|highmem|highcpu|ultramem|megamem)-(\d+)(?:-lssd)?$")
_CUSTOM = re.compile(r"(?:^|-)custom-(\d+)-(\d+)(?:-ext)?$")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFacts:
    """What is fixed about a machine type."""

    accelerators: tuple[Accelerator, ...]
    """Empty: it carries none of its own."""
    vcpus: int | None = None
    local_ssd_gib: float | None = None
    """Local SSD that comes with the type; 0: none, None: unknown."""


def may_carry(machine_type: str) -> bool:
    """Whether a type of this family may carry accelerators of its own."""
    return machine_type.split("-", 1)[0] not in PLAIN_FAMILIES


def type_from_catalogue(name: str) -> TypeFacts | None:
    """What the offline catalogue tells; None where it does not know the type."""
    if not may_carry(name):
        return TypeFacts(accelerators=(), vcpus=vcpus_of(name), local_ssd_gib=0)
    accelerators = offers.accelerators("gcp", name)
    if accelerators is None:
        return None
    return TypeFacts(
        accelerators=accelerators,
        vcpus=offers.vcpus("gcp", name),
        local_ssd_gib=offers.local_disk_gib("gcp", name),
    )


def type_from(raw: Mapping[str, Any]) -> TypeFacts:
    """One entry of machineTypes."""
    bundled = (raw.get("bundledLocalSsds") or {}).get("partitionCount", 0)
    return TypeFacts(
        accelerators=tuple(
            accelerator(each["guestAcceleratorType"], int(each["guestAcceleratorCount"]))
            for each in raw.get("accelerators", ())
        ),
        vcpus=raw.get("guestCpus"),
        local_ssd_gib=bundled * LOCAL_SSD_GIB,
    )


def guest_accelerators(raw: Mapping[str, Any]) -> tuple[Accelerator, ...]:
    """Those that are attached to one machine. Workstation displays without a GPU count nothing."""
    return tuple(_attached(raw.get("guestAccelerators", ())))


def _attached(listed: Iterable[Mapping[str, Any]]) -> Iterator[Accelerator]:
    for each in listed:
        count = int(each.get("acceleratorCount", 0))
        name = str(each.get("acceleratorType", "")).rsplit("/", 1)[-1]
        if count and name:
            yield accelerator(name, count)


def accelerator(name: str, count: int) -> Accelerator:
    """By the name of its accelerator type. One that is new here keeps its name, without memory."""
    bare = name.removesuffix(_WORKSTATION)
    model, memory = MEMORY_MIB.get(bare, (None, None))
    is_nvidia = bare.startswith("nvidia-")
    is_tpu = bare.startswith(("ct", "tpu"))
    return Accelerator(
        model=model or bare.removeprefix("nvidia-").removeprefix("tesla-").upper(),
        count=count,
        kind="tpu" if is_tpu else "gpu",
        manufacturer="NVIDIA" if is_nvidia else ("Google" if is_tpu else None),
        memory_mib=memory,
    )


def vcpus_of(name: str) -> int | None:
    """Where the name of the type tells them: `n1-standard-8`, `n1-custom-8-30720`."""
    match = _VCPUS.search(name) or _CUSTOM.search(name)
    return None if match is None else int(match[1])
