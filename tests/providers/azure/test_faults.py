"""What can go wrong at Azure, and that the rest is seen all the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from policies.facts import Gap
from providers.azure.adapter import AzureProvider
from tests.contract.provider_contract import window
from tests.fake_azure import ONE, TWO, AzureServer, vm
from tests.providers.azure.conftest import QUICK

Make = Callable[..., AzureProvider]
GRAPH = "resourcegraph:ListResources"


@pytest.fixture
def two(azure: AzureServer) -> AzureServer:
    azure.add(vm("one"), vm("two", subscription=TWO, location="westeurope"))
    return azure


def names(provider: AzureProvider) -> tuple[list[str | None], list[Gap]]:
    seen = provider.machines()
    return [each.name for each in seen.values], list(seen.gaps)


def test_a_subscription_that_spoils_the_question_is_found_alone(
    two: AzureServer, provider: Make
) -> None:
    two.fail(GRAPH, TWO)
    found, (gap,) = names(provider())
    assert found == ["one"]
    assert gap.account == TWO
    assert "grant Microsoft.ResourceGraph/resources/read" in gap.why
    assert two.calls[GRAPH] == 3, "both together, then each alone"


def test_an_expired_token_is_told_once_a_subscription_and_not_asked_again(
    two: AzureServer, provider: Make
) -> None:
    two.fail(GRAPH, status=401, code="ExpiredAuthenticationToken")
    found, gaps = names(provider())
    assert found == []
    assert {gap.account for gap in gaps} == {ONE, TWO}
    assert all("sign in again" in gap.why for gap in gaps)
    assert two.calls[GRAPH] == 1


def test_throttling_is_waited_for_as_azure_asks(two: AzureServer, provider: Make) -> None:
    headers = {"Retry-After": "0.01"}
    two.fail(GRAPH, status=429, code="RateLimiting", times=2, headers=headers)
    found, gaps = names(provider())
    assert found == ["one", "two"]
    assert gaps == []
    assert two.calls[GRAPH] == 3


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "3600"}], ids=["plain", "an hour"])
def test_throttling_that_does_not_end_is_a_gap(
    two: AzureServer, provider: Make, headers: dict[str, str]
) -> None:
    two.fail(GRAPH, status=429, code="RateLimiting", headers=headers)
    found, gaps = names(provider())
    assert found == []
    assert all("throttled" in gap.why for gap in gaps)
    assert two.calls[GRAPH] == (1 if headers else QUICK.attempts)


def test_a_pagination_that_never_ends_is_a_gap(two: AzureServer, provider: Make) -> None:
    two.state.never_ends = True
    found, gaps = names(provider())
    assert found == []
    assert all("its pages do not end" in gap.why for gap in gaps)
    assert two.calls[GRAPH] <= 6


def test_a_permission_denied_in_the_middle_spoils_the_listing_of_that_subscription(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(*(vm(f"vm{number}") for number in range(5)))
    azure.state.page = 2
    azure.fail(GRAPH, after=1)
    found, (gap,) = names(provider())
    assert found == []
    assert gap.account == ONE


def test_a_field_that_is_new_is_passed_over_and_one_that_is_missing_is_told(
    azure: AzureServer, provider: Make
) -> None:
    new, nameless, silent = vm("new"), vm("nameless"), vm("silent", power=None)
    new["properties"]["quantumProfile"] = {"qubits": 7}
    del nameless["properties"]["vmId"]
    azure.add(new, nameless, silent)
    found, (gap,) = names(provider())
    assert sorted(map(str, found)) == ["new", "silent"]
    assert gap.what == "machine nameless"
    silent_one = next(each for each in provider().machines().values if each.name == "silent")
    assert silent_one.metered is None


def test_a_table_in_place_of_objects_is_read_as_well(azure: AzureServer, provider: Make) -> None:
    row = vm("one")
    azure.add(row)
    columns = [{"name": name, "type": "string"} for name in row]
    table = {"columns": columns, "rows": [list(row.values())]}
    answer = {"count": 1, "totalRecords": 1, "resultTruncated": "false", "data": table}
    azure.state.instead[GRAPH] = answer
    assert names(provider()) == (["one"], [])


@pytest.mark.parametrize(
    "answer", [{}, {"data": "no rows"}, {"data": [], "resultTruncated": "true"}]
)
def test_an_answer_that_is_not_whole_is_a_gap(
    azure: AzureServer, provider: Make, answer: dict[str, object]
) -> None:
    azure.state.instead[GRAPH] = answer
    found, gaps = names(provider())
    assert found == []
    assert [gap.what for gap in gaps] == ["machines"]


def test_subscriptions_that_cannot_be_listed_are_a_gap(azure: AzureServer, provider: Make) -> None:
    azure.fail("subscriptions:ListSubscriptions")
    found, (gap,) = names(provider())
    assert found == []
    assert gap.what == "subscriptions"
    assert names(provider(subscriptions=[ONE]))[1] == []


def test_one_batch_that_fails_leaves_the_others_their_readings(
    two: AzureServer, provider: Make
) -> None:
    for name in ("one", "two"):
        two.put_metric(two.machine(name), "Percentage CPU", [5.0], started_at=window().started_at)
    two.fail("metrics:GetBatch", TWO, status=503, code="ServerBusy")
    made = provider()
    usage = made.readings(made.machines().values, window())
    assert [each.resource.split(":")[1] for each in usage.values] == [ONE]
    (gap,) = usage.gaps
    assert (gap.account, gap.region) == (TWO, "westeurope")
