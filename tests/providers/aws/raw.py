"""Answers of EC2 in the shape that the service documents, for tests of pure functions."""

from datetime import UTC, datetime
from typing import Any

from policies.facts import Accelerator, Machine
from providers.aws.instance_types import TypeFacts
from providers.aws.machines import machine_from

LAUNCHED = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
ATTACHED = datetime(2026, 10, 1, 9, 0, tzinfo=UTC)
A10G = Accelerator(model="A10G", count=1, kind="gpu", manufacturer="NVIDIA", memory_mib=24576)
G5 = TypeFacts(accelerators=(A10G,), vcpus=4, local_disk="250 GB of local NVMe disk")
NO_DISK = TypeFacts(accelerators=(A10G,), vcpus=4, local_disk=None)


def instance(**changes: Any) -> dict[str, Any]:
    """One entry of DescribeInstances; tags as a dict, the rest in EC2's own words."""
    tags = changes.pop("tags", {})
    raw: dict[str, Any] = {
        "InstanceId": "i-0123456789abcdef0",
        "InstanceType": "g5.xlarge",
        "ImageId": "ami-0abc",
        "LaunchTime": LAUNCHED,
        "Placement": {"AvailabilityZone": "us-east-1a", "Tenancy": "default"},
        "PlatformDetails": "Linux/UNIX",
        "PrivateDnsName": "ip-10-0-0-7.ec2.internal",
        "PrivateIpAddress": "10.0.0.7",
        "PublicDnsName": "",
        "RootDeviceType": "ebs",
        "State": {"Code": 16, "Name": "running"},
        "StateTransitionReason": "",
        "NetworkInterfaces": [
            {"Attachment": {"AttachTime": LAUNCHED, "DeviceIndex": 1}},
            {"Attachment": {"AttachTime": ATTACHED, "DeviceIndex": 0}},
        ],
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    return raw | changes


def machine(
    facts: TypeFacts = G5, spot_kind: str | None = None, region: str = "us-east-1", **changes: Any
) -> Machine:
    return machine_from(
        instance(**changes),
        account="123456789012",
        region=region,
        facts=facts,
        spot_kind=spot_kind,
    )
