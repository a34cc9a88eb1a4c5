"""What SageMaker runs, as machines: which, of what, since when, whose, and what it takes to see."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Purchase, WorkloadKind
from providers.aws.adapter import AwsProvider
from providers.aws.permissions import PERMISSIONS
from providers.aws.probes import UNTRIED
from providers.base import Seen
from tests.contract.provider_contract import by_the_hour, window
from tests.fake_sagemaker import FakeSageMaker, arn
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.quick import QUICK, TWO

Make = Callable[..., AwsProvider]
NOW = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
BEGAN = NOW - timedelta(hours=5)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/anything"
EMPTY_REGION = {
    "sagemaker:ListNotebookInstances": 1,
    "sagemaker:ListDomains": 1,
    "sagemaker:ListTrainingJobs": 1,
    "sagemaker:ListProcessingJobs": 1,
    "sagemaker:ListEndpoints": 1,
}


@pytest.fixture
def fake(aws: AwsServer) -> FakeSageMaker:
    standing = FakeSageMaker()
    aws.stand_in("sagemaker", standing)
    return standing


@pytest.fixture
def watch(provider: Make) -> Make:
    def make(**options: Any) -> AwsProvider:
        return provider(**({"sagemaker": True, "clock": lambda: NOW} | options))

    return make


def sagemaker_calls(aws: AwsServer) -> dict[str, int]:
    return {name: count for name, count in aws.calls.items() if name.startswith("sagemaker:")}


def by_native(seen: Seen[Machine]) -> dict[str, Machine]:
    return {machine.native_id: machine for machine in seen.values}


def only(seen: Seen[Machine]) -> Machine:
    (machine,) = seen.values
    return machine


def test_a_region_without_anything_costs_five_calls(aws: AwsServer, watch: Make) -> None:
    """Asked of moto, which has no Studio apps: without a domain they are not asked for."""
    one = watch()
    seen = one.machines()
    assert (seen.values, seen.gaps) == ((), ())
    assert sagemaker_calls(aws) == EMPTY_REGION
    assert dict(one.api_calls()) == dict(aws.calls)
    assert one.watching_usd() == 0


def test_it_is_not_asked_where_a_setting_says_so(aws: AwsServer, watch: Make) -> None:
    watch(sagemaker=False).machines()
    assert sagemaker_calls(aws) == {}


def test_what_moto_has_of_it(aws: AwsServer, watch: Make) -> None:
    """A notebook, a job that is over at once, an endpoint."""
    stage = aws.client("sagemaker")
    stage.create_notebook_instance(
        NotebookInstanceName="desk",
        InstanceType="ml.p3.2xlarge",
        RoleArn=ROLE,
        Tags=[{"Key": "spend-watchdog:workload", "Value": "probe"}],
    )
    stage.create_notebook_instance(
        NotebookInstanceName="plain", InstanceType="ml.t2.medium", RoleArn=ROLE
    )
    stage.create_training_job(
        TrainingJobName="fit",
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        RoleArn=ROLE,
        OutputDataConfig={"S3OutputPath": "s3://models"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
        EnableManagedSpotTraining=True,
    )
    stage.create_model(ModelName="m", ExecutionRoleArn=ROLE, PrimaryContainer={"Image": "image"})
    stage.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[
            {
                "VariantName": "all",
                "ModelName": "m",
                "InitialInstanceCount": 1,
                "InstanceType": "ml.p3.2xlarge",
            }
        ],
    )
    stage.create_endpoint(EndpointName="serve", EndpointConfigName="c")
    seen = watch(clock=lambda: datetime.now(UTC)).machines()
    assert seen.gaps == ()
    found = {(each.kind, each.name, each.state) for each in seen.values}
    assert found == {
        (WorkloadKind.NOTEBOOK, "desk", MachineState.RUNNING),
        (WorkloadKind.TRAINING, "fit", MachineState.TERMINATED),
        (WorkloadKind.SERVICE, "serve", MachineState.RUNNING),
    }
    assert len(seen.values) == 4, "two instances of the job"
    desk = next(each for each in seen.values if each.name == "desk")
    assert desk.tags == {"spend-watchdog:workload": "probe"}
    assert (desk.machine_type, desk.gpu_model, desk.gpus) == ("ml.p3.2xlarge", "V100", 1)
    assert dict(aws.calls) == {
        **EMPTY_REGION,
        "ec2:DescribeInstances": 1,
        "ec2:DescribeInstanceTypes": 1,
        "sts:GetCallerIdentity": 1,
        "sagemaker:DescribeTrainingJob": 1,
        "sagemaker:DescribeEndpoint": 1,
        "sagemaker:DescribeEndpointConfig": 1,
        "tag:GetResources": 1,
    }


def test_a_notebook_instance(fake: FakeSageMaker, watch: Make) -> None:
    fake.notebook("desk", "ml.g5.12xlarge", BEGAN, CreationTime=BEGAN - timedelta(days=9))
    machine = only(watch().machines())
    assert machine.id == f"aws:{ACCOUNT}:us-east-1:notebook.desk.20261114T030000Z"
    assert machine.group == machine.id
    assert (machine.gpus, machine.gpu_model) == (4, "A10G")
    assert machine.gpu_memory_mib is not None
    assert (machine.state, machine.metered) == (MachineState.RUNNING, True)
    assert machine.first_launched_at == BEGAN - timedelta(days=9)
    assert machine.started_at == BEGAN
    assert machine.purchase is Purchase.ON_DEMAND
    assert machine.kind is WorkloadKind.NOTEBOOK
    assert machine.price.hourly_usd is None
    assert "ml.g5.12xlarge" in (machine.price.why or "")
    assert f"--machine {machine.id}" in (machine.how_to_measure or "")


@pytest.mark.parametrize(
    ("status", "state", "metered"),
    [
        ("InService", MachineState.RUNNING, True),
        ("Pending", MachineState.PENDING, False),
        ("Stopping", MachineState.STOPPING, False),
        ("Stopped", MachineState.STOPPED, False),
        ("Failed", MachineState.UNKNOWN, None),
        ("InMaintenance", MachineState.UNKNOWN, None),
    ],
)
def test_states_of_a_notebook(
    fake: FakeSageMaker, watch: Make, status: str, state: MachineState, *, metered: bool | None
) -> None:
    fake.notebook("desk", "ml.g5.xlarge", BEGAN, NotebookInstanceStatus=status)
    machine = only(watch().machines())
    assert (machine.state, machine.metered) == (state, metered)
    assert machine.stopped_at == (BEGAN if state is MachineState.STOPPED else None)
    assert machine.started_at == (BEGAN if state is MachineState.RUNNING else None)


def test_a_re_created_notebook_is_another_machine(fake: FakeSageMaker, watch: Make) -> None:
    raw = fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    first = only(watch().machines())
    raw["CreationTime"] = raw["LastModifiedTime"] = BEGAN + timedelta(hours=1)
    second = only(watch().machines())
    assert first.name == second.name
    assert first.id != second.id


def test_a_job_of_four_instances_is_a_group_of_four_machines(
    fake: FakeSageMaker, watch: Make
) -> None:
    fake.training_job("fit-1", "ml.p4d.24xlarge", BEGAN, count=4)
    machines = watch().machines().values
    assert [each.native_id for each in machines] == [
        f"training.fit-1.20261123T030000Z.algo-{number}" for number in (1, 2, 3, 4)
    ]
    assert {each.group for each in machines} == {
        f"aws:{ACCOUNT}:us-east-1:sagemaker/training.fit-1.20261123T030000Z"
    }
    assert {(each.gpus, each.machine_type) for each in machines} == {(8, "ml.p4d.24xlarge")}
    assert {each.started_at for each in machines} == {BEGAN}
    assert {each.kind for each in machines} == {WorkloadKind.TRAINING}


def test_a_heterogeneous_cluster_counts_its_instances_through(
    fake: FakeSageMaker, watch: Make
) -> None:
    groups = [
        {"InstanceGroupName": "data", "InstanceType": "ml.c5.18xlarge", "InstanceCount": 2},
        {"InstanceGroupName": "gpu", "InstanceType": "ml.g5.12xlarge", "InstanceCount": 1},
    ]
    fake.training_job("fit", "ml.g5.xlarge", BEGAN, config={"InstanceGroups": groups})
    assert only(watch().machines()).native_id.endswith(".algo-3")


@pytest.mark.parametrize(
    ("changes", "state", "metered"),
    [
        ({}, MachineState.RUNNING, True),
        ({"SecondaryStatus": "Interrupted"}, MachineState.PENDING, False),
        ({"TrainingJobStatus": "Stopping"}, MachineState.STOPPING, True),
        (
            {"TrainingJobStatus": "Failed", "TrainingEndTime": NOW - timedelta(minutes=90)},
            MachineState.TERMINATED,
            False,
        ),
    ],
)
def test_states_of_a_job(
    fake: FakeSageMaker,
    watch: Make,
    changes: dict[str, Any],
    state: MachineState,
    *,
    metered: bool,
) -> None:
    fake.training_job("fit", "ml.g5.xlarge", BEGAN, **changes)
    machine = only(watch().machines())
    assert (machine.state, machine.metered) == (state, metered)
    assert machine.stopped_at == changes.get("TrainingEndTime")


def test_a_job_that_waits_for_its_instances_is_not_metered(
    fake: FakeSageMaker, watch: Make
) -> None:
    raw = fake.training_job("fit", "ml.g5.xlarge", BEGAN, SecondaryStatus="Pending")
    del raw["TrainingStartTime"]
    machine = only(watch().machines())
    assert (machine.state, machine.metered) == (MachineState.PENDING, False)
    assert machine.started_at is None


def test_jobs_that_ended_long_ago_are_not_described(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    ended = NOW - timedelta(hours=2)
    fake.training_job("a", "ml.g5.xlarge", BEGAN, TrainingJobStatus="Failed", TrainingEndTime=ended)
    fake.processing_job(
        "b", "ml.g5.xlarge", BEGAN, ProcessingJobStatus="Completed", ProcessingEndTime=ended
    )
    assert watch().machines().values == ()
    assert sagemaker_calls(aws) == EMPTY_REGION


def test_an_old_job_that_goes_on_is_found_behind_hundreds_of_newer_ones(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    """With a status asked for, SageMaker takes a page first and drops the others afterwards."""
    fake.training_job("old", "ml.g5.xlarge", NOW - timedelta(days=20))
    for number in range(250):
        at = NOW - timedelta(days=2, minutes=number)
        fake.training_job(
            f"new-{number}", "ml.g5.xlarge", at, TrainingJobStatus="Completed", TrainingEndTime=at
        )
    assert only(watch().machines()).name == "old"
    assert sagemaker_calls(aws) == EMPTY_REGION | {
        "sagemaker:ListTrainingJobs": 3,
        "sagemaker:DescribeTrainingJob": 1,
    }
    asked = [call for call in aws.requests if call.operation == "sagemaker:ListTrainingJobs"]
    assert all("StatusEquals" not in call.parameters for call in asked)


def test_managed_spot_training_and_training_plans(fake: FakeSageMaker, watch: Make) -> None:
    fake.training_job("a", "ml.g5.xlarge", BEGAN, EnableManagedSpotTraining=True)
    plan = {"TrainingPlanArn": arn("training-plan", "may")}
    fake.training_job("b", "ml.p5.48xlarge", BEGAN, config=plan)
    spot, planned = watch().machines().values
    assert spot.purchase is Purchase.SPOT
    assert spot.price.hourly_usd is None
    assert planned.purchase is Purchase.RESERVED
    assert planned.stop_terms.prepaid == "training plan may"
    assert planned.price.saves_usd == 0


def test_the_type_that_was_selected_counts(fake: FakeSageMaker, watch: Make) -> None:
    config = {
        "InstancePreferences": [{"InstanceType": "ml.g5.xlarge", "InstanceCount": 1}],
        "SelectedInstanceType": "ml.g6.12xlarge",
        "SelectedInstanceCount": 2,
    }
    fake.training_job("fit", "ml.g5.xlarge", BEGAN, config=config)
    machines = watch().machines().values
    assert [each.machine_type for each in machines] == ["ml.g6.12xlarge"] * 2


def test_a_processing_job_is_a_batch(fake: FakeSageMaker, watch: Make) -> None:
    fake.processing_job("clean", "ml.g4dn.12xlarge", BEGAN, count=2)
    machines = watch().machines().values
    assert [each.native_id.split(".")[-1] for each in machines] == ["algo-1", "algo-2"]
    assert {each.kind for each in machines} == {WorkloadKind.BATCH}
    assert {each.started_at for each in machines} == {BEGAN}


def test_a_studio_app_is_its_owners_notebook(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    fake.domain()
    fake.space("llm-desk", "ana")
    fake.app("ml.g5.xlarge", BEGAN, SpaceName="llm-desk")
    fake.app("ml.g4dn.xlarge", BEGAN, UserProfileName="ben", AppType="KernelGateway", AppName="k")
    fake.app("system", BEGAN, UserProfileName="ben", AppType="JupyterServer")
    fake.app("ml.t3.medium", BEGAN, SpaceName="llm-desk", AppName="small")
    seen = watch().machines()
    assert seen.gaps == ()
    found = by_native(seen)
    space = found["app.d-abc.llm-desk.jupyterlab.default.20261123T030000Z"]
    assert (space.name, space.owner, space.kind) == ("llm-desk", "ana", WorkloadKind.NOTEBOOK)
    assert (space.started_at, space.gpus) == (BEGAN, 1)
    assert f"--machine {space.id}" in (space.how_to_measure or "")
    kernel = found["app.d-abc.ben.kernelgateway.k.20261123T030000Z"]
    assert (kernel.name, kernel.owner) == ("ben", "ben")
    assert len(found) == 2
    assert sagemaker_calls(aws) == EMPTY_REGION | {
        "sagemaker:ListApps": 1,
        "sagemaker:ListSpaces": 1,
    }


def test_tags_of_a_profile_and_a_domain_count_for_its_apps(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    fake.domain()
    fake.app("ml.g5.xlarge", BEGAN, UserProfileName="ben")
    told = {
        arn("domain", "d-abc"): {"team": "all", "spend-watchdog:workload": "studio"},
        arn("user-profile", "d-abc/ben"): {"spend-watchdog:workload": "ben"},
        arn("app", "d-abc/ben/jupyterlab/default"): {"cost": "yes"},
    }
    aws.answer("tag:GetResources", _mappings(told))
    assert only(watch().machines()).tags == {
        "team": "all",
        "spend-watchdog:workload": "ben",
        "cost": "yes",
    }
    (call,) = [call for call in aws.requests if call.operation == "tag:GetResources"]
    assert call.parameters == {"ResourceARNList": list(told)}


def _mappings(tags: dict[str, dict[str, str]]) -> str:
    rows = [
        {"ResourceARN": name, "Tags": [{"Key": k, "Value": v} for k, v in told.items()]}
        for name, told in tags.items()
    ]
    return json.dumps({"ResourceTagMappingList": rows, "PaginationToken": ""})


def test_apps_that_share_an_instance_are_billed_once(fake: FakeSageMaker, watch: Make) -> None:
    """Kernels of Studio Classic: the oldest stands for the instance."""
    fake.domain()
    shared = {"AppType": "KernelGateway", "UserProfileName": "ben"}
    first = fake.app("ml.g4dn.xlarge", BEGAN, AppName="a", **shared)
    fake.app("ml.g4dn.xlarge", BEGAN + timedelta(hours=1), AppName="b", **shared)
    fake.app("ml.g5.xlarge", BEGAN + timedelta(hours=1), AppName="c", **shared)
    found = {each.native_id.split(".")[4]: each for each in watch().machines().values}
    assert set(found) == {"a", "c"}
    assert found["a"].started_at == BEGAN
    first["Status"] = "Deleted"
    found = {each.native_id.split(".")[4]: each for each in watch().machines().values}
    assert set(found) == {"b", "c"}
    assert found["b"].started_at is None, "nobody knows since when it is billed by itself"


def test_an_endpoint_is_a_service_of_as_many_machines_as_it_has_instances(
    fake: FakeSageMaker, watch: Make
) -> None:
    raw = fake.endpoint("chat", "ml.g5.12xlarge", BEGAN, count=2)
    raw["LastModifiedTime"] = BEGAN + timedelta(hours=2)
    machines = watch().machines().values
    assert [each.native_id for each in machines] == [
        "endpoint.chat.all.20261123T030000Z.1",
        "endpoint.chat.all.20261123T030000Z.2",
    ]
    assert {each.kind for each in machines} == {WorkloadKind.SERVICE}
    assert {each.first_launched_at for each in machines} == {BEGAN}
    assert {each.started_at for each in machines} == {BEGAN + timedelta(hours=2)}
    assert not any(each.needs_setup for each in machines)


def test_endpoints_without_instances_are_no_machines(fake: FakeSageMaker, watch: Make) -> None:
    fake.endpoint("asleep", "ml.g5.xlarge", BEGAN, count=0)
    serverless = {"CurrentServerlessConfig": {"MemorySizeInMB": 2048, "MaxConcurrency": 5}}
    fake.endpoint("serverless", None, BEGAN, variant=serverless)
    seen = watch().machines()
    assert (seen.values, seen.gaps) == ((), ())


def test_an_endpoint_with_pools_of_instances(fake: FakeSageMaker, watch: Make) -> None:
    pools = [
        {"InstanceType": "ml.g5.xlarge", "CurrentInstanceCount": 1},
        {"InstanceType": "ml.g6.xlarge", "CurrentInstanceCount": 1},
        {"InstanceType": "ml.p5.48xlarge", "CurrentInstanceCount": 0},
    ]
    fake.endpoint("chat", None, BEGAN, variant={"InstancePools": pools})
    found = by_native(watch().machines())
    assert {name.rsplit(".", 1)[1]: each.gpu_model for name, each in found.items()} == {
        "g5-xlarge-1": "A10G",
        "g6-xlarge-1": "L4",
    }


def test_a_warm_pool_is_idle_machines_of_its_own(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    ended = NOW - timedelta(hours=3)
    fake.training_job(
        "fit",
        "ml.g5.12xlarge",
        BEGAN,
        count=2,
        config={"KeepAlivePeriodInSeconds": 14_400},
        TrainingJobStatus="Completed",
        TrainingEndTime=ended,
        WarmPoolStatus={"Status": "Available"},
    )
    machines = watch().machines().values
    assert [each.native_id for each in machines] == [
        "warmpool.fit.20261123T030000Z.algo-1",
        "warmpool.fit.20261123T030000Z.algo-2",
    ]
    assert {(each.state, each.metered) for each in machines} == {(MachineState.RUNNING, True)}
    assert {each.started_at for each in machines} == {ended}
    assert "14400 s" in machines[0].stop_terms.why
    assert aws.calls["sagemaker:DescribeTrainingJob"] == 1


def test_a_warm_pool_that_ended_a_moment_ago_tells_when(fake: FakeSageMaker, watch: Make) -> None:
    ended = NOW - timedelta(hours=3)
    fake.training_job(
        "fit",
        "ml.g5.12xlarge",
        BEGAN,
        TrainingJobStatus="Completed",
        TrainingEndTime=ended,
        WarmPoolStatus={"Status": "Terminated", "ResourceRetainedBillableTimeInSeconds": 9_000},
    )
    machine = only(watch().machines())
    assert machine.state is MachineState.TERMINATED
    assert (machine.started_at, machine.stopped_at) == (ended, NOW - timedelta(minutes=30))


def test_a_type_that_nobody_knows_is_a_gap(fake: FakeSageMaker, watch: Make) -> None:
    fake.notebook("desk", "ml.g99.xlarge", BEGAN)
    seen = watch().machines()
    assert seen.values == ()
    (gap,) = seen.gaps
    assert gap.what == "machine type ml.g99.xlarge"
    assert (gap.account, gap.region) == (ACCOUNT, "us-east-1")


def test_an_app_without_a_type_is_a_gap(fake: FakeSageMaker, watch: Make) -> None:
    fake.domain()
    fake.app(None, BEGAN, UserProfileName="ana")
    (gap,) = watch().machines().gaps
    assert gap.what == "SageMaker machine type of app ana"


def test_what_was_described_once_is_remembered(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    job = fake.training_job("fit", "ml.g5.xlarge", BEGAN)
    fake.processing_job("clean", "ml.g5.xlarge", BEGAN)
    fake.endpoint("chat", "ml.g5.xlarge", BEGAN)
    fake.endpoint("web", "ml.c5.xlarge", BEGAN)
    one = watch()
    first = one.machines()
    assert sagemaker_calls(aws) == EMPTY_REGION | {
        "sagemaker:DescribeTrainingJob": 1,
        "sagemaker:DescribeProcessingJob": 1,
        "sagemaker:DescribeEndpoint": 2,
        "sagemaker:DescribeEndpointConfig": 2,
    }
    aws.forget_calls()
    assert one.machines() == first
    assert sagemaker_calls(aws) == EMPTY_REGION | {"sagemaker:DescribeEndpoint": 1}
    assert "ec2:DescribeInstanceTypes" not in aws.calls
    job["LastModifiedTime"] = NOW
    job["SecondaryStatus"] = "Uploading"
    aws.forget_calls()
    one.machines()
    assert aws.calls["sagemaker:DescribeTrainingJob"] == 1


def test_tags_come_by_the_hundred(aws: AwsServer, fake: FakeSageMaker, watch: Make) -> None:
    for number in range(101):
        fake.notebook(f"desk-{number}", "ml.g5.xlarge", BEGAN)
    seen = watch().machines()
    assert len(seen.values) == 101
    assert sagemaker_calls(aws) == EMPTY_REGION | {"sagemaker:ListNotebookInstances": 2}
    assert aws.calls["tag:GetResources"] == 2


def test_more_jobs_than_may_be_described_are_a_gap(
    aws: AwsServer, fake: FakeSageMaker, watch: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.aws.sagemaker.DETAILS_AT_MOST", 2)
    for number in range(3):
        fake.training_job(f"fit-{number}", "ml.g5.xlarge", BEGAN + timedelta(minutes=number))
    seen = watch().machines()
    assert {each.name for each in seen.values} == {"fit-2", "fit-1"}
    (gap,) = seen.gaps
    assert "only the newest 2 of 3 training jobs" in gap.why
    assert aws.calls["sagemaker:DescribeTrainingJob"] == 2


def test_pages_that_do_not_end_are_given_up(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    aws.answer("sagemaker:ListEndpoints", '{"Endpoints": [], "NextToken": "again"}')
    fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    seen = watch().machines()
    assert len(seen.values) == 1
    (gap,) = seen.gaps
    assert gap.what == "SageMaker endpoints"
    assert aws.calls["sagemaker:ListEndpoints"] == 50


SAGEMAKER = [each for each, _ in PERMISSIONS if each.startswith("sagemaker:")]


def furnished(fake: FakeSageMaker) -> None:
    """One of each, so that every call is made."""
    fake.domain()
    fake.space("llm-desk", "ana")
    fake.app("ml.g5.xlarge", BEGAN, SpaceName="llm-desk")
    fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    fake.training_job("fit", "ml.g5.xlarge", BEGAN)
    fake.processing_job("clean", "ml.g5.xlarge", BEGAN)
    fake.endpoint("chat", "ml.g5.xlarge", BEGAN)


DENIED = {"status": 400, "code": "AccessDeniedException"}
FAULTS = (
    ({"status": 500}, "HTTP 500"),
    ({"status": 400, "code": "UnknownOperationException"}, "UnknownOperationException"),
    ({"status": 200, "body": "{}"}, "incomplete"),
)


@pytest.mark.parametrize(
    ("permission", "fault", "word"),
    [
        *((permission, DENIED, "not allowed") for permission in SAGEMAKER),
        *(("sagemaker:ListTrainingJobs", *fault) for fault in FAULTS),
        *(("sagemaker:DescribeEndpointConfig", *fault) for fault in FAULTS),
    ],
)
def test_a_call_that_fails_is_a_gap_that_names_it_and_hides_nothing_else(
    aws: AwsServer,
    fake: FakeSageMaker,
    watch: Make,
    permission: str,
    fault: dict[str, Any],
    word: str,
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    furnished(fake)
    whole = set(by_native(watch().machines()))
    aws.fail(permission, **fault)
    seen = watch().machines()
    lost = whole - set(by_native(seen))
    assert len(lost) == (0 if permission == "sagemaker:ListSpaces" else 1)
    assert [scope.region for scope in seen.scopes] == ["us-east-1"]
    (gap,) = seen.gaps
    assert (gap.account, gap.region) == (ACCOUNT, "us-east-1")
    assert gap.what.startswith("SageMaker ")
    assert permission in gap.why
    assert word in gap.why


def test_a_region_that_denies_everything_is_one_gap(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    for permission in SAGEMAKER:
        aws.fail(permission, "us-east-1", status=400, code="AccessDeniedException")
    seen = watch(regions=TWO).machines()
    (gap,) = seen.gaps
    assert (gap.what, gap.region) == ("SageMaker", "us-east-1")
    assert all(name in gap.why for name in EMPTY_REGION)


def test_tags_that_are_denied_hide_no_machine(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    aws.fail("tag:GetResources", status=400, code="AccessDeniedException")
    seen = watch().machines()
    assert only(seen).tags == {}
    (gap,) = seen.gaps
    assert (gap.what, "tag:GetResources" in gap.why) == ("SageMaker tags", True)


@pytest.mark.parametrize(("known", "gaps"), [(True, 1), (False, 0)])
def test_a_region_that_sagemaker_does_not_serve_is_no_gap(
    aws: AwsServer,
    watch: Make,
    monkeypatch: pytest.MonkeyPatch,
    *,
    known: bool,
    gaps: int,
) -> None:
    """Its endpoint cannot be reached: where there is one, that is a gap."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER", "http://127.0.0.1:9")
    monkeypatch.setattr("providers.aws.session.AwsSession.offers", lambda *_: known)
    one = watch(session=None, limits=replace(QUICK, attempts=1))
    seen = one.machines()
    assert len(seen.gaps) == gaps
    assert all("could not be reached" in gap.why for gap in seen.gaps)
    aws.forget_calls()


def test_the_sdk_knows_where_sagemaker_is(provider: Make) -> None:
    session = provider()._session
    assert session.offers("sagemaker", "us-east-1")
    assert session.offers("sagemaker", "us-gov-west-1")
    assert not session.offers("sagemaker", "us-iso-west-1")
    assert not session.offers("sagemaker", "no region at all")


def test_what_a_stop_means_of_each(fake: FakeSageMaker, watch: Make) -> None:
    furnished(fake)
    fake.training_job(
        "warm",
        "ml.g5.xlarge",
        BEGAN,
        TrainingJobStatus="Completed",
        TrainingEndTime=NOW - timedelta(hours=3),
        WarmPoolStatus={"Status": "Available"},
    )
    terms = {name.split(".")[0]: m.stop_terms for name, m in by_native(watch().machines()).items()}
    assert {kind: each.can_stop for kind, each in terms.items()} == {
        "notebook": True,
        "app": False,
        "training": False,
        "processing": False,
        "endpoint": False,
        "warmpool": False,
    }
    assert "keeps its ML volume" in terms["notebook"].why
    assert "the volume of space llm-desk stays" in terms["app"].why
    assert "SIGTERM" in terms["training"].why
    assert "120 s" in terms["training"].why
    assert "only deleted" in terms["endpoint"].why
    assert "keep-alive" in terms["warmpool"].why
    assert all(each.controller == "SageMaker" for each in terms.values())
    assert all(each.controller_advice for each in terms.values())


def test_a_protected_one_is_protected(aws: AwsServer, fake: FakeSageMaker, watch: Make) -> None:
    fake.notebook("desk", "ml.g5.xlarge", BEGAN)
    told = {arn("notebook-instance", "desk"): {"spend-watchdog:protected": "true"}}
    aws.answer("tag:GetResources", _mappings(told))
    assert only(watch().machines()).stop_terms.protected == "tag spend-watchdog:protected=true"


def test_it_is_not_asked_of_ec2s_history_or_egress(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    furnished(fake)
    one = watch()
    seen = one.machines()
    aws.forget_calls()
    one.transitions(seen.values, window())
    one.egress(seen.values, seen.scopes, by_the_hour())
    assert "cloudtrail:LookupEvents" not in aws.calls
    asked = [call.parameters for call in aws.requests]
    assert not any(each.get("Namespace") == "AWS/EC2" for each in asked)


def test_doctor_tries_its_permissions_where_it_is_watched(
    aws: AwsServer, fake: FakeSageMaker, watch: Make
) -> None:
    tried = {probe.what: probe.ok for probe in watch().probes()}
    granted = set(SAGEMAKER) - UNTRIED
    assert {name: tried.get(name) for name in granted} == dict.fromkeys(granted, True)
    plain = {probe.what for probe in watch(sagemaker=False).probes()}
    assert not plain & set(SAGEMAKER)
