"""A seeded account at a real AWS API: spot, refreshed and committed prices to the cent."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from policies.rules import load_pack
from providers.aws.adapter import AwsProvider
from providers.aws.session import open_session
from tests.aws_prices import commits, plan, product, reserved, spot, spot_history
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.quick import QUICK
from tests.scenarios.test_first_five_minutes import User
from watchdog.costs.breakdown import breakdown
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json
from watchdog.refreshing_prices import Refresh, refresh_prices

pytestmark = pytest.mark.slow
DAY = datetime(2026, 11, 25, tzinfo=UTC)
SPOT: dict[str, Any] = {"InstanceMarketOptions": {"MarketType": "spot"}}


def at(clock: str) -> datetime:
    hour, minute = map(int, clock.split(":"))
    return DAY + timedelta(hours=hour, minutes=minute)


class Account:
    """Machines with starts and stops at will, and patrols of them at any time."""

    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self.aws = aws
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.session = open_session()
        self.session.get_credentials()

    def machine(self, name: str, started: str, machine_type: str = "g5.xlarge", **how: Any) -> str:
        (made,) = launch(self.aws.client("ec2"), machine_type, tags={"Name": name}, **how)
        self._instance(made).launch_time = f"{at(started):%Y-%m-%dT%H:%M:%S.000Z}"
        return made

    def stop(self, machine: str, clock: str) -> None:
        self.aws.client("ec2").stop_instances(InstanceIds=[machine])
        self._instance(machine)._reason = f"User initiated ({at(clock):%Y-%m-%d %H:%M:%S} UTC)"

    def _instance(self, machine: str) -> Any:
        return ec2_backends[ACCOUNT]["us-east-1"].get_instance(machine)

    def provider(self) -> AwsProvider:
        return AwsProvider(regions=("us-east-1",), limits=QUICK, session=self.session)

    def patrol(self, clock: str, **wishes: Any) -> dict[str, Any]:
        """The report's machines by name, and its gaps."""
        parts = Parts(
            providers=[self.provider()],
            ledger=self.ledger,
            policy=load_pack("observe"),
            egress=False,
            accepted_gaps=["start and stop history"],
            **wishes,
        )
        report: Any = patrol_json(patrol(parts, now=at(clock)))
        told = {machine["name"]: machine for machine in report["machines"]}
        return {**told, "gaps": report["gaps"], "calls": report["cost_of_watching"]["api_calls"]}

    def lists(self, *products: Any) -> None:
        body = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(each) for each in products]}
        self.aws.answer("pricing:GetProducts", json.dumps(body))

    def refresh(self, clock: str, *machine_types: str) -> Refresh:
        return refresh_prices(
            self.ledger,
            [self.provider()],
            machine_types=machine_types,
            regions=(),
            progress=lambda _: None,
            now=at(clock),
        )

    def costs(self) -> dict[str, str]:
        found = breakdown(self.ledger, since=DAY, until=DAY + timedelta(days=1), by="machine")
        names = {row["id"]: row["name"] for row in self.ledger.rows("machines_now")}
        return {
            str(names.get(row.key, row.key)): f"{row.amounts()['total'] or 0:.4f}"
            for row in found.rows
        }

    def unpriced(self) -> int:
        return sum(row["ListCost"] is None for row in self.ledger.rows("charges"))


@pytest.fixture
def account(signed_in: AwsServer, tmp_path: Path) -> Account:
    return Account(signed_in, tmp_path)


def test_a_spot_price_that_changes_at_twenty_past_and_a_stop_in_mid_hour(account: Account) -> None:
    spot_history(
        account.aws,
        [
            spot(at("0:00") - timedelta(days=3), "0.4000"),
            spot(at("10:20"), "0.5500"),
            spot(at("10:20"), "9.9000", zone="us-east-1b"),
            spot(at("11:50"), "0.3000"),
        ],
    )
    preempted = account.machine("spot-1", "9:00", **SPOT)
    told = account.patrol("10:40")
    assert told["gaps"] == []
    assert told["spot-1"]["hourly_cost_usd"] == "0.550000000"
    assert told["spot-1"]["price_basis"] == "spot"
    assert told["spot-1"]["saves_usd"] == "0.550000000"
    assert "us-east-1a" in told["spot-1"]["price_why"]
    # 80 minutes at 0.40 and 20 at 0.55: 0.53333 + 0.18333
    assert account.costs() == {"spot-1": "0.7167"}
    account.stop(preempted, "11:45")
    account.patrol("12:30")
    # 80 minutes at 0.40 and 85 at 0.55: 0.53333 + 0.77917
    assert account.costs() == {"spot-1": "1.3125"}
    assert account.unpriced() == 0


def test_spot_is_asked_once_a_region_and_only_for_the_new_part(account: Account) -> None:
    spot_history(account.aws, [spot(at("0:00"), "0.40")])
    account.machine("spot-1", "9:00", **SPOT)
    account.machine("spot-2", "9:00", **SPOT)
    account.machine("demand", "9:00", "p4d.24xlarge")
    for clock, since in (
        ("10:40", "2026-11-11T10:00:00Z"),
        ("11:05", "2026-11-25T10:00:00Z"),
        ("15:10", "2026-11-25T11:00:00Z"),
    ):
        account.aws.forget_calls()
        account.patrol(clock)
        assert account.aws.calls["ec2:DescribeSpotPriceHistory"] == 1
        (call,) = [c for c in account.aws.requests if c.operation.endswith("SpotPriceHistory")]
        assert call.parameters["StartTime"] == since
        assert "InstanceType.2" not in call.parameters
    rows = account.ledger.rows("raw_spot_prices")
    assert len(rows) == 3, "one price, told until 10:00, 11:00 and 15:00"
    account.patrol("15:15")
    assert len(account.ledger.rows("raw_spot_prices")) == 3


def test_without_a_history_spot_is_unpriced_and_later_gets_its_price(account: Account) -> None:
    account.machine("spot-1", "9:00", **SPOT)
    account.aws.fail("ec2:DescribeSpotPriceHistory", status=403, code="UnauthorizedOperation")
    told = account.patrol("10:40")
    assert told["spot-1"]["hourly_cost_usd"] is None
    assert told["spot-1"]["saves_usd"] is None
    assert "no spot price is told" in told["spot-1"]["price_why"]
    (gap,) = told["gaps"]
    assert (gap["what"], "grant ec2:DescribeSpotPriceHistory" in gap["why"]) == (
        "spot prices",
        True,
    )
    assert account.unpriced() > 0
    account.aws.mend()
    spot_history(account.aws, [spot(at("0:00"), "0.40")])
    told = account.patrol("11:00")
    assert told["spot-1"]["hourly_cost_usd"] == "0.400000000"
    assert account.costs() == {"spot-1": "0.8000"}
    assert account.unpriced() == 0
    account.aws.mend()
    account.aws.fail("ec2:DescribeSpotPriceHistory", status=503, code="RequestLimitExceeded")
    told = account.patrol("11:30")
    assert told["spot-1"]["hourly_cost_usd"] is None
    # What was known stays priced; half an hour has no price.
    assert account.costs() == {"spot-1": "0.8000"}


def test_a_refreshed_price_goes_first_and_prices_nothing_anew(account: Account) -> None:
    account.machine("trainer", "9:00")
    before = account.patrol("10:00")["trainer"]
    assert before["hourly_cost_usd"] == "1.006"
    account.lists(product("2.000"))
    done = account.refresh("10:30")
    (price,) = done.prices
    assert (price.was_usd, price.price.hourly_usd) == (Decimal("1.006"), Decimal("2.000"))
    assert price.changed
    assert done.api_calls == {"pricing:GetProducts": 1}
    told = account.patrol("10:45")["trainer"]
    assert told["hourly_cost_usd"] == "2.000000000"
    assert (told["price_source"], told["price_as_of"]) == ("AWS Price List API", "2026-11-20")
    account.patrol("12:00")
    # 105 minutes at 1.006, until the new price was first seen, and 75 at 2.00: 1.7605 + 2.50
    assert account.costs() == {"trainer": "4.2605"}


def test_an_hour_without_a_price_gets_the_one_that_is_refreshed(account: Account) -> None:
    """trn2.48xlarge has no offline price in this region."""
    account.machine("trainer", "9:00", "trn2.48xlarge")
    assert account.patrol("10:30")["trainer"]["hourly_cost_usd"] is None
    assert account.costs() == {"trainer": "0.0000"}
    account.lists(product("10.00", instanceType="trn2.48xlarge"))
    assert not account.refresh("10:31").prices[0].changed
    account.patrol("11:00")
    assert account.costs() == {"trainer": "20.0000"}


def test_what_a_refresh_asks_for_and_what_it_keeps(account: Account) -> None:
    account.machine("trainer", "9:00")
    account.patrol("10:00")
    account.lists(product("1.5"), product("30", instanceType="p4d.24xlarge"))
    assert len(account.refresh("10:30", "p4d.24xlarge").prices) == 2
    account.aws.mend()
    account.aws.forget_calls()
    account.lists(product("1.5"), product("31", instanceType="p4d.24xlarge", published="x"))
    again = account.refresh("11:00")
    assert account.aws.calls == {"pricing:GetProducts": 2}, "the copy is refreshed as a whole"
    assert [each.changed for each in again.prices] == [False, True]
    rows = {row["machine_type"]: row for row in account.ledger.rows("prices")}
    assert rows["g5.xlarge"]["changed_from_usd"] == Decimal("1.006")
    assert rows["g5.xlarge"]["changed_at"] == at("10:30")
    assert rows["p4d.24xlarge"]["changed_from_usd"] == Decimal(30)
    account.aws.mend()
    account.aws.fail("pricing:GetProducts", status=400, code="AccessDeniedException")
    assert account.refresh("12:00").prices == ()
    assert {row["machine_type"]: row for row in account.ledger.rows("prices")} == rows


def test_commitments_are_read_once_a_day(account: Account) -> None:
    commits(account.aws, reserved=[reserved(InstanceCount=2)])
    account.machine("trainer", "9:00")
    account.machine("other", "9:00", "p4d.24xlarge")
    account.machine("spot-1", "9:00", **SPOT)
    told = account.patrol("10:00", commitments=True)
    assert told["gaps"] == []
    listings = {
        "ec2:DescribeCapacityReservations": 1,
        "ec2:DescribeReservedInstances": 1,
        "savingsplans:DescribeSavingsPlans": 1,
    }
    assert {name: told["calls"].get(name) for name in listings} == listings
    assert told["trainer"]["saves_usd"] == "0"
    assert told["trainer"]["hourly_cost_usd"] == "1.006"
    assert "reserved instances for 2 g5 machines, which cover" in told["trainer"]["price_why"]
    assert told["other"]["saves_usd"] == told["other"]["hourly_cost_usd"]
    later = account.patrol("23:59", commitments=True)
    assert not set(listings) & set(later["calls"])
    assert later["trainer"]["saves_usd"] == "0"
    tomorrow = account.patrol("24:01", commitments=True)
    assert {name: tomorrow["calls"].get(name) for name in listings} == listings


def test_commitments_that_cannot_be_read_are_a_gap_and_no_saving(account: Account) -> None:
    commits(account.aws, plans=[plan()])
    account.machine("trainer", "9:00")
    told = account.patrol("10:00", commitments=True)
    assert told["trainer"]["saves_usd"] is None
    assert "savings plans of 10.0 USD an hour are paid anyway" in told["trainer"]["price_why"]
    account.aws.mend()
    told = account.patrol("24:10", commitments=True)
    assert [(gap["what"], gap["region"]) for gap in told["gaps"]] == [
        ("commitments", "us-east-1"),
        ("commitments", None),
    ]
    assert told["trainer"]["saves_usd"] is None
    assert told["trainer"]["hourly_cost_usd"] == "1.006"
    assert "could not be read" in told["trainer"]["price_why"]
    again = account.patrol("24:15", commitments=True)
    assert again["calls"]["ec2:DescribeReservedInstances"] == 1, "asked again"


def test_what_a_stopped_machine_goes_on_costing(account: Account) -> None:
    """Its root of 8 GB gp2 at 0.10, 200 GB gp3 at 0.08 and an address at 3.65, over 730 hours."""
    trainer = account.machine("trainer", "9:00")
    plain = account.machine("plain", "9:00")
    ec2 = account.aws.client("ec2")
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=200, VolumeType="gp3")
    ec2.attach_volume(VolumeId=disk["VolumeId"], InstanceId=trainer, Device="/dev/sdf")
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    ec2.associate_address(InstanceId=trainer, AllocationId=address)
    told = account.patrol("10:00", storage=True)
    hour = (8 * Decimal("0.10") + 200 * Decimal("0.08") + Decimal("3.65")) / 730
    assert told["trainer"]["stopped_hourly_usd"] == f"{hour:.9f}" == "0.028013699"
    assert told["plain"]["stopped_hourly_usd"] == "0.001095890"
    account.stop(trainer, "10:30")
    assert account.patrol("11:00", storage=True)["trainer"]["stopped_hourly_usd"] == "0.028013699"
    assert account.patrol("11:05")["trainer"]["stopped_hourly_usd"] is None, "nobody looked"
    account.aws.fail("ec2:DescribeVolumes", status=403, code="UnauthorizedOperation")
    assert account.patrol("11:10", storage=True)["plain"]["stopped_hourly_usd"] is None
    assert plain


@pytest.fixture
def user(tmp_path: Path, server: AwsServer) -> User:
    server.reset()
    return User(tmp_path, server)


def test_the_command_says_what_changed(user: User, server: AwsServer) -> None:
    code, told = user.run("prices", "refresh", "--provider", "aws")
    assert code == 2
    assert "--machine-type" in told
    body = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(product("2.5"))]}
    server.answer("pricing:GetProducts", json.dumps(body))
    asked = ("--provider", "aws", "--machine-type", "g5.xlarge", "--region", "us-east-1")
    elsewhere = {
        "SPEND_WATCHDOG_AWS__PRICES_ENDPOINT": server.url,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    }
    code, told = user.run("prices", "refresh", *asked, **elsewhere)
    assert code == 0
    (price,) = told["prices"]
    assert (price["was_usd"], price["hourly_usd"], price["changed"]) == (
        "1.006",
        "2.500000000",
        True,
    )
    assert told["api_calls"] == {"pricing:GetProducts": 1}
    _, shown = user.run("prices", "show", "g5.xlarge", "--region", "us-east-1")
    (row,) = shown["prices"]
    assert (row["hourly_usd"], row["source"]) == ("2.500000000", "AWS Price List API")
    assert row["note"].startswith("it was 1.006 until ")
    assert "AWS Price List API" in {source["name"] for source in shown["sources"]}
    code, told = user.run("prices", "refresh", "--region", "us-west-2", "--provider", "aws")
    assert code == 4, "us-west-2 is not in the answer"
    server.mend()
    server.fail("pricing:GetProducts", status=400, code="AccessDeniedException")
    code, told = user.run("prices", "refresh", "--provider", "aws")
    assert code == 1
    assert "grant pricing:GetProducts" in told["gaps"][0]["why"]
