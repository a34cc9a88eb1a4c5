"""What left machines, NAT gateways and buckets, as a real AWS API over HTTP tells it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from math import ceil
from typing import Any

import pytest

from policies.facts import Scope, Window
from providers.aws.adapter import AwsProvider
from providers.base import MetersEgress, Seen
from providers.egress import INTERNET, NAT_PROCESSING, EgressCounter
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_metric
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]
REGION = "us-east-1"
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
BEGIN = END - timedelta(hours=3)
WINDOW = Window(started_at=BEGIN, ended_at=END, period_s=3600)
GB = 2**30
FIRST, SECOND, THIRD = (BEGIN + timedelta(hours=hour) for hour in range(3))


def sent(
    aws: AwsServer,
    values: Sequence[float | None],
    namespace: str,
    name: str,
    region: str = REGION,
    started_at: datetime = BEGIN,
    **dimensions: str,
) -> None:
    """One point an hour."""
    put_metric(
        aws.client("cloudwatch", region),
        name,
        values,
        dimensions=dimensions,
        started_at=started_at,
        namespace=namespace,
        period_s=3600,
    )


def out_of(
    aws: AwsServer, machine: str, values: Sequence[float | None], region: str = REGION
) -> None:
    sent(aws, values, "AWS/EC2", "NetworkOut", region, InstanceId=machine)


def through(aws: AwsServer, gateway: str, name: str, values: Sequence[float | None]) -> None:
    sent(aws, values, "AWS/NATGateway", name, NatGatewayId=gateway)


def downloaded(
    aws: AwsServer, bucket: str, values: Sequence[float | None], rule: str = "EntireBucket"
) -> None:
    sent(aws, values, "AWS/S3", "BytesDownloaded", BucketName=bucket, FilterId=rule)


def gateway(aws: AwsServer, **tags: str) -> str:
    ec2 = aws.client("ec2")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    told = [{"Key": key, "Value": value} for key, value in tags.items()]
    made = ec2.create_nat_gateway(
        SubnetId=subnet, TagSpecifications=[{"ResourceType": "natgateway", "Tags": told}]
    )
    return str(made["NatGateway"]["NatGatewayId"])


def scopes(*regions: str) -> list[Scope]:
    return [Scope(provider="aws", account=ACCOUNT, region=region) for region in regions]


def seen(one: AwsProvider, *regions: str, window: Window = WINDOW) -> Seen[EgressCounter]:
    assert isinstance(one, MetersEgress)
    return one.egress(one.machines().values, scopes(*(regions or (REGION,))), window)


def only(found: Seen[EgressCounter]) -> EgressCounter:
    (counter,) = found.values
    return counter


def test_a_machine_tells_everything_that_it_sent(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge", tags={"Name": "trainer-1"})
    out_of(aws, trainer, [5 * GB, 7 * GB, 1])
    found = seen(provider())
    counter = only(found)
    assert found.gaps == ()
    assert counter.id == f"aws:{ACCOUNT}:{REGION}:{trainer}"
    assert (counter.kind, counter.name, counter.reach) == ("machine", "trainer-1", "all")
    assert counter.hours == {FIRST: 5 * GB, SECOND: 7 * GB, THIRD: 1}
    assert counter.tariff.service == INTERNET
    assert "cost is what it would be if all of it went to the internet" in counter.why[0]


def test_points_within_an_hour_are_added(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_metric(
        aws.client("cloudwatch"),
        "NetworkOut",
        [100.0] * 36,
        dimensions={"InstanceId": trainer},
        started_at=BEGIN,
        namespace="AWS/EC2",
    )
    assert only(seen(provider())).hours == dict.fromkeys((FIRST, SECOND, THIRD), 1200)


def test_machines_without_accelerators_are_not_asked_about(aws: AwsServer, provider: Make) -> None:
    (web,) = launch(aws.client("ec2"), "m5.large")
    out_of(aws, web, [GB])
    assert seen(provider()).values == ()
    assert "cloudwatch:GetMetricData" not in aws.calls
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    out_of(aws, trainer, [GB])
    assert only(seen(provider())).id.endswith(trainer)
    (asked,) = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert len(asked.parameters["MetricDataQueries"]) == 1


def test_a_metric_that_stops_is_no_zero(aws: AwsServer, provider: Make) -> None:
    quiet, silent = launch(aws.client("ec2"), "g5.xlarge", 2)
    out_of(aws, quiet, [GB, None, 0.0])
    sent(
        aws,
        [GB],
        "AWS/EC2",
        "NetworkOut",
        started_at=BEGIN - timedelta(hours=2),
        InstanceId=silent,
    )
    by_id = {each.id.rsplit(":", 1)[-1]: each.hours for each in seen(provider()).values}
    assert by_id == {quiet: {FIRST: GB, THIRD: 0}, silent: {}}


def test_a_gateway_counts_each_direction_once(aws: AwsServer, provider: Make) -> None:
    nat = gateway(aws, Name="nat-a", **{"spend-watchdog:workload": "llama"})
    through(aws, nat, "BytesOutToDestination", [3 * GB] * 3)
    through(aws, nat, "BytesInFromSource", [3 * GB] * 3)
    through(aws, nat, "BytesInFromDestination", [GB] * 3)
    through(aws, nat, "BytesOutToSource", [GB] * 3)
    through(aws, nat, "ActiveConnectionCount", [9] * 3)
    counter = only(seen(provider()))
    assert (counter.id, counter.kind) == (f"aws:{ACCOUNT}:{REGION}:{nat}", "nat-gateway")
    assert counter.hours == dict.fromkeys((FIRST, SECOND, THIRD), 4 * GB)
    assert (counter.name, counter.reach) == ("nat-a", "all")
    assert counter.tags == {"Name": "nat-a", "spend-watchdog:workload": "llama"}
    assert counter.tariff.service == NAT_PROCESSING
    (asked,) = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert len(asked.parameters["MetricDataQueries"]) == 2


def test_a_gateway_that_is_gone_still_tells_what_it_processed(
    aws: AwsServer, provider: Make
) -> None:
    through(aws, "nat-0f00", "BytesOutToDestination", [GB])
    through(aws, "nat-0f00", "BytesInFromDestination", [GB])
    counter = only(seen(provider()))
    assert counter.hours == {FIRST: 2 * GB}
    assert counter.tags is None, "so it stays with whom it belonged to"


def test_the_counters_of_the_other_side_will_do(aws: AwsServer, provider: Make) -> None:
    nat = gateway(aws)
    through(aws, nat, "BytesInFromSource", [3 * GB])
    through(aws, nat, "BytesOutToSource", [GB])
    assert only(seen(provider())).hours == {FIRST: 4 * GB}


def test_half_of_a_gateway_is_said_to_be_half_and_has_no_price(
    aws: AwsServer, provider: Make
) -> None:
    nat = gateway(aws)
    through(aws, nat, "BytesOutToDestination", [3 * GB])
    counter = only(seen(provider()))
    assert counter.hours == {FIRST: 3 * GB}
    assert counter.tariff.tiers == ()
    assert counter.why[0].startswith("only what went out is counted")


def test_an_hour_of_which_one_direction_is_missing_is_not_measured(
    aws: AwsServer, provider: Make
) -> None:
    nat = gateway(aws)
    through(aws, nat, "BytesOutToDestination", [GB, GB, GB])
    through(aws, nat, "BytesInFromDestination", [GB, None, GB])
    assert only(seen(provider())).hours == {FIRST: 2 * GB, THIRD: 2 * GB}


def test_a_bucket_with_request_metrics(aws: AwsServer, provider: Make) -> None:
    aws.client("s3").create_bucket(Bucket="datasets")
    tags = [{"Key": "spend-watchdog:workload", "Value": "llama"}]
    aws.client("s3").put_bucket_tagging(Bucket="datasets", Tagging={"TagSet": tags})
    downloaded(aws, "datasets", [GB, None, 2 * GB])
    counter = only(seen(provider()))
    assert (counter.id, counter.kind) == (f"aws:{ACCOUNT}:{REGION}:datasets", "bucket")
    assert counter.hours == {FIRST: GB, THIRD: 2 * GB}
    assert counter.tags == {"spend-watchdog:workload": "llama"}
    assert counter.reach == "all"
    assert "also within the region, where it is free" in counter.why[0]


@pytest.mark.parametrize(
    ("rules", "wanted", "words"),
    [
        ({"EntireBucket": 1.0, "big": 5.0}, 1, "everything"),
        ({"raw": 5.0}, 5, "filter raw lets through: maybe not all"),
        ({"raw": 2.0, "cooked": 5.0}, 5, "of 2 filters, which may overlap, the largest (cooked)"),
    ],
)
def test_filters_of_a_bucket_are_never_added(
    aws: AwsServer, provider: Make, rules: dict[str, float], wanted: int, words: str
) -> None:
    for rule, value in rules.items():
        downloaded(aws, "datasets", [value], rule)
    counter = only(seen(provider()))
    assert counter.hours == {FIRST: wanted}
    assert words in counter.why[0]


def test_the_hour_that_is_not_over_is_left_out(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    out_of(aws, trainer, [GB] * 4)
    assert END not in only(seen(provider())).hours


FAULTS: list[tuple[str, set[str], str]] = [
    ("cloudwatch:GetMetricData", {"other"}, "egress metrics"),
    ("cloudwatch:ListMetrics", {"other"}, "egress metrics"),
    ("ec2:DescribeNatGateways", {"machine", "nat-gateway", "bucket", "other"}, "NAT gateways"),
    ("tag:GetResources", {"machine", "nat-gateway", "bucket", "other"}, "tags of buckets"),
]


@pytest.mark.parametrize(("status", "code"), [(403, "AccessDenied"), (503, None)])
@pytest.mark.parametrize(("operation", "kinds", "what"), FAULTS)
def test_a_call_that_fails_is_a_gap_and_the_rest_still_comes(
    aws: AwsServer,
    provider: Make,
    *,
    operation: str,
    kinds: set[str],
    what: str,
    status: int,
    code: str | None,
) -> None:
    for region in TWO:
        (trainer,) = launch(aws.client("ec2", region), "g5.xlarge")
        out_of(aws, trainer, [GB], region)
    nat = gateway(aws)
    through(aws, nat, "BytesOutToDestination", [GB])
    through(aws, nat, "BytesInFromDestination", [GB])
    downloaded(aws, "datasets", [GB])
    one = provider(regions=TWO)
    machines = one.machines().values
    aws.fail(operation, REGION, status=status, code=code)
    found = one.egress(machines, scopes(*TWO), WINDOW)
    kind_of = {REGION: None, TWO[1]: "other"}
    assert {kind_of[str(each.scope.region)] or each.kind for each in found.values} == kinds
    assert all(each.hours for each in found.values)
    assert found.gaps
    assert {(gap.provider, gap.account, gap.region, gap.what) for gap in found.gaps} == {
        ("aws", ACCOUNT, REGION, what)
    }
    assert all(operation in gap.why for gap in found.gaps)


@pytest.mark.parametrize("operation", ["ec2:DescribeNatGateways", "tag:GetResources"])
def test_tags_that_cannot_be_read_are_unknown_and_not_absent(
    aws: AwsServer, provider: Make, operation: str
) -> None:
    nat = gateway(aws)
    through(aws, nat, "BytesOutToDestination", [GB])
    through(aws, nat, "BytesInFromDestination", [GB])
    downloaded(aws, "datasets", [GB])
    aws.fail(operation, status=403, code="AccessDenied")
    tags = {each.kind: each.tags for each in seen(provider()).values}
    blind = "bucket" if operation.startswith("tag") else "nat-gateway"
    assert [kind for kind, told in tags.items() if told is None] == [blind]


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_a_part_of_a_series_is_not_its_sum(aws: AwsServer, provider: Make, status: str) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    out_of(aws, trainer, [GB] * 3)

    def cut(body: bytes) -> bytes:
        return body.replace(b"Complete", status.encode())

    aws.edit("cloudwatch:GetMetricData", cut)
    found = seen(provider())
    assert found.values == ()
    (gap,) = found.gaps
    assert f"1 of 1 series did not come whole (1 {status})" in gap.why


def test_one_half_of_a_gateway_that_fails_makes_it_unknown(aws: AwsServer, provider: Make) -> None:
    nat = gateway(aws)
    through(aws, nat, "BytesOutToDestination", [GB])
    through(aws, nat, "BytesInFromDestination", [GB])

    def lame(body: bytes) -> bytes:
        told: dict[str, Any] = json.loads(body)
        told["MetricDataResults"][1]["StatusCode"] = "InternalError"
        return json.dumps(told).encode()

    aws.edit("cloudwatch:GetMetricData", lame)
    found = seen(provider())
    assert found.values == ()
    assert "1 of 2 series" in found.gaps[0].why


def test_pages_of_one_answer_belong_together(aws: AwsServer, provider: Make) -> None:
    """AWS cuts a long answer: the series goes on on the next page."""
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    out_of(aws, trainer, [1, 2, 3])
    answers: list[int] = []

    def page(body: bytes) -> bytes:
        told: dict[str, Any] = json.loads(body)
        (result,) = told["MetricDataResults"]
        begin, end = (0, 1) if not answers else (1, 3)
        answers.append(begin)
        for name in ("Timestamps", "Values"):
            result[name] = result[name][begin:end]
        if begin == 0:
            told["NextToken"] = "more"
            result["StatusCode"] = "PartialData"
        return json.dumps(told).encode()

    aws.edit("cloudwatch:GetMetricData", page)
    found = seen(provider())
    assert found.gaps == ()
    assert only(found).hours == {FIRST: 1, SECOND: 2, THIRD: 3}


@pytest.mark.slow
def test_a_region_is_asked_in_batches_and_never_by_resource(aws: AwsServer, provider: Make) -> None:
    ids = launch(aws.client("ec2"), "g5.xlarge", 300)
    for machine in ids:
        out_of(aws, machine, [1.0])
    for number in range(130):
        through(aws, f"nat-{number:017x}", "BytesOutToDestination", [1.0])
        through(aws, f"nat-{number:017x}", "BytesInFromDestination", [1.0])
    gateway(aws)
    for number in range(40):
        downloaded(aws, f"bucket-{number}", [1.0])
    one = provider()
    machines = one.machines().values
    aws.forget_calls()
    found = one.egress(machines, scopes(REGION), WINDOW)
    assert len(found.values) == 300 + 130 + 40
    series = 300 + 2 * 130 + 40
    assert aws.calls == {
        "ec2:DescribeNatGateways": 1,
        "tag:GetResources": 1,
        "cloudwatch:ListMetrics": 3,
        "cloudwatch:GetMetricData": ceil(series / 500),
    }
    sizes = [
        len(call.parameters["MetricDataQueries"])
        for call in aws.requests
        if call.operation == "cloudwatch:GetMetricData"
    ]
    assert sorted(sizes) == [100, 500]


def test_a_region_with_nothing_asks_for_no_metric(aws: AwsServer, provider: Make) -> None:
    one = provider()
    assert one.egress((), scopes(REGION), WINDOW).values == ()
    assert aws.calls == {"ec2:DescribeNatGateways": 1, "cloudwatch:ListMetrics": 2}
    assert aws.calls == one.api_calls()
