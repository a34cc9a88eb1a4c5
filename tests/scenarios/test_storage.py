"""An account with every kind of storage: what the command says of it, to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from tests.aws_prices import commits
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_bucket_size
from tests.scenarios.test_first_five_minutes import User

pytestmark = pytest.mark.slow
GIB = 2**30
HOME, AWAY = "us-east-1", "us-west-2"
NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
HOURS = Decimal(730)


@pytest.fixture
def aws(server: AwsServer) -> AwsServer:
    server.reset()
    commits(server)
    return server


@pytest.fixture
def user(tmp_path: Path, aws: AwsServer) -> User:
    return User(tmp_path, aws)


def volume(aws: AwsServer, size: int, days_old: int = 30, **options: Any) -> str:
    made = aws.client("ec2").create_volume(Size=size, AvailabilityZone=f"{HOME}a", **options)
    backend: Any = ec2_backends[ACCOUNT][HOME]
    backend.volumes[made["VolumeId"]].create_time = TODAY - timedelta(days=days_old)
    return str(made["VolumeId"])


def sizes(aws: AwsServer, name: str, day: int, **classes: float) -> None:
    when = TODAY - timedelta(days=day)
    put_bucket_size(aws.client("cloudwatch"), name, classes, day=when)


@pytest.fixture
def account(aws: AwsServer) -> dict[str, str]:
    """Every kind once, by what the tests call it: native ids."""
    ec2, s3 = aws.client("ec2"), aws.client("s3")
    tags = {"Name": "trainer-1", "spend-watchdog:workload": "llama"}
    (trainer,) = launch(ec2, "g5.xlarge", tags=tags)
    root = next(iter(ec2_backends[ACCOUNT][HOME].volumes))
    loose = volume(aws, 500, VolumeType="gp3", Iops=6000, Throughput=250)
    held = volume(aws, 200, VolumeType="io1", Iops=1000)
    ec2.attach_volume(VolumeId=held, InstanceId=trainer, Device="/dev/sdf")
    backend: Any = ec2_backends[ACCOUNT][HOME]
    backend.volumes[held].attachment.attach_time = TODAY - timedelta(days=30)
    snapshot = ec2.create_snapshot(VolumeId=loose)["SnapshotId"]
    backend.snapshots[snapshot].start_time = TODAY - timedelta(days=20)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    s3.create_bucket(Bucket="corpus")
    tag_set = {"TagSet": [{"Key": "spend-watchdog:workload", "Value": "corpus"}]}
    s3.put_bucket_tagging(Bucket="corpus", Tagging=tag_set)
    for day in range(1, 6):
        classes = {
            "IntelligentTieringFAStorage": 1000 * GIB,
            "StandardIAStorage": day * 100 * GIB,
            "StandardIASizeOverhead": GIB,
            "GlacierStorage": 4000 * GIB,
            "GlacierObjectOverhead": 8 * GIB,
            "GlacierS3ObjectOverhead": 2 * GIB,
        }
        sizes(aws, "corpus", day, **classes)
    return {
        "root": root,
        "loose": loose,
        "held": held,
        "snapshot": snapshot,
        "address": address,
        "corpus": "corpus",
        "trainer": trainer,
    }


MONTHLY = {
    "root": Decimal(8) * Decimal("0.10"),
    "loose": 500 * Decimal("0.08") + 3000 * Decimal("0.005") + 125 * Decimal("0.04"),
    "held": 200 * Decimal("0.125") + 1000 * Decimal("0.065"),
    "snapshot": 500 * Decimal("0.05"),
    "address": Decimal("3.65"),
    "corpus": 1000 * Decimal("0.023")
    + 101 * Decimal("0.0125")
    + 4008 * Decimal("0.0036")
    + 2 * Decimal("0.023"),
}
"""By hand, from the price list of us-east-1."""


def by_native_id(report: Any) -> dict[str, Any]:
    return {each["id"].rsplit(":", 1)[-1]: each for each in report["storage"]}


def stored(told: Any) -> dict[str, Decimal]:
    return {row["key"]: Decimal(row["storage"] or 0) for row in told["rows"]}


def test_every_kind_is_seen_priced_and_charged(
    user: User, aws: AwsServer, account: dict[str, str]
) -> None:
    code, report = user.run("patrol")
    assert (code, report["gaps"]) == (0, [])
    seen = by_native_id(report)
    assert seen.keys() == {account[name] for name in MONTHLY}
    for name, by_hand in MONTHLY.items():
        assert Decimal(seen[account[name]]["monthly_cost_usd"]) == by_hand, name
    assert {name: seen[account[name]]["size_bytes"] for name in MONTHLY} == {
        "root": 8 * GIB,
        "loose": 500 * GIB,
        "held": 200 * GIB,
        "snapshot": 500 * GIB,
        "address": None,
        "corpus": (1000 + 101 + 4008 + 2) * GIB,
    }
    assert {name: seen[account[name]]["workload"] for name in MONTHLY} == {
        "root": "llama",
        "loose": None,
        "held": "llama",
        "snapshot": None,
        "address": None,
        "corpus": "corpus",
    }
    assert seen[account["held"]]["attached_to"].endswith(account["trainer"])
    assert report["cost_of_watching"]["api_calls"] == dict(aws.calls)
    day = ("--since", f"{TODAY - timedelta(days=2):%Y-%m-%d}", "--until", f"{TODAY:%Y-%m-%d}")
    _, costs = user.run("costs", *day)
    two_days = 48 / HOURS
    infrequent = Decimal("0.0125") * 24 / HOURS
    loose = (MONTHLY["loose"] + MONTHLY["snapshot"]) * two_days
    expected = {
        "llama": MONTHLY["held"] * two_days,
        "unattributed": loose,
        "corpus": MONTHLY["corpus"] * two_days + 100 * infrequent,
    }
    assert stored(costs) == {
        name: pytest.approx(usd, abs=Decimal("1e-6")) for name, usd in expected.items()
    }
    assert Decimal(costs["totals"]["total"]) == Decimal(costs["totals"]["storage"])
    assert costs["unpriced"] == []


def test_a_day_takes_one_reading_and_a_page_a_listing(
    user: User, aws: AwsServer, account: dict[str, str]
) -> None:
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": []}))
    _, first = user.run("patrol")
    aws.forget_calls()
    code, second = user.run("patrol")
    assert code == 0
    daily = [call for call in aws.requests if b"BucketSizeBytes" in call.body]
    assert daily == []
    assert {name: n for name, n in aws.calls.items() if not name.startswith("cloudwatch")} == {
        "ec2:DescribeRegions": 1,
        "ec2:DescribeInstances": 2,
        "ec2:DescribeInstanceTypes": 1,
        "ec2:DescribeVolumes": 2,
        "ec2:DescribeVolumesModifications": 1,
        "ec2:DescribeSnapshots": 2,
        "ec2:DescribeAddresses": 2,
        "s3:ListBuckets": 1,
        "s3:ListDirectoryBuckets": 2,
        "sagemaker:ListDomains": 2,
        "sagemaker:ListEndpoints": 2,
        "sagemaker:ListNotebookInstances": 2,
        "sagemaker:ListProcessingJobs": 2,
        "sagemaker:ListTrainingJobs": 2,
        "tag:GetResources": 1,
    }
    same = ("id", "kind", "workload", "size_bytes", "monthly_cost_usd", "why")
    assert [[each[name] for name in same] for each in second["storage"]] == [
        [each[name] for name in same] for each in first["storage"]
    ]


def test_a_disk_that_grows_within_an_hour(user: User, aws: AwsServer) -> None:
    """Made at 10:00 two days ago with 100 GB; 400 GB from 10:45 on."""
    begin = TODAY - timedelta(days=2) + timedelta(hours=10)
    disk = volume(aws, 100, VolumeType="gp3")
    backend: Any = ec2_backends[ACCOUNT][HOME]
    backend.volumes[disk].create_time = begin
    aws.client("ec2").modify_volume(VolumeId=disk, Size=400)
    backend.volumes[disk].modifications[0].start_time = begin + timedelta(minutes=45)
    user.run("patrol")
    hour = ("--since", f"{begin:%Y-%m-%dT%H:%MZ}")
    until = ("--until", f"{begin + timedelta(hours=1):%Y-%m-%dT%H:%MZ}")
    _, costs = user.run("costs", *hour, *until)
    gigabyte_hours = Decimal(100 * 45 + 400 * 15) / 60
    by_hand = (gigabyte_hours * Decimal("0.08") / HOURS).quantize(Decimal("1e-9"))
    assert stored(costs) == {"unattributed": by_hand}


def test_a_region_that_is_denied(user: User, aws: AwsServer, account: dict[str, str]) -> None:
    location = {"LocationConstraint": AWAY}
    aws.client("s3", AWAY).create_bucket(Bucket="far", CreateBucketConfiguration=location)
    aws.fail(None, AWAY, status=403, code="AccessDenied")
    code, report = user.run("patrol")
    assert code == 4
    seen = by_native_id(report)
    assert seen["far"]["size_bytes"] is None
    assert seen["far"]["monthly_cost_usd"] is None
    assert "could not be read" in seen["far"]["why"][-1]
    assert seen[account["loose"]]["size_bytes"] == 500 * GIB
    assert {gap["region"] for gap in report["gaps"]} == {AWAY}
    assert {gap["what"] for gap in report["gaps"]} == {"machines", "storage"}


def test_storage_may_be_left_out(user: User, aws: AwsServer, account: dict[str, str]) -> None:
    code, report = user.run("patrol", SPEND_WATCHDOG_STORAGE="false")
    assert code == 0
    assert report["storage"] == []
    asked = {name.split(":")[0] for name in aws.calls}
    assert not {"s3", "tag"} & asked
    assert "ec2:DescribeVolumes" not in aws.calls
