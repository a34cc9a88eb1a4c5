"""The Azure adapter keeps the contract of all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from policies.facts import Scope
from providers.azure.adapter import AzureProvider
from providers.base import Inventory
from tests.contract.provider_contract import ProviderContract, World, window
from tests.fake_azure import ONE, TWO, AzureServer, member, scale_set, vm

PLACES = {ONE: "eastus", TWO: "westeurope"}


class AzureWorld:
    """Two subscriptions: on demand, spot, stopped and unpriced machines, with metrics of hosts."""

    def __init__(self, azure: AzureServer, make: Callable[..., AzureProvider]) -> None:
        self._azure = azure
        self._make = make
        for number, (subscription, location) in enumerate(PLACES.items()):
            where: dict[str, Any] = {"subscription": subscription, "location": location}
            trainer = vm(f"trainer{number}", size="Standard_NC24ads_A100_v4", **where)
            azure.add(
                trainer,
                vm(f"spot{number}", priority="Spot", evictionPolicy="Deallocate", **where),
                vm(f"stopped{number}", power="deallocated", **where),
                vm(f"off{number}", power="stopped", **where),
                vm(f"cpu{number}", size="Standard_D4s_v5", **where),
                scale_set(f"set{number}", subscription=subscription),
                member(f"set{number}", 0, subscription=subscription, location=location),
            )
            for name, value in (("Percentage CPU", 40.0), ("Network Out Total", 1000.0)):
                azure.put_metric(trainer, name, [value] * 36, started_at=window().started_at)

    def provider(self) -> Inventory:
        return self._make(regions=tuple(PLACES.values()))

    def scopes(self) -> Sequence[Scope]:
        return [
            Scope(provider="azure", account=account, region=region)
            for account, region in PLACES.items()
        ]

    def break_scope(self, scope: Scope) -> None:
        self._azure.fail("resourcegraph:ListResources", scope.account)

    def break_metrics(self, scope: Scope) -> None:
        self._azure.fail("metrics:GetBatch", scope.account)

    def operations(self) -> Mapping[str, int]:
        return dict(self._azure.calls)


class TestAzureKeepsTheContract(ProviderContract):
    @pytest.fixture
    def world(self, azure: AzureServer, provider: Callable[..., AzureProvider]) -> World:
        return AzureWorld(azure, provider)
