"""`doctor` at Azure: what works, what is lacking, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable

from providers.azure.adapter import AzureProvider
from tests.fake_azure import TWO, AzureServer, vm

Make = Callable[..., AzureProvider]


def told(provider: AzureProvider) -> dict[str, tuple[bool | None, str]]:
    return {probe.what: (probe.ok, probe.told) for probe in provider.probes()}


def test_all_is_well(stage: AzureServer, provider: Make) -> None:
    stage.add(vm("one"), vm("two", subscription=TWO))
    found = told(provider())
    assert found["credentials"] == (True, "signed in; 2 subscriptions")
    lacking = [what for what, (ok, _) in found.items() if ok is not True]
    assert lacking == ["GPU metrics"], "Azure has none of its own"


def test_each_thing_that_is_lacking_says_what_to_grant(stage: AzureServer, provider: Make) -> None:
    stage.add(vm("one"))
    for operation in ("insights:ListEvents", "authorization:ListLocks", "metrics:GetBatch"):
        stage.fail(operation)
    found = told(provider())
    for permission in (
        "Microsoft.Insights/eventtypes/values/read",
        "Microsoft.Authorization/locks/read",
        "Microsoft.Insights/metrics/read",
    ):
        ok, why = found[permission]
        assert ok is None
        assert f"grant {permission}" in why


def test_a_subscription_that_cannot_be_seen_is_a_problem(
    stage: AzureServer, provider: Make
) -> None:
    stage.add(vm("one"), vm("two", subscription=TWO))
    stage.fail("resourcegraph:ListResources", TWO)
    ok, why = told(provider())[f"machines of {TWO}"]
    assert ok is False
    assert "Microsoft.ResourceGraph/resources/read" in why


def test_an_expired_token_ends_it_at_once(stage: AzureServer, provider: Make) -> None:
    stage.fail("subscriptions:ListSubscriptions", status=401, code="ExpiredAuthenticationToken")
    found = told(provider())
    assert list(found) == ["credentials"]
    assert "ExpiredAuthenticationToken" in found["credentials"][1]
