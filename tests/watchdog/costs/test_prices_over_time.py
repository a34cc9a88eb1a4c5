"""A machine that changed its type is priced by the type that it had."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from policies.facts import Machine, MachineState, Transition
from tests.builders import machine, price
from watchdog.costs.prices_over_time import BEGINNING, PriceStep, prices_of

DAY = datetime(2026, 11, 23, tzinfo=UTC)


def hour(number: int) -> datetime:
    return DAY + timedelta(hours=number)


def row(seen: int, started: int, machine_type: str, **changes: Any) -> dict[str, object]:
    return {
        "observed_at": hour(seen),
        "started_at": hour(started),
        "state": "running",
        "machine_type": machine_type,
        "hourly_usd": Decimal("1.006"),
        "price_basis": "list",
    } | changes


def told(
    box: Machine, rows: Sequence[dict[str, object]] = (), trail: Sequence[Transition] = ()
) -> list[tuple[int | None, str, str | None]]:
    found = []
    for each in prices_of(box, trail, rows):
        begin = None if each.started_at == BEGINNING else (each.started_at - DAY).seconds // 3600
        usd = each.price.hourly_usd
        found.append((begin, each.machine_type, None if usd is None else f"{usd}"))
    return found


def big(started: int = 10) -> Machine:
    return machine(machine_type="p5.48xlarge", price=price("98.32"), started_at=hour(started))


def launched(at: int, machine_type: str) -> Transition:
    return Transition(
        machine=machine().id,
        at=hour(at),
        started=True,
        event="RunInstances",
        by=None,
        machine_type=machine_type,
    )


def test_one_type_has_one_price_and_it_is_the_present_one() -> None:
    usd = Decimal("98.32")
    rows = [row(seen, 7, "p5.48xlarge", hourly_usd=usd) for seen in (8, 11)]
    assert told(big(), rows) == [(None, "p5.48xlarge", "98.32")]
    assert told(big()) == [(None, "p5.48xlarge", "98.32")]


def test_a_resize_is_priced_before_and_after() -> None:
    assert told(big(), [row(8, 7, "g5.xlarge"), row(11, 10, "p5.48xlarge")]) == [
        (None, "g5.xlarge", "1.006"),
        (10, "p5.48xlarge", "98.32"),
    ]


def test_a_stopped_machine_has_its_new_type_only_since_it_was_seen_with_it() -> None:
    box = machine(
        machine_type="p5.48xlarge",
        price=price("98.32"),
        started_at=hour(7),
        state=MachineState.STOPPED,
    )
    rows = [row(8, 7, "g5.xlarge"), row(11, 7, "p5.48xlarge", state="stopped")]
    assert told(box, rows) == [(None, "g5.xlarge", "1.006"), (11, "p5.48xlarge", "98.32")]


def test_an_earlier_type_that_nobody_priced_is_unpriced() -> None:
    rows = [row(8, 7, "x9.huge", hourly_usd=None), row(11, 10, "p5.48xlarge")]
    assert told(big(), rows)[0] == (None, "x9.huge", None)
    assert told(big(), [row(11, 10, "p5.48xlarge")], [launched(2, "g5.xlarge")]) == [
        (None, "g5.xlarge", None),
        (10, "p5.48xlarge", "98.32"),
    ]


def test_the_audit_trail_is_not_believed_about_a_boot_that_was_seen() -> None:
    rows = [row(11, 10, "p5.48xlarge")]
    assert told(big(), rows, [launched(10, "g5.xlarge")]) == [(None, "p5.48xlarge", "98.32")]


def seen(at: int, usd: str | None) -> dict[str, object]:
    return row(at, 7, "p5.48xlarge", hourly_usd=None if usd is None else Decimal(usd))


def test_a_price_that_changed_holds_from_when_it_was_seen() -> None:
    """The hours before were metered with the old one, and are metered so again."""
    rows = [seen(8, "120.00"), seen(9, "120.00"), seen(11, "98.32")]
    assert told(big(7), rows) == [(None, "p5.48xlarge", "120.00"), (11, "p5.48xlarge", "98.32")]


def test_time_that_had_no_price_gets_the_next_one() -> None:
    rows = [seen(8, None), seen(9, None), seen(11, "98.32")]
    assert told(big(7), rows) == [(None, "p5.48xlarge", "98.32")]


def test_a_price_that_is_lost_leaves_what_it_priced() -> None:
    box = machine(machine_type="p5.48xlarge", price=price(None), started_at=hour(7))
    assert told(box, [seen(8, "98.32"), seen(11, None)]) == [
        (None, "p5.48xlarge", "98.32"),
        (11, "p5.48xlarge", None),
    ]


def test_a_price_that_changed_before_a_resize() -> None:
    rows = [
        row(2, 1, "g5.xlarge", hourly_usd=Decimal("1.20")),
        row(5, 1, "g5.xlarge"),
        row(11, 10, "p5.48xlarge", hourly_usd=Decimal("98.32")),
    ]
    assert told(big(), rows) == [
        (None, "g5.xlarge", "1.20"),
        (5, "g5.xlarge", "1.006"),
        (10, "p5.48xlarge", "98.32"),
    ]


def test_what_a_market_told_goes_before_what_was_seen() -> None:
    steps = [
        PriceStep(started_at=hour(1), price=price("2")),
        PriceStep(started_at=hour(9), price=price("3")),
    ]
    spans = prices_of(big(7), (), [seen(8, "120.00")], steps)
    assert [(each.started_at, each.price.hourly_usd) for each in spans] == [
        (BEGINNING, Decimal(2)),
        (hour(9), Decimal(3)),
    ]
