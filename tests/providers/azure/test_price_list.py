"""Prices as Azure lists them: never the free row, Windows', Low Priority's or another product's."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Price
from providers.azure.adapter import AzureProvider
from providers.price_facts import PriceQuestion
from tests.fake_azure import SIZE, AzureServer, vm

Make = Callable[..., AzureProvider]
ASKED = PriceQuestion(region="eastus", machine_type=SIZE, operating_system="Linux/UNIX")


def item(price: float, **changes: Any) -> dict[str, Any]:
    """A row of the Retail Prices API, in the words of its documentation."""
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": price,
        "unitPrice": price,
        "armRegionName": "eastus",
        "location": "US East",
        "effectiveStartDate": "2024-01-01T00:00:00Z",
        "meterName": "NC6s v3",
        "productName": "Virtual Machines NCSv3 Series",
        "skuName": "NC6s v3",
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "priceType": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": SIZE,
        **changes,
    }


OTHERS = [
    item(0.0),
    item(1.0, productName="Virtual Machines NCSv3 Series Windows"),
    item(1.1, meterName="NC6s v3 Low Priority", skuName="NC6s v3 Low Priority"),
    item(1.2, type="DevTestConsumption"),
    item(1.3, productName="NCSv3 Series Cloud Services"),
    item(1.4, productName="NCSv3 Series Dedicated Host"),
    item(1.5, unitOfMeasure="1 Month"),
    item(1.6, effectiveStartDate="2090-01-01T00:00:00Z"),
    item(1.7, armSkuName="Standard_NC12s_v3"),
    item(1.8, isPrimaryMeterRegion=False),
    item(2000.0, type="Reservation"),
]


def listed(
    provider: AzureProvider, *asked: PriceQuestion
) -> list[tuple[str | None, Decimal | None]]:
    seen = provider.list_prices(asked or (ASKED,), lambda _: None)
    return [(each.component, each.hourly_usd) for each in seen.values]


def test_the_plain_row_in_force_is_chosen_and_spot_stands_apart(
    azure: AzureServer, provider: Make
) -> None:
    azure.state.prices = [
        *OTHERS,
        item(3.0, effectiveStartDate="2020-01-01T00:00:00Z"),
        item(3.06),
        item(0.9, meterName="NC6s v3 Spot", skuName="NC6s v3 Spot"),
    ]
    assert listed(provider()) == [("Spot", Decimal("0.9")), (None, Decimal("3.06"))]
    assert azure.calls == {"prices:ListPrices": 1}


def test_rows_that_contradict_each_other_make_it_unknown(
    azure: AzureServer, provider: Make
) -> None:
    azure.state.prices = [item(3.06), item(3.5)]
    (price,) = provider().list_prices([ASKED], lambda _: None).values
    assert price.hourly_usd is None
    assert "3.06, 3.5 USD" in str(price.why)


def test_what_is_not_listed_is_a_gap(azure: AzureServer, provider: Make) -> None:
    azure.state.prices = OTHERS
    seen = provider().list_prices([ASKED], lambda _: None)
    assert seen.values == ()
    (gap,) = seen.gaps
    assert gap.why == f"Azure lists no price of {SIZE} with Linux/UNIX in eastus"


def test_pages_are_followed_at_the_endpoint_and_end(azure: AzureServer, provider: Make) -> None:
    azure.state.prices = [*OTHERS, item(3.06)]
    azure.state.page = 4
    assert listed(provider()) == [(None, Decimal("3.06"))]
    assert azure.calls["prices:ListPrices"] == 3
    azure.state.never_ends = True
    seen = provider().list_prices([ASKED], lambda _: None)
    assert seen.values == ()
    assert "do not end" in seen.gaps[0].why
    assert azure.calls["prices:ListPrices"] < 10


def test_throttling_is_a_gap(azure: AzureServer, provider: Make) -> None:
    azure.fail("prices:ListPrices", status=429, code="TooManyRequests")
    seen = provider().list_prices([ASKED], lambda _: None)
    assert "throttled" in seen.gaps[0].why
    assert azure.calls["prices:ListPrices"] == 4


@pytest.mark.parametrize(
    ("properties", "usd", "basis"),
    [
        ({}, "9.5", "list"),
        ({"priority": "Spot"}, "0.9", "spot"),
        ({"licenseType": "Windows_Server"}, "9.5", "list"),
    ],
    ids=["on demand", "spot", "a Windows licence that was brought along"],
)
def test_machines_are_priced_by_what_azure_lists(
    azure: AzureServer, provider: Make, properties: dict[str, Any], usd: str, basis: str
) -> None:
    azure.state.prices = [
        item(9.5),
        item(0.9, meterName="NC6s v3 Spot", skuName="NC6s v3 Spot"),
    ]
    azure.add(vm("box", **properties))
    made = provider()
    made.use_prices(made.list_prices([ASKED], lambda _: None).values)
    price = priced(made)
    assert (price.hourly_usd, price.basis, price.as_of) == (Decimal(usd), basis, "2024-01-01")


def test_windows_is_never_priced_like_linux(azure: AzureServer, provider: Make) -> None:
    box = vm("box")
    box["properties"]["storageProfile"]["osDisk"]["osType"] = "Windows"
    azure.add(box)
    made = provider()
    assert priced(made).hourly_usd is None
    azure.state.prices = [item(4.0, productName="Virtual Machines NCSv3 Series Windows"), item(3.0)]
    asked = PriceQuestion(region="eastus", machine_type=SIZE, operating_system="Windows")
    made.use_prices(made.list_prices([asked], lambda _: None).values)
    assert priced(made).hourly_usd == Decimal(4)


def priced(provider: AzureProvider) -> Price:
    (machine,) = provider.machines().values
    return machine.price
