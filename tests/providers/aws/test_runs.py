"""SageMaker training jobs: moto for the calls' shape, own answers for what moto never tells."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Run
from providers.aws.runs import TrainingJobs, run_of, training_jobs
from providers.aws.session import AwsSession
from providers.base import RunsAsked, RunSourceError
from tests.moto_aws import ACCOUNT, AwsServer
from tests.providers.aws.quick import QUICK
from watchdog.ledger.store import Ledger
from watchdog.runs.sync import sync

CREATED = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = CREATED + timedelta(minutes=5)
ENDED = CREATED + timedelta(hours=2)
NAME = "llama-2026-01-01-00-00-00-123"
ARN = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:training-job/{NAME}"
IMAGE = "sha256:" + "a" * 64


def job(**other: Any) -> dict[str, Any]:
    """An answer of DescribeTrainingJob."""
    return {
        "TrainingJobName": NAME,
        "TrainingJobArn": ARN,
        "TrainingJobStatus": "Completed",
        "SecondaryStatus": "Completed",
        "CreationTime": CREATED,
        "TrainingStartTime": STARTED,
        "TrainingEndTime": ENDED,
        "LastModifiedTime": ENDED,
        "AlgorithmSpecification": {"TrainingImage": f"repo/image@{IMAGE}"},
        "ResourceConfig": {"InstanceType": "ml.g5.12xlarge", "InstanceCount": 2},
        "HyperParameters": {"lr": "0.1", "sagemaker_submit_directory": "s3://b/x.tar.gz"},
        "InputDataConfig": [
            {"ChannelName": "train", "DataSource": {"S3DataSource": {"S3Uri": "s3://b/train"}}}
        ],
        **other,
    }


def told(**other: Any) -> Run:
    found = run_of(job(**other), ACCOUNT, "us-east-1")
    assert found is not None
    return found


def test_a_job_fills_the_columns_that_it_knows() -> None:
    run = told()
    assert run.run_id == f"sagemaker:{ACCOUNT}:us-east-1:{NAME}"
    assert (run.workload, run.kind, run.outcome) == ("llama", "training", "succeeded")
    assert (run.submitted_at, run.started_at, run.ended_at) == (CREATED, STARTED, ENDED)
    assert (run.gpus, run.nodes, run.gpu_model) == (8, 2, "A10G")
    assert (run.machine_type, run.location, run.provider) == ("ml.g5.12xlarge", "cloud", "aws")
    assert run.image == IMAGE
    assert run.aliases == f"sagemaker:{NAME};sagemaker:{ARN}"


def test_what_the_sdk_sets_anew_each_time_changes_no_fingerprint() -> None:
    other = {"lr": "0.1", "sagemaker_submit_directory": "s3://b/y.tar.gz"}
    assert told(HyperParameters=other).config == told().config
    assert told(HyperParameters={"lr": "0.2"}).config != told().config
    assert told(InputDataConfig=[]).data is None
    assert told(AlgorithmSpecification={"TrainingImage": "repo/image:latest"}).image is None


STOPPED = {"TrainingJobStatus": "Stopped"}
WAITED = {**STOPPED, "SecondaryStatus": "MaxWaitTimeExceeded"}
INTERRUPTED = [{"Status": "Training"}, {"Status": "Interrupted"}, {"Status": "Starting"}]
CUDA = "AlgorithmError: torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate"


@pytest.mark.parametrize(
    ("other", "outcome", "cause"),
    [
        ({"TrainingJobStatus": "InProgress", "SecondaryStatus": "Training"}, "running", None),
        ({"TrainingJobStatus": "InProgress", "SecondaryStatus": "Interrupted"}, "running", None),
        ({"TrainingJobStatus": "Stopping"}, "running", None),
        ({**STOPPED, "SecondaryStatus": "Stopped"}, "cancelled", "user"),
        ({**STOPPED, "SecondaryStatus": "MaxRuntimeExceeded"}, "failed", "timeout"),
        (WAITED, "failed", "capacity"),
        ({**WAITED, "SecondaryStatusTransitions": INTERRUPTED}, "failed", "preempted"),
        ({"FailureReason": "CapacityError: Unable to provision"}, "failed", "capacity"),
        ({"FailureReason": CUDA}, "failed", "oom"),
        ({"FailureReason": "AlgorithmError: exit code 1"}, "failed", "error"),
        ({"FailureReason": "ClientError: Data download failed"}, "failed", "error"),
        ({"FailureReason": "InternalServerError: We failed"}, "failed", "node_failure"),
        ({"FailureReason": ""}, "failed", "unknown"),
        ({"TrainingJobStatus": "Deleting"}, "unknown", None),
    ],
)
def test_how_a_job_ended(other: Mapping[str, Any], outcome: str, cause: str | None) -> None:
    status = {"TrainingJobStatus": "Failed", "SecondaryStatus": "Failed"}
    run = told(**(status | dict(other)))
    assert (run.outcome, run.cause) == (outcome, cause)
    assert (run.ended_at is None) == (outcome == "running")


def test_a_job_that_got_no_machine_took_no_time() -> None:
    refused = job(TrainingJobStatus="Failed", FailureReason="CapacityError: none")
    waiting = job(TrainingJobStatus="InProgress", SecondaryStatus="Pending")
    for each in (refused, waiting):
        del each["TrainingStartTime"]
    run = run_of(refused, ACCOUNT, "us-east-1")
    assert run is not None
    assert (run.started_at, run.ended_at, run.duration_s) == (ENDED, ENDED, 0)
    assert run_of(waiting, ACCOUNT, "us-east-1") is None


def test_machines_of_several_kinds_have_no_type() -> None:
    groups = [
        {"InstanceType": "ml.g5.xlarge", "InstanceCount": 1},
        {"InstanceType": "ml.c5.xlarge", "InstanceCount": 2},
    ]
    run = told(ResourceConfig={"InstanceGroups": groups})
    assert (run.machine_type, run.nodes, run.gpus) == (None, 3, None)


def test_trials_of_a_tuning_job_are_one_workload() -> None:
    arn = f"arn:aws:sagemaker:us-east-1:{ACCOUNT}:hyper-parameter-tuning-job/tune-260101-0000"
    names = ("tune-260101-0000-001-abcdef12", "tune-260101-0000-002-12abcdef")
    assert {told(TrainingJobName=name, TuningJobArn=arn).workload for name in names} == {
        "tune-260101-0000"
    }


@pytest.fixture
def source(aws: AwsServer) -> TrainingJobs:
    return TrainingJobs(AwsSession(limits=QUICK), ACCOUNT, "us-east-1")


def make(aws: AwsServer, name: str) -> None:
    aws.client("sagemaker").create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "repo/image:1", "TrainingInputMode": "File"},
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/r",
        OutputDataConfig={"S3OutputPath": "s3://b/out"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
        HyperParameters={"lr": "0.1"},
    )


def test_jobs_of_moto_enter_once(aws: AwsServer, source: TrainingJobs, tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    for number in range(3):
        make(aws, f"train-{number}")
    now = datetime.now(UTC) + timedelta(days=1)

    first = sync(ledger, source, now=now)
    asked = aws.calls.copy()
    second = sync(ledger, source, now=now + timedelta(minutes=5))

    assert (first.failed, first.added, first.problems) == (None, 3, ())
    assert asked == {"sagemaker:ListTrainingJobs": 1, "sagemaker:DescribeTrainingJob": 3}
    assert second.added == 0
    assert {row["outcome"] for row in ledger.rows("runs")} == {"succeeded"}


def test_only_what_changed_is_described(aws: AwsServer, source: TrainingJobs) -> None:
    aws.answer("sagemaker:ListTrainingJobs", '{"TrainingJobSummaries": []}')
    since = datetime(2026, 1, 2, tzinfo=UTC)

    assert list(source.runs(RunsAsked(since=since))) == []

    [request] = aws.requests
    assert request.operation == "sagemaker:ListTrainingJobs"
    assert request.parameters["LastModifiedTimeAfter"] == since.timestamp()
    assert request.parameters["SortBy"] == "CreationTime"


@pytest.mark.parametrize("operation", ["ListTrainingJobs", "DescribeTrainingJob"])
def test_what_is_not_allowed_fails_and_moves_no_watermark(
    aws: AwsServer, source: TrainingJobs, tmp_path: Path, operation: str
) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    make(aws, "train-0")
    aws.fail(f"sagemaker:{operation}", status=400, code="AccessDeniedException")

    done = sync(ledger, source, now=datetime.now(UTC))

    assert done.failed is not None
    assert f"grant sagemaker:{operation}" in done.failed
    assert ledger.rows("sync_watermarks") == []


def test_each_region_is_a_source(aws: AwsServer) -> None:
    found = training_jobs(["us-east-1", "eu-west-1", "us-east-1"])
    assert [each.name for each in found] == [
        f"sagemaker:{ACCOUNT}:us-east-1",
        f"sagemaker:{ACCOUNT}:eu-west-1",
    ]


def test_keys_that_are_refused_say_so(aws: AwsServer) -> None:
    aws.fail("sts:GetCallerIdentity", status=403, code="InvalidClientTokenId")
    with pytest.raises(RunSourceError, match="sagemaker: AWS does not accept these credentials"):
        training_jobs(["us-east-1"])
