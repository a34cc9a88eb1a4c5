"""What a machine type carries: asked of EC2, else of the catalogue, never guessed from its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from policies.facts import Accelerator
from providers.catalog import offers

AWS_FILTER_VALUES = 200
"""Values that one filter takes."""
PAGE = 100
"""Types that one page of DescribeInstanceTypes holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeFacts:
    """What is fixed about a machine type."""

    accelerators: tuple[Accelerator, ...]
    """Empty: it carries none."""
    vcpus: int | None
    local_disk: str | None
    """Local disk that a stop erases: `3800 GB of local NVMe disk`. None: there is none."""
    local_disk_known: bool = True


def fetch_types(ec2: Any, names: Iterable[str]) -> dict[str, TypeFacts]:
    """The types that EC2 describes here. A name that it does not know is simply absent.

    A filter, not a list of names: one unknown name would refuse the whole list.
    """
    pages = ec2.get_paginator("describe_instance_types")
    found: dict[str, TypeFacts] = {}
    for several in _chunks(sorted(names), AWS_FILTER_VALUES):
        wanted = [{"Name": "instance-type", "Values": several}]
        for page in pages.paginate(Filters=wanted, PaginationConfig={"PageSize": PAGE}):
            found |= {info["InstanceType"]: type_from(info) for info in page["InstanceTypes"]}
    return found


def type_from_catalogue(name: str) -> TypeFacts | None:
    """What the offline catalogue tells; None where it does not know the type."""
    accelerators = offers.accelerators("aws", name)
    if accelerators is None:
        return None
    disk_gib = offers.local_disk_gib("aws", name)
    return TypeFacts(
        accelerators=tuple(accelerators),
        vcpus=None,
        local_disk=f"{disk_gib:g} GiB of local disk" if disk_gib else None,
        local_disk_known=disk_gib is not None,
    )


def type_from(info: Mapping[str, Any]) -> TypeFacts:
    """One entry of DescribeInstanceTypes. FPGAs and media encoders are no accelerators here."""
    return TypeFacts(
        accelerators=(*_gpus(info), *_neuron(info), *_inference(info)),
        vcpus=info.get("VCpuInfo", {}).get("DefaultVCpus"),
        local_disk=_local_disk(info.get("InstanceStorageInfo")),
    )


def _gpus(info: Mapping[str, Any]) -> Iterator[Accelerator]:
    """A fractional GPU has `Count` 0; its share stands in `GpuPartitionSize`."""
    for gpu in info.get("GpuInfo", {}).get("Gpus", ()):
        share = gpu.get("GpuPartitionSize") or 1
        whole = gpu.get("Count") or 0
        yield _accelerator(
            gpu, "gpu", count=whole if share == 1 else share * gpu.get("LogicalGpuCount", 1)
        )


def _neuron(info: Mapping[str, Any]) -> Iterator[Accelerator]:
    for device in info.get("NeuronInfo", {}).get("NeuronDevices", ()):
        yield _accelerator({"Manufacturer": "AWS", **device}, "neuron", count=device["Count"])


def _inference(info: Mapping[str, Any]) -> Iterator[Accelerator]:
    """Inferentia is described twice, here and as a Neuron device: it is counted there."""
    if info.get("NeuronInfo", {}).get("NeuronDevices"):
        return
    for device in info.get("InferenceAcceleratorInfo", {}).get("Accelerators", ()):
        yield _accelerator(device, "inference", count=device["Count"])


def _accelerator(device: Mapping[str, Any], kind: str, count: float) -> Accelerator:
    manufacturer = device.get("Manufacturer")
    name = str(device.get("Name", "unknown"))
    return Accelerator(
        model=name.removeprefix(f"{manufacturer} "),
        count=count,
        kind=kind,
        manufacturer=manufacturer,
        memory_mib=_memory_mib(device.get("MemoryInfo", {}).get("SizeInMiB")),
    )


def _memory_mib(told: int | None) -> int | None:
    """The memory of one accelerator, with an error of EC2's undone.

    For L4, A10G and L40S the API takes the vendor's 24 GB for 24·10⁹ bytes and answers 22,888 MiB
    (11,444, 5,722 and 2,861 for slices) where the card has 24,576. No other size is of that form.
    """
    if told is None:
        return None
    gigabytes = round(told * 2**20 / 1e9)
    is_decimal = int(gigabytes * 1e9 / 2**20) == told
    return gigabytes * 1024 if is_decimal else told


def _local_disk(storage: Mapping[str, Any] | None) -> str | None:
    if not storage or not storage.get("TotalSizeInGB"):
        return None
    kinds = {disk.get("Type", "disk") for disk in storage.get("Disks", ())}
    kind = "NVMe disk" if storage.get("NvmeSupport", "unsupported") != "unsupported" else "disk"
    if kind == "disk" and kinds == {"hdd"}:
        kind = "hard disk"
    return f"{storage['TotalSizeInGB']} GB of local {kind}"


def _chunks(names: Sequence[str], size: int) -> Iterator[list[str]]:
    for begin in range(0, len(names), size):
        yield list(names[begin : begin + size])
