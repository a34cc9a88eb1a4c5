"""What an account pays for whether or not its machines run, from three listings."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from providers.aws.adapter import AwsProvider
from providers.base import Seen
from providers.price_facts import Commitment, CommitmentAnswer, CommitmentKind
from tests.aws_prices import commits, ec2_xml, plan, reservation, reserved
from tests.builders import machine
from tests.moto_aws import ACCOUNT, AwsServer

Make = Callable[..., AwsProvider]


def read(one: AwsProvider) -> Seen[CommitmentAnswer]:
    box = machine(region="us-east-1", account=ACCOUNT)
    return one.commitments(one.commitment_questions([box]))


def told(seen: Seen[CommitmentAnswer]) -> list[Commitment]:
    return [each for answer in seen.values for each in answer.commitments]


def test_each_kind_is_read_by_one_call(aws: AwsServer, provider: Make) -> None:
    commits(
        aws,
        reservations=[
            reservation(),
            reservation(
                CapacityReservationId="cr-2",
                CapacityBlockId="cb-2",
                ReservationType="capacity-block",
                EndDate="2026-12-01T11:30:00.000Z",
            ),
            reservation(CapacityReservationId="cr-3", State="expired"),
        ],
        reserved=[
            reserved(),
            reserved(ReservedInstancesId="ri-2", State="retired"),
            reserved(
                ReservedInstancesId="ri-3",
                Scope="Availability Zone",
                AvailabilityZone="us-east-1b",
                InstanceCount=3,
                ProductDescription="Linux/UNIX (Amazon VPC)",
            ),
        ],
        plans=[
            plan(),
            plan(savingsPlanId="sp-2", savingsPlanType="SageMaker"),
            plan(
                savingsPlanId="sp-3",
                savingsPlanType="EC2Instance",
                ec2InstanceFamily="g5",
                region="us-east-1",
                commitment="2.5",
            ),
        ],
    )
    one = provider()
    seen = read(one)
    assert seen.gaps == ()
    assert (
        one.api_calls()
        == aws.calls
        == {
            "ec2:DescribeCapacityReservations": 1,
            "ec2:DescribeReservedInstances": 1,
            "savingsplans:DescribeSavingsPlans": 1,
        }
    )
    cr, cb, regional, zonal, compute, of_family = told(seen)
    assert (cr.id, cr.machines, cr.zone, cr.ends_at) == ("cr-1", 2, "us-east-1a", None)
    assert (cb.kind, cb.id) == (CommitmentKind.CAPACITY_BLOCK, "cb-2")
    assert cb.ends_at == datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
    assert (regional.machine_type, regional.zone, regional.every_size) == ("g5.xlarge", None, True)
    assert (zonal.zone, zonal.machines, zonal.every_size) == ("us-east-1b", 3, False)
    assert zonal.operating_system == "Linux/UNIX"
    assert (compute.family, compute.region, compute.hourly_usd) == (None, None, Decimal("10.0"))
    assert (of_family.family, of_family.region) == ("g5", "us-east-1")
    assert of_family.ends_at == datetime(2029, 1, 1, tzinfo=UTC)


def test_pages_are_read_to_the_end(aws: AwsServer, provider: Make) -> None:
    aws.answer(
        "savingsplans:DescribeSavingsPlans",
        json.dumps({"savingsPlans": [plan()], "nextToken": "more"}),
        times=1,
    )
    first = {"CapacityReservations": [reservation()], "NextToken": "more"}
    aws.answer(
        "ec2:DescribeCapacityReservations",
        ec2_xml("DescribeCapacityReservations", first),
        times=1,
    )
    commits(
        aws,
        reservations=[reservation(CapacityReservationId="cr-9")],
        plans=[plan(savingsPlanId="sp-9")],
    )
    assert {each.id for each in told(read(provider()))} == {"cr-1", "cr-9", "sp-1", "sp-9"}


def test_a_plan_whose_pages_never_end_is_a_gap(aws: AwsServer, provider: Make) -> None:
    aws.answer(
        "savingsplans:DescribeSavingsPlans",
        json.dumps({"savingsPlans": [], "nextToken": "again"}),
    )
    commits(aws)
    (gap,) = read(provider()).gaps
    assert "the same page came twice" in gap.why
    assert aws.calls["savingsplans:DescribeSavingsPlans"] == 2


def test_what_is_denied_alike_in_one_place_is_one_gap(aws: AwsServer, provider: Make) -> None:
    aws.fail(None, status=403, code="AccessDenied")
    seen = read(provider())
    assert seen.values == ()
    assert [(gap.what, gap.region) for gap in seen.gaps] == [
        ("commitments", "us-east-1"),
        ("commitments", None),
    ]
    ec2, plans = seen.gaps
    assert "grant ec2:DescribeCapacityReservations, ec2:DescribeReservedInstances" in ec2.why
    assert "grant savingsplans:DescribeSavingsPlans" in plans.why


@pytest.mark.parametrize(
    "operation",
    [
        "ec2:DescribeCapacityReservations",
        "ec2:DescribeReservedInstances",
        "savingsplans:DescribeSavingsPlans",
    ],
)
@pytest.mark.parametrize("body", ["", "{}", "<html>", "<a><b></b></a>"])
def test_an_answer_without_a_listing_is_no_empty_listing(
    aws: AwsServer, provider: Make, operation: str, body: str
) -> None:
    aws.answer(operation, body)
    commits(aws)
    seen = read(provider())
    assert len(seen.gaps) == 1
    assert len(seen.values) == 2


def test_where_nothing_runs_nothing_is_asked(aws: AwsServer, provider: Make) -> None:
    assert provider().commitment_questions([]) == []
    assert aws.calls == {}


def test_plans_in_another_currency_have_no_dollars(aws: AwsServer, provider: Make) -> None:
    commits(aws, plans=[plan(currency="EUR")])
    (found,) = told(read(provider()))
    assert found.hourly_usd is None
