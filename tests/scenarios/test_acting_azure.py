"""From an idle VM to a deallocated one, against Azure's real SDKs and a server on loopback."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Machine, Reading, Window
from policies.rules import load_policy
from providers.azure.adapter import AzureProvider
from providers.azure.credentials import open_credentials
from providers.azure.session import AzureSession, Endpoints, Limits
from providers.base import Seen
from tests.fake_azure import AzureServer, member, scale_set, vm
from tests.scenarios.test_acting import POLICY, Channel, results
from watchdog.actions import Acting
from watchdog.alerts.incident_news import Stage
from watchdog.ledger.incidents import IncidentLog
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport

pytestmark = pytest.mark.slow
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
START = NOW - timedelta(minutes=NOW.minute % 5)
STEP = timedelta(minutes=5)
HOST = ("Percentage CPU", "Network In Total", "Network Out Total", "Disk Write Bytes")


class IdleGpus:
    """A Prometheus in which all GPUs of the machines that it knows do nothing."""

    name = "prometheus"

    def __init__(self) -> None:
        self.blind: set[str] = set()

    def readings(
        self, machines: Sequence[Machine], window: Window, *, beside: Sequence[Machine]
    ) -> Seen[Reading]:
        return Seen(
            values=tuple(
                Reading(
                    resource=machine.id,
                    gpu="0",
                    source="prometheus",
                    started_at=window.started_at,
                    period_s=window.period_s,
                    utilisation_max_pct=array("d", [0.0]) * window.intervals,
                    memory_used_mib=array("d", [3.0]) * window.intervals,
                )
                for machine in machines
                if machine.name not in self.blind
            )
        )

    def api_calls(self) -> Mapping[str, int]:
        return {}


class Lab:
    """Patrols of one subscription that act, five minutes apart by their own clock."""

    def __init__(self, azure: AzureServer, folder: Path) -> None:
        self.azure = azure
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.channel = Channel()
        self.gpus = IdleGpus()
        self.now = START

    def quiet(self, *machines: dict[str, Any]) -> None:
        """A host that does nothing, for the hours that these tests last."""
        self.azure.add(*machines)
        for each in machines:
            for name in HOST:
                begin = START - timedelta(hours=4)
                self.azure.put_metric(each, name, [1.0] * 84, started_at=begin)

    def patrol(self, *, after: timedelta = STEP) -> PatrolReport:
        self.now += after
        session = AzureSession(
            endpoints=Endpoints(management=self.azure.url),
            ca_bundle=str(self.azure.ca_bundle),
            credential=open_credentials(ca_bundle=None),
            limits=Limits(backoff_s=0.01, follow_s=1),
        )
        parts = Parts(
            providers=[AzureProvider(session, clock=lambda: self.now)],
            ledger=self.ledger,
            policy=load_policy(POLICY, "test.yaml"),
            acting=Acting(channels=[self.channel]),
            monitoring=self.gpus,
            egress=False,
        )
        return patrol(parts, now=self.now)

    def warned_then(self) -> PatrolReport:
        """The patrol that warns, and the one after the grace."""
        assert ("warn", "delivered") in results(self.patrol())
        self.patrol()
        return self.patrol(after=timedelta(minutes=10))


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with AzureServer() as azure:
        for name, value in azure.environment.items():
            monkeypatch.setenv(name, value)
        yield Lab(azure, tmp_path)


def test_an_idle_vm_is_warned_and_then_deallocated_once(lab: Lab) -> None:
    lab.quiet(vm("box"))
    assert results(lab.warned_then()) == [("stop", "stopped")]
    assert lab.azure.power("box") == "deallocated"
    assert lab.channel.stages() == [Stage.WARNED, Stage.STOPPING, Stage.STOPPED]
    assert lab.azure.calls["compute:Deallocate"] == 1
    warning = lab.channel.shown[0]
    assert "A stop empties its temporary disk (736 GiB)." in warning.sentences
    assert results(lab.patrol()) == []
    assert lab.azure.calls["compute:Deallocate"] == 1


def test_a_vm_that_was_started_again_is_judged_anew(lab: Lab) -> None:
    lab.quiet(vm("box"))
    lab.patrol()
    lab.azure.event(
        lab.azure.machine("box"),
        "Microsoft.Compute/virtualMachines/start/action",
        lab.now + timedelta(minutes=2),
    )
    lab.patrol()
    lab.patrol(after=timedelta(minutes=10))
    assert lab.azure.power("box") == "running"
    assert lab.azure.calls["compute:Deallocate"] == 0


def test_a_change_between_listing_and_stop_is_seen_by_the_last_look(lab: Lab) -> None:
    lab.quiet(vm("box"))
    lab.patrol()
    lab.patrol()
    changed = lab.now + timedelta(minutes=10, seconds=1)
    lab.azure.state.changed_at["box"] = changed.isoformat()
    assert ("stop", "overtaken") in results(lab.patrol(after=timedelta(minutes=10)))
    assert lab.azure.power("box") == "running"


def test_one_that_is_off_and_billed_is_deallocated_without_any_gpu_metric(lab: Lab) -> None:
    lab.azure.add(vm("off", power="stopped"))
    lab.gpus.blind.add("off")
    assert results(lab.warned_then()) == [("stop", "stopped")]
    assert lab.azure.power("off") == "deallocated"


def test_spot_is_deallocated_like_any_other_where_its_price_is_known(lab: Lab) -> None:
    lab.quiet(vm("spot", priority="Spot", evictionPolicy="Deallocate"))
    report = lab.patrol()
    (judged,) = report.machines
    assert [veto.name for veto in judged.decision.vetoes] == ["unpriced"]
    assert lab.azure.calls["compute:Deallocate"] == 0


def test_what_must_not_be_stopped_is_told_and_left(lab: Lab) -> None:
    ephemeral = vm("ephemeral")
    ephemeral["properties"]["storageProfile"]["osDisk"]["diffDiskSettings"] = {"option": "Local"}
    pool = {"aks-managed-poolName": "gpu", "aks-managed-cluster-name": "prod"}
    group = {"id": "/subscriptions/1/x/capacityReservationGroups/g"}
    lab.quiet(
        ephemeral,
        vm("node", tags=pool),
        vm(
            "flex",
            virtualMachineScaleSet={
                "id": "/x/providers/Microsoft.Compute/virtualMachineScaleSets/workers"
            },
        ),
        scale_set("uniform"),
        member("uniform", 0),
        vm("nvme", size="Standard_NC24ads_A100_v4"),
        vm("paid", capacityReservation={"capacityReservationGroup": group}),
        vm("locked"),
        vm("kept", tags={"spend-watchdog:protected": "true"}),
    )
    lab.azure.lock(lab.azure.machine("locked"), "ReadOnly")
    for _ in range(4):
        report = lab.patrol(after=timedelta(minutes=10))
    vetoes = {
        each.machine.name: {veto.name for veto in each.decision.vetoes} for each in report.machines
    }
    assert vetoes["ephemeral"] == {"cannot_stop"}
    assert "controller" in vetoes["node"]
    assert "controller" in vetoes["flex"]
    assert "controller" in vetoes["uniform000000"]
    assert vetoes["nvme"] == {"loses_data"}
    assert vetoes["paid"] == {"prepaid"}
    assert vetoes["kept"] == {"protected"}
    assert lab.azure.calls["compute:Deallocate"] == 0
    log = IncidentLog(lab.ledger)
    told = [each.machine.id for each in report.machines if log.of(each.machine.id)]
    assert len(told) == 8
