"""What a patrol may ask of AWS, asserted at the server: pages and batches, nothing per machine."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from math import ceil

import pytest

from policies.facts import Window
from providers.aws.adapter import AwsProvider
from providers.aws.session import Limits
from providers.aws.usage import _batches
from tests.moto_aws import AwsServer, apart, launch, put_metric

Make = Callable[..., AwsProvider]
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
WINDOW = Window(started_at=END - timedelta(hours=3), ended_at=END, period_s=300)


@pytest.mark.slow
def test_machines_come_by_the_thousand_and_metrics_by_the_five_hundred(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge", 1100)
    apart()
    one = provider(limits=Limits(read_s=100, scope_s=300))
    machines = one.machines().values
    assert len({machine.id for machine in machines}) == 1100
    assert aws.calls == {"ec2:DescribeInstances": ceil(1100 / 1000), "ec2:DescribeInstanceTypes": 1}
    first = aws.requests[0].parameters
    assert first["MaxResults"] == "1000"
    assert not any(name.startswith("Filter") for name in first)
    aws.forget_calls()
    seen = one.readings(machines, WINDOW)
    assert seen.gaps == ()
    assert aws.calls == {
        "cloudwatch:ListMetrics": 1,
        "cloudwatch:GetMetricData": ceil(1100 * 4 / 500),
    }
    asked = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    sizes = [len(call.parameters["MetricDataQueries"]) for call in asked]
    assert max(sizes) == 500
    assert sum(sizes) == 1100 * 4
    assert {call.parameters["ScanBy"] for call in asked} == {"TimestampAscending"}


def test_a_patrol_of_a_small_region(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.12xlarge")
    for gpu in range(4):
        put_metric(
            aws.client("cloudwatch"),
            "nvidia_smi_utilization_gpu",
            [0.0] * 3,
            dimensions={"InstanceId": trainer, "index": str(gpu)},
            started_at=WINDOW.started_at,
        )
    one = provider()
    one.readings(one.machines().values, WINDOW)
    assert aws.calls == one.api_calls()
    assert aws.calls == {
        "ec2:DescribeInstances": 1,
        "ec2:DescribeInstanceTypes": 1,
        "cloudwatch:ListMetrics": 1,
        "cloudwatch:GetMetricData": 2,
    }
    gpus, host = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert len(gpus.parameters["MetricDataQueries"]) == 4 * 4
    assert len(host.parameters["MetricDataQueries"]) == 3, "its GPUs are quiet"


def test_the_host_of_a_machine_that_works_is_not_paid_for(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_metric(
        aws.client("cloudwatch"),
        "nvidia_smi_utilization_gpu",
        [60.0] * 36,
        dimensions={"InstanceId": trainer, "index": "0"},
        started_at=WINDOW.started_at,
    )
    one = provider()
    one.readings(one.machines().values, WINDOW)
    (asked,) = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert len(asked.parameters["MetricDataQueries"]) == 4


@pytest.mark.parametrize(
    ("period_s", "hours", "size"), [(300, 3, 500), (3600, 14 * 24, 300), (60, 24 * 14, 5)]
)
def test_a_call_never_asks_for_more_points_than_it_may(
    period_s: int, hours: int, size: int
) -> None:
    window = Window(started_at=END - timedelta(hours=hours), ended_at=END, period_s=period_s)
    asks = [(number, 0) for number in range(1234)]
    batches = _batches(asks, window)
    assert max(map(len, batches)) == size
    assert size * window.intervals <= 100_800
    assert [ask for batch in batches for ask in batch] == asks
