"""List prices from AWS's own price list: the plain machine, and nothing that only looks like it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Purchase
from providers.aws.adapter import AwsProvider
from providers.aws.price_list import prices_from
from providers.aws.prices import managed_price_of, managed_prices
from providers.base import Seen
from providers.price_facts import ListPrice, PriceQuestion
from tests.aws_prices import product
from tests.builders import machine
from tests.moto_aws import AwsServer, launch

Make = Callable[..., AwsProvider]
LINUX = "Linux/UNIX"


def asked(machine_type: str = "g5.xlarge", region: str = "us-east-1") -> PriceQuestion:
    return PriceQuestion(region=region, machine_type=machine_type, operating_system=LINUX)


def read(one: AwsProvider, *wanted: PriceQuestion) -> Seen[ListPrice]:
    steps: list[str] = []
    seen = one.list_prices(wanted, steps.append)
    assert steps
    return seen


def plain(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd.normalize():f}"


def page(*products: Mapping[str, Any], token: str | None = None) -> str:
    told: dict[str, Any] = {
        "FormatVersion": "aws_v1",
        "PriceList": [json.dumps(p) for p in products],
    }
    return json.dumps(told if token is None else {**told, "NextToken": token})


def test_pages_are_read_to_the_end(aws: AwsServer, provider: Make) -> None:
    aws.answer("pricing:GetProducts", page(product("1.006"), token="more"), times=1)
    aws.answer("pricing:GetProducts", page(product("1.41", regionCode="eu-west-1")))
    one = provider()
    seen = read(one, asked(), asked(region="eu-west-1"))
    assert [(each.region, plain(each.hourly_usd)) for each in seen.values] == [
        ("eu-west-1", "1.41"),
        ("us-east-1", "1.006"),
    ]
    assert {(each.source, each.as_of) for each in seen.values} == {
        ("AWS Price List API", "2026-11-20")
    }
    assert seen.gaps == ()
    assert one.api_calls() == aws.calls == {"pricing:GetProducts": 2}
    first, second = aws.requests
    assert (first.region, second.parameters["NextToken"]) == ("us-east-1", "more")
    assert first.parameters["MaxResults"] == 100
    assert {each["Field"]: each["Value"] for each in first.parameters["Filters"]} == {
        "instanceType": "g5.xlarge",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "capacitystatus": "Used",
        "preInstalledSw": "NA",
    }


def test_a_question_a_type_and_of_one_region_only_its_products(
    aws: AwsServer, provider: Make
) -> None:
    aws.answer("pricing:GetProducts", page(product(), product(instanceType="p5.48xlarge")))
    read(provider(), asked(), asked("p5.48xlarge"))
    told = [{f["Field"]: f["Value"] for f in c.parameters["Filters"]} for c in aws.requests]
    assert [each["instanceType"] for each in told] == ["g5.xlarge", "p5.48xlarge"]
    assert {each["regionCode"] for each in told} == {"us-east-1"}


@pytest.mark.parametrize(
    "changes",
    [
        {"capacitystatus": "UnusedCapacityReservation"},
        {"capacitystatus": "AllocatedCapacityReservation"},
        {"marketoption": "CapacityBlock"},
        {"tenancy": "Dedicated"},
        {"preInstalledSw": "SQL Std"},
        {"operation": "RunInstances:0010"},
        {"operatingSystem": "Windows"},
        {"regionCode": "us-east-1-bos-1"},
        {"instanceType": "g5.2xlarge"},
    ],
)
def test_a_product_that_is_not_the_plain_machine_is_left_out(changes: dict[str, str]) -> None:
    """A server that ignores filters, or a row that AWS adds one day."""
    found = prices(product("9.9", **changes), product("1.006"))
    assert [plain(each.hourly_usd) for each in found] == ["1.006"]


def prices(
    *products: Mapping[str, Any], regions: Sequence[str] = ("us-east-1",)
) -> list[ListPrice]:
    return prices_from(products, machine_type="g5.xlarge", platform=LINUX, regions=regions)


def test_lists_of_before_market_options_are_read() -> None:
    old = product("1.006")
    del old["product"]["attributes"]["marketoption"]
    (found,) = prices(old)
    assert plain(found.hourly_usd) == "1.006"


def test_products_that_contradict_each_other_make_it_unknown() -> None:
    (found,) = prices(product("1.006"), product("1.212"))
    assert found.hourly_usd is None
    assert found.why == "AWS lists it more than once, at different prices: 1.006, 1.212 USD an hour"
    (same,) = prices(product("1.006"), product("1.006"))
    assert plain(same.hourly_usd) == "1.006"


@pytest.mark.parametrize("usd", [None, "0.000000", "-1.00"])
def test_what_is_no_price_is_unknown_and_not_free(usd: str | None) -> None:
    (found,) = prices(product(usd))
    assert (found.hourly_usd, found.why) == (None, "AWS lists it without a price in US dollars")


def test_windows_has_a_product_of_its_own() -> None:
    windows = product("1.19", operatingSystem="Windows", operation="RunInstances:0002")
    own_licence = product("1.006", operatingSystem="Windows", operation="RunInstances:0800")
    (found,) = prices_from(
        [windows, own_licence, product()],
        machine_type="g5.xlarge",
        platform="Windows",
        regions=["us-east-1"],
    )
    assert (found.operating_system, plain(found.hourly_usd)) == ("Windows", "1.19")


def test_managed_machines_have_a_price_by_component(aws: AwsServer, provider: Make) -> None:
    of = {"servicecode": "AmazonSageMaker", "instanceName": "ml.g5.xlarge"}
    told = [
        product(usd, component=component, **of)
        for usd, component in (("1.408", "Hosting"), ("1.41", "Training"))
    ]
    aws.answer("pricing:GetProducts", page(*told))
    seen = read(provider(), asked("ml.g5.xlarge"))
    assert [(each.component, plain(each.hourly_usd)) for each in seen.values] == [
        ("Hosting", "1.408"),
        ("Training", "1.41"),
    ]
    (call,) = aws.requests
    assert call.parameters["ServiceCode"] == "AmazonSageMaker"


@pytest.mark.parametrize(
    ("told", "word", "usd"),
    [
        ((("Hosting", "1.408"), ("Training", "1.41")), "hosting", "1.408"),
        ((("Hosting", "1.408"), ("Training", "1.41")), "training", "1.41"),
        ((("Studio-Notebook", "1.5"), ("Studio JupyterLab", "1.5")), "studio", "1.5"),
        ((("Studio-Notebook", "1.5"), ("Studio JupyterLab", "1.6")), "studio", None),
        ((("Studio-Notebook", "1.5"),), "notebook", None),
        ((("Training", None),), "training", None),
        ((), "training", None),
    ],
)
def test_a_managed_machine_has_the_price_of_what_it_is_used_for(
    told: Sequence[tuple[str, str | None]], word: str, usd: str | None
) -> None:
    listed = [
        ListPrice(
            provider="aws",
            region="us-east-1",
            machine_type="ml.g5.xlarge",
            operating_system="Linux/UNIX",
            component=component,
            hourly_usd=None if price is None else Decimal(price),
            source="list",
            as_of="2026-11-01",
            why=None,
        )
        for component, price in told
    ]
    desk = machine("desk", region="us-east-1", machine_type="ml.g5.xlarge")
    price = managed_price_of(desk, word, managed_prices(listed))
    assert price.hourly_usd == price.saves_usd == (None if usd is None else Decimal(usd))
    assert usd is not None or "ml.g5.xlarge" in (price.why or "") or price.source == "list"
    spot = replace(desk, purchase=Purchase.SPOT)
    assert managed_price_of(spot, word, managed_prices(listed)).hourly_usd is None


def test_a_type_that_aws_does_not_list_is_a_gap(aws: AwsServer, provider: Make) -> None:
    aws.answer("pricing:GetProducts", page())
    (gap,) = read(provider(), asked()).gaps
    assert gap.why == "AWS lists no price of g5.xlarge with Linux/UNIX in us-east-1"


def test_a_platform_that_is_not_asked_for_is_a_gap(aws: AwsServer, provider: Make) -> None:
    question = PriceQuestion(
        region="us-east-1", machine_type="g5.xlarge", operating_system="Windows with SQL Server Web"
    )
    (gap,) = read(provider(), question).gaps
    assert "Windows with SQL Server Web" in gap.why
    assert aws.calls == {}


@pytest.mark.parametrize(
    ("status", "code", "body", "word"),
    [
        (400, "AccessDeniedException", None, "grant pricing:GetProducts"),
        (400, "ThrottlingException", None, "throttled"),
        (500, "InternalErrorException", None, "HTTP 500"),
        (200, None, page(product())[:-40], "was not AWS's"),
        (200, None, '{"PriceList": ["{\\"product\\""]}', "was not AWS's"),
        (200, None, '{"FormatVersion": "aws_v1"}', "was not AWS's"),
        (200, None, page(product(), token="again"), "failed"),
    ],
)
def test_the_first_failure_ends_it(
    aws: AwsServer, provider: Make, status: int, code: str | None, body: str | None, word: str
) -> None:
    aws.fail("pricing:GetProducts", status=status, code=code, body=body)
    seen = read(provider(), asked(), asked("p5.48xlarge"))
    (gap,) = seen.gaps
    assert seen.values == ()
    assert gap.what == "prices of 2 of 2 machine types"
    assert word in gap.why
    assert aws.calls["pricing:GetProducts"] <= 2, "one machine type, tried again"


def test_no_answer_is_a_gap(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:9")
    (gap,) = read(provider(), asked()).gaps
    assert "could not be reached" in gap.why
    assert aws.calls == {}


def test_the_setting_says_where_it_is_asked(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:9")
    aws.answer("pricing:GetProducts", page(product()))
    assert len(read(provider(prices_endpoint=aws.url), asked()).values) == 1


def test_the_copy_goes_before_the_catalogue(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    one = provider()
    (before,) = one.machines().values
    one.use_prices(prices(product("1.234")))
    (after,) = one.machines().values
    assert before.price.source != after.price.source == "AWS Price List API"
    assert (plain(after.price.hourly_usd), after.price.as_of) == ("1.234", "2026-11-20")
    assert after.price.saves_usd == after.price.hourly_usd
    one.use_prices(prices(product("1.0"), product("2.0")))
    (unknown,) = one.machines().values
    assert (unknown.price.hourly_usd, unknown.price.basis) == (None, "unknown")
    assert "different prices" in str(unknown.price.why)


@pytest.mark.parametrize("tenancy", ["dedicated", "host"])
def test_other_hardware_is_not_priced_by_the_copy(
    aws: AwsServer, provider: Make, tenancy: str
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    told = f"<tenancy>{tenancy}<".encode()
    aws.edit("ec2:DescribeInstances", lambda body: body.replace(b"<tenancy>default<", told))
    one = provider()
    one.use_prices(prices(product("1.234")))
    (machine,) = one.machines().values
    assert machine.purchase is Purchase.ON_DEMAND
    assert machine.price.hourly_usd is None
