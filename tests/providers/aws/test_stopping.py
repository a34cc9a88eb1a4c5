"""What a stop would mean: possible or not, what it loses, who forbids it."""

from dataclasses import replace
from typing import Any

import pytest

from tests.providers.aws.raw import G5, NO_DISK, machine

SPOT = {"InstanceLifecycle": "spot"}


@pytest.mark.parametrize(
    ("told", "spot_kind", "can_stop", "word"),
    [
        ({}, None, True, "on-demand"),
        ({"RootDeviceType": "instance-store"}, None, False, "instance store"),
        (SPOT, "one-time", False, "one-time"),
        (SPOT, "persistent", True, "persistent"),
        (SPOT, None, None, "not known"),
        (SPOT | {"tags": {"aws:ec2:fleet-id": "f"}}, "persistent", False, "fleet"),
        (SPOT | {"tags": {"aws:ec2spot:fleet-request-id": "f"}}, "persistent", False, "fleet"),
        ({"tags": {"aws:ec2:fleet-id": "f"}}, None, True, "on-demand"),
        ({"InstanceLifecycle": "scheduled"}, None, False, "scheduled"),
        ({"InstanceLifecycle": "something-new"}, None, None, "not known"),
        ({"CapacityBlockId": "cb-1"}, None, None, "not known"),
    ],
)
def test_whether_ec2_can_stop_it(
    *, told: dict[str, Any], spot_kind: str | None, can_stop: bool | None, word: str
) -> None:
    terms = machine(spot_kind=spot_kind, **told).stop_terms
    assert terms.can_stop is can_stop
    assert word in terms.why


def test_a_stop_erases_local_disks() -> None:
    assert machine(facts=G5).stop_terms.loses == ("250 GB of local NVMe disk",)
    assert machine(facts=NO_DISK).stop_terms.loses == ()


def test_unknown_local_disks_are_not_taken_for_none() -> None:
    terms = machine(facts=replace(NO_DISK, local_disk_known=False)).stop_terms
    assert terms.can_stop is None
    assert "local disks" in terms.why


@pytest.mark.parametrize("value", ["true", "yes", "", "no", "fasle", "0"])
def test_any_value_but_false_protects(value: str) -> None:
    protected = machine(tags={"spend-watchdog:protected": value}).stop_terms.protected
    assert protected is not None
    assert "spend-watchdog:protected" in protected


@pytest.mark.parametrize("value", ["false", "False", "FALSE", " false "])
def test_false_does_not_protect(value: str) -> None:
    assert machine(tags={"spend-watchdog:protected": value}).stop_terms.protected is None


def test_no_tag_does_not_protect() -> None:
    assert machine().stop_terms.protected is None


def test_a_machine_that_an_aws_service_manages() -> None:
    terms = machine(Operator={"Managed": True, "Principal": "eks.amazonaws.com"}).stop_terms
    assert terms.controller == "eks.amazonaws.com"
    assert terms.controller_advice
    assert machine(Operator={"Managed": False}).stop_terms.controller is None


def test_the_controller_and_its_advice_reach_the_machine() -> None:
    terms = machine(tags={"aws:autoscaling:groupName": "train-asg"}).stop_terms
    assert terms.controller == "Auto Scaling group train-asg"
    assert terms.controller_advice == "set the desired capacity of train-asg to 0"
