"""Spot prices by EC2's own history: the machine's zone and platform, one question a region."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from providers.aws.adapter import AwsProvider
from providers.price_facts import SpotMarket
from tests.aws_prices import ec2_xml, spot, spot_history
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]
NOW = datetime(2026, 11, 25, 12, 30, tzinfo=UTC)
SINCE = NOW - timedelta(hours=3)


def market(zone: str = "us-east-1a", region: str = "us-east-1", **changes: str) -> SpotMarket:
    told = {"machine_type": "g5.xlarge", "product": "Linux/UNIX", **changes}
    return SpotMarket(provider="aws", account=ACCOUNT, region=region, zone=zone, **told)


def test_the_price_of_a_machine_is_that_of_its_own_zone_and_platform(
    aws: AwsServer, provider: Make
) -> None:
    spot_history(
        aws,
        [
            spot(SINCE - timedelta(days=9), "0.400000"),
            spot(SINCE + timedelta(minutes=20), "0.500000"),
            spot(SINCE, "0.1", zone="us-east-1b"),
            spot(SINCE, "0.2", ProductDescription="Windows"),
            spot(SINCE, "0.3", InstanceType="g5.2xlarge"),
        ],
    )
    seen = provider().spot_prices({market(): SINCE}, NOW)
    assert [(each.started_at, str(each.hourly_usd)) for each in seen.values] == [
        (SINCE - timedelta(days=9), "0.400000"),
        (SINCE + timedelta(minutes=20), "0.500000"),
    ]
    assert {each.market for each in seen.values} == {market()}
    assert [scope.region for scope in seen.scopes] == ["us-east-1"]


def test_all_markets_of_a_region_are_one_question(aws: AwsServer, provider: Make) -> None:
    spot_history(aws, [])
    asked = {
        market(): SINCE,
        market(zone="us-east-1b", machine_type="p4d.24xlarge"): SINCE - timedelta(hours=2),
        market(zone="us-west-2a", region="us-west-2"): SINCE,
    }
    one = provider(regions=TWO)
    one.spot_prices(asked, NOW)
    assert one.api_calls() == aws.calls == {"ec2:DescribeSpotPriceHistory": 2}
    told = {call.region: call.parameters for call in aws.requests}["us-east-1"]
    assert told["StartTime"] == "2026-11-25T07:30:00Z"
    assert [told["InstanceType.1"], told["InstanceType.2"]] == ["g5.xlarge", "p4d.24xlarge"]
    assert [told["Filter.1.Value.1"], told["Filter.1.Value.2"]] == ["us-east-1a", "us-east-1b"]
    assert told["MaxResults"] == "1000"


def test_pages_are_read_to_the_end(aws: AwsServer, provider: Make) -> None:
    first = {"SpotPriceHistory": [spot(SINCE, "0.4")], "NextToken": "more"}
    aws.answer("ec2:DescribeSpotPriceHistory", ec2_xml("DescribeSpotPriceHistory", first), times=1)
    spot_history(aws, [spot(SINCE + timedelta(hours=1), "0.5")])
    seen = provider().spot_prices({market(): SINCE}, NOW)
    assert [str(each.hourly_usd) for each in seen.values] == ["0.4", "0.5"]
    assert aws.calls["ec2:DescribeSpotPriceHistory"] == 2


def test_nobody_asks_for_what_ec2_no_longer_tells(aws: AwsServer, provider: Make) -> None:
    spot_history(aws, [])
    provider().spot_prices({market(): NOW - timedelta(days=400)}, NOW)
    assert aws.requests[0].parameters["StartTime"] == "2026-08-27T12:30:00Z"


@pytest.mark.parametrize("usd", ["0.000000", "NaN", "-1"])
def test_what_is_no_price_is_left_out(aws: AwsServer, provider: Make, usd: str) -> None:
    spot_history(aws, [spot(SINCE, usd)])
    assert provider().spot_prices({market(): SINCE}, NOW).values == ()


def test_a_name_of_the_product_with_the_network_in_it_is_the_same(
    aws: AwsServer, provider: Make
) -> None:
    spot_history(aws, [spot(SINCE, "0.4", ProductDescription="Linux/UNIX (Amazon VPC)")])
    assert len(provider().spot_prices({market(): SINCE}, NOW).values) == 1


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [
        (403, "UnauthorizedOperation", "grant ec2:DescribeSpotPriceHistory"),
        (503, "RequestLimitExceeded", "throttled"),
    ],
)
def test_a_region_that_refuses_is_a_gap_and_the_other_still_comes(
    aws: AwsServer, provider: Make, status: int, code: str, word: str
) -> None:
    aws.fail("ec2:DescribeSpotPriceHistory", "us-west-2", status=status, code=code)
    spot_history(aws, [spot(SINCE, "0.4")])
    asked = {market(): SINCE, market(zone="us-west-2a", region="us-west-2"): SINCE}
    seen = provider(regions=TWO).spot_prices(asked, NOW)
    (gap,) = seen.gaps
    assert (gap.region, gap.what) == ("us-west-2", "spot prices")
    assert word in gap.why
    assert [scope.region for scope in seen.scopes] == ["us-east-1"]
    assert len(seen.values) == 1


@pytest.mark.parametrize("body", ["<html>proxy</html>", "", "<DescribeSpot"])
def test_an_answer_that_is_none_is_a_gap(aws: AwsServer, provider: Make, body: str) -> None:
    aws.answer("ec2:DescribeSpotPriceHistory", body)
    seen = provider().spot_prices({market(): SINCE}, NOW)
    assert seen.scopes == ()
    assert len(seen.gaps) == 1


def test_which_market_a_machine_is_of(aws: AwsServer, provider: Make) -> None:
    ec2 = aws.client("ec2")
    launch(
        ec2,
        "g5.xlarge",
        InstanceMarketOptions={"MarketType": "spot"},
        Placement={"AvailabilityZone": "us-east-1b"},
    )
    launch(ec2, "g5.xlarge")
    one = provider()
    found = {one.spot_market(machine) for machine in one.machines().values}
    assert found == {market(zone="us-east-1b"), None}
