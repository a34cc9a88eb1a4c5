"""What a VM size carries: by the catalogue, else asked of Azure, never guessed from its name alone.

Resource SKUs tell how many GPUs a size has and not which; the model then stands in the size's name
("Azure VM sizes naming conventions": family, vCPUs, features, accelerator, version).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from policies.facts import Accelerator
from providers.catalog import offers

FAMILY = "standard_n"
"""Every size with a GPU is of family N, which also has FPGAs: it says who is worth asking about."""
MIB = 1024

TEMP_DISK_GIB = {
    "Standard_NC4as_T4_v3": 176,
    "Standard_NC8as_T4_v3": 352,
    "Standard_NC16as_T4_v3": 352,
    "Standard_NC64as_T4_v3": 2816,
    "Standard_NC6s_v3": 736,
    "Standard_NC12s_v3": 1474,
    "Standard_NC24s_v3": 2948,
    "Standard_NC24rs_v3": 2948,
    "Standard_NC24ads_A100_v4": 64,
    "Standard_NC48ads_A100_v4": 128,
    "Standard_NC96ads_A100_v4": 256,
    "Standard_NC40ads_H100_v5": 3576,
    "Standard_NC80adis_H100_v5": 7152,
    "Standard_NCC40ads_H100_v5": 800,
    "Standard_ND40rs_v2": 2948,
    "Standard_ND96asr_v4": 6000,
    "Standard_ND96amsr_A100_v4": 6400,
    "Standard_ND96isr_H100_v5": 1024,
    "Standard_ND96isr_H200_v5": 1024,
    "Standard_ND96isr_MI300X_v5": 1000,
    "Standard_NV6ads_A10_v5": 180,
    "Standard_NV12ads_A10_v5": 360,
    "Standard_NV18ads_A10_v5": 720,
    "Standard_NV36ads_A10_v5": 1440,
    "Standard_NV36adms_A10_v5": 2880,
    "Standard_NV72ads_A10_v5": 2880,
}
"""The temporary disk that a stop empties, by the pages of Azure on GPU sizes (azure-compute-docs,
articles/virtual-machines/sizes/gpu-accelerated, 2026-10)."""
LOCAL_NVME = {
    "Standard_NC24ads_A100_v4": "1 × 960 GiB of local NVMe disk",
    "Standard_NC48ads_A100_v4": "2 × 960 GiB of local NVMe disk",
    "Standard_NC96ads_A100_v4": "4 × 960 GiB of local NVMe disk",
    "Standard_ND96isr_H100_v5": "28 TiB of local NVMe disk",
    "Standard_ND96isr_H200_v5": "28 TiB of local NVMe disk",
    "Standard_ND96isr_MI300X_v5": "28 TiB of local NVMe disk",
}
"""Disks beside the temporary one, by the same pages; a size there without a row here has none."""

_SIZE = re.compile(r"standard_n[a-z]*\d+[a-z]*_(?:[a-z0-9]+_)*?(?P<token>[a-z]*\d+[a-z]*)_v\d+")
_MODELS = {
    "t4": ("T4", 16),
    "a10": ("A10", 24),
    "h100": ("H100", None),
    "h200": ("H200", 141),
    "a100": ("A100", None),
    "gb200": ("GB200", None),
    "gb300": ("GB300", None),
    "mi300x": ("MI300X", 192),
    "v620": ("Radeon PRO V620", 32),
    "v710": ("Radeon PRO V710", 28),
    "rtxpro6000bse": ("RTX PRO 6000", 96),
}
"""The accelerator's part of a size's name, and GiB of one; None: several are sold."""
_AMD = ("MI", "Radeon")


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFacts:
    """What is fixed about a size."""

    accelerators: tuple[Accelerator, ...]
    """Empty: it carries none."""
    vcpus: int | None
    local_disk: str | None
    """Local NVMe that a stop erases; None: there is none."""
    temp_disk: str | None
    """The temporary disk, which a stop empties as well and nobody should rely on."""
    local_disk_known: bool = True


def may_carry(size: str) -> bool:
    return size.lower().startswith(FAMILY)


def type_from_catalogue(size: str) -> TypeFacts | None:
    """What the offline catalogue and the tables here tell; None where they do not know the size."""
    name = _known().get(size.lower())
    accelerators = None if name is None else offers.accelerators("azure", name)
    if name is None or accelerators is None:
        return None
    temp = TEMP_DISK_GIB.get(name)
    return TypeFacts(
        accelerators=tuple(accelerators),
        vcpus=None,
        local_disk=LOCAL_NVME.get(name),
        temp_disk=f"its temporary disk ({temp} GiB)" if temp else None,
        local_disk_known=temp is not None,
    )


def spelled(size: str) -> str:
    """The size as Azure writes it: answers differ in capitals."""
    return _known().get(size.lower(), size)


def type_from(sku: Mapping[str, Any]) -> TypeFacts:
    """One entry of Resource SKUs. An FPGA is no accelerator here."""
    told = {str(each["name"]): str(each["value"]) for each in sku.get("capabilities") or ()}
    count = float(told.get("GPUs", "0"))
    nvme = int(told.get("NvmeDiskSizeInMiB", "0")) // MIB
    temp = int(told.get("MaxResourceVolumeMB", "0")) // MIB
    vcpus = told.get("vCPUs")
    return TypeFacts(
        accelerators=(_accelerator(str(sku["name"]), count),) if count else (),
        vcpus=None if vcpus is None else int(vcpus),
        local_disk=f"{nvme} GiB of local NVMe disk" if nvme else None,
        temp_disk=f"its temporary disk ({temp} GiB)" if temp else None,
    )


def types_from(skus: Iterable[Mapping[str, Any]]) -> dict[str, TypeFacts]:
    """By the size's name in lower case."""
    return {
        str(sku["name"]).lower(): type_from(sku)
        for sku in skus
        if str(sku.get("resourceType")).lower() == "virtualmachines" and may_carry(str(sku["name"]))
    }


def _accelerator(size: str, count: float) -> Accelerator:
    match = _SIZE.fullmatch(size.lower())
    model, gib = _MODELS.get(match["token"] if match else "", (None, None))
    maker = None if model is None else "AMD" if model.startswith(_AMD) else "NVIDIA"
    return Accelerator(
        model=model or "unknown",
        count=count,
        kind="gpu",
        manufacturer=maker,
        memory_mib=None if gib is None else gib * MIB,
    )


@cache
def _known() -> Mapping[str, str]:
    """The sizes of the catalogue by their names in lower case."""
    return {
        name.lower(): name for provider, name, _ in offers.machine_types() if provider == "azure"
    }
