"""What a machine type carries, from entries of DescribeInstanceTypes."""

from typing import Any

import pytest

from policies.facts import Accelerator
from providers.aws.instance_types import TypeFacts, type_from, type_from_catalogue
from tests.moto_aws import AwsServer


def gpu(name: str, count: int, mib: int, **more: Any) -> dict[str, Any]:
    device = {
        "Name": name,
        "Manufacturer": "NVIDIA",
        "Count": count,
        "LogicalGpuCount": max(1, count),
        "GpuPartitionSize": 1.0,
        "MemoryInfo": {"SizeInMiB": mib},
    }
    return {"GpuInfo": {"Gpus": [device | more]}}


def carried(info: dict[str, Any]) -> tuple[Accelerator, ...]:
    return type_from(info).accelerators


def test_gpus() -> None:
    (a100,) = carried(gpu("A100", 8, 40960))
    assert (a100.model, a100.count, a100.kind, a100.memory_mib) == ("A100", 8, "gpu", 40960)


@pytest.mark.parametrize(
    ("share", "told", "mib"), [(0.125, 2861, 3072), (0.25, 5722, 6144), (0.5, 11444, 12288)]
)
def test_a_slice_counts_as_its_share(share: float, told: int, mib: int) -> None:
    (l4,) = carried(gpu("L4", 0, told, GpuPartitionSize=share))
    assert (l4.count, l4.memory_mib) == (share, mib)


@pytest.mark.parametrize(
    ("name", "told", "mib"),
    [
        ("L4", 22888, 24576),
        ("A10G", 22888, 24576),
        ("L40S", 45776, 49152),
        ("T4", 16384, 16384),
        ("H100", 81920, 81920),
        ("H200", 144384, 144384),
        ("B200", 183359, 183359),
    ],
)
def test_gigabytes_that_ec2_took_for_decimal_are_put_right(name: str, told: int, mib: int) -> None:
    (seen,) = carried(gpu(name, 1, told))
    assert seen.memory_mib == mib


def test_inferentia_is_described_twice_and_counted_once() -> None:
    device = {"Name": "Inferentia2", "Count": 12, "MemoryInfo": {"SizeInMiB": 32768}}
    info = {
        "NeuronInfo": {"NeuronDevices": [device]},
        "InferenceAcceleratorInfo": {"Accelerators": [{**device, "Manufacturer": "AWS"}]},
    }
    (seen,) = carried(info)
    assert (seen.model, seen.count, seen.kind) == ("Inferentia2", 12, "neuron")
    assert seen.manufacturer == "AWS"


def test_other_inference_cards() -> None:
    card = {"Name": "Qualcomm AI100", "Manufacturer": "Qualcomm", "Count": 8}
    (seen,) = carried({"InferenceAcceleratorInfo": {"Accelerators": [card]}})
    assert (seen.model, seen.kind, seen.memory_mib) == ("AI100", "inference", None)


def test_fpgas_and_media_encoders_are_no_accelerators() -> None:
    fpga = {"FpgaInfo": {"Fpgas": [{"Name": "Virtex", "Count": 1}]}}
    media = {"MediaAcceleratorInfo": {"Accelerators": [{"Name": "U30", "Count": 1}]}}
    assert carried(fpga) == carried(media) == ()


@pytest.mark.parametrize(
    ("storage", "told"),
    [
        (None, None),
        (
            {"TotalSizeInGB": 3800, "NvmeSupport": "required", "Disks": [{"Type": "ssd"}]},
            "3800 GB of local NVMe disk",
        ),
        (
            {"TotalSizeInGB": 24000, "NvmeSupport": "unsupported", "Disks": [{"Type": "hdd"}]},
            "24000 GB of local hard disk",
        ),
        (
            {"TotalSizeInGB": 80, "NvmeSupport": "unsupported", "Disks": [{"Type": "ssd"}]},
            "80 GB of local disk",
        ),
    ],
)
def test_local_disks(storage: dict[str, Any] | None, told: str | None) -> None:
    assert type_from({"InstanceStorageInfo": storage}).local_disk == told


def test_the_catalogue_knows_what_ec2_may_not() -> None:
    facts = type_from_catalogue("p4de.24xlarge")
    assert isinstance(facts, TypeFacts)
    assert facts.accelerators[0].count == 8
    assert facts.local_disk
    assert type_from_catalogue("x9.large") is None


def test_an_unknown_local_disk_stays_unknown() -> None:
    facts = type_from_catalogue("dl1.24xlarge")
    assert facts is not None
    assert facts.local_disk is None
    assert not facts.local_disk_known


def test_moto_is_the_stage_here(aws: AwsServer) -> None:
    """The types that the other tests launch are really described by it."""
    told = aws.client("ec2").describe_instance_types(InstanceTypes=["g6f.xlarge", "trn1.32xlarge"])
    facts = {info["InstanceType"]: type_from(info) for info in told["InstanceTypes"]}
    assert facts["g6f.xlarge"].accelerators[0].count == 0.125
    assert facts["trn1.32xlarge"].accelerators[0].kind == "neuron"
