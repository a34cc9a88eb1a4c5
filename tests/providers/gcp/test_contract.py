"""The GCP adapter keeps the contract of all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from policies.facts import Scope
from providers.base import Inventory
from providers.gcp.adapter import GcpProvider
from tests.contract.provider_contract import ProviderContract, World, window
from tests.fake_gcp import FakeGcp

PLACES = {"ml-lab": "us-central1-a", "ml-prod": "europe-west4-a"}


class GcpWorld:
    """Two projects with a region each: on-demand, spot, stopped and unpriced machines."""

    def __init__(self, gcp: FakeGcp, make: Callable[..., GcpProvider]) -> None:
        self._gcp = gcp
        self._make = make
        gcp.projects = dict.fromkeys(PLACES, "ACTIVE")
        for project, zone in PLACES.items():
            at: dict[str, Any] = {"project": project, "zone": zone}
            trainer = gcp.machine("trainer-1", **at)
            gcp.machine("resting", status="TERMINATED", **at)
            gcp.machine("cheap", scheduling={"provisioningModel": "SPOT"}, **at)
            gcp.machine("windows", disks=[WINDOWS], **at)
            gcp.machine("web", "e2-standard-4", **at)
            gcp.quiet(trainer, window().started_at, 180, project=project)

    def provider(self) -> Inventory:
        return self._make()

    def scopes(self) -> Sequence[Scope]:
        return [
            Scope(provider="gcp", account=project, region=zone.rsplit("-", 1)[0])
            for project, zone in PLACES.items()
        ]

    def break_scope(self, scope: Scope) -> None:
        zones = [zone for zone in self._gcp.zones if zone.startswith(str(scope.region))]
        self._gcp.unreachable |= {(str(scope.account), zone) for zone in zones}

    def break_metrics(self, scope: Scope) -> None:
        self._gcp.fail("monitoring:ListTimeSeries", 503, project=scope.account)

    def operations(self) -> Mapping[str, int]:
        return dict(self._gcp.calls)


WINDOWS = {
    "type": "PERSISTENT",
    "boot": True,
    "diskSizeGb": "100",
    "licenses": ["https://x/projects/windows-cloud/global/licenses/windows-server-2022-dc"],
}


class TestGcpKeepsTheContract(ProviderContract):
    @pytest.fixture
    def world(self, gcp: FakeGcp, provider: Callable[..., GcpProvider]) -> World:
        return GcpWorld(gcp, provider)
