"""One entry of DescribeInstances as facts: pure, in the shape that EC2 documents."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Purchase
from providers.aws.prices import price_of
from tests.builders import machine as any_machine
from tests.providers.aws.raw import ATTACHED, LAUNCHED, NO_DISK, machine


def test_identity_place_and_times() -> None:
    seen = machine(tags={"Name": "trainer"})
    assert seen.id == "aws:123456789012:us-east-1:i-0123456789abcdef0"
    assert (seen.name, seen.zone, seen.image) == ("trainer", "us-east-1a", "ami-0abc")
    assert seen.group == seen.id
    assert seen.started_at == LAUNCHED
    assert seen.first_launched_at == ATTACHED
    assert seen.boot == "20261120T090000Z"
    assert seen.host_names == ("ip-10-0-0-7.ec2.internal", "ip-10-0-0-7", "10.0.0.7")


def test_times_are_utc_whatever_the_sdk_says() -> None:
    east = timezone(timedelta(hours=2))
    assert machine(LaunchTime=LAUNCHED.astimezone(east)).boot == "20261120T090000Z"


@pytest.mark.parametrize(
    ("name", "state", "metered"),
    [
        ("pending", MachineState.PENDING, False),
        ("running", MachineState.RUNNING, True),
        ("stopping", MachineState.STOPPING, False),
        ("stopped", MachineState.STOPPED, False),
        ("shutting-down", MachineState.TERMINATING, False),
        ("terminated", MachineState.TERMINATED, False),
        ("something-new", MachineState.UNKNOWN, None),
    ],
)
def test_states(*, name: str, state: MachineState, metered: bool | None) -> None:
    seen = machine(State={"Name": name})
    assert (seen.state, seen.metered) == (state, metered)


def test_a_hibernating_machine_is_billed_until_it_has_stopped() -> None:
    reason = {"Code": "Client.UserInitiatedHibernate", "Message": "…"}
    assert machine(State={"Name": "stopping"}, StateReason=reason).metered is True
    assert machine(State={"Name": "stopped"}, StateReason=reason).metered is False


@pytest.mark.parametrize("zone", ["GMT", "UTC"])
def test_the_time_of_a_stop_is_read_from_its_reason(zone: str) -> None:
    reason = f"User initiated (2026-11-22 18:02:11 {zone})"
    stopped = machine(State={"Name": "stopped"}, StateTransitionReason=reason)
    assert stopped.stopped_at == datetime(2026, 11, 22, 18, 2, 11, tzinfo=UTC)
    running = machine(State={"Name": "running"}, StateTransitionReason=reason)
    assert running.stopped_at is None


def test_a_shutdown_from_within_tells_no_time() -> None:
    reason = "Client.InstanceInitiatedShutdown: Instance initiated shutdown"
    assert machine(State={"Name": "stopped"}, StateTransitionReason=reason).stopped_at is None


@pytest.mark.parametrize(
    ("told", "purchase"),
    [
        ({}, Purchase.ON_DEMAND),
        ({"InstanceLifecycle": "spot"}, Purchase.SPOT),
        ({"InstanceLifecycle": "scheduled"}, Purchase.SCHEDULED),
        ({"InstanceLifecycle": "capacity-block"}, Purchase.CAPACITY_BLOCK),
        ({"InstanceLifecycle": "interruptible-capacity-reservation"}, Purchase.RESERVED),
        ({"InstanceLifecycle": "something-new"}, Purchase.UNKNOWN),
        ({"CapacityBlockId": "cb-1"}, Purchase.CAPACITY_BLOCK),
        ({"CapacityReservationId": "cr-1"}, Purchase.RESERVED),
    ],
)
def test_purchase(told: dict[str, Any], purchase: Purchase) -> None:
    assert machine(**told).purchase is purchase


def test_a_list_price_with_its_source_and_date() -> None:
    price = machine().price
    assert price.hourly_usd == Decimal("1.006")
    assert price.saves_usd == price.hourly_usd
    assert price.stopped_hourly_usd is None
    assert price.source
    assert price.as_of


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"PlatformDetails": "Windows", "Platform": "windows"}, "Windows"),
        ({"PlatformDetails": None, "Platform": "windows"}, "Windows"),
        ({"PlatformDetails": "Red Hat Enterprise Linux"}, "Red Hat"),
        ({"InstanceLifecycle": "something-new"}, "bought"),
        ({"Placement": {"Tenancy": "dedicated"}}, "dedicated"),
        ({"InstanceType": "x9.large"}, "x9.large"),
        ({"InstanceLifecycle": "spot"}, "spot"),
    ],
)
def test_an_unknown_price_is_never_a_number_and_says_why(told: dict[str, Any], word: str) -> None:
    price = machine(**told).price
    assert price.hourly_usd is None
    assert price.saves_usd is None
    assert word in (price.why or "")


@pytest.mark.parametrize(
    ("told", "priced", "prepaid"),
    [
        ({"CapacityReservationId": "cr-1"}, True, "capacity reservation cr-1"),
        ({"CapacityBlockId": "cb-1"}, False, "capacity block cb-1"),
        ({"InstanceLifecycle": "scheduled"}, False, "a scheduled reservation"),
        (
            {"Placement": {"Tenancy": "host", "HostId": "h-1"}},
            False,
            "dedicated host h-1",
        ),
    ],
)
def test_a_stop_saves_nothing_of_what_is_paid_anyway(
    *, told: dict[str, Any], priced: bool, prepaid: str
) -> None:
    seen = machine(**told)
    assert seen.stop_terms.prepaid == prepaid
    assert (seen.price.hourly_usd is not None) is priced
    assert seen.price.saves_usd == 0


def test_a_machine_from_elsewhere_is_priced_by_its_facts() -> None:
    known: Machine = any_machine(region="us-east-1", machine_type="g5.xlarge")
    assert price_of(known).hourly_usd == Decimal("1.006")


def test_an_entry_with_next_to_nothing_in_it_is_still_a_machine() -> None:
    bare: dict[str, Any] = {
        "Placement": {},
        "NetworkInterfaces": [],
        "PrivateDnsName": "",
        "Tags": [],
    }
    seen = machine(facts=NO_DISK, **bare, LaunchTime=None, PlatformDetails=None)
    assert seen.started_at is None
    assert seen.first_launched_at is None
    assert seen.name is None
    assert seen.host_names == ("10.0.0.7",)
