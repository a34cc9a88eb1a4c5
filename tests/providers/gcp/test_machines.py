"""What a machine of Compute Engine is seen to be: its type, state, GPUs, group and times."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from policies.facts import Machine, MachineState, Purchase
from providers.gcp.adapter import GcpProvider
from providers.gcp.tpus import chips
from tests.fake_gcp import PROJECT, FakeGcp

Make = Callable[..., GcpProvider]
T4 = [{"acceleratorType": "https://x/zones/z/acceleratorTypes/nvidia-tesla-t4-vws"}]


def only(make: Make, **options: Any) -> Machine:
    (machine,) = make(**options).machines().values
    return machine


def test_a_machine_in_googles_words(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine(
        "trainer-1",
        "a2-highgpu-2g",
        started_at=datetime(2026, 11, 20, 12, tzinfo=UTC),
        labels={"spend-watchdog-workload": "llama", "owner": "ana"},
    )
    machine = only(provider)
    assert machine.id == f"gcp:{PROJECT}:us-central1:{native}"
    assert (machine.zone, machine.name) == ("us-central1-a", "trainer-1")
    assert machine.started_at == datetime(2026, 11, 20, 12, tzinfo=UTC)
    assert (machine.gpus, machine.gpu_model, machine.gpu_memory_mib) == (2, "A100", 40960)
    assert machine.vcpus == 24
    assert machine.group == machine.id
    assert machine.tags["spend-watchdog-workload"] == "llama"
    assert "trainer-1.us-central1-a.c.ml-lab.internal" in machine.host_names


@pytest.mark.parametrize(
    ("status", "state", "metered"),
    [
        ("PROVISIONING", MachineState.PENDING, False),
        ("STAGING", MachineState.PENDING, False),
        ("REPAIRING", MachineState.PENDING, False),
        ("RUNNING", MachineState.RUNNING, True),
        ("PENDING_STOP", MachineState.STOPPING, True),
        ("STOPPING", MachineState.STOPPING, None),
        ("SUSPENDED", MachineState.STOPPED, False),
        ("TERMINATED", MachineState.STOPPED, False),
        ("DEPROVISIONING", MachineState.TERMINATING, False),
        ("HIBERNATING_SOMEHOW", MachineState.UNKNOWN, None),
    ],
)
def test_states(
    gcp: FakeGcp, provider: Make, status: str, state: MachineState, metered: object
) -> None:
    gcp.machine(status=status, lastStopTimestamp="2026-11-30T00:00:00.000-08:00")
    machine = only(provider)
    assert (machine.state, machine.metered) == (state, metered)
    stopped = datetime(2026, 11, 30, 8, tzinfo=UTC)
    assert machine.stopped_at == (stopped if state is MachineState.STOPPED else None)


def test_attached_gpus_and_those_of_the_type_are_counted_once(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("n1", "n1-standard-8", guestAccelerators=[{**T4[0], "acceleratorCount": 4}])
    repeated = {"acceleratorType": "zones/z/acceleratorTypes/nvidia-l4", "acceleratorCount": 1}
    gcp.machine("g2", "g2-standard-8", guestAccelerators=[repeated])
    gcp.machine("plain", "n1-standard-8")
    gcp.machine("display", "n1-standard-8", guestAccelerators=[{**T4[0], "acceleratorCount": 0}])
    found = {machine.name: machine for machine in provider().machines().values}
    assert set(found) == {"n1", "g2"}
    assert (found["n1"].gpus, found["n1"].gpu_model) == (4, "T4")
    assert found["g2"].gpus == 1


def test_a_type_that_the_catalogue_lacks_is_asked_for_once(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("new", "a4-highgpu-8g")
    gcp.machine("newer", "a4-highgpu-8g")
    gcp.machine_types = [
        {
            "name": "a4-highgpu-8g",
            "guestCpus": 224,
            "accelerators": [{"guestAcceleratorType": "nvidia-b200", "guestAcceleratorCount": 8}],
            "bundledLocalSsds": {"partitionCount": 32, "defaultInterface": "NVME"},
        },
        {"name": "another", "guestCpus": 1},
    ]
    made = provider()
    first, _ = made.machines().values
    assert (first.gpus, first.gpu_model, first.vcpus) == (8, "B200", 224)
    assert first.stop_terms.loses == ("12000 GiB of local SSD",)
    made.machines()
    assert gcp.calls["compute:AggregatedListMachineTypes"] == 1


def test_a_type_that_nobody_knows_is_a_gap(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("new", "a9-newgpu-8g")
    seen = provider().machines()
    assert seen.values == ()
    (gap,) = seen.gaps
    assert gap.what == "machine type a9-newgpu-8g"
    assert gap.region == "us-central1"


def test_an_accelerator_that_is_new_keeps_its_name(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine(
        "n1",
        "n1-standard-8",
        guestAccelerators=[
            {"acceleratorType": "z/acceleratorTypes/nvidia-x999", "acceleratorCount": 1}
        ],
    )
    machine = only(provider)
    assert (machine.gpu_model, machine.gpu_memory_mib) == ("X999", None)
    assert machine.price.hourly_usd is None


@pytest.mark.parametrize(
    ("labels", "metadata", "group"),
    [
        ({"goog-k8s-cluster-name": "c", "goog-k8s-node-pool-name": "p"}, None, "gke/c/p"),
        ({"skypilot-cluster-name": "dev"}, None, "skypilot/dev"),
        ({"ray-cluster-name": "r", "ray-node-type": "head"}, None, "ray/r"),
        ({"dstack_project": "main", "dstack_name": "train-0-1"}, None, "dstack/main/train"),
        ({"goog-dataproc-cluster-name": "d"}, None, "dataproc/d"),
        ({"spend-watchdog-group": "mine", "ray-cluster-name": "r"}, None, "label/mine"),
        ({}, "projects/1/zones/z/instanceGroupManagers/m", "mig/m"),
        ({}, "projects/1/regions/r/instanceGroupManagers/m", "mig/m"),
    ],
)
def test_machines_that_live_and_die_together(
    gcp: FakeGcp, provider: Make, labels: dict[str, str], metadata: str | None, group: str
) -> None:
    items = [{"key": "created-by", "value": metadata}] if metadata else []
    gcp.machine(labels=labels, metadata={"items": items})
    assert only(provider).group == f"gcp:{PROJECT}:us-central1:{group}"


def test_a_machine_that_ends_by_itself_says_when(gcp: FakeGcp, provider: Make) -> None:
    ends = "2026-12-02T00:00:00.000-08:00"
    gcp.machine(
        scheduling={"provisioningModel": "STANDARD", "maxRunDuration": {"seconds": "3600"}},
        resourceStatus={"scheduling": {"terminationTimestamp": ends}},
    )
    assert ends in only(provider).stop_terms.why


def test_regions_that_are_named_are_the_only_ones(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("here")
    gcp.machine("there", zone="europe-west4-a")
    seen = provider(regions=("europe-west4", "mars-north1")).machines()
    assert [machine.name for machine in seen.values] == ["there"]
    assert {scope.region for scope in seen.scopes} == {"europe-west4"}
    (gap,) = seen.gaps
    assert gap.region == "mars-north1"


def test_flex_start_is_neither_on_demand_nor_spot(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine(scheduling={"provisioningModel": "FLEX_START"})
    machine = only(provider)
    assert machine.purchase is Purchase.UNKNOWN
    assert machine.stop_terms.can_stop is None


def tpu(gcp: FakeGcp, **more: Any) -> None:
    gcp.tpus[PROJECT].append(
        {
            "name": f"projects/{PROJECT}/locations/us-central1-a/nodes/tpu-1",
            "id": "4242",
            "acceleratorType": "v5litepod-8",
            "state": "READY",
            "createTime": "2026-11-20T12:00:00.123456789Z",
            "labels": {"spend-watchdog-workload": "gemma"},
            "networkEndpoints": [{"ipAddress": "10.0.0.3"}],
            **more,
        }
    )


def test_a_tpu_vm_is_a_machine_with_its_own_accelerator(gcp: FakeGcp, provider: Make) -> None:
    tpu(gcp, schedulingConfig={"spot": True})
    machine = only(provider)
    assert machine.id == f"gcp:{PROJECT}:us-central1:4242"
    assert (machine.gpus, machine.gpu_model) == (8, "TPU v5e")
    assert machine.accelerators[0].kind == "tpu"
    assert machine.purchase is Purchase.SPOT
    assert str(machine.price.hourly_usd) == "2.05738"
    assert machine.stop_terms.can_stop is False
    assert machine.started_at is not None


@pytest.mark.parametrize(
    ("name", "count", "model"),
    [
        ("v2-8", 4, "TPU v2"),
        ("v4-32", 16, "TPU v4"),
        ("v5p-8", 4, "TPU v5p"),
        ("v5litepod-1", 1, "TPU v5e"),
        ("v6e-16", 16, "TPU v6e"),
        ("v9-8", 1, "TPU v9-8"),
    ],
)
def test_chips_of_a_tpu(name: str, count: int, model: str) -> None:
    found = chips(name)
    assert (found.count, found.model) == (count, model)


@pytest.mark.parametrize(
    ("status", "reason", "gaps"),
    [(403, "forbidden", 1), (403, "SERVICE_DISABLED", 0), (404, "notFound", 0), (503, "x", 1)],
)
def test_tpus_that_cannot_be_listed(
    gcp: FakeGcp, provider: Make, status: int, reason: str, gaps: int
) -> None:
    gcp.machine()
    gcp.fail("tpu:ListNodes", status, reason=reason)
    seen = provider().machines()
    assert len(seen.values) == 1
    assert [gap.what for gap in seen.gaps] == ["TPU machines"] * gaps


def test_zones_without_tpus_answer_and_unreachable_ones_are_told(
    gcp: FakeGcp, provider: Make
) -> None:
    tpu(gcp)
    gone = f"projects/{PROJECT}/locations/europe-west4-a"
    gcp.edits["tpu:ListNodes"] = lambda page: {**page, "unreachable": [gone]}
    seen = provider().machines()
    assert [gap.region for gap in seen.gaps] == ["europe-west4"]
    assert {scope.region for scope in seen.scopes} == {"us-central1"}
