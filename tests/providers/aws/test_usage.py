"""Metrics as the adapter reads them through the real SDK, at moto's CloudWatch."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import isnan
from typing import Any

import pytest

from policies.facts import Machine, Reading, Window
from providers.aws import usage
from providers.aws.adapter import AwsProvider
from providers.aws.usage import HOW_TO_MEASURE
from tests.moto_aws import AwsServer, launch, put_metric
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
"""moto accepts points of the last weeks only, so the tests live in the present."""
BEGIN = END - timedelta(hours=1)
HOUR = Window(started_at=BEGIN, ended_at=END, period_s=300)
UTILISATION = "nvidia_smi_utilization_gpu"
MEMORY = "nvidia_smi_memory_used"


def put_gpu(
    aws: AwsServer,
    name: str,
    values: Sequence[float | None],
    region: str = "us-east-1",
    namespace: str = "CWAgent",
    **dimensions: str,
) -> None:
    put_metric(
        aws.client("cloudwatch", region),
        name,
        values,
        dimensions=dimensions,
        started_at=BEGIN,
        namespace=namespace,
    )


def put_host(aws: AwsServer, name: str, values: Sequence[float | None], machine: str) -> None:
    put_gpu(aws, name, values, namespace="AWS/EC2", InstanceId=machine)


def read(one: AwsProvider, window: Window = HOUR) -> dict[str | None, Reading]:
    """Readings of an only machine, by GPU."""
    seen = one.readings(one.machines().values, window)
    assert seen.gaps == ()
    return {reading.gpu: reading for reading in seen.values}


def test_gpus_and_host_of_a_machine(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.12xlarge")
    for gpu in ("0", "1"):
        put_gpu(aws, UTILISATION, [int(gpu)] * 12, InstanceId=trainer, index=gpu)
        put_gpu(aws, MEMORY, [20_000] * 12, InstanceId=trainer, index=gpu)
    put_host(aws, "CPUUtilization", [7] * 12, trainer)
    put_host(aws, "NetworkIn", [1000] * 12, trainer)
    readings = read(provider())
    assert set(readings) == {None, "0", "1"}
    assert list(readings["1"].utilisation_max_pct) == [1] * 12
    assert list(readings["0"].memory_used_mib or ()) == [20_000] * 12
    assert readings["0"].power_w is None
    assert readings["0"].source == "cloudwatch:CWAgent"
    assert list(readings[None].received_bytes or ()) == [1000] * 12
    assert readings[None].source == "cloudwatch:AWS/EC2"
    assert readings[None].resource.endswith(trainer)
    assert readings[None].coverage == 0, "the GPUs are measured, so nobody asks for the CPU"


def test_of_the_host_of_a_machine_at_work_nothing_is_read(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_gpu(aws, UTILISATION, [50] * 12, InstanceId=trainer, index="0")
    put_host(aws, "NetworkIn", [1000] * 12, trainer)
    assert set(read(provider())) == {"0"}


def test_gpus_that_are_listed_and_silent_leave_the_host_to_stand_in(
    aws: AwsServer, provider: Make
) -> None:
    """The listing names what was active in the last hours; the window may have none of it."""
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_metric(
        aws.client("cloudwatch"),
        UTILISATION,
        [50],
        dimensions={"InstanceId": trainer, "index": "0"},
        started_at=BEGIN - timedelta(hours=1),
    )
    put_host(aws, "CPUUtilization", [1] * 12, trainer)
    readings = read(provider())
    assert set(readings) == {None}
    assert readings[None].coverage == 1


def test_holes_are_not_zeros(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_gpu(aws, UTILISATION, [90, None, None, *[None] * 8, 0], InstanceId=trainer, index="0")
    reading = read(provider())["0"]
    assert reading.utilisation_max_pct[0] == 90
    assert reading.utilisation_max_pct[-1] == 0
    assert all(isnan(value) for value in reading.utilisation_max_pct[1:-1])
    assert reading.coverage == pytest.approx(2 / 12)


def test_a_point_of_each_minute_keeps_the_maximum(aws: AwsServer, provider: Make) -> None:
    """One busy minute in five is not averaged away."""
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_metric(
        aws.client("cloudwatch"),
        UTILISATION,
        [0, 0, 100, 0, 0],
        dimensions={"InstanceId": trainer, "index": "0"},
        started_at=BEGIN,
        period_s=60,
    )
    reading = read(provider())["0"]
    assert reading.utilisation_max_pct[0] == 100
    assert reading.utilisation_mean_pct is not None
    assert reading.utilisation_mean_pct[0] == 20


def test_without_an_agent_the_host_stands_in(aws: AwsServer, provider: Make) -> None:
    (silent,) = launch(aws.client("ec2"), "g5.xlarge")
    put_host(aws, "CPUUtilization", [1] * 12, silent)
    assert set(read(provider())) == {None}


def test_a_machine_without_any_metric_is_absent(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    assert read(provider()) == {}


def test_series_of_other_machines_are_not_read(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    put_gpu(aws, UTILISATION, [50] * 12, host="on-premises", index="0")
    assert read(provider()) == {}


def test_series_join_by_the_host_name_that_ec2_gives(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    (machine,) = provider().machines().values
    put_gpu(aws, UTILISATION, [50] * 12, host=machine.host_names[1], index="0")
    assert set(read(provider())) == {"0"}


def test_two_machines_of_one_host_name_are_told(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    for name in launch(ec2, "g5.xlarge", 2):
        assert name
    one = provider()
    machines = one.machines().values
    shared = machines[0].host_names[1]
    other = machines[1].host_names[1]
    aws.edit("ec2:DescribeInstances", lambda body: body.replace(other.encode(), shared.encode()))
    put_gpu(aws, UTILISATION, [0] * 12, host=shared, index="0")
    seen = one.readings(one.machines().values, HOUR)
    assert seen.values == ()
    (gap,) = seen.gaps
    assert shared in gap.why


def test_agents_may_write_to_another_namespace(aws: AwsServer, provider: Make) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_gpu(aws, UTILISATION, [50] * 12, namespace="Lab/GPU", InstanceId=trainer, index="0")
    reading = read(provider(agent_namespaces=("CWAgent", "Lab/GPU")))["0"]
    assert reading.source == "cloudwatch:Lab/GPU"
    assert read(provider()) == {}


def test_a_stopped_machine_is_read_up_to_its_stop(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    (trainer,) = launch(ec2, "g5.xlarge")
    ec2.stop_instances(InstanceIds=[trainer])
    put_gpu(aws, UTILISATION, [50] * 6, InstanceId=trainer, index="0")
    assert set(read(provider())) == {"0"}
    later = Window(
        started_at=END + timedelta(days=1), ended_at=END + timedelta(days=1, hours=1), period_s=300
    )
    aws.forget_calls()
    one = provider()
    assert one.readings(one.machines().values, later).values == ()
    assert not any(call.startswith("cloudwatch") for call in aws.calls)


def test_no_metric_is_asked_for_where_no_gpu_machine_runs(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2", "us-east-1"), "g5.xlarge")
    launch(aws.client("ec2", "us-west-2"), "m5.large")
    one = provider(regions=TWO)
    one.readings(one.machines().values, HOUR)
    asked = {call.region for call in aws.requests if call.operation.startswith("cloudwatch")}
    assert asked == {"us-east-1"}


def recently_active(aws: AwsServer) -> list[str | None]:
    return [
        call.parameters.get("RecentlyActive")
        for call in aws.requests
        if call.operation == "cloudwatch:ListMetrics"
    ]


def test_old_windows_are_listed_whole_and_the_list_serves_new_ones(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    one = provider()
    machines = one.machines().values
    days = Window(started_at=END - timedelta(days=14), ended_at=BEGIN, period_s=3600)
    one.readings(machines, days)
    one.readings(machines, HOUR)
    assert recently_active(aws) == [None]


def test_new_windows_need_only_what_was_active_lately(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    one = provider()
    one.readings(one.machines().values, HOUR)
    assert recently_active(aws) == ["PT3H"]
    one.readings(one.machines().values, HOUR)
    assert recently_active(aws) == ["PT3H", "PT3H"], "each patrol lists anew"


def test_reading_is_paid_for(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge", 3)
    one = provider()
    one.readings(one.machines().values, HOUR)
    queries, listings = 3 * 4, 1
    assert one.watching_usd() == (queries + listings) * Decimal("0.00001")


def test_the_line_that_makes_a_machine_visible_is_a_line() -> None:
    assert "\n" not in HOW_TO_MEASURE
    assert json.loads(HOW_TO_MEASURE[HOW_TO_MEASURE.index("{") :])


def busy_and_quiet(aws: AwsServer) -> str:
    """A machine that looks idle to everything but its GPU."""
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    put_gpu(aws, UTILISATION, [99] * 12, InstanceId=trainer, index="0")
    put_host(aws, "CPUUtilization", [0] * 12, trainer)
    put_host(aws, "NetworkIn", [0] * 12, trainer)
    put_host(aws, "NetworkOut", [0] * 12, trainer)
    return trainer


def measured(readings: Sequence[Reading]) -> float:
    return sum(reading.coverage for reading in readings)


Results = list[dict[str, Any]]


def edit_results(aws: AwsServer, change: Callable[[Results], None]) -> None:
    def edited(body: bytes) -> bytes:
        answer = json.loads(body)
        change(answer["MetricDataResults"])
        return json.dumps(answer).encode()

    aws.edit("cloudwatch:GetMetricData", edited)


@pytest.mark.parametrize("status", ["PartialData", "InternalError", "Forbidden"])
def test_a_series_that_did_not_come_whole_is_not_used(
    aws: AwsServer, provider: Make, status: str
) -> None:
    busy_and_quiet(aws)

    def spoil(results: Results) -> None:
        for result in results:
            result["StatusCode"] = status

    edit_results(aws, spoil)
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    assert {reading.gpu for reading in seen.values} == {"0"}, "unknown, not absent"
    (gap,) = seen.gaps
    assert status in gap.why


def test_only_the_series_that_failed_are_unknown(aws: AwsServer, provider: Make) -> None:
    busy_and_quiet(aws)

    def spoil(results: Results) -> None:
        for result in results:
            if result["Id"] == "q0":
                result["StatusCode"] = "InternalError"

    edit_results(aws, spoil)
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    by_gpu = {reading.gpu: reading for reading in seen.values}
    assert by_gpu["0"].coverage == 0, "the busy GPU is unknown, and hides the quiet host"
    assert by_gpu["0"].utilisation_mean_pct is not None
    assert "1 of 4 series" in seen.gaps[0].why


def test_a_query_that_was_not_answered_is_unknown(aws: AwsServer, provider: Make) -> None:
    busy_and_quiet(aws)
    edit_results(aws, lambda results: results.clear())
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    assert "no answer" in seen.gaps[0].why


def test_values_that_are_no_numbers_are_unknown(aws: AwsServer, provider: Make) -> None:
    busy_and_quiet(aws)

    def spoil(results: Results) -> None:
        for result in results:
            result["Values"] = result["Values"][:-1]

    edit_results(aws, spoil)
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    assert "not understood" in seen.gaps[0].why


def test_pages_of_an_answer_are_read_on(aws: AwsServer, provider: Make) -> None:
    """The first page is partial and names the next one; together they are whole."""
    busy_and_quiet(aws)
    pages = 0

    def halved(body: bytes) -> bytes:
        nonlocal pages
        answer = json.loads(body)
        for result in answer["MetricDataResults"]:
            half = len(result["Values"]) // 2
            keep = slice(half) if pages == 0 else slice(half, None)
            result["Values"] = result["Values"][keep]
            result["Timestamps"] = result["Timestamps"][keep]
            result["StatusCode"] = "PartialData" if pages == 0 else "Complete"
        if pages == 0:
            answer["NextToken"] = "more"
        pages += 1
        return json.dumps(answer).encode()

    aws.edit("cloudwatch:GetMetricData", halved)
    reading = read(provider())["0"]
    assert list(reading.utilisation_max_pct) == [99] * 12
    sent = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert [call.parameters.get("NextToken") for call in sent] == [None, "more"]


def test_pages_that_do_not_end_are_given_up(aws: AwsServer, provider: Make) -> None:
    busy_and_quiet(aws)
    aws.edit(
        "cloudwatch:GetMetricData",
        lambda body: json.dumps({**json.loads(body), "NextToken": "again"}).encode(),
    )
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    assert "do not end" in seen.gaps[0].why


@pytest.mark.parametrize(
    ("operation", "body"),
    [
        ("cloudwatch:GetMetricData", '{"MetricDataResults": [{"Id": "q0", "Timest'),
        ("cloudwatch:GetMetricData", "{}"),
        ("cloudwatch:ListMetrics", '{"Metrics": [{"Names'),
        ("cloudwatch:ListMetrics", "{}"),
    ],
)
def test_an_answer_that_was_cut_off_is_a_gap_and_not_an_absence(
    aws: AwsServer, provider: Make, operation: str, body: str
) -> None:
    busy_and_quiet(aws)
    aws.answer(operation, body)
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    (gap,) = seen.gaps
    assert "incomplete" in gap.why
    assert operation in gap.why


@pytest.mark.parametrize("operation", ["cloudwatch:GetMetricData", "cloudwatch:ListMetrics"])
@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (403, "AccessDenied", "grant"),
        (400, "ThrottlingException", "throttled"),
        (503, None, "503"),
        (400, "ExpiredToken", "expired"),
    ],
)
def test_refused_metrics_are_a_gap_and_no_host_stands_in(
    aws: AwsServer, provider: Make, operation: str, status: int, code: str | None, word: str
) -> None:
    busy_and_quiet(aws)
    aws.fail(operation, status=status, code=code)
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert measured(seen.values) == 0
    (gap,) = seen.gaps
    assert word in gap.why
    assert gap.region == "us-east-1"


def test_one_call_that_fails_leaves_its_series_unknown_and_not_absent(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call with the GPU's utilisation is cut off: the quiet host must not stand in."""
    busy_and_quiet(aws)
    monkeypatch.setattr(usage, "QUERIES_PER_CALL", 2)
    aws.edit(
        "cloudwatch:GetMetricData",
        lambda body: b"{}" if b'"Values":[99' in body.replace(b" ", b"") else body,
    )
    one = provider()
    seen = one.readings(one.machines().values, HOUR)
    assert aws.calls["cloudwatch:GetMetricData"] == 2
    assert {reading.gpu: reading.coverage for reading in seen.values} == {"0": 0}
    assert "incomplete" in seen.gaps[0].why


def test_one_region_without_metrics_leaves_the_others_theirs(
    aws: AwsServer, provider: Make
) -> None:
    for region in TWO:
        (trainer,) = launch(aws.client("ec2", region), "g5.xlarge")
        put_gpu(aws, UTILISATION, [50] * 12, region=region, InstanceId=trainer, index="0")
    aws.fail("cloudwatch:ListMetrics", region="us-east-1", status=500)
    one = provider(regions=TWO)
    machines: Sequence[Machine] = one.machines().values
    seen = one.readings(machines, HOUR)
    assert [reading.resource.split(":")[2] for reading in seen.values] == ["us-west-2"]
    assert [gap.region for gap in seen.gaps] == ["us-east-1"]
