"""A patrol that knows less than an earlier one must not overwrite what is known."""

from datetime import timedelta
from pathlib import Path

import pytest

from policies.verdicts import Phase, Stretch
from tests.builders import machine, price
from tests.watchdog.costs.accounts import BOOTED, PATROL, Accounts, at
from watchdog.costs.metering import charges_for
from watchdog.costs.remetering import as_well_known

LATER = PATROL + timedelta(minutes=15)


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "ledger")


def again(accounts: Accounts, *stretches: tuple[str, str, str]) -> list[tuple[str, str, str]]:
    """What a second patrol would store: hour, phase and hours."""
    told = [
        Stretch(started_at=at(begin), ended_at=at(end), phase=Phase(phase))
        for begin, end, phase in stretches
    ]
    charges = charges_for(machine(started_at=BOOTED), told, observed_at=LATER)
    metered = accounts.ledger.rows("metered_hours", since=at("0:00"))
    return [
        (f"{row['ChargePeriodStart']:%H}", str(row["x_Phase"]), f"{row['ConsumedQuantity']:.2f}")
        for row in as_well_known(charges, metered)
    ]


def test_an_hour_that_went_on_is_replaced(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:30", "idle"))
    assert again(accounts, ("8:00", "8:45", "active"), ("8:45", "9:00", "unknown")) == [
        ("08", "active", "0.75"),
        ("08", "unknown", "0.25"),
    ]


def test_an_hour_that_nobody_metered_is_stored(accounts: Accounts) -> None:
    assert again(accounts, ("8:00", "9:00", "unknown")) == [("08", "unknown", "1.00")]


def test_a_late_metric_finds_its_place(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:30", "idle"), ("8:30", "9:00", "unknown"))
    assert again(accounts, ("8:00", "9:00", "active")) == [("08", "active", "1.00")]


def test_refused_metrics_do_not_make_known_phases_unknown(accounts: Accounts) -> None:
    accounts.ran(("8:00", "10:00", "idle"))
    assert again(accounts, ("8:00", "10:00", "unknown")) == []


def test_an_earlier_boot_that_is_no_longer_told_stays(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:30", "idle"), box=machine(started_at=BOOTED))
    boot = machine(started_at=at("8:50"))
    late = Stretch(started_at=at("8:50"), ended_at=at("9:00"), phase=Phase.SETUP)
    charges = charges_for(boot, [late], observed_at=LATER)
    assert as_well_known(charges, accounts.ledger.rows("metered_hours", since=at("0:00"))) == []


def test_a_boot_told_seconds_later_is_no_loss(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    told = Stretch(
        started_at=at("8:00") + timedelta(seconds=4), ended_at=at("9:00"), phase=Phase.IDLE
    )
    boot = machine(started_at=told.started_at)
    charges = charges_for(boot, [told], observed_at=LATER)
    metered = accounts.ledger.rows("metered_hours", since=at("0:00"))
    assert as_well_known(charges, metered) == charges


def test_a_price_that_is_refused_does_not_make_known_costs_unknown(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    unpriced = machine(started_at=BOOTED, price=price(None))
    told = Stretch(started_at=at("8:00"), ended_at=at("9:00"), phase=Phase.ACTIVE)
    charges = charges_for(unpriced, [told], observed_at=LATER)
    assert as_well_known(charges, accounts.ledger.rows("metered_hours", since=at("0:00"))) == []


def test_an_hour_that_had_no_price_gets_one(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"), box=machine(started_at=BOOTED, price=price(None)))
    assert again(accounts, ("8:00", "9:00", "idle")) == [("08", "idle", "1.00")]
