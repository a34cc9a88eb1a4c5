"""What an hour of a GCE machine costs: composed of parts where Google bills by the part."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Machine
from providers.gcp.adapter import GcpProvider
from providers.gcp.prices import shape_of
from providers.price_facts import ListPrice
from tests.fake_gcp import FakeGcp

Make = Callable[..., GcpProvider]
T4 = [{"acceleratorType": "zones/z/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}]
BOOT = {"type": "PERSISTENT", "boot": True, "diskSizeGb": "100"}
SSD = {"type": "SCRATCH", "diskSizeGb": "375"}


def seen(gcp: FakeGcp, make: Make, machine_type: str, **more: Any) -> Machine:
    gcp.machine("m", machine_type, **more)
    (machine,) = make().machines().values
    return machine


def test_attached_gpus_are_added_to_cores_and_memory(gcp: FakeGcp, provider: Make) -> None:
    price = seen(gcp, provider, "n1-standard-8", guestAccelerators=T4).price
    cores, memory, gpus = 8 * Decimal("0.031611"), 30 * Decimal("0.004237"), 2 * Decimal("0.35")
    assert price.hourly_usd == cores + memory + gpus
    assert price.basis == "list"
    assert price.source == ("Infracost, expected costs of its tests; SkyPilot catalogue of GCP")


def test_local_ssd_is_added_by_the_hour(gcp: FakeGcp, provider: Make) -> None:
    bare = seen(gcp, provider, "n1-standard-8", guestAccelerators=T4).price.hourly_usd
    gcp.reset()
    more = seen(gcp, provider, "n1-standard-8", guestAccelerators=T4, disks=[BOOT, SSD, SSD])
    assert bare is not None
    assert more.price.hourly_usd == bare + 750 * Decimal("0.08") / 730


def test_bundled_local_ssd_is_not_added_again(gcp: FakeGcp, provider: Make) -> None:
    price = seen(gcp, provider, "a2-ultragpu-1g", disks=[BOOT, SSD]).price
    assert price.hourly_usd == Decimal("5.06879789041096")


def test_spot_has_its_own_price(gcp: FakeGcp, provider: Make) -> None:
    price = seen(gcp, provider, "a2-highgpu-1g", scheduling={"preemptible": True}).price
    assert (price.hourly_usd, price.basis) == (Decimal("1.92802"), "spot")


@pytest.mark.parametrize(
    ("machine_type", "more", "why"),
    [
        ("n1-standard-8", {"guestAccelerators": T4, "zone": "europe-west4-a"}, "n1-core"),
        ("n1-standard-8", {"guestAccelerators": T4, "scheduling": {"preemptible": True}}, "spot"),
        ("g2-standard-8", {"scheduling": {"provisioningModel": "FLEX_START"}}, "flex-start"),
        (
            "g2-standard-8",
            {"disks": [{**BOOT, "licenses": ["projects/rhel-cloud/licenses/rhel-9-server"]}]},
            "RHEL costs more",
        ),
    ],
)
def test_what_has_no_price_says_why(
    gcp: FakeGcp, provider: Make, machine_type: str, more: dict[str, Any], why: str
) -> None:
    price = seen(gcp, provider, machine_type, **more).price
    assert price.hourly_usd is None
    assert why in str(price.why)


def test_what_google_told_goes_first(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("m", "g2-standard-8")
    made = provider()
    told = ListPrice(
        provider="gcp",
        region="us-central1",
        machine_type="g2-standard-8",
        operating_system="Linux/UNIX",
        component=None,
        hourly_usd=Decimal("0.9"),
        source="Cloud Billing Catalog",
        as_of="2026-12-01",
    )
    made.use_prices([told])
    (machine,) = made.machines().values
    assert machine.price.hourly_usd == Decimal("0.9")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("n1-standard-8", (8, Decimal("30.00"))),
        ("n1-highmem-2", (2, Decimal("13.0"))),
        ("custom-6-20480", (6, Decimal(20))),
        ("n1-custom-6-20480", (6, Decimal(20))),
        ("n1-megamem-96", None),
    ],
)
def test_the_name_of_an_n1_tells_its_shape(name: str, shape: tuple[int, Decimal] | None) -> None:
    assert shape_of(name) == shape
