"""What stops may be a role apart, taken only when there is something to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from policies.facts import Gap
from providers.aws.adapter import AwsProvider
from providers.base import Looked
from tests.moto_aws import ACCOUNT, AwsServer, launch

Make = Callable[..., AwsProvider]
ROLE = f"arn:aws:iam::{ACCOUNT}:role/spend-watchdog-stop"
ABLE = {"ec2:DescribeInstanceAttribute", "ec2:StopInstances"}


@pytest.fixture
def acted_on(aws: AwsServer) -> Iterator[AwsServer]:
    """More is asked for than the read-only role grants."""
    yield aws
    aws.forget_calls()


def test_it_is_taken_once_and_for_nothing_else(acted_on: AwsServer, provider: Make) -> None:
    launch(acted_on.client("ec2"), "g5.xlarge")
    one = provider(stop_role=ROLE)
    (machine,) = one.machines().values
    assert "sts:AssumeRole" not in acted_on.calls
    assert isinstance(one.look(machine), Looked)
    assert one.stop(machine).result == "stopped"
    assert acted_on.calls["sts:AssumeRole"] == 1
    ours = {call.operation for call in acted_on.requests if call.key == "watchdog"}
    theirs = {call.operation for call in acted_on.requests if call.key != "watchdog"}
    assert theirs == ABLE
    assert not ours & ABLE
    assert one.api_calls() == acted_on.calls, "they are counted together"


def test_a_role_that_may_not_be_taken_stops_nothing(acted_on: AwsServer, provider: Make) -> None:
    launch(acted_on.client("ec2"), "g5.xlarge")
    one = provider(stop_role=ROLE)
    (machine,) = one.machines().values
    acted_on.fail("sts:AssumeRole", status=403, code="AccessDenied")
    looked = one.look(machine)
    assert isinstance(looked, Gap)
    assert looked.resource == machine.id
    answer = one.stop(machine)
    assert answer.result == "refused"
    assert "ec2:StopInstances" not in acted_on.calls


def test_without_one_the_credentials_own_rights_are_used(
    acted_on: AwsServer, provider: Make
) -> None:
    launch(acted_on.client("ec2"), "g5.xlarge")
    one = provider()
    (machine,) = one.machines().values
    one.look(machine)
    assert one.stop(machine).result == "stopped"
    assert {call.key for call in acted_on.requests} == {"watchdog"}
