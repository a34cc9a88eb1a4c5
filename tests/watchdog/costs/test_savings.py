"""What a stop saves where something is paid anyway: zero only where that is certain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Purchase
from providers.price_facts import Commitment, CommitmentKind
from tests.builders import machine, price
from watchdog.costs.savings import by_kin, kin, with_savings

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
USD = Decimal("1.006")


def box(number: int, machine_type: str = "g5.xlarge", **changes: Any) -> Machine:
    told: dict[str, Any] = {
        "id": f"aws:1:us-east-1:i-{number}",
        "account": "1",
        "region": "us-east-1",
        "zone": "us-east-1a",
        "machine_type": machine_type,
        "operating_system": "Linux/UNIX",
        "price": price("1.006"),
    }
    return machine(**(told | changes))


def reserved(count: int, machine_type: str = "g5.xlarge", **changes: Any) -> Commitment:
    told: dict[str, Any] = {
        "kind": CommitmentKind.RESERVED_INSTANCES,
        "id": "ri-1",
        "machine_type": machine_type,
        "family": machine_type.split(".", maxsplit=1)[0],
        "region": "us-east-1",
        "operating_system": "Linux/UNIX",
        "machines": count,
        "every_size": True,
    }
    return Commitment(**(told | changes))


def zonal(count: int, zone: str = "us-east-1a", **changes: Any) -> Commitment:
    return reserved(count, zone=zone, every_size=False, **changes)


def plan(usd: str | None, **changes: Any) -> Commitment:
    return Commitment(
        kind=CommitmentKind.SAVINGS_PLAN,
        id="sp-1",
        hourly_usd=None if usd is None else Decimal(usd),
        every_size=True,
        **changes,
    )


def of_g5(usd: str | None) -> Commitment:
    return plan(usd, family="g5", region="us-east-1")


def saved(
    beside: Sequence[Machine], *commitments: Commitment, unread: Sequence[str] = ()
) -> Decimal | None:
    competing = by_kin(beside)[kin(beside[0])]
    found = with_savings(beside[0], competing, commitments, unread, NOW)
    usd = found.price.saves_usd
    assert (found.stop_terms.prepaid is not None) == (usd == 0)
    if usd != beside[0].price.hourly_usd:
        assert found.price.why
    return usd


def test_where_nothing_is_committed_a_stop_saves_the_list_price() -> None:
    assert saved([box(1), box(2)]) == USD


@pytest.mark.parametrize(
    ("others", "commitments", "usd"),
    [
        ([], [reserved(1)], Decimal(0)),
        ([box(2)], [reserved(2)], Decimal(0)),
        ([box(2)], [reserved(1), reserved(1, id="ri-2")], Decimal(0)),
        ([box(2)], [reserved(1)], None),
        # The other size takes over what is set free.
        ([box(2, "g5.2xlarge")], [reserved(1)], None),
        ([box(2, "g5.2xlarge")], [reserved(1), reserved(1, "g5.2xlarge")], Decimal(0)),
        # Whether sizes are flexible depends on the family, and AWS changes that.
        ([], [reserved(1, "g5.2xlarge")], None),
        ([box(2, "p4d.24xlarge")], [reserved(1)], Decimal(0)),
        ([box(2, region="us-west-2")], [reserved(1)], Decimal(0)),
        ([box(2, operating_system="Windows")], [reserved(1)], Decimal(0)),
        ([box(2, purchase=Purchase.SPOT)], [reserved(1)], Decimal(0)),
        ([box(2, state=MachineState.STOPPED, metered=False)], [reserved(1)], Decimal(0)),
        ([], [reserved(1, "p4d.24xlarge")], USD),
        ([], [reserved(1, region="us-west-2")], USD),
        ([], [reserved(1, operating_system="Windows")], USD),
        ([], [reserved(0)], USD),
        ([], [reserved(1, ends_at=NOW - timedelta(hours=1))], USD),
    ],
)
def test_reserved_instances(
    others: list[Machine], commitments: list[Commitment], usd: Decimal | None
) -> None:
    assert saved([box(1), *others], *commitments) == usd


@pytest.mark.parametrize(
    ("others", "commitments", "usd"),
    [
        ([], [zonal(1)], Decimal(0)),
        ([], [zonal(1, "us-east-1b")], USD),
        ([box(2, zone="us-east-1b")], [zonal(1)], Decimal(0)),
        ([box(2)], [zonal(1)], None),
        ([box(2, "g5.2xlarge")], [zonal(1)], Decimal(0)),
        ([box(2)], [zonal(1), reserved(1, id="ri-2")], Decimal(0)),
        ([box(2, zone="us-east-1b")], [zonal(1, "us-east-1b"), reserved(1)], Decimal(0)),
    ],
)
def test_reserved_instances_of_one_zone(
    others: list[Machine], commitments: list[Commitment], usd: Decimal | None
) -> None:
    assert saved([box(1), *others], *commitments) == usd


@pytest.mark.parametrize(
    ("others", "commitments", "usd"),
    [
        ([], [of_g5("1.006")], Decimal(0)),
        ([], [of_g5("1.00")], None),
        ([box(2)], [of_g5("2.012")], Decimal(0)),
        ([box(2)], [of_g5("2.00")], None),
        ([box(2, price=price(None))], [of_g5("9.00")], None),
        ([], [of_g5(None)], None),
        # It also pays for what is not seen here: machines without GPUs, containers, functions.
        ([], [plan("100")], None),
        ([], [plan("100"), of_g5("1.006")], Decimal(0)),
        ([], [plan("1", family="p4d", region="us-east-1")], USD),
        ([], [plan("1", family="g5", region="us-west-2")], USD),
    ],
)
def test_savings_plans(
    others: list[Machine], commitments: list[Commitment], usd: Decimal | None
) -> None:
    assert saved([box(1), *others], *commitments) == usd


def test_what_could_not_be_read_may_cover_it() -> None:
    found = with_savings(box(1), [box(1)], [], ["savings plans"], NOW)
    assert found.price.saves_usd is None
    assert found.price.hourly_usd == USD
    assert "savings plans could not be read" in str(found.price.why)
    assert saved([box(1)], reserved(1), unread=["savings plans"]) == 0


@pytest.mark.parametrize(
    "changes",
    [{"purchase": Purchase.SPOT}, {"state": MachineState.STOPPED, "metered": False}],
)
def test_spot_and_what_does_not_run_is_not_covered(changes: dict[str, Any]) -> None:
    found = with_savings(box(1, **changes), [box(1, **changes)], [reserved(9)], ["x"], NOW)
    assert found == box(1, **changes)


def test_an_unpriced_machine_stays_as_it_is() -> None:
    unpriced = box(1, price=price(None))
    assert with_savings(unpriced, [unpriced], [reserved(9)], [], NOW) == unpriced


def test_a_reservation_says_what_it_is() -> None:
    plain = box(1, "p5.48xlarge", purchase=Purchase.RESERVED)
    terms = replace(plain.stop_terms, prepaid="capacity reservation cr-1")
    named = replace(plain, stop_terms=terms)
    known = Commitment(
        kind=CommitmentKind.CAPACITY_RESERVATION,
        id="cr-1",
        machine_type="p5.48xlarge",
        machines=2,
        ends_at=NOW + timedelta(days=1),
    )
    found = with_savings(named, [named], [known], [], NOW)
    assert found.stop_terms.prepaid == (
        "capacity reservation cr-1, 2 of p5.48xlarge, until 2026-11-26 12:00 UTC"
    )
    assert with_savings(named, [named], [], ["reserved instances"], NOW) == named
