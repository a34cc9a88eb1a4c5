"""Disks, snapshots, addresses and storage accounts: one question, and what they cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from policies.facts import Storage
from providers.azure.adapter import AzureProvider
from providers.azure.storage_prices import tier_of
from providers.base import StorageAsked
from tests.fake_azure import ONE, AzureServer, vm

Make = Callable[..., AzureProvider]
NOW = datetime.now(UTC).replace(microsecond=0)
GIB = 2**30


def resource(
    kind: str,
    name: str,
    *,
    location: str = "eastus",
    sku: str | None = None,
    managed_by: str = "",
    **properties: Any,
) -> dict[str, Any]:
    path = f"/subscriptions/{ONE}/resourceGroups/lab/providers/{kind}/{name}"
    identity = {"uniqueId": str(uuid5(NAMESPACE_URL, path)), "timeCreated": "2026-03-01T00:00:00Z"}
    return {
        "id": path,
        "name": name,
        "type": kind.lower(),
        "subscriptionId": ONE,
        "resourceGroup": "lab",
        "location": location,
        "zones": None,
        "tags": {"team": "nlp"},
        "managedBy": managed_by,
        "sku": {"name": sku} if sku else None,
        "properties": identity | properties,
    }


def disk(name: str, size: int, sku: str = "Premium_LRS", **changes: Any) -> dict[str, Any]:
    return resource("Microsoft.Compute/disks", name, sku=sku, diskSizeGB=size, **changes)


def asked(**sized_at: datetime) -> StorageAsked:
    return StorageAsked(now=NOW, sized_at=sized_at, named=lambda _: False)


def listed(provider: AzureProvider, question: StorageAsked | None = None) -> dict[str, Storage]:
    provider.machines()
    return {str(each.name): each for each in provider.storage(question or asked()).values}


def test_one_question_tells_of_everything(azure: AzureServer, provider: Make) -> None:
    box = vm("box")
    azure.add(
        box,
        disk("box-os", 128, managed_by=box["id"], diskState="Attached"),
        disk(
            "lost",
            1000,
            "StandardSSD_LRS",
            diskState="Unattached",
            LastOwnershipUpdateTime="2026-10-01T00:00:00Z",
        ),
        resource("Microsoft.Compute/snapshots", "before", sku="Standard_LRS", diskSizeGB=100),
        resource(
            "Microsoft.Network/publicIPAddresses",
            "idle",
            publicIPAllocationMethod="Static",
            ipAddress="20.1.2.3",
        ),
        resource(
            "Microsoft.Network/publicIPAddresses",
            "used",
            publicIPAllocationMethod="Static",
            ipConfiguration={"id": "/x"},
        ),
    )
    made = provider()
    found = listed(made)
    assert sorted(found) == ["before", "box-os", "idle", "lost"]
    (machine,) = made.machines().values
    os_disk, lost = found["box-os"], found["lost"]
    assert os_disk.attached_to == machine.id
    assert (os_disk.size_bytes, os_disk.monthly_cost_usd) == (128 * GIB, None), "no price is known"
    assert lost.attached_to is None
    assert lost.monthly_cost_usd == Decimal("76.80"), "billed as a tier of 1024 GiB"
    assert lost.unattached_since == datetime(2026, 10, 1, tzinfo=UTC)
    assert "attached to no machine" in lost.why
    assert found["before"].monthly_cost_usd is None
    idle = found["idle"]
    assert (idle.kind, idle.size_bytes, idle.monthly_cost_usd) == ("address", None, Decimal("3.65"))
    assert azure.calls["resourcegraph:ListResources"] == 3, "two listings, and one of storage"


def test_what_is_not_listed_has_no_price_and_says_so(azure: AzureServer, provider: Make) -> None:
    azure.add(disk("far", 128, location="westeurope"), disk("ultra", 128, "UltraSSD_LRS"))
    found = listed(provider())
    assert found["far"].monthly_cost_usd is None
    assert "no offline price in westeurope for P10 disk, LRS" in found["far"].why
    assert found["ultra"].monthly_cost_usd is None


def test_a_storage_account_is_sized_once_a_day(azure: AzureServer, provider: Make) -> None:
    account = resource(
        "Microsoft.Storage/storageAccounts", "labdata", sku="Standard_LRS", accessTier="Hot"
    )
    azure.add(account)
    hours = NOW.replace(minute=0, second=0) - timedelta(days=3)
    azure.put_metric(account, "UsedCapacity", [1000.0 * GIB] * 60, started_at=hours, period_s=3600)
    made = provider()
    found = listed(made)["labdata"]
    assert found.size_bytes == 1000 * GIB
    assert found.monthly_cost_usd == Decimal("20.8")
    assert found.sized_at == NOW
    assert len(found.eras) >= 2
    assert azure.calls["metrics:GetBatch"] == 1
    again = listed(made, asked(**{found.id: NOW}))["labdata"]
    assert again.eras == ()
    assert azure.calls["metrics:GetBatch"] == 1


def test_an_account_without_a_point_has_no_size(azure: AzureServer, provider: Make) -> None:
    azure.add(resource("Microsoft.Storage/storageAccounts", "quiet", sku="Standard_LRS"))
    found = listed(provider())["quiet"]
    assert found.size_bytes is None
    assert found.monthly_cost_usd is None
    assert found.why == ("Azure Monitor has no size of it within 14 days",)


def test_sizes_that_fail_are_a_gap_and_the_account_is_still_told(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(resource("Microsoft.Storage/storageAccounts", "labdata", sku="Standard_LRS"))
    azure.fail("metrics:GetBatch")
    made = provider()
    made.machines()
    seen = made.storage(asked())
    assert [each.size_bytes for each in seen.values] == [None]
    assert [gap.what for gap in seen.gaps] == ["sizes of storage accounts"]
    assert seen.scopes == ()


def test_tiers_of_disks() -> None:
    assert tier_of("premium", 128) == "P10"
    assert tier_of("premium", 129) == "P15"
    assert tier_of("premium", 128, "P30") == "P30", "a higher tier was chosen"
    assert tier_of("standard", 8) == "S4"
    assert tier_of("standardssd", 4) == "E1"
