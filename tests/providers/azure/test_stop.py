"""Stopping is deallocating: what is looked at before, what becomes of it, what is never touched."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from policies.facts import Gap, Machine
from providers.azure.adapter import AzureProvider
from providers.base import Looked
from tests.fake_azure import AzureServer, member, scale_set, vm

Make = Callable[..., AzureProvider]


def seen(provider: AzureProvider, name: str) -> Machine:
    return next(each for each in provider.machines().values if each.name == name)


def looked(provider: AzureProvider, machine: Machine) -> Looked:
    found = provider.look(machine)
    assert isinstance(found, Looked)
    return found


@pytest.fixture
def box(stage: AzureServer, provider: Make) -> tuple[AzureProvider, Machine]:
    stage.add(vm("box", tags={"team": "nlp"}))
    made = provider()
    return made, seen(made, "box")


def test_a_vm_is_deallocated_and_followed_to_its_end(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.state.stop_takes_polls = 3
    assert provider.stop(machine).result == "stopped"
    assert stage.power("box") == "deallocated"
    assert stage.calls["compute:Deallocate"] == 1
    assert stage.calls["compute:GetOperation"] == 3
    assert stage.calls["compute:PowerOff"] == 0
    assert dict(provider.api_calls()) == stage.calls


def test_what_takes_longer_than_it_is_followed_is_requested(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.state.stop_takes_polls = 10**6
    answer = provider.stop(machine)
    assert (answer.result, answer.why) == ("requested", "it is being deallocated")
    assert stage.calls["compute:Deallocate"] == 1


def test_an_operation_that_fails_after_it_was_taken_is_a_failure(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.state.stop_fails = "InternalExecutionError"
    answer = provider.stop(machine)
    assert answer.result == "failed"
    assert "InternalExecutionError" in answer.why
    assert stage.power("box") == "running"


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_stop_is_never_sent_twice(
    stage: AzureServer, box: tuple[AzureProvider, Machine], status: int
) -> None:
    provider, machine = box
    stage.fail("compute:Deallocate", status=status, code="InternalServerError", times=1)
    assert provider.stop(machine).result == "failed"
    assert stage.calls["compute:Deallocate"] == 1
    assert stage.power("box") == "running"


def test_where_the_answer_was_lost_the_state_tells(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.fail("compute:Deallocate", status=500, code="InternalServerError", times=1)
    view = stage.machine("box")["properties"]["extended"]["instanceView"]
    view["powerState"] = {"code": "PowerState/deallocating"}
    assert provider.stop(machine).result == "requested"


def test_a_role_that_may_not_stop_is_refused(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.fail("compute:Deallocate")
    answer = provider.stop(machine)
    assert answer.result == "refused"
    assert "Microsoft.Compute/virtualMachines/deallocate/action" in answer.why


def test_a_read_only_lock_protects_and_is_read_before(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.lock(stage.machine("box"), "CanNotDelete")
    assert looked(provider, machine).machine.stop_terms.protected is None
    stage.lock(stage.machine("box"), "ReadOnly", name="exam")
    assert looked(provider, machine).machine.stop_terms.protected == "the read-only lock exam"
    assert provider.stop(machine).result == "refused"
    assert stage.power("box") == "running"


def test_without_the_right_to_read_locks_it_cannot_be_looked_at(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.fail("authorization:ListLocks")
    gap = provider.look(machine)
    assert isinstance(gap, Gap)
    assert gap.resource == machine.id
    assert "Microsoft.Authorization/locks/read" in gap.why


def test_a_look_is_fresh_and_brings_its_host(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.machine("box")["tags"]["spend-watchdog:protected"] = "true"
    start = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(hours=1)
    for name in ("Percentage CPU", "Network In Total", "Network Out Total"):
        stage.put_metric(stage.machine("box"), name, [3.0] * 70, started_at=start, period_s=60)
    fresh = looked(provider, machine)
    assert fresh.machine.stop_terms.protected == "tag spend-watchdog:protected=true"
    assert fresh.machine.boot == machine.boot
    assert fresh.host is not None
    assert set(fresh.host.utilisation_max_pct) == {3.0}


def test_whatever_happened_to_it_since_it_was_listed_is_another_boot(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    later = datetime.now(UTC) + timedelta(seconds=5)
    stage.state.changed_at["box"] = later.isoformat()
    assert looked(provider, machine).machine.boot != machine.boot


def test_one_that_is_gone_or_whose_name_is_anothers_is_gone(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    stage.machine("box")["properties"]["vmId"] = "22222222-2222-4222-8222-222222222222"
    assert provider.look(machine) is None
    stage.state.resources.clear()
    assert provider.look(machine) is None
    assert provider.stop(machine).result == "gone"


def test_a_power_state_that_is_not_told_is_a_gap(
    stage: AzureServer, box: tuple[AzureProvider, Machine]
) -> None:
    provider, machine = box
    del stage.machine("box")["properties"]["extended"]["instanceView"]["powerState"]
    assert isinstance(provider.look(machine), Gap)


def test_what_is_powered_off_can_be_deallocated(stage: AzureServer, provider: Make) -> None:
    stage.add(vm("off", power="stopped"))
    made = provider()
    machine = seen(made, "off")
    fresh = looked(made, machine)
    assert fresh.machine.running
    assert fresh.host is not None
    assert set(fresh.host.utilisation_max_pct) == {0.0}
    assert made.stop(machine).result == "stopped"


def test_a_member_of_a_scale_set_is_never_asked_to_stop(stage: AzureServer, provider: Make) -> None:
    stage.add(scale_set("pool"), member("pool", 3))
    made = provider()
    (machine,) = made.machines().values
    assert looked(made, machine).machine.stop_terms.controller == "scale set pool"
    assert made.stop(machine).result == "refused"
    assert stage.calls["compute:Deallocate"] == 0
