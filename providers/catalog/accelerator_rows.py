"""What each machine type carries, as rows of `accelerators.csv`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from providers.catalog import origins, sizes
from providers.catalog.reading import CatalogueError, Row, csv_rows, json_object

GB_IN_GIB = 10**9 / 2**30
"""AWS states instance stores in GB of 10^9 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceleratorRow:
    """One kind of accelerator on one machine type."""

    provider: str
    machine_type: str
    manufacturer: str
    model: str
    kind: str
    count: Fraction
    memory_mib: int
    """Of one accelerator; of the slice where `count` is below one."""
    vcpus: int
    local_disk_gib: float | None
    """Of the whole type; None: optional or unknown."""
    source: str

    def cells(self) -> tuple[str, ...]:
        disk = self.local_disk_gib
        return (
            self.provider,
            self.machine_type,
            self.manufacturer,
            self.model,
            self.kind,
            f"{float(self.count):.4f}".rstrip("0").rstrip("."),
            str(self.memory_mib),
            str(self.vcpus),
            "" if disk is None else f"{disk:.1f}".removesuffix(".0"),
            self.source,
        )


def accelerator_rows(folder: Path) -> tuple[AcceleratorRow, ...]:
    described = tuple(_aws_described(folder))
    known = {row.machine_type for row in described}
    rows = (*described, *_aws_counted(folder, known), *_azure(folder), *_gcp(folder))
    return tuple(sorted(rows, key=AcceleratorRow.cells))


def count_conflicts(folder: Path) -> tuple[str, ...]:
    """Where the plain counts of GPUs contradict what is carried, one line each."""
    carried = {row.machine_type: row for row in accelerator_rows(folder)}
    lines = []
    for name in ("aws_accelerator_counts.csv", "azure_accelerator_counts.csv"):
        for row in _counts(folder, name):
            ours = carried.get(row.text("instance_type"))
            if ours is not None and ours.count != row.whole("gpu"):
                lines.append(
                    f"{ours.machine_type}: {ours.count} carried, {row.whole('gpu')} counted"
                )
    return tuple(sorted(lines))


def _aws_described(folder: Path) -> Iterator[AcceleratorRow]:
    name = "aws_describe_instance_types_accel.json.gz"
    for machine_type, described in json_object(folder, name).items():
        try:
            for maker, model, kind, count, memory in _aws_accelerators(described):
                yield AcceleratorRow(
                    provider="aws",
                    machine_type=machine_type,
                    manufacturer=maker,
                    model=model.removeprefix(f"{maker} "),
                    kind=kind,
                    count=count,
                    memory_mib=memory,
                    vcpus=described["VCpuInfo"]["DefaultVCpus"],
                    local_disk_gib=_aws_disk_gib(described),
                    source=origins.AWS_TYPES.id,
                )
        except (KeyError, TypeError) as error:
            raise CatalogueError(f"{name}, {machine_type}: {error!r} is missing or odd") from error


def _aws_accelerators(
    described: Mapping[str, Any],
) -> Iterator[tuple[str, str, str, Fraction, int]]:
    """A Neuron device is also told as an inference accelerator: it counts once, as Neuron."""
    for gpu in described.get("GpuInfo", {}).get("Gpus", ()):
        slice_of_one = Fraction(gpu.get("GpuPartitionSize", 1))
        count = (
            slice_of_one * gpu["LogicalGpuCount"] if slice_of_one < 1 else Fraction(gpu["Count"])
        )
        yield gpu["Manufacturer"], gpu["Name"], "gpu", count, gpu["MemoryInfo"]["SizeInMiB"]
    neuron = described.get("NeuronInfo", {}).get("NeuronDevices", ())
    for device in neuron:
        memory = device["MemoryInfo"]["SizeInMiB"]
        yield "AWS", device["Name"], "neuron", Fraction(device["Count"]), memory
    if not neuron:
        for each in described.get("InferenceAcceleratorInfo", {}).get("Accelerators", ()):
            memory = each["MemoryInfo"]["SizeInMiB"]
            yield each["Manufacturer"], each["Name"], "inference", Fraction(each["Count"]), memory


def _aws_disk_gib(described: Mapping[str, Any]) -> float:
    store = described.get("InstanceStorageInfo")
    return store["TotalSizeInGB"] * GB_IN_GIB if store else 0.0


def _aws_counted(folder: Path, known: set[str]) -> Iterator[AcceleratorRow]:
    for row in _counts(folder, "aws_accelerator_counts.csv"):
        card = sizes.AWS_CARDS.get(row.text("instance_type"))
        if card is not None and row.text("instance_type") not in known:
            yield _carded("aws", row, card, Fraction(row.whole("gpu")), origins.AWS_COUNTS.id)


def _azure(folder: Path) -> Iterator[AcceleratorRow]:
    for row in _counts(folder, "azure_accelerator_counts.csv"):
        if row.text("instance_type") in sizes.AZURE_CARDS:
            card, count = sizes.AZURE_CARDS[row.text("instance_type")]
            yield _carded("azure", row, card, Fraction(count), origins.AZURE_COUNTS.id)


def _carded(
    provider: str, row: Row, card: sizes.Card, count: Fraction, source: str
) -> AcceleratorRow:
    return AcceleratorRow(
        provider=provider,
        machine_type=row.text("instance_type"),
        manufacturer=card.manufacturer,
        model=card.model,
        kind="gpu",
        count=count,
        memory_mib=_memory_mib(card, count),
        vcpus=row.whole("vcpu"),
        local_disk_gib=None,
        source=source,
    )


def _gcp(folder: Path) -> Iterator[AcceleratorRow]:
    name = "gcp_cyclenerd_accel.csv.gz"
    attributes = {
        row.text("machine_type"): row.json_object("attrs")
        for row in csv_rows(folder, name, ("machine_type", "attrs"))
    }
    for machine_type, carried in attributes.items():
        disk = carried.pop("local-ssd", None)
        for accelerator, count in carried.items():
            if accelerator not in sizes.GCP_CARDS:
                raise CatalogueError(f"{name}, {machine_type}: {accelerator!r} is not known")
            card = sizes.GCP_CARDS[accelerator]
            yield AcceleratorRow(
                provider="gcp",
                machine_type=machine_type,
                manufacturer=card.manufacturer,
                model=card.model,
                kind="gpu",
                count=Fraction(count),
                memory_mib=_memory_mib(card, Fraction(count)),
                vcpus=_gcp_vcpus(machine_type),
                local_disk_gib=disk,
                source=origins.CYCLENERD_GCP.id,
            )


def _gcp_vcpus(machine_type: str) -> int:
    return sizes.GCP_VCPUS.get(machine_type) or int(machine_type.rsplit("-", 1)[-1])


def _memory_mib(card: sizes.Card, count: Fraction) -> int:
    return int(card.memory_mib * min(count, Fraction(1)))


def _counts(folder: Path, name: str) -> Iterator[Row]:
    return csv_rows(folder, name, ("instance_type", "vcpu", "gpu"))
