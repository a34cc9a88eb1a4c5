"""What an AWS account pays for whether or not its machines run.

Capacity reservations and blocks, reserved instances, savings plans; field names as in the SDK's own
models.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from typing import Any

from policies.facts import Gap, Scope, utc
from providers.aws.errors import gap_from, likeness
from providers.aws.prices import LINUX
from providers.aws.session import AwsSession
from providers.aws.spot_prices import IN_VPC
from providers.aws.times import moment
from providers.base import Seen
from providers.errors import AnswerCut
from providers.price_facts import (
    Commitment,
    CommitmentAnswer,
    CommitmentKind,
    CommitmentQuestion,
    family_of,
)

PAGE = 1000
ATTEMPTS = 1
"""The next patrol asks again, so nobody waits for a second try."""
WHAT = "commitments"
RESERVATIONS = "capacity reservations"
RESERVED = "reserved instances"
PLANS = "savings plans"
NEEDS = {
    RESERVATIONS: "ec2:DescribeCapacityReservations",
    RESERVED: "ec2:DescribeReservedInstances",
    PLANS: "savingsplans:DescribeSavingsPlans",
}
PLANS_FOR_MACHINES = frozenset({"Compute", "EC2Instance"})
"""The other types of savings plans pay for managed services."""

Raw = Mapping[str, Any]


def questions(account: str, regions: Iterable[str]) -> list[CommitmentQuestion]:
    """What must be asked to know everything that covers machines in these regions."""
    asked = [(region, what) for region in sorted(regions) for what in (RESERVATIONS, RESERVED)]
    plans: list[tuple[str | None, str]] = [(None, PLANS)] if asked else []
    return [
        CommitmentQuestion(provider="aws", account=account, region=region, what=what)
        for region, what in (*asked, *plans)
    ]


def read_commitments(
    session: AwsSession, asked: Sequence[CommitmentQuestion]
) -> Seen[CommitmentAnswer]:
    """One listing a question. What could not be read is a gap, and has no answer."""
    by_name = {f"{each.region} {each.what}": each for each in asked}
    answers = session.side_by_side(list(by_name), partial(_read, session, by_name))
    told: list[CommitmentAnswer] = []
    failed: dict[tuple[Scope, str], list[tuple[str, Exception]]] = defaultdict(list)
    for name, answer in answers.items():
        question = by_name[name]
        if isinstance(answer, Exception):
            scope = Scope(provider="aws", account=question.account, region=question.region)
            failed[scope, likeness(answer, scope)].append((question.what, answer))
        else:
            told.append(CommitmentAnswer(question=question, commitments=tuple(answer)))
    gaps = [_gap(scope, several) for (scope, _), several in failed.items()]
    return Seen(values=tuple(told), gaps=tuple(gaps))


def _gap(scope: Scope, failed: Sequence[tuple[str, Exception]]) -> Gap:
    """One for all that failed alike in one place."""
    needs = ", ".join(NEEDS[what] for what, _ in failed)
    return gap_from(failed[0][1], scope, WHAT, needs)


def _read(
    session: AwsSession, by_name: Mapping[str, CommitmentQuestion], name: str
) -> list[Commitment]:
    question = by_name[name]
    if question.what == PLANS:
        raws = fetch_plans(session.client("savingsplans", session.home, attempts=ATTEMPTS))
        return [plan_from(raw) for raw in raws if raw.get("savingsPlanType") in PLANS_FOR_MACHINES]
    ec2 = session.client("ec2", str(question.region), attempts=ATTEMPTS)
    fetch, read = _LISTINGS[question.what]
    return [read(raw, str(question.region)) for raw in fetch(ec2)]


def fetch_reservations(ec2: Any) -> list[Raw]:
    """Active ones, blocks included, whose own or whose guest the account is."""
    pages = ec2.get_paginator("describe_capacity_reservations").paginate(
        Filters=[{"Name": "state", "Values": ["active"]}], PaginationConfig={"PageSize": PAGE}
    )
    found = [raw for page in pages for raw in page["CapacityReservations"]]
    return [raw for raw in found if raw.get("State") == "active"]


def fetch_reserved(ec2: Any) -> list[Raw]:
    """EC2 answers with all of them at once."""
    answer = ec2.describe_reserved_instances(Filters=[{"Name": "state", "Values": ["active"]}])
    if "ReservedInstances" not in answer:
        raise AnswerCut("no ReservedInstances in it")
    return [raw for raw in answer["ReservedInstances"] if raw.get("State") == "active"]


def fetch_plans(savingsplans: Any) -> list[Raw]:
    """The SDK has no paginator for it."""
    found: list[Raw] = []
    tokens: set[str] = set()
    narrowed: dict[str, Any] = {"states": ["active"], "maxResults": PAGE}
    while True:
        answer = savingsplans.describe_savings_plans(**narrowed)
        if "savingsPlans" not in answer:
            raise AnswerCut("no savingsPlans in it")
        found += answer["savingsPlans"]
        token = answer.get("nextToken")
        if not token:
            return [raw for raw in found if raw.get("state") == "active"]
        if token in tokens:
            raise AnswerCut("the same page came twice")
        tokens.add(token)
        narrowed["nextToken"] = token


def reservation_from(raw: Raw, region: str) -> Commitment:
    block = raw.get("ReservationType") == "capacity-block"
    kind = CommitmentKind.CAPACITY_BLOCK if block else CommitmentKind.CAPACITY_RESERVATION
    # A machine in a block names the block, one in another reservation the reservation.
    block_id = raw.get("CapacityBlockId") if block else None
    return Commitment(
        kind=kind,
        id=block_id or raw["CapacityReservationId"],
        machine_type=raw["InstanceType"],
        family=family_of(raw["InstanceType"]),
        zone=raw.get("AvailabilityZone"),
        region=region,
        operating_system=raw.get("InstancePlatform"),
        machines=int(raw["TotalInstanceCount"]),
        ends_at=_utc(raw.get("EndDate")),
    )


def reserved_from(raw: Raw, region: str) -> Commitment:
    """A regional one for Linux on shared hardware may cover other sizes of its family, too.

    AWS excepts some families and names them in its user guide; which ones changes.
    """
    platform = str(raw["ProductDescription"]).removesuffix(IN_VPC)
    zonal = raw.get("Scope") == "Availability Zone"
    shared = raw.get("InstanceTenancy", "default") == "default"
    return Commitment(
        kind=CommitmentKind.RESERVED_INSTANCES,
        id=raw["ReservedInstancesId"],
        machine_type=raw["InstanceType"],
        family=family_of(raw["InstanceType"]),
        zone=raw.get("AvailabilityZone") if zonal else None,
        region=region,
        operating_system=platform,
        machines=int(raw["InstanceCount"]) if shared else 0,
        ends_at=_utc(raw.get("End")),
        every_size=shared and not zonal and platform == LINUX,
    )


def plan_from(raw: Raw) -> Commitment:
    """A compute plan covers any machine; one for EC2 instances a family in a region."""
    return Commitment(
        kind=CommitmentKind.SAVINGS_PLAN,
        id=raw["savingsPlanId"],
        family=raw.get("ec2InstanceFamily") or None,
        region=raw.get("region") or None,
        hourly_usd=_dollars(raw),
        ends_at=moment(raw["end"]) if raw.get("end") else None,
        every_size=True,
    )


def _dollars(raw: Raw) -> Decimal | None:
    if raw.get("currency", "USD") != "USD" or raw.get("commitment") is None:
        return None
    return Decimal(str(raw["commitment"]))


def _utc(told: datetime | None) -> datetime | None:
    return None if told is None else utc(told)


_LISTINGS: Mapping[str, tuple[Callable[[Any], list[Raw]], Callable[[Raw, str], Commitment]]] = {
    RESERVATIONS: (fetch_reservations, reservation_from),
    RESERVED: (fetch_reserved, reserved_from),
}
