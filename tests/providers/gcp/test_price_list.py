"""`prices refresh` at Google: SKUs as its catalogue describes them, composed to machines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import pytest

from providers.base import Seen
from providers.gcp.adapter import GcpProvider
from providers.price_facts import ListPrice, PriceQuestion
from tests.fake_gcp import FakeGcp

Make = Callable[..., GcpProvider]


def sku(
    description: str,
    usd: str,
    *,
    usage: str = "OnDemand",
    unit: str = "h",
    region: str = "us-central1",
    free: bool = False,
) -> dict[str, Any]:
    whole, _, part = usd.partition(".")
    price = {"currencyCode": "USD", "units": whole, "nanos": int(part.ljust(9, "0")[:9])}
    nothing = {"currencyCode": "USD", "units": "0", "nanos": 0}
    rates = [{"startUsageAmount": 0, "unitPrice": price}]
    if free:
        rates = [{"startUsageAmount": 0, "unitPrice": nothing}, {**rates[0], "startUsageAmount": 1}]
    return {
        "skuId": description[:8],
        "description": f"{description} running in Americas",
        "category": {"resourceFamily": "Compute", "usageType": usage},
        "serviceRegions": [region],
        "pricingInfo": [
            {
                "effectiveTime": "2026-11-30T08:00:00Z",
                "pricingExpression": {"usageUnit": unit, "tieredRates": rates},
            }
        ],
    }


G2 = [
    sku("G2 Instance Core", "0.02498828"),
    sku("G2 Instance Ram", "0.00292707", unit="GiBy.h"),
    sku("Nvidia L4 GPU", "0.56004004"),
    sku("G2 Instance Core", "0.01", usage="Preemptible"),
    sku("Commitment v1: G2 Instance Core", "0.012", usage="Commit1Yr"),
    sku("G2 Sole Tenancy Instance Core", "0.03"),
    sku("DWS Defined Duration G2 Instance Core", "0.011"),
    sku("G2 Instance Core", "0.09", region="europe-west4"),
]


def asked(make: Make, machine_type: str, system: str = "Linux/UNIX") -> Seen[ListPrice]:
    question = PriceQuestion(
        region="us-central1", machine_type=machine_type, operating_system=system
    )
    return make().list_prices([question], lambda _: None)


def test_a_machine_is_its_cores_memory_and_gpus(gcp: FakeGcp, provider: Make) -> None:
    gcp.skus = G2
    (price,) = asked(provider, "g2-standard-8").values
    expected = 8 * Decimal("0.02498828") + 32 * Decimal("0.00292707") + Decimal("0.56004004")
    assert price.hourly_usd == expected
    assert (price.source, price.as_of) == ("Google Cloud Billing Catalog", "2026-11-30")


def test_bundled_local_ssd_is_billed_by_the_month(gcp: FakeGcp, provider: Make) -> None:
    gcp.skus = [
        sku("A3 Instance Core", "0.03"),
        sku("A3 Instance Ram", "0.003", unit="GiBy.h"),
        sku("Nvidia H100 80GB GPU", "9"),
        sku("Nvidia H100 80GB Mega GPU", "10"),
        sku("SSD backed Local Storage", "0.08", unit="GiBy.mo", free=True),
    ]
    (price,) = asked(provider, "a3-highgpu-8g").values
    assert price.hourly_usd is not None
    parts = 208 * Decimal("0.03") + 1872 * Decimal("0.003") + 72
    assert abs(price.hourly_usd - parts - 6000 * Decimal("0.08") / 730) < Decimal("1e-9")


@pytest.mark.parametrize(
    ("skus", "machine_type", "system", "why"),
    [
        (G2[1:], "g2-standard-8", "Linux/UNIX", "no SKU of 'G2 Instance Core'"),
        ([*G2, sku("Nvidia L4 GPU", "0.7")], "g2-standard-8", "Linux/UNIX", "2 prices of"),
        (G2, "a9-newgpu-8g", "Linux/UNIX", "how a9-newgpu-8g is composed"),
        (G2, "g2-standard-8", "Windows", "billed by licences"),
    ],
)
def test_what_cannot_be_composed_is_a_gap(
    gcp: FakeGcp,
    provider: Make,
    skus: Sequence[dict[str, Any]],
    machine_type: str,
    system: str,
    why: str,
) -> None:
    gcp.skus = list(skus)
    seen = asked(provider, machine_type, system)
    assert seen.values == ()
    assert why in seen.gaps[0].why


def test_a_catalogue_without_an_end_is_a_gap(gcp: FakeGcp, provider: Make) -> None:
    gcp.skus = G2
    gcp.endless.add("skus")
    seen = asked(provider, "g2-standard-8")
    assert seen.values == ()
    assert "do not end" in seen.gaps[0].why
