"""Starts and ends of meters, from the Activity Log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from policies.facts import Transition
from providers.azure.adapter import AzureProvider
from providers.base import Seen
from tests.contract.provider_contract import window
from tests.fake_azure import ONE, AzureServer, vm

Make = Callable[..., AzureProvider]
EVENTS = "insights:ListEvents"
AT = window().started_at + timedelta(minutes=10)
VM = "Microsoft.Compute/virtualMachines"


def told(provider: AzureProvider) -> Seen[Transition]:
    return provider.transitions(provider.machines().values, window())


def test_starts_and_deallocations_are_told_and_a_mere_power_off_is_not(
    azure: AzureServer, provider: Make
) -> None:
    box = vm("box")
    azure.add(box)
    for minutes, action in enumerate(("start", "powerOff", "deallocate", "restart")):
        azure.event(box, f"{VM}/{action}/action", AT + timedelta(minutes=minutes))
    azure.event(box, f"{VM}/write", AT)
    failed = azure.state.events[0] | {"status": {"value": "Failed"}}
    azure.state.events.append(failed)
    found = told(provider())
    assert found.gaps == ()
    assert sorted((each.event, each.started, each.by) for each in found.values) == [
        ("virtualmachines/deallocate/action", False, "ana"),
        ("virtualmachines/start/action", True, "ana"),
    ]


def test_a_write_that_made_it_is_a_start(azure: AzureServer, provider: Make) -> None:
    box = vm("box", timeCreated=AT.isoformat())
    azure.add(box)
    azure.event(box, f"{VM}/write", AT)
    azure.state.events[-1]["subStatus"] = {"value": "Created"}
    (transition,) = told(provider()).values
    assert transition.started


def test_what_an_earlier_vm_of_this_name_did_is_not_its_own(
    azure: AzureServer, provider: Make
) -> None:
    box = vm("box", timeCreated=(AT + timedelta(minutes=5)).isoformat())
    azure.add(box)
    azure.event(box, f"{VM}/start/action", AT)
    assert told(provider()).values == ()


def test_pages_are_followed_at_the_endpoint(azure: AzureServer, provider: Make) -> None:
    box = vm("box")
    azure.add(box)
    for minutes in range(7):
        azure.event(box, f"{VM}/start/action", AT + timedelta(minutes=minutes))
    azure.state.page = 3
    assert len(told(provider()).values) == 7
    assert azure.calls[EVENTS] == 3


def test_what_was_not_read_of_a_log_that_does_not_end_is_owed(
    azure: AzureServer, provider: Make
) -> None:
    box = vm("box")
    azure.add(box)
    azure.event(box, f"{VM}/start/action", AT)
    made = provider()
    machines = made.machines().values
    azure.state.never_ends = True
    found = made.transitions(machines, window())
    assert found.values
    (gap,) = found.gaps
    assert (gap.account, gap.region) == (ONE, "eastus")
    assert "do not end" in gap.why
    (unread,) = found.unread
    assert unread.window.ended_at == AT


def test_a_log_that_may_not_be_read_is_a_gap(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    azure.fail(EVENTS)
    found = told(provider())
    (gap,) = found.gaps
    assert gap.what == "start and stop history"
    assert "grant Microsoft.Insights/eventtypes/values/read" in gap.why
