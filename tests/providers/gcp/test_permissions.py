"""The roles say what the code asks for, and no more; `doctor` tries each permission."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from providers.base import StorageAsked
from providers.gcp.adapter import GcpProvider
from providers.gcp.permissions import (
    PERMISSIONS,
    STOP_PERMISSIONS,
    keep_role,
    read_only_role,
    stop_role,
)
from tests.contract.provider_contract import by_the_hour, window
from tests.fake_gcp import FakeGcp

INFRA = Path(__file__).resolve().parents[3] / "infra" / "gcp"
READ = re.compile(r"\.(list|get)$")
Make = Callable[..., GcpProvider]

NEEDS = {
    "cloudresourcemanager:SearchProjects": "resourcemanager.projects.get",
    "compute:AggregatedListAddresses": "compute.addresses.list",
    "compute:AggregatedListDisks": "compute.disks.list",
    "compute:AggregatedListInstances": "compute.instances.list",
    "compute:AggregatedListMachineTypes": "compute.machineTypes.list",
    "compute:GetInstance": "compute.instances.get",
    "compute:ListSnapshots": "compute.snapshots.list",
    "logging:ListEntries": "logging.logEntries.list",
    "monitoring:ListTimeSeries": "monitoring.timeSeries.list",
    "storage:ListBuckets": "storage.buckets.list",
    "tpu:ListNodes": "tpu.nodes.list",
}


def permissions_of(text: str) -> list[str]:
    role: dict[str, Any] = yaml.safe_load(text)
    return list(role["includedPermissions"])


def test_the_role_files_are_what_init_prints() -> None:
    assert (INFRA / "read-only-role.yaml").read_text(encoding="utf-8") == read_only_role()
    assert (INFRA / "stop-role.yaml").read_text(encoding="utf-8") == stop_role()
    assert (INFRA / "keep-role.yaml").read_text(encoding="utf-8") == keep_role()


def test_the_read_only_role_changes_nothing() -> None:
    granted = permissions_of(read_only_role())
    assert granted == [permission for permission, _ in PERMISSIONS]
    assert all(READ.search(permission) for permission in granted)


def test_the_stop_role_stops_and_deletes_nothing() -> None:
    granted = permissions_of(stop_role())
    assert granted == [permission for permission, _ in STOP_PERMISSIONS]
    assert [each for each in granted if not READ.search(each)] == ["compute.instances.stop"]


def test_every_call_of_a_patrol_is_granted_and_every_permission_used(
    gcp: FakeGcp, provider: Make
) -> None:
    gcp.machine()
    gcp.machine("new", "a9-newgpu-8g")
    made = provider()
    machines = made.machines().values
    made.readings(machines, window())
    made.transitions(machines, window())
    made.egress(machines, [], by_the_hour())
    made.storage(StorageAsked(now=datetime.now(UTC), sized_at={}, named=lambda _: False))
    made.look(machines[0])
    assert {NEEDS[call] for call in gcp.calls} == {permission for permission, _ in PERMISSIONS}


def test_doctor_tells_what_is_allowed(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.gpu(native, [0.0] * 30, datetime.now(UTC) - timedelta(minutes=30))
    told = {each.what: each.ok for each in provider().probes()}
    assert told.pop("GPU metrics in ml-lab") is True
    assert told.pop("projects") is True
    assert told == dict.fromkeys((permission for permission, _ in PERMISSIONS), True)


def test_doctor_tells_what_is_lacking_and_whether_it_matters(gcp: FakeGcp, provider: Make) -> None:
    gcp.granted = {"compute.instances.list"}
    told = {each.what: each.ok for each in provider().probes()}
    assert told["compute.instances.list"] is True
    assert told["monitoring.timeSeries.list"] is False
    assert told["compute.disks.list"] is None
    assert told["GPU metrics in ml-lab"] is None


def test_doctor_without_any_project(gcp: FakeGcp, provider: Make) -> None:
    gcp.fail("cloudresourcemanager:SearchProjects", 403)
    (probe,) = provider().probes()
    assert probe.ok is False
    assert "gcp.projects" in probe.told
