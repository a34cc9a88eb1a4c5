"""What a patrol asks of Azure is counted at the server, and does not grow with the machines."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil

import pytest

from providers.azure.adapter import AzureProvider
from tests.contract.provider_contract import by_the_hour, window
from tests.fake_azure import ONE, TWO, AzureServer, member, scale_set, vm

Make = Callable[..., AzureProvider]


@pytest.mark.parametrize("machines", [1, 50, 1500])
def test_a_pass_asks_a_page_a_thousand_machines_and_a_batch_for_fifty(
    azure: AzureServer, provider: Make, machines: int
) -> None:
    places = ("eastus", "westus3")
    azure.add(
        *(vm(f"vm{number}", location=places[number % 2]) for number in range(machines)),
        *(vm(f"cpu{number}", size="Standard_D4s_v5") for number in range(1200)),
    )
    made = provider()
    seen = made.machines()
    assert len(seen.values) == machines
    made.readings(seen.values, window())
    made.transitions(seen.values, window())
    made.egress(seen.values, seen.scopes, by_the_hour())
    regions = [ceil(machines / 2), machines // 2]
    assert azure.calls == {
        "subscriptions:ListSubscriptions": 1,
        "resourcegraph:ListResources": ceil(machines / 1000),
        "metrics:GetBatch": sum(ceil(each / 50) for each in regions),
        "insights:ListEvents": 1,
    }
    assert dict(made.api_calls()) == azure.calls


def test_many_subscriptions_are_asked_together(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("one"), vm("two", subscription=TWO))
    provider().machines()
    assert azure.calls["resourcegraph:ListResources"] == 1
    (query,) = azure.state.queries
    assert len(query["subscriptions"]) == 2
    assert query["options"]["$top"] == 1000


def test_members_of_scale_sets_are_asked_for_only_where_there_are_any(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(vm("one"), scale_set("flex", mode="Flexible"))
    provider().machines()
    assert azure.calls["resourcegraph:ListResources"] == 1
    azure.add(scale_set("pool", subscription=TWO), member("pool", 0, subscription=TWO))
    assert len(provider().machines().values) == 2
    assert azure.calls["resourcegraph:ListResources"] == 3
    assert azure.state.queries[-1]["subscriptions"] == [TWO]


def test_members_that_cannot_be_listed_spoil_their_subscription_alone(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(vm("one"), vm("two", subscription=TWO), scale_set("pool", subscription=TWO))
    azure.fail("resourcegraph:ListResources", after=1)
    seen = provider().machines()
    assert {gap.account for gap in seen.gaps} == {TWO}
    assert {scope.account for scope in seen.scopes} == {ONE}
