"""What is seen of an Azure VM: state and meter, size, whose it is, and what a stop would mean."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Purchase
from providers.azure.adapter import AzureProvider
from tests.fake_azure import ONE, TWO, AzureServer, member, scale_set, vm

Make = Callable[..., AzureProvider]
SCOPE = f"azure:{ONE}:eastus"


def only(azure: AzureServer, provider: Make, row: dict[str, Any]) -> Machine:
    azure.add(row, scale_set("workers"))
    (machine,) = provider().machines().values
    return machine


@pytest.mark.parametrize(
    ("power", "state", "metered"),
    [
        ("running", MachineState.RUNNING, True),
        ("starting", MachineState.PENDING, True),
        ("creating", MachineState.PENDING, False),
        ("stopped", MachineState.RUNNING, True),
        ("stopping", MachineState.RUNNING, True),
        ("deallocating", MachineState.STOPPING, False),
        ("deallocated", MachineState.STOPPED, False),
        ("hibernated", MachineState.STOPPED, False),
        ("dreaming", MachineState.UNKNOWN, None),
        (None, MachineState.UNKNOWN, None),
    ],
)
def test_power_states(
    azure: AzureServer,
    provider: Make,
    power: str | None,
    state: MachineState,
    metered: bool | None,  # noqa: FBT001 - a case's column
) -> None:
    machine = only(azure, provider, vm("box", power=power))
    assert (machine.state, machine.metered) == (state, metered)


def test_powered_off_but_allocated_burns_and_says_so(azure: AzureServer, provider: Make) -> None:
    machine = only(azure, provider, vm("box", power="stopped"))
    assert machine.price.hourly_usd is not None
    assert "az vm deallocate --ids /subscriptions/" in str(machine.how_to_measure)
    assert "still allocated" in str(machine.on_readings)


def test_facts(azure: AzureServer, provider: Make) -> None:
    row = vm("box", tags={"team": "nlp"}, location="East US")
    row["zones"] = ["2"]
    machine = only(azure, provider, row)
    assert machine.id == f"{SCOPE}:{row['properties']['vmId']}"
    assert (machine.account, machine.region, machine.zone) == (ONE, "eastus", "2")
    assert machine.first_launched_at == datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert machine.started_at is None, "its listing does not tell"
    assert machine.tags == {"team": "nlp"}
    assert machine.group == machine.id
    assert "box-host" in machine.host_names
    assert row["id"] in machine.host_names, "the label microsoft_resourceid holds it"


@pytest.mark.parametrize(
    ("size", "model", "count", "gpus"),
    [
        ("Standard_NC24ads_A100_v4", "A100 PCIe 80GB", 1, 1),
        ("standard_nd96isr_h100_v5", "H100", 8, 8),
        ("Standard_NV6ads_A10_v5", "A10", 1 / 6, 1),
        ("Standard_NV12ads_A10_v5", "A10", 1 / 3, 1),
        ("Standard_NV18ads_A10_v5", "A10", 1 / 2, 1),
        ("Standard_NV72ads_A10_v5", "A10", 2, 2),
    ],
)
def test_sizes_of_the_catalogue(
    azure: AzureServer, provider: Make, size: str, model: str, count: float, gpus: int
) -> None:
    machine = only(azure, provider, vm("box", size=size))
    (accelerator,) = machine.accelerators
    assert accelerator.model == model
    assert accelerator.count == pytest.approx(count, abs=1e-3)
    assert machine.gpus == gpus
    assert azure.calls["compute:ListSkus"] == 0


def test_a_size_that_nobody_knows_is_asked_for_once(azure: AzureServer, provider: Make) -> None:
    capabilities = [("vCPUs", "128"), ("GPUs", "4"), ("NvmeDiskSizeInMiB", "14680064")]
    azure.state.skus = [
        {
            "resourceType": "virtualMachines",
            "name": "Standard_ND128isr_NDR_GB200_v6",
            "capabilities": [{"name": name, "value": value} for name, value in capabilities],
        },
        {
            "resourceType": "virtualMachines",
            "name": "Standard_NP10s",
            "capabilities": [{"name": "vCPUs", "value": "10"}],
        },
    ]
    azure.add(
        vm("big", size="Standard_ND128isr_NDR_GB200_v6"),
        vm("also", size="Standard_ND128isr_NDR_GB200_v6"),
        vm("fpga", size="Standard_NP10s"),
    )
    made = provider()
    seen = made.machines()
    assert {each.name for each in seen.values} == {"also", "big"}
    assert seen.gaps == ()
    machine = seen.values[0]
    assert (machine.gpu_model, machine.gpus, machine.vcpus) == ("GB200", 4, 128)
    assert machine.stop_terms.loses == ("14336 GiB of local NVMe disk",)
    made.machines()
    assert azure.calls["compute:ListSkus"] == 1


def test_a_size_that_cannot_be_found_out_is_a_gap(azure: AzureServer, provider: Make) -> None:
    azure.add(vm("new", size="Standard_NC8z_Z1_v9"))
    azure.fail("compute:ListSkus")
    seen = provider().machines()
    assert seen.values == ()
    assert [gap.what for gap in seen.gaps] == ["machine types", "machine type Standard_NC8z_Z1_v9"]


@pytest.mark.parametrize(
    ("properties", "purchase"),
    [
        ({}, Purchase.ON_DEMAND),
        ({"priority": "Regular"}, Purchase.ON_DEMAND),
        ({"priority": "Spot"}, Purchase.SPOT),
        ({"priority": "SpotPlus"}, Purchase.SPOT),
        ({"priority": "Auction"}, Purchase.UNKNOWN),
        (
            {"capacityReservation": {"capacityReservationGroup": {"id": "/x/g"}}},
            Purchase.RESERVED,
        ),
    ],
)
def test_purchases(
    azure: AzureServer, provider: Make, properties: dict[str, Any], purchase: Purchase
) -> None:
    assert only(azure, provider, vm("box", **properties)).purchase is purchase


def test_a_reservation_is_paid_whether_or_not_it_runs(azure: AzureServer, provider: Make) -> None:
    group = {"id": "/subscriptions/x/capacityReservationGroups/night"}
    row = vm("box", capacityReservation={"capacityReservationGroup": group})
    machine = only(azure, provider, row)
    assert machine.stop_terms.prepaid == "capacity reservation group night"
    assert machine.price.saves_usd == 0


def test_a_dedicated_host_is_what_is_billed(azure: AzureServer, provider: Make) -> None:
    machine = only(azure, provider, vm("box", host={"id": "/x/hosts/big"}))
    assert machine.price.hourly_usd is None
    assert machine.stop_terms.prepaid == "dedicated host big"


def flex(scale_set: str) -> dict[str, Any]:
    path = f"/subscriptions/{ONE}/resourceGroups/lab/providers/Microsoft.Compute"
    return {"virtualMachineScaleSet": {"id": f"{path}/virtualMachineScaleSets/{scale_set}"}}


AKS = {"aks-managed-poolName": "gpu", "aks-managed-cluster-name": "prod"}


@pytest.mark.parametrize(
    ("row", "group", "controller"),
    [
        (member("workers", 3), "vmss/workers", "scale set workers"),
        (vm("flex", **flex("workers")), "vmss/workers", "scale set workers"),
        (member("aks-gpu", 0, tags=AKS), "aks/prod/gpu", "AKS node pool gpu of prod"),
        (vm("sky", tags={"skypilot-cluster-name": "exp"}), "skypilot/exp", None),
        (vm("ray", tags={"ray-cluster-name": "exp"}), "ray/exp", None),
        (
            vm("dstack", tags={"dstack_project": "p", "dstack_name": "run-3-0"}),
            "dstack/p/run",
            None,
        ),
        (
            vm("cc", tags={"ClusterId": "7", "ClusterName": "hpc"}),
            "cyclecloud/7/hpc",
            "CycleCloud cluster hpc",
        ),
        (
            vm("db", tags={"Vendor": "Databricks", "ClusterId": "7", "ClusterName": "etl"}),
            "databricks/Databricks/7",
            "Databricks cluster etl",
        ),
        (vm("own", tags={"spend-watchdog:group": "night"}), "tag/night", None),
    ],
    ids=lambda value: value["name"] if isinstance(value, dict) else str(value),
)
def test_who_lives_together_and_who_would_replace_it(
    azure: AzureServer, provider: Make, row: dict[str, Any], group: str, controller: str | None
) -> None:
    machine = only(azure, provider, row)
    assert machine.group == f"{SCOPE}:{group}"
    assert machine.stop_terms.controller == controller
    assert (machine.stop_terms.controller_advice is None) == (controller is None)


def test_a_uniform_member_is_named_by_its_host(azure: AzureServer, provider: Make) -> None:
    machine = only(azure, provider, member("workers", 3, size="Standard_NC24ads_A100_v4"))
    assert machine.name == "workers000003"
    assert machine.machine_type == "Standard_NC24ads_A100_v4"


def test_local_disks_are_lost_and_the_temporary_one_is_named(
    azure: AzureServer, provider: Make
) -> None:
    azure.add(vm("plain"), vm("nvme", size="Standard_ND96isr_H100_v5"))
    plain, nvme = sorted(provider().machines().values, key=lambda each: str(each.name))[::-1]
    assert plain.stop_terms.loses == ()
    assert plain.stop_terms.empties == ("its temporary disk (736 GiB)",)
    assert plain.stop_terms.can_stop is True
    assert nvme.stop_terms.loses == ("28 TiB of local NVMe disk",)


def test_an_ephemeral_os_disk_cannot_be_stopped(azure: AzureServer, provider: Make) -> None:
    row = vm("box")
    row["properties"]["storageProfile"]["osDisk"]["diffDiskSettings"] = {"option": "Local"}
    terms = only(azure, provider, row).stop_terms
    assert terms.can_stop is False
    assert "ephemeral" in terms.why


def test_subscriptions_and_regions_can_be_named(azure: AzureServer, provider: Make) -> None:
    azure.add(
        vm("one"), vm("far", location="westus3"), vm("two", subscription=TWO), vm("cpu", size="D2")
    )
    assert len(provider().machines().values) == 3
    named = provider(subscriptions=[ONE], regions=["westus3"]).machines()
    assert [each.name for each in named.values] == ["far"]
    assert [(each.account, each.region) for each in named.scopes] == [(ONE, "westus3")]
