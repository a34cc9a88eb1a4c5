"""SageMaker training jobs as runs: the list of what changed, and the details of those alone."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from policies.facts import Run, RunCause, RunOutcome, Scope, WorkloadKind
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.inventory import InventoryReader
from providers.aws.session import AwsSession
from providers.base import RunNotRead, RunsAsked, RunSourceError
from providers.catalog import offers
from providers.fingerprint import fingerprint

JOBS_A_PAGE = 100
LIST = "sagemaker:ListTrainingJobs"
DESCRIBE = "sagemaker:DescribeTrainingJob"

RUNNING = frozenset({"InProgress", "Stopping"})
CAPACITY = re.compile(
    r"capacity\s?error|insufficient ?capacity|resourcelimitexceeded", re.IGNORECASE
)
OUT_OF_MEMORY = re.compile(
    r"out ?of ?memory|outofmemory|\boom\b|cannot allocate memory|memoryerror|CUDA_ERROR_OUT_OF",
    re.IGNORECASE,
)
ITS_OWN_FAULT = re.compile(r"^\s*InternalServerError", re.IGNORECASE)
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
MADE_BY_THE_SDK = re.compile(
    r"-\d{4}-\d\d-\d\d-\d\d-\d\d-\d\d-\d{3}$|-\d{6}-\d{4}-\d{3,4}-[0-9a-f]{8}$|-\d{3}-[0-9a-f]{8}$"
)
"""How the SDK and tuning jobs end a name: a time, or a number and a hash."""
OF_ONE_JOB = ("sagemaker_job_name", "sagemaker_submit_directory", "_tuning_objective_metric")
"""Hyperparameters that the SDK sets anew for each job."""


class TrainingJobs:
    """Of one account in one region."""

    incremental = True
    notices = ()
    look_again = None
    """Every change of a job moves its LastModifiedTime."""

    def __init__(self, session: AwsSession, account: str, region: str) -> None:
        self._session = session
        self._account = account
        self._region = region

    @property
    def name(self) -> str:
        return f"sagemaker:{self._account}:{self._region}"

    @property
    def prefix(self) -> str:
        return f"{self.name}:"

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        sagemaker = self._session.client("sagemaker", self._region)
        for page in self._pages(sagemaker, asked.since):
            names = [str(each["TrainingJobName"]) for each in page]
            for job in self._described(sagemaker, names):
                found = self._run(job)
                if found is not None:
                    yield found

    def _pages(self, sagemaker: Any, since: datetime | None) -> Iterator[Sequence[Any]]:
        """Oldest first, so that what is made meanwhile comes last."""
        words: dict[str, Any] = {"SortBy": "CreationTime", "SortOrder": "Ascending"}
        if since is not None:
            words["LastModifiedTimeAfter"] = since
        pages = sagemaker.get_paginator("list_training_jobs")
        try:
            asked = pages.paginate(**words, PaginationConfig={"PageSize": JOBS_A_PAGE})
            for page in asked:
                yield page["TrainingJobSummaries"]
        except AWS_ERRORS as error:
            raise self._failed(error, LIST) from None

    def _described(self, sagemaker: Any, names: Sequence[str]) -> list[Any]:
        jobs = [partial(sagemaker.describe_training_job, TrainingJobName=name) for name in names]
        try:
            return self._session.within_region(jobs)
        except AWS_ERRORS as error:
            raise self._failed(error, DESCRIBE) from None

    def _run(self, job: Mapping[str, Any]) -> Run | RunNotRead | None:
        try:
            return run_of(job, self._account, self._region)
        except (KeyError, TypeError, AttributeError) as error:
            where = f"{self.name}: {job.get('TrainingJobName')}"
            return RunNotRead(
                where=where, field="job", why=f"is not as SageMaker tells it: {error}"
            )

    def _failed(self, error: Exception, needs: str) -> RunSourceError:
        scope = Scope(provider="aws", account=self._account, region=self._region)
        return RunSourceError(f"{self.name}: {gap_from(error, scope, 'runs', needs).why}")


def training_jobs(regions: Sequence[str] | None) -> list[TrainingJobs]:
    """A source for each region; None: every one that the account has enabled.

    Raises `ProviderUnavailable` without credentials, `RunSourceError` where they do not work.
    """
    session = AwsSession()
    try:
        account = session.client("sts", session.home).get_caller_identity()["Account"]
    except AWS_ERRORS as error:
        scope = Scope(provider="aws", account=None, region=session.home)
        gap = gap_from(error, scope, "account", "sts:GetCallerIdentity")
        raise RunSourceError(f"sagemaker: {gap.why}") from None
    found = regions or InventoryReader(session, None).enabled_regions() or [session.home]
    return [TrainingJobs(session, str(account), region) for region in dict.fromkeys(found)]


def run_of(job: Mapping[str, Any], account: str, region: str) -> Run | None:
    """One answer of DescribeTrainingJob; None while the job waits for its first machine.

    One that ended without a machine took no time: it starts and ends when it was given up.
    """
    outcome, cause = _ending(job)
    running = outcome is RunOutcome.RUNNING
    started_at = job.get("TrainingStartTime")
    ended_at = None if running else job.get("TrainingEndTime")
    if started_at is None:
        if running:
            return None
        started_at = ended_at = ended_at or job["LastModifiedTime"]
    machine_type, nodes = _machines(job.get("ResourceConfig") or {})
    cards = None if machine_type is None else _cards(machine_type)
    name = job["TrainingJobName"]
    return Run(
        run_id=f"sagemaker:{account}:{region}:{name}",
        workload=_workload(job),
        started_at=started_at,
        outcome=outcome,
        ended_at=ended_at,
        submitted_at=job.get("CreationTime"),
        group=(job.get("ExperimentConfig") or {}).get("ExperimentName"),
        kind=WorkloadKind.TRAINING,
        cause=cause,
        error=_one_line(job.get("FailureReason")),
        location="cloud",
        provider="aws",
        region=region,
        machine_type=machine_type,
        gpus=None if cards is None or nodes is None else cards[0] * nodes,
        nodes=nodes,
        gpu_model=None if cards is None else cards[1],
        gpu_memory_mib=None if cards is None else cards[2],
        image=_image((job.get("AlgorithmSpecification") or {}).get("TrainingImage")),
        data=_data(job.get("InputDataConfig") or ()),
        config=_config(job.get("HyperParameters") or {}),
        source="sagemaker",
        aliases=";".join(_aliases(job)),
    )


def _ending(job: Mapping[str, Any]) -> tuple[RunOutcome, RunCause | None]:
    status = job["TrainingJobStatus"]
    if status in RUNNING:
        return RunOutcome.RUNNING, None
    if status == "Completed":
        return RunOutcome.SUCCEEDED, None
    if status == "Failed":
        return RunOutcome.FAILED, _cause_of(job.get("FailureReason") or "")
    return _stopped(job) if status == "Stopped" else (RunOutcome.UNKNOWN, None)


def _stopped(job: Mapping[str, Any]) -> tuple[RunOutcome, RunCause]:
    """By a person, or because it took or waited longer than it may."""
    if job.get("SecondaryStatus") == "MaxRuntimeExceeded":
        return RunOutcome.FAILED, RunCause.TIMEOUT
    if job.get("SecondaryStatus") == "MaxWaitTimeExceeded":
        interrupted = _was_interrupted(job)
        return RunOutcome.FAILED, RunCause.PREEMPTED if interrupted else RunCause.CAPACITY
    return RunOutcome.CANCELLED, RunCause.USER


def _cause_of(reason: str) -> RunCause:
    """`AlgorithmError: …`, `ClientError: …`, `CapacityError: …`, `InternalServerError: …`."""
    if CAPACITY.search(reason):
        return RunCause.CAPACITY
    if OUT_OF_MEMORY.search(reason):
        return RunCause.OOM
    if ITS_OWN_FAULT.search(reason):
        return RunCause.NODE_FAILURE
    return RunCause.ERROR if reason else RunCause.UNKNOWN


def _was_interrupted(job: Mapping[str, Any]) -> bool:
    """Whether managed spot took its machines away at some time."""
    told = job.get("SecondaryStatusTransitions") or ()
    return any(each.get("Status") == "Interrupted" for each in told)


def _machines(told: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """Of a job with several kinds of machines the number alone is known."""
    groups = told.get("InstanceGroups") or ()
    if groups:
        kinds = {group.get("InstanceType") for group in groups}
        counts = [group.get("InstanceCount") for group in groups]
        nodes = None if None in counts else sum(counts)
        return (kinds.pop() if len(kinds) == 1 else None), nodes
    kind = told.get("SelectedInstanceType") or told.get("InstanceType")
    return kind, told.get("SelectedInstanceCount") or told.get("InstanceCount")


def _cards(machine_type: str) -> tuple[int, str | None, int | None] | None:
    """Accelerators, model and memory of one machine; None where the catalogue does not know it."""
    found = offers.accelerators("aws", machine_type.removeprefix("ml."))
    if not found:
        return None
    first = found[0]
    return int(sum(each.count for each in found)), first.model, first.memory_mib


def _workload(job: Mapping[str, Any]) -> str:
    """The name that the SDK was given. A tuning job's trials are one workload."""
    tuning = job.get("TuningJobArn")
    name = str(tuning).rpartition("/")[2] if tuning else str(job["TrainingJobName"])
    return MADE_BY_THE_SDK.sub("", name) or name


def _image(told: str | None) -> str | None:
    """A tag may move to another image; only a digest says which one it was."""
    found = DIGEST.search(told or "")
    return found[0] if found else None


def _data(channels: Sequence[Mapping[str, Any]]) -> str | None:
    told = [
        {"name": each.get("ChannelName"), "source": each.get("DataSource")} for each in channels
    ]
    if not told:
        return None
    return fingerprint("channels", sorted(told, key=lambda each: str(each["name"])))


def _config(told: Mapping[str, str]) -> str | None:
    own = {name: value for name, value in told.items() if name not in OF_ONE_JOB}
    return fingerprint("hyperparameters", own) if own else None


def _aliases(job: Mapping[str, Any]) -> Iterator[str]:
    """As `record` writes TRAINING_JOB_NAME and TRAINING_JOB_ARN."""
    yield f"sagemaker:{job['TrainingJobName']}"
    if job.get("TrainingJobArn"):
        yield f"sagemaker:{job['TrainingJobArn']}"
    mlflow = (job.get("MlflowDetails") or {}).get("MlflowRunId")
    if mlflow:
        yield f"mlflow:{mlflow}"


def _one_line(told: str | None) -> str | None:
    return " ".join(told.split()) or None if told else None
