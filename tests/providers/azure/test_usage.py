"""Metrics of hosts: fifty machines a call, on the grid, and nothing made up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from math import isnan

from policies.facts import Machine, Reading
from providers.azure.adapter import AzureProvider
from tests.contract.provider_contract import by_the_hour, window
from tests.fake_azure import TWO, AzureServer, member, scale_set, vm

Make = Callable[..., AzureProvider]
BATCH = "metrics:GetBatch"
HOST = ("Percentage CPU", "Network In Total", "Network Out Total", "Disk Write Bytes")


def readings(provider: AzureProvider, *, hourly: bool = False) -> list[Reading]:
    span = by_the_hour() if hourly else window()
    return list(provider.readings(provider.machines().values, span).values)


def test_a_host_is_read_by_one_call(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    for number, name in enumerate(HOST):
        values = [10.0 * number + 1, *([2.0] * 179)]
        azure.put_metric(
            azure.machine("box"), name, values, started_at=window().started_at, period_s=60
        )
    (reading,) = readings(provider())
    assert reading.gpu is None
    assert reading.utilisation_max_pct[:2].tolist() == [2.0, 2.0]
    assert reading.received_bytes is not None
    assert reading.received_bytes[0] == 11 + 4 * 2.0
    assert reading.written_bytes is not None
    assert reading.written_bytes[0] == 31 + 4 * 2.0
    assert azure.calls[BATCH] == 1


def test_a_point_without_a_value_is_not_measured(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    azure.put_metric(
        azure.machine("box"), HOST[0], [5.0], started_at=window().started_at + timedelta(hours=1)
    )
    (reading,) = readings(provider())
    assert reading.utilisation_max_pct[12] == 5.0
    assert sum(isnan(value) for value in reading.utilisation_max_pct) == reading.intervals - 1
    assert reading.received_bytes is None


def test_a_machine_without_metrics_is_absent(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    assert readings(provider()) == []


def test_what_is_off_computes_nothing_since_its_cpu_did(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("off", power="stopped", size="Standard_NC12s_v3"))
    azure.put_metric(azure.machine("off"), HOST[0], [50.0] * 6, started_at=window().started_at)
    host, first, second = readings(provider())
    assert host.gpu is None
    for gpu in (first, second):
        assert gpu.source == "azure power state"
        assert all(map(isnan, gpu.utilisation_max_pct[:6]))
        assert set(gpu.utilisation_max_pct[6:]) == {0.0}


def test_batches_are_of_one_subscription_region_and_kind(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(
        *(vm(f"vm{number}") for number in range(101)),
        *(vm(f"far{number}", location="westus3") for number in range(3)),
        *(vm(f"two{number}", subscription=TWO) for number in range(3)),
        scale_set("set"),
        *(member("set", number) for number in range(3)),
    )
    readings(provider())
    assert azure.calls[BATCH] == 3 + 1 + 1 + 1


def test_what_stopped_long_ago_is_not_asked_for(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"), vm("resting", power="deallocated"))
    made = provider()
    machines: list[Machine] = [
        replace(each, stopped_at=window().started_at - timedelta(days=1))
        if each.name == "resting"
        else each
        for each in made.machines().values
    ]
    made.readings(machines, window())
    (body,) = [asked for asked in azure.state.asked if "getBatch" in asked]
    assert body
    assert azure.calls[BATCH] == 1


def test_egress_takes_what_was_read_already(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    azure.put_metric(azure.machine("box"), HOST[2], [100.0] * 36, started_at=window().started_at)
    made = provider()
    seen = made.machines()
    made.readings(seen.values, window())
    (counter,) = made.egress(seen.values, seen.scopes, by_the_hour()).values
    assert azure.calls[BATCH] == 1
    assert set(counter.hours.values()) == {1200}
    assert len(counter.hours) == 3
    assert counter.reach == "all"
    assert "all that" not in counter.why[0]
    assert "all of it went to the internet" in counter.why[0]


def test_egress_alone_is_asked_for(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("box"))
    azure.put_metric(azure.machine("box"), HOST[2], [100.0] * 24, started_at=window().started_at)
    made = provider()
    seen = made.machines()
    (counter,) = made.egress(seen.values, seen.scopes, by_the_hour()).values
    assert azure.calls[BATCH] == 1
    assert list(counter.hours.values()) == [1200, 1200], "an hour without a point is not in it"
