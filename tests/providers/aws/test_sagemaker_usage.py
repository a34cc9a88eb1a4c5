"""SageMaker's metrics as readings: sums over GPUs, taken apart without hiding a busy one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from math import isnan
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import Machine, Reading, Window
from policies.phases import Span, timeline
from policies.verdicts import Phase
from providers.aws.adapter import AwsProvider
from providers.aws.sagemaker_usage import spread
from tests.builders import machine, series
from tests.fake_sagemaker import FakeSageMaker
from tests.moto_aws import AwsServer, put_metric

Make = Callable[..., AwsProvider]
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
WINDOW = Window(started_at=END - timedelta(hours=1), ended_at=END, period_s=300)
BEGAN = WINDOW.started_at - timedelta(hours=9)
JOBS = "/aws/sagemaker/TrainingJobs"


@pytest.fixture
def fake(aws: AwsServer) -> FakeSageMaker:
    standing = FakeSageMaker()
    aws.stand_in("sagemaker", standing)
    return standing


@pytest.fixture
def one(provider: Make) -> AwsProvider:
    return provider(sagemaker=True, clock=lambda: END)


def put(
    aws: AwsServer,
    values: Sequence[float | None],
    metric: str = "GPUUtilization",
    namespace: str = JOBS,
    **dimensions: str,
) -> None:
    put_metric(
        aws.client("cloudwatch"),
        metric,
        values,
        dimensions=dimensions,
        started_at=WINDOW.started_at,
        namespace=namespace,
    )


def read(one: AwsProvider) -> dict[str, list[Reading]]:
    """By the last word of the machine's id."""
    seen = one.machines()
    usage = one.readings(seen.values, WINDOW)
    assert usage.gaps == ()
    found: dict[str, list[Reading]] = {}
    for reading in usage.values:
        found.setdefault(reading.resource.rsplit(".", 1)[-1], []).append(reading)
    return found


def phase(readings: Sequence[Reading], gpus: int) -> Phase:
    span = Span(started_at=BEGAN, ended_at=None)
    return timeline(readings, spans=[span], until=END, gpus=gpus).now.phase


def test_four_gpus_at_a_quarter_read_a_hundred(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.training_job("fit", "ml.g5.12xlarge", BEGAN)
    put(aws, [100.0] * 12, Host="fit/algo-1")
    put(aws, [200.0] * 12, "GPUMemoryUtilization", Host="fit/algo-1")
    aws.forget_calls()
    readings = read(one)["algo-1"]
    assert [reading.gpu for reading in readings] == ["0", "1", "2", "3"]
    for reading in readings:
        assert reading.source == "cloudwatch:/aws/sagemaker/TrainingJobs"
        assert list(reading.utilisation_mean_pct or ()) == [25.0] * 12
        assert list(reading.utilisation_max_pct) == [100.0] * 12, "one alone may have all of it"
        assert list(reading.memory_used_mib or ()) == [24_576 / 2] * 12
        assert list(reading.memory_total_mib or ()) == [24_576] * 12
    assert phase(readings, 4) is Phase.ACTIVE
    assert aws.calls["cloudwatch:GetMetricData"] == 1
    assert aws.calls["cloudwatch:ListMetrics"] == 0
    (asked,) = [call for call in aws.requests if call.operation == "cloudwatch:GetMetricData"]
    assert len(asked.parameters["MetricDataQueries"]) == 3
    (told,) = one.machines().values
    assert "one sum over its 4 GPUs" in (told.on_readings or "")


def test_one_busy_gpu_among_eight_is_not_hidden(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    """A sum of 30 is a mean of 4, and yet one GPU may be at 30."""
    fake.training_job("fit", "ml.p4d.24xlarge", BEGAN)
    put(aws, [30.0] * 12, Host="fit/algo-1")
    readings = read(one)["algo-1"]
    assert len(readings) == 8
    assert phase(readings, 8) is Phase.ACTIVE


def test_a_sum_of_nothing_is_idle_and_memory_that_is_held_is_parked(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.training_job("idle", "ml.g5.12xlarge", BEGAN)
    fake.processing_job("parked", "ml.g5.12xlarge", BEGAN)
    put(aws, [2.0] * 12, Host="idle/algo-1")
    put(aws, [0.0] * 12, "GPUMemoryUtilization", Host="idle/algo-1")
    jobs = "/aws/sagemaker/ProcessingJobs"
    put(aws, [0.0] * 12, namespace=jobs, Host="parked/algo-1")
    put(aws, [150.0] * 12, "GPUMemoryUtilization", jobs, Host="parked/algo-1")
    seen = one.machines().values
    usage = one.readings(seen, WINDOW).values
    told = {
        each.name: phase([reading for reading in usage if reading.resource == each.id], 4)
        for each in seen
    }
    assert told == {"idle": Phase.IDLE, "parked": Phase.PARKED}


def test_each_instance_of_a_job_has_a_series_of_its_own(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.training_job("fit", "ml.g5.xlarge", BEGAN, count=3)
    put(aws, [90.0] * 12, Host="fit/algo-1")
    put(aws, [0.0] * 12, Host="fit/algo-2")
    found = read(one)
    assert {name: each[0].utilisation_max_pct[0] for name, each in found.items()} == {
        "algo-1": 90.0,
        "algo-2": 0.0,
    }, "nothing was measured of the third, so there is no reading of it"


def test_instances_of_an_endpoint_share_a_series_that_is_asked_for_once(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.endpoint("chat", "ml.g5.xlarge", BEGAN, count=2)
    put(
        aws,
        [40.0] * 12,
        namespace="/aws/sagemaker/Endpoints",
        EndpointName="chat",
        VariantName="all",
    )
    seen = one.machines().values
    assert {each.on_readings for each in seen} == {
        "its readings are those of the busiest instance of its variant"
    }
    aws.forget_calls()
    readings = one.readings(seen, WINDOW).values
    assert [list(each.utilisation_max_pct) for each in readings] == [[40.0] * 12] * 2
    (asked,) = aws.requests
    assert len(asked.parameters["MetricDataQueries"]) == 3


def test_a_notebook_has_no_readings_and_nothing_is_asked_for_it(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    seen = one.machines().values
    aws.forget_calls()
    assert one.readings(seen, WINDOW).values == ()
    assert dict(aws.calls) == {}


def test_a_job_of_before_the_window_is_not_asked_for(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    ended = WINDOW.started_at - timedelta(minutes=1)
    fake.training_job(
        "fit", "ml.g5.xlarge", BEGAN, TrainingJobStatus="Completed", TrainingEndTime=ended
    )
    seen = one.machines().values
    assert len(seen) == 1
    aws.forget_calls()
    assert one.readings(seen, WINDOW).values == ()
    assert dict(aws.calls) == {}


def test_metrics_that_fail_are_unknown_and_a_gap(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    fake.training_job("fit", "ml.g5.12xlarge", BEGAN)
    put(aws, [0.0] * 12, Host="fit/algo-1")
    aws.fail("cloudwatch:GetMetricData", status=400, code="AccessDeniedException")
    usage = one.readings(one.machines().values, WINDOW)
    assert [reading.coverage for reading in usage.values] == [0.0] * 4
    assert phase(usage.values, 4) is Phase.UNKNOWN
    (gap,) = usage.gaps
    assert "grant cloudwatch:GetMetricData" in gap.why


def test_a_warm_pool_is_idle_by_what_it_is(
    aws: AwsServer, fake: FakeSageMaker, one: AwsProvider
) -> None:
    ended = END - timedelta(minutes=30)
    fake.training_job(
        "fit",
        "ml.g5.12xlarge",
        BEGAN,
        TrainingJobStatus="Completed",
        TrainingEndTime=ended,
        WarmPoolStatus={"Status": "Available"},
    )
    put(aws, [100.0] * 6, Host="fit/algo-1")
    seen = one.machines().values
    pool = next(each for each in seen if each.native_id.startswith("warmpool."))
    readings = [each for each in one.readings(seen, WINDOW).values if each.resource == pool.id]
    assert [each.gpu for each in readings] == ["0", "1", "2", "3"]
    column = list(readings[0].utilisation_max_pct)
    assert all(map(isnan, column[:6]))
    assert column[6:] == [0.0] * 6
    assert phase(readings, 4) is Phase.IDLE


def job(gpus: int) -> Machine:
    native = "aws:123456789012:us-east-1:training.fit.20261123T030000Z.algo-1"
    return machine(id=native, gpus=gpus)


@given(st.lists(st.floats(0, 100, allow_nan=False), min_size=1, max_size=16))
def test_no_gpu_is_busier_than_told_and_the_means_add_up(each: list[float]) -> None:
    """Whatever the GPUs did, of which SageMaker tells the sum alone."""
    total, gpus = sum(each), len(each)
    window = Window(started_at=END, ended_at=END + timedelta(minutes=5), period_s=300)
    row: Any = [series([total]), series([total]), None]
    readings = list(spread(job(gpus), row, JOBS, window))
    assert len(readings) == gpus
    assert max(each) <= readings[0].utilisation_max_pct[0] + 1e-9 <= 100 + 1e-6
    means = [reading.utilisation_mean_pct or series([None]) for reading in readings]
    assert sum(mean[0] for mean in means) == pytest.approx(total)


@given(st.lists(st.one_of(st.none(), st.floats(0, 800)), min_size=1, max_size=12))
def test_what_was_not_measured_stays_unknown(sums: list[float | None]) -> None:
    window = Window(started_at=END, ended_at=END + timedelta(minutes=5 * len(sums)), period_s=300)
    row: Any = [series(sums), series(sums), series(sums)]
    for reading in spread(job(8), row, JOBS, window):
        for column in (reading.utilisation_max_pct, reading.utilisation_mean_pct):
            assert column is not None
            assert [isnan(value) for value in column] == [told is None for told in sums]
