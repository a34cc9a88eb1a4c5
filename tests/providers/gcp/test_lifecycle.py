"""Starts and stops from audit logs, as Cloud Logging lists them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.facts import Machine, Window
from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, ZONE, FakeGcp

Make = Callable[..., GcpProvider]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
WINDOW = Window(started_at=NOW - timedelta(days=14), ended_at=NOW, period_s=3600)


def entry(
    method: str, native: str, at: datetime, *, part: str | None = "last", **more: Any
) -> dict[str, Any]:
    return {
        "protoPayload": {
            "methodName": method,
            "resourceName": f"projects/{PROJECT}/zones/{ZONE}/instances/trainer-1",
            "authenticationInfo": {"principalEmail": "ana@example.com"},
            **more,
        },
        "resource": {
            "type": "gce_instance",
            "labels": {"instance_id": native, "zone": ZONE, "project_id": PROJECT},
        },
        "timestamp": f"{at:%Y-%m-%dT%H:%M:%S.123456Z}",
        **({"operation": {"id": "operation-1", part: True}} if part else {}),
    }


def one(gcp: FakeGcp, make: Make) -> tuple[GcpProvider, Machine]:
    gcp.machine()
    made = make()
    (machine,) = made.machines().values
    return made, machine


def test_starts_and_stops_of_a_machine(gcp: FakeGcp, provider: Make) -> None:
    made, machine = one(gcp, provider)
    native = machine.native_id
    gcp.entries[PROJECT] = [
        entry("v1.compute.instances.stop", native, NOW - timedelta(hours=1)),
        entry(
            "v1.compute.instances.stop", native, NOW - timedelta(hours=1, minutes=1), part="first"
        ),
        entry("compute.instances.preempted", native, NOW - timedelta(hours=3), part=None),
        entry("beta.compute.instances.start", native, NOW - timedelta(hours=5)),
        entry("v1.compute.instances.setLabels", native, NOW - timedelta(hours=6)),
        entry(
            "v1.compute.instances.start",
            native,
            NOW - timedelta(hours=7),
            status={"code": 8, "message": "ZONE_RESOURCE_POOL_EXHAUSTED"},
        ),
    ]
    seen = made.transitions([machine], WINDOW)
    assert [(each.event, each.started) for each in seen.values] == [
        ("compute.instances.start", True),
        ("compute.instances.preempted", False),
        ("compute.instances.stop", False),
    ]
    assert {each.machine for each in seen.values} == {machine.id}
    assert seen.values[0].by == "ana@example.com"
    (_, body) = next(each for each in gcp.bodies if each[0] == "logging:ListEntries")
    assert 'timestamp>="2026-11-17T12:00:00Z"' in body["filter"]


def test_a_machine_that_is_gone_is_known_by_its_launch(gcp: FakeGcp, provider: Make) -> None:
    made, machine = one(gcp, provider)
    types = f"zones/{ZONE}/machineTypes"
    launch = {"request": {"machineType": f"{types}/a2-highgpu-1g"}}
    plain = {"request": {"machineType": f"{types}/e2-small"}}
    begun = NOW - timedelta(days=2)
    gcp.entries[PROJECT] = [
        entry("v1.compute.instances.delete", "42", NOW - timedelta(days=1)),
        entry("v1.compute.instances.insert", "42", begun),
        entry("v1.compute.instances.insert", "42", begun, part="first", **launch),
        entry("v1.compute.instances.insert", "43", begun),
        entry("v1.compute.instances.insert", "43", begun, part="first", **plain),
    ]
    seen = made.transitions([machine], WINDOW)
    assert [(each.machine.rsplit(":", 1)[-1], each.started) for each in seen.values] == [
        ("42", True),
        ("42", False),
    ]
    assert {each.machine_type for each in seen.values} == {"a2-highgpu-1g"}


@pytest.mark.parametrize(("status", "why"), [(403, "logging.logEntries.list"), (503, "HTTP 503")])
def test_a_history_that_cannot_be_read_is_a_gap(
    gcp: FakeGcp, provider: Make, status: int, why: str
) -> None:
    made, machine = one(gcp, provider)
    gcp.fail("logging:ListEntries", status)
    seen = made.transitions([machine], WINDOW)
    (gap,) = seen.gaps
    assert why in gap.why
    assert gap.region == machine.region


def test_what_is_too_much_is_read_on_by_the_next_patrols(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.lifecycle.PAGE", 2)
    monkeypatch.setattr("providers.gcp.lifecycle.PAGES_AT_MOST", 2)
    made, machine = one(gcp, provider)
    gcp.entries[PROJECT] = [
        entry("v1.compute.instances.stop", machine.native_id, NOW - timedelta(hours=n))
        for n in range(1, 9)
    ]
    seen = made.transitions([machine], WINDOW)
    assert len(seen.values) == 4
    (unread,) = seen.unread
    assert unread.window.started_at == WINDOW.started_at
    assert unread.window.ended_at.replace(microsecond=0) == NOW - timedelta(hours=4)
    assert "only the newest 4 log entries" in seen.gaps[0].why
