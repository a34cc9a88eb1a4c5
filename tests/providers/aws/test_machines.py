"""Machines as the adapter sees them through the real SDK, at moto's EC2."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from policies.facts import MachineState, Purchase, Scope
from providers.aws.adapter import AwsProvider
from providers.aws.session import Limits
from tests.moto_aws import ACCOUNT, LINUX, AwsServer, launch, tag
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]


@pytest.mark.parametrize(
    ("machine_type", "model", "count", "kind"),
    [
        ("g4dn.xlarge", "T4", 1, "gpu"),
        ("g5.12xlarge", "A10G", 4, "gpu"),
        ("g6f.xlarge", "L4", 0.125, "gpu"),
        ("p4d.24xlarge", "A100", 8, "gpu"),
        ("trn1.32xlarge", "Trainium", 16, "neuron"),
        ("inf1.xlarge", "Inferentia", 1, "neuron"),
        ("dl2q.24xlarge", "AI100", 8, "inference"),
    ],
)
def test_accelerators_of_every_kind(
    aws: AwsServer, provider: Make, machine_type: str, model: str, count: float, kind: str
) -> None:
    launch(aws.client("ec2"), machine_type)
    (machine,) = provider().machines().values
    (accelerator,) = machine.accelerators
    assert (accelerator.model, accelerator.count, accelerator.kind) == (model, count, kind)


def test_machines_without_accelerators_are_left_out(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "m5.large", 3)
    (gpu,) = launch(aws.client("ec2"), "g5.xlarge")
    seen = provider().machines()
    assert [machine.native_id for machine in seen.values] == [gpu]
    assert seen.gaps == ()


def test_regions_side_by_side(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2", "us-east-1"), "g5.xlarge")
    launch(aws.client("ec2", "us-west-2"), "p4d.24xlarge", 2)
    seen = provider(regions=TWO).machines()
    assert [machine.region for machine in seen.values] == ["us-east-1", "us-west-2", "us-west-2"]
    assert set(seen.scopes) == {
        Scope(provider="aws", account=ACCOUNT, region=region) for region in TWO
    }


@pytest.mark.slow
def test_without_a_choice_every_enabled_region_is_watched(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2", "ap-south-1"), "g5.xlarge")
    seen = provider(regions=None, limits=Limits()).machines()
    assert [machine.region for machine in seen.values] == ["ap-south-1"]
    assert len(seen.scopes) == aws.calls["ec2:DescribeInstances"] > 30
    assert seen.gaps == ()
    assert aws.calls["ec2:DescribeRegions"] == 1


def test_every_state_is_seen(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    running, stopped, ended = launch(ec2, "g5.xlarge", 3)
    ec2.stop_instances(InstanceIds=[stopped])
    ec2.terminate_instances(InstanceIds=[ended])
    seen = {machine.native_id: machine for machine in provider().machines().values}
    assert seen[running].state is MachineState.RUNNING
    assert seen[stopped].state is MachineState.STOPPED
    assert seen[stopped].stopped_at is not None
    assert seen[ended].state is MachineState.TERMINATED
    assert [seen[each].metered for each in (running, stopped, ended)] == [True, False, False]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("pending", MachineState.PENDING),
        ("stopping", MachineState.STOPPING),
        ("shutting-down", MachineState.TERMINATING),
    ],
)
def test_states_that_moto_passes_over(
    aws: AwsServer, provider: Make, state: str, expected: MachineState
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    aws.edit(
        "ec2:DescribeInstances", lambda body: body.replace(b">running<", f">{state}<".encode())
    )
    (machine,) = provider().machines().values
    assert machine.state is expected


@pytest.mark.parametrize(("kind", "can_stop"), [("one-time", False), ("persistent", True)])
def test_spot_machines_by_the_kind_of_their_request(
    aws: AwsServer, provider: Make, *, kind: str, can_stop: bool
) -> None:
    specification = {"ImageId": LINUX, "InstanceType": "g4dn.xlarge"}
    aws.client("ec2").request_spot_instances(Type=kind, LaunchSpecification=specification)
    (machine,) = provider().machines().values
    assert machine.purchase is Purchase.SPOT
    assert machine.stop_terms.can_stop is can_stop
    assert machine.price.hourly_usd is None
    assert aws.calls["ec2:DescribeSpotInstanceRequests"] == 1, "only where there is spot"


def test_the_kind_of_a_spot_request_that_nobody_tells_is_unknown(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge", InstanceMarketOptions={"MarketType": "spot"})
    aws.fail("ec2:DescribeSpotInstanceRequests", status=403, code="UnauthorizedOperation")
    seen = provider().machines()
    assert seen.values[0].stop_terms.can_stop is None
    (gap,) = seen.gaps
    assert gap.region == "us-east-1"
    assert "grant ec2:DescribeSpotInstanceRequests" in gap.why


def test_clusters_are_groups_and_an_auto_scaling_group_is_a_controller(
    aws: AwsServer, provider: Make
) -> None:
    ec2 = aws.client("ec2")
    launch(ec2, "g5.xlarge", 4, tags={"skypilot-cluster-name": "finetune"})
    (member,) = launch(ec2, "g4dn.xlarge")
    tag(member, {"aws:autoscaling:groupName": "infer-asg"})
    machines = provider().machines().values
    groups = {machine.group for machine in machines}
    scope = f"aws:{ACCOUNT}:us-east-1"
    assert groups == {f"{scope}:skypilot/finetune", f"{scope}:asg/infer-asg"}
    controllers = {machine.stop_terms.controller for machine in machines}
    assert controllers == {None, "Auto Scaling group infer-asg"}


def test_machines_that_an_aws_service_manages_are_asked_for_and_marked(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    operator = b"<operator><managed>true</managed><principal>eks.amazonaws.com</principal>"
    aws.edit(
        "ec2:DescribeInstances",
        lambda body: body.replace(b"<instanceType>", operator + b"</operator><instanceType>"),
    )
    (machine,) = provider().machines().values
    assert machine.stop_terms.controller == "eks.amazonaws.com"
    assert aws.requests[0].parameters["IncludeManagedResources"] == "true"


def test_an_endpoint_that_does_not_know_managed_resources_is_asked_without(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    aws.fail("ec2:DescribeInstances", status=400, code="UnknownParameter", times=1)
    seen = provider().machines()
    assert len(seen.values) == 1
    assert seen.gaps == ()
    assert "IncludeManagedResources" not in aws.requests[1].parameters


def test_a_type_that_nobody_can_describe_is_a_gap_with_a_count(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "x9.large", 2)
    launch(aws.client("ec2"), "g5.xlarge")
    seen = provider().machines()
    assert len(seen.values) == 1, "one unknown type must not hide the others"
    (gap,) = seen.gaps
    assert gap.account == ACCOUNT
    assert (
        gap.why == "what x9.large carries could not be found out; 2 machines of it are not watched"
    )


def test_a_type_that_ec2_does_not_describe_comes_from_the_catalogue(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "p4de.24xlarge")
    aws.edit(
        "ec2:DescribeInstanceTypes",
        lambda body: re.sub(rb"(?s)<instanceTypeSet>.*</instanceTypeSet>", b"", body),
    )
    (machine,) = provider().machines().values
    assert (machine.gpus, machine.gpu_model) == (8, "A100")
    assert machine.stop_terms.loses


def test_types_that_may_not_be_described_come_from_the_catalogue_too(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    launch(aws.client("ec2"), "m5.large")
    aws.fail("ec2:DescribeInstanceTypes", status=403, code="UnauthorizedOperation")
    seen = provider().machines()
    assert [machine.machine_type for machine in seen.values] == ["g5.xlarge"]
    assert {gap.what for gap in seen.gaps} == {"machine types", "machine type m5.large"}


def test_windows_is_not_sold_at_the_price_of_linux(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    aws.edit(
        "ec2:DescribeInstances",
        lambda body: body.replace(b"<instanceType>", b"<platform>windows</platform><instanceType>"),
    )
    (machine,) = provider().machines().values
    assert machine.operating_system == "Windows"
    assert machine.price.hourly_usd is None


def test_an_empty_account_is_named_by_sts(aws: AwsServer, provider: Make) -> None:
    one = provider()
    seen = one.machines()
    assert seen.values == ()
    assert {scope.account for scope in seen.scopes} == {ACCOUNT}
    assert aws.calls["sts:GetCallerIdentity"] == 1


def test_what_was_learnt_of_a_type_is_kept(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    one = provider()
    assert one.machines() == one.machines()
    assert aws.calls["ec2:DescribeInstances"] == 2
    assert aws.calls["ec2:DescribeInstanceTypes"] == 1
