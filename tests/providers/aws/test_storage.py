"""Disks, snapshots, addresses and buckets at a real API: seen, sized and priced to the cent."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import Any

import pytest

from policies.facts import Storage
from providers.aws.adapter import AwsProvider
from providers.base import ListsStorage, Seen, StorageAsked
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_bucket_size
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]
NOW = datetime.now(UTC)
TODAY = NOW.replace(hour=0, minute=0, second=0, microsecond=0)
GIB = 2**30
HOME, AWAY = TWO
ZONE = f"{HOME}a"


def days_ago(days: int) -> datetime:
    return TODAY - timedelta(days=days)


def asked(**changes: Any) -> StorageAsked:
    values: dict[str, Any] = {"now": NOW, "sized_at": {}, "named": lambda _: False}
    return StorageAsked(**(values | changes))


def look(one: AwsProvider, **changes: Any) -> Seen[Storage]:
    assert isinstance(one, ListsStorage)
    one.machines()
    return one.storage(asked(**changes))


def only(seen: Seen[Storage], kind: str) -> Storage:
    (found,) = [each for each in seen.values if each.kind == kind]
    return found


def bucket(aws: AwsServer, name: str, region: str = HOME) -> None:
    elsewhere: dict[str, Any] = {}
    if region != HOME:
        elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": region}}
    aws.client("s3", region).create_bucket(Bucket=name, **elsewhere)


def sizes(aws: AwsServer, name: str, day: int, region: str = HOME, **classes: float) -> None:
    put_bucket_size(aws.client("cloudwatch", region), name, classes, day=days_ago(day))


@pytest.mark.parametrize(
    ("options", "month_usd"),
    [
        ({"VolumeType": "gp3"}, "8.00"),
        ({"VolumeType": "gp3", "Iops": 4000, "Throughput": 130}, "13.20"),
        ({"VolumeType": "gp2"}, "10.00"),
        ({"VolumeType": "io1", "Iops": 300}, "32.00"),
        ({"VolumeType": "io2", "Iops": 300}, "32.00"),
        ({"VolumeType": "st1"}, "4.50"),
        ({"VolumeType": "sc1"}, "1.50"),
        ({"VolumeType": "standard"}, "5.00"),
    ],
)
def test_a_disk_costs_its_type_and_what_is_provisioned_beyond(
    aws: AwsServer, provider: Make, options: dict[str, Any], month_usd: str
) -> None:
    aws.client("ec2").create_volume(Size=100, AvailabilityZone=ZONE, **options)
    volume = only(look(provider()), "volume")
    assert volume.size_bytes == 100 * GIB
    assert volume.monthly_cost_usd == Decimal(month_usd)
    assert volume.why[0] == "attached to no machine"


def test_what_has_no_price_is_unknown_and_never_free(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    ec2.create_volume(Size=100, AvailabilityZone=ZONE, VolumeType="io2", Iops=40_000)
    fast = only(look(provider()), "volume")
    assert fast.monthly_cost_usd is None
    assert "no offline price in us-east-1 for io2 IOPS above 32,000" in fast.why
    aws.client("ec2", AWAY).create_volume(Size=1, AvailabilityZone=f"{AWAY}a", VolumeType="gp3")
    far = only(look(provider(regions=[AWAY])), "volume")
    assert far.monthly_cost_usd is None
    assert far.size_bytes == GIB


def test_a_disk_says_what_it_is_attached_to(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    (trainer,) = launch(ec2, "g5.xlarge")
    disk = only(look(provider()), "volume")
    assert disk.attached_to == f"aws:{ACCOUNT}:{HOME}:{trainer}"
    assert disk.attached_at is not None
    assert disk.why == ()


def test_a_disk_that_grew_tells_what_it_was(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    made = ec2.create_volume(Size=100, AvailabilityZone=ZONE, VolumeType="gp3")
    ec2.modify_volume(VolumeId=made["VolumeId"], Size=250)
    raw = ec2.describe_volumes_modifications()["VolumesModifications"][0]
    later = (raw["StartTime"] + timedelta(minutes=30)).astimezone(UTC)
    aws.edit(
        "ec2:DescribeVolumesModifications",
        lambda body: body.replace(
            f"{raw['StartTime'].astimezone(UTC):%Y-%m-%dT%H:%M:%S}".encode(),
            f"{later:%Y-%m-%dT%H:%M:%S}".encode(),
        ),
    )
    disk = only(look(provider()), "volume")
    assert disk.size_bytes == 250 * GIB
    assert [era.month_usd for era in disk.eras] == [Decimal(8), Decimal(20)]
    assert disk.eras[1].started_at == later.replace(microsecond=0)


def test_public_snapshots_are_nobodys_cost(aws: AwsServer, provider: Make) -> None:
    """moto's region holds 1,301 of others, as AWS's holds many thousands."""
    ec2 = aws.client("ec2")
    disk = ec2.create_volume(Size=40, AvailabilityZone=ZONE, VolumeType="gp3")["VolumeId"]
    first = ec2.create_snapshot(VolumeId=disk)["SnapshotId"]
    seen = [each for each in look(provider()).values if each.kind == "snapshot"]
    assert [each.native_id for each in seen] == [first]
    assert seen[0].size_bytes == 40 * GIB
    assert seen[0].monthly_cost_usd == Decimal("2.00")
    assert seen[0].why[0].startswith("at most")
    request = next(each for each in aws.requests if each.operation == "ec2:DescribeSnapshots")
    assert request.parameters["Owner.1"] == "self"


def test_a_later_snapshot_costs_what_nobody_tells(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    disk = ec2.create_volume(Size=40, AvailabilityZone=ZONE, VolumeType="gp3")["VolumeId"]
    for _ in range(3):
        ec2.create_snapshot(VolumeId=disk)
    costs = [each.monthly_cost_usd for each in look(provider()).values if each.kind == "snapshot"]
    assert sorted(costs, key=str) == [Decimal("2.00"), None, None]


def test_an_address_is_told_while_it_serves_nothing(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    idle = ec2.allocate_address(Domain="vpc")["AllocationId"]
    used = ec2.allocate_address(Domain="vpc")["AllocationId"]
    (trainer,) = launch(ec2, "g5.xlarge")
    ec2.associate_address(AllocationId=used, InstanceId=trainer)
    address = only(look(provider()), "address")
    assert address.native_id == idle
    assert address.size_bytes is None
    assert address.monthly_cost_usd == Decimal("3.65")
    ec2.stop_instances(InstanceIds=[trainer])
    stopped = {each.native_id: each for each in look(provider()).values if each.kind == "address"}
    assert stopped.keys() == {idle, used}
    assert "which is stopped" in stopped[used].why[0]
    assert stopped[used].attached_to == f"aws:{ACCOUNT}:{HOME}:{trainer}"


def test_a_bucket_is_all_its_classes_and_their_overheads(aws: AwsServer, provider: Make) -> None:
    bucket(aws, "data")
    sizes(
        aws,
        "data",
        1,
        IntelligentTieringFAStorage=200 * GIB,
        StandardIAStorage=100 * GIB,
        StandardIASizeOverhead=2 * GIB,
        GlacierStorage=1000 * GIB,
        GlacierObjectOverhead=3 * GIB,
        GlacierS3ObjectOverhead=1 * GIB,
        GlacierStagingStorage=4 * GIB,
    )
    found = only(look(provider()), "bucket")
    assert found.size_bytes == 1310 * GIB
    by_hand = (
        Decimal(200) * Decimal("0.023")
        + Decimal(102) * Decimal("0.0125")
        + Decimal(1003) * Decimal("0.0036")
        + Decimal(5) * Decimal("0.023")
    )
    assert found.monthly_cost_usd == by_hand


def test_a_class_that_nobody_priced_leaves_the_whole_unpriced(
    aws: AwsServer, provider: Make
) -> None:
    bucket(aws, "data")
    sizes(aws, "data", 1, StandardIAStorage=GIB, ReducedRedundancyStorage=GIB)
    found = only(look(provider()), "bucket")
    assert found.size_bytes == 2 * GIB
    assert found.monthly_cost_usd is None
    assert "no offline price in us-east-1 for ReducedRedundancyStorage" in found.why


def test_the_price_falls_with_what_the_account_stores(aws: AwsServer, provider: Make) -> None:
    """50 TB at 0.023 and 50 TB at 0.022, whichever bucket they lie in."""
    for name in ("one", "two"):
        bucket(aws, f"{name}-data")
        sizes(aws, f"{name}-data", 1, DeepArchiveStagingStorage=51_200 * GIB)
    costs = {each.name: each.monthly_cost_usd for each in look(provider()).values}
    assert costs == dict.fromkeys(
        ("one-data", "two-data"), (51_200 * Decimal("0.023") + 51_200 * Decimal("0.022")) / 2
    )


def test_a_metric_that_stops_for_a_day_keeps_its_last_figure(
    aws: AwsServer, provider: Make
) -> None:
    bucket(aws, "data")
    sizes(aws, "data", 5, StandardIAStorage=10 * GIB, OneZoneIAStorage=GIB)
    sizes(aws, "data", 4, StandardIAStorage=20 * GIB)
    sizes(aws, "data", 1, StandardIAStorage=30 * GIB)
    found = only(look(provider()), "bucket")
    assert found.size_bytes == 31 * GIB
    by_day = {era.started_at: era.month_usd for era in found.eras}
    rates = Decimal("0.0125"), Decimal("0.01")
    assert by_day[days_ago(5)] == 10 * rates[0] + rates[1]
    assert by_day[days_ago(4)] == 20 * rates[0] + rates[1]
    assert by_day[days_ago(1)] == 30 * rates[0] + rates[1]
    assert days_ago(3) not in by_day
    stale = f"OneZoneIAStorage: the newest daily size is of {days_ago(5):%Y-%m-%d}"
    assert stale in found.why


def no_own_series(body: bytes) -> bytes:
    """moto counts the objects of every bucket itself; here only what was put counts."""
    return body.replace(b"StandardStorage", b"Ignored")


def test_two_weeks_of_silence_are_unknown(aws: AwsServer, provider: Make) -> None:
    bucket(aws, "data")
    sizes(aws, "data", 16, StandardIAStorage=GIB)
    one = provider()
    aws.edit("cloudwatch:ListMetrics", no_own_series)
    found = only(look(one), "bucket")
    assert found.size_bytes is None
    assert found.monthly_cost_usd is None
    assert found.why[0].startswith("CloudWatch has no daily size of it within 14 days")
    assert found.sized_at == NOW


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_a_series_that_does_not_come_whole_is_no_size(
    aws: AwsServer, provider: Make, status: str
) -> None:
    bucket(aws, "data")
    sizes(aws, "data", 1, StandardIAStorage=GIB)
    aws.edit(
        "cloudwatch:GetMetricData",
        lambda body: body.replace(b"Complete", status.encode(), 1),
    )
    seen = look(provider())
    assert only(seen, "bucket").size_bytes is None
    (gap,) = seen.gaps
    assert (gap.what, gap.region) == ("bucket sizes", HOME)
    assert "1 of 2 series did not come whole" in gap.why


def test_daily_sizes_are_read_once_a_day(aws: AwsServer, provider: Make) -> None:
    bucket(aws, "data")
    sizes(aws, "data", 1, StandardIAStorage=GIB)
    one = provider()
    found = only(look(one), "bucket")
    aws.forget_calls()
    again = only(look(one, sized_at={found.id: NOW}), "bucket")
    assert again.sized_at is None
    assert again.eras == ()
    assert not {"cloudwatch:ListMetrics", "cloudwatch:GetMetricData"} & set(aws.calls)
    yesterday = {found.id: NOW - timedelta(days=1)}
    assert only(look(one, sized_at=yesterday), "bucket") == found


def test_five_hundred_series_a_query_and_pages_of_resources(aws: AwsServer, provider: Make) -> None:
    for number in range(60):
        bucket(aws, f"data-{number}")
        classes = {f"Class{place}": float(GIB) for place in range(9)}
        put_bucket_size(aws.client("cloudwatch"), f"data-{number}", classes, day=days_ago(1))
    for _ in range(30):
        aws.client("ec2").create_volume(Size=1, AvailabilityZone=ZONE, VolumeType="gp3")
    one = provider()
    one.machines()
    aws.forget_calls()
    before = dict(one.api_calls())
    seen = one.storage(
        asked(
            sized_at={f"aws:{ACCOUNT}:{HOME}:data-{n}": NOW - timedelta(days=1) for n in range(60)}
        )
    )
    assert len(seen.values) == 90
    series = 60 * 10
    assert aws.calls == {
        "ec2:DescribeVolumes": 1,
        "ec2:DescribeVolumesModifications": 1,
        "ec2:DescribeSnapshots": 1,
        "ec2:DescribeAddresses": 1,
        "s3:ListBuckets": 1,
        "s3:ListDirectoryBuckets": 1,
        "tag:GetResources": 1,
        "cloudwatch:ListMetrics": ceil(series * 1 / 500),
        "cloudwatch:GetMetricData": ceil(series / 500),
    }
    after = {name: n - before.get(name, 0) for name, n in one.api_calls().items()}
    assert {name: n for name, n in after.items() if n} == aws.calls


def test_uploads_are_listed_of_named_buckets_only(aws: AwsServer, provider: Make) -> None:
    for name in ("named", "other"):
        bucket(aws, f"{name}-data")
        aws.client("s3").create_multipart_upload(Bucket=f"{name}-data", Key="k")
    seen = look(provider(), named=lambda each: each.native_id == "named-data")
    told = {each.name: " ".join(each.asides) for each in seen.values}
    assert "1 unfinished upload" in told["named-data"]
    assert told["other-data"] == ""
    assert aws.calls["s3:ListMultipartUploads"] == 1


def test_tags_of_buckets_come_by_the_page(aws: AwsServer, provider: Make) -> None:
    bucket(aws, "data")
    tags = {"TagSet": [{"Key": "spend-watchdog:workload", "Value": "llama"}]}
    aws.client("s3").put_bucket_tagging(Bucket="data", Tagging=tags)
    assert only(look(provider()), "bucket").tags == {"spend-watchdog:workload": "llama"}


def test_directory_buckets_are_listed_apart(aws: AwsServer, provider: Make) -> None:
    bucket(aws, "data")
    name = "<Name>fast--use1-az4--x-s3</Name><CreationDate>2026-11-20T09:00:00Z</CreationDate>"
    listed = f"<Buckets><Bucket>{name}</Bucket></Buckets>"
    aws.answer(
        "s3:ListDirectoryBuckets",
        f"<ListAllMyDirectoryBucketsResult>{listed}</ListAllMyDirectoryBucketsResult>",
    )
    seen = look(provider())
    assert {each.name: each.kind for each in seen.values} == {
        "data": "bucket",
        "fast--use1-az4--x-s3": "directory bucket",
    }


def test_a_bucket_lies_where_the_listing_says(aws: AwsServer, provider: Make) -> None:
    """AWS tells the region in the listing; where it does not, it is asked for once."""
    bucket(aws, "far-data", AWAY)
    one = provider(regions=TWO)
    assert only(look(one), "bucket").region == AWAY
    look(one)
    assert aws.calls["s3:GetBucketLocation"] == 1
    aws.edit(
        "s3:ListBuckets",
        lambda body: body.replace(
            b"</Name>", f"</Name><BucketRegion>{AWAY}</BucketRegion>".encode()
        ),
    )
    assert only(look(provider(regions=[AWAY])), "bucket").region == AWAY
    assert aws.calls["s3:GetBucketLocation"] == 1
    assert look(provider(regions=[HOME])).values == ()


def test_a_region_that_is_denied_is_told_once_and_its_bucket_is_unknown(
    aws: AwsServer, provider: Make
) -> None:
    bucket(aws, "far-data", AWAY)
    bucket(aws, "near-data")
    sizes(aws, "near-data", 1, StandardIAStorage=GIB)
    sizes(aws, "far-data", 1, AWAY, StandardIAStorage=GIB)
    for operation in ("ec2:DescribeVolumes", "ec2:DescribeSnapshots", "ec2:DescribeAddresses"):
        aws.fail(operation, AWAY, status=403, code="UnauthorizedOperation")
    for operation in ("cloudwatch:ListMetrics", "tag:GetResources", "s3:ListDirectoryBuckets"):
        aws.fail(operation, AWAY, status=403, code="AccessDenied")
    seen = look(provider(regions=TWO))
    by_name = {each.name: each for each in seen.values}
    assert by_name["near-data"].size_bytes == GIB
    assert by_name["far-data"].size_bytes is None
    assert "its size could not be read" in by_name["far-data"].asides[0]
    assert {gap.region for gap in seen.gaps} == {AWAY}
    assert {gap.account for gap in seen.gaps} == {ACCOUNT}
    (gap,) = seen.gaps
    assert gap.what == "storage"
    for permission in ("ec2:DescribeVolumes", "cloudwatch:ListMetrics", "tag:GetResources"):
        assert permission in gap.why
    assert [scope.region for scope in seen.scopes] == [HOME]


@pytest.mark.parametrize(
    "operation",
    [
        "ec2:DescribeVolumes",
        "ec2:DescribeVolumesModifications",
        "ec2:DescribeSnapshots",
        "ec2:DescribeAddresses",
        "s3:ListBuckets",
        "s3:ListDirectoryBuckets",
        "tag:GetResources",
        "cloudwatch:ListMetrics",
        "cloudwatch:GetMetricData",
    ],
)
@pytest.mark.parametrize("fault", ["throttled", "5xx", "html", "cut"])
def test_each_call_that_fails_is_a_gap_and_the_rest_still_comes(
    aws: AwsServer, provider: Make, operation: str, fault: str
) -> None:
    ec2 = aws.client("ec2")
    disk = ec2.create_volume(Size=1, AvailabilityZone=ZONE, VolumeType="gp3")["VolumeId"]
    ec2.create_snapshot(VolumeId=disk)
    ec2.allocate_address(Domain="vpc")
    bucket(aws, "data")
    sizes(aws, "data", 1, StandardIAStorage=GIB)
    one = provider()
    one.machines()
    match fault:
        case "throttled":
            code = "SlowDown" if operation.startswith("s3") else "ThrottlingException"
            aws.fail(operation, status=503, code=code)
        case "5xx":
            aws.fail(operation, status=500, code="InternalError")
        case "html":
            aws.fail(operation, status=502)
        case "cut":
            aws.edit(operation, lambda body: body[: len(body) // 2])
    seen = one.storage(asked())
    assert seen.gaps, "what failed is told"
    assert all("\n" not in gap.why for gap in seen.gaps)
    assert seen.scopes == ()
    kinds = {each.kind for each in seen.values}
    lost = {
        "ec2:DescribeVolumes": {"volume"},
        "ec2:DescribeSnapshots": {"snapshot"},
        "ec2:DescribeAddresses": {"address"},
        "s3:ListBuckets": {"bucket"},
    }.get(operation, set())
    assert kinds == {"volume", "snapshot", "address", "bucket"} - lost
    if operation.startswith("cloudwatch"):
        assert only(seen, "bucket").size_bytes is None
        assert only(seen, "bucket").sized_at is None, "so the next patrol reads it again"
