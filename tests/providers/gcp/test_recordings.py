"""Real answers of Google, recorded by others, replayed over HTTP through the real SDK.

None of them holds a GPU machine, so where one is needed the machine type is swapped for one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from policies.facts import MachineState
from providers.base import StorageAsked
from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, FakeGcp

SHARED = Path(__file__).resolve().parents[3] / "../shared/data/recordings"
FLIGHTS = SHARED / "cloud_custodian" / "gcp_flights"
LIBCLOUD = SHARED / "libcloud_fixtures" / "gce"
Make = Callable[..., GcpProvider]
pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FLIGHTS.is_dir(), reason="the recorded answers are not here"),
]
INSTANCES = "get-compute-v1-projects-cloud-custodian-aggregated-instances_1.json"


def body(path: Path) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    found: dict[str, Any] = told.get("body", told)
    return found


def listings() -> list[Path]:
    if not FLIGHTS.is_dir():
        return []
    return [*sorted(FLIGHTS.glob(f"*/{INSTANCES}")), LIBCLOUD / "aggregated_instances.json"]


def instances(page: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [each for part in page["items"].values() for each in part.get("instances", ())]


@pytest.mark.parametrize("path", listings(), ids=lambda path: path.parent.name)
def test_lists_of_instances(gcp: FakeGcp, provider: Make, path: Path) -> None:
    page = body(path)
    page.pop("nextPageToken", None)
    gcp.edits["compute:AggregatedListInstances"] = lambda _: page
    seen = provider().machines()
    assert seen.values == (), "no machine of the recordings carries an accelerator"
    assert all(gap.what.startswith("machine") for gap in seen.gaps)
    swapped = json.loads(json.dumps(page))
    for each in instances(swapped):
        each["machineType"] = "zones/z/machineTypes/g2-standard-8"
    gcp.edits["compute:AggregatedListInstances"] = lambda _: swapped
    seen = provider().machines()
    assert {machine.native_id for machine in seen.values} == {
        str(each["id"]) for each in instances(page)
    }
    for machine in seen.values:
        assert machine.state is not MachineState.UNKNOWN
        assert machine.started_at is not None
        assert machine.started_at.tzinfo is UTC
        assert machine.stop_terms.why


def test_a_list_of_disks(gcp: FakeGcp, provider: Make) -> None:
    name = "get-compute-v1-projects-cloud-custodian-aggregated-disks_1.json"
    page = body(FLIGHTS / "disk-query" / name)
    page.pop("nextPageToken", None)
    gcp.edits["compute:AggregatedListDisks"] = lambda _: page
    made = provider()
    made.machines()
    asked = StorageAsked(now=datetime.now(UTC), sized_at={}, named=lambda _: False)
    volumes = [each for each in made.storage(asked).values if each.kind == "volume"]
    listed = [disk for part in page["items"].values() for disk in part.get("disks", ())]
    assert len(volumes) == len(listed) > 0
    assert all(volume.monthly_cost_usd for volume in volumes)


def test_a_list_of_snapshots(gcp: FakeGcp, provider: Make) -> None:
    name = "get-compute-v1-projects-cloud-custodian-global-snapshots_1.json"
    page = body(FLIGHTS / "snapshot-query" / name)
    gcp.edits["compute:ListSnapshots"] = lambda _: page
    made = provider()
    made.machines()
    asked = StorageAsked(now=datetime.now(UTC), sized_at={}, named=lambda _: False)
    found = [each for each in made.storage(asked).values if each.kind == "snapshot"]
    assert len(found) == len(page["items"]) > 0


def test_a_list_of_buckets(gcp: FakeGcp, provider: Make) -> None:
    (path,) = (FLIGHTS / "bucket-query").glob("get-storage-v1-b*.json")
    page = body(path)
    gcp.edits["storage:ListBuckets"] = lambda _: page
    made = provider()
    made.machines()
    asked = StorageAsked(now=datetime.now(UTC), sized_at={}, named=lambda _: False)
    found = [each for each in made.storage(asked).values if each.kind == "bucket"]
    assert {each.name for each in found} == {each["name"] for each in page["items"]}


def test_the_answer_to_a_stop(gcp: FakeGcp, provider: Make) -> None:
    (path,) = (FLIGHTS / "instance-stop").glob("post-*-stop_1.json")
    operation = body(path)
    gcp.edits["compute:StopInstance"] = lambda _: operation
    gcp.edits["compute:GetOperation"] = lambda _: {**operation, "status": "DONE"}
    gcp.machine()
    made = provider()
    (machine,) = made.machines().values
    assert machine.account == PROJECT
    assert made.stop(machine).result == "requested"


def test_types_that_google_describes(gcp: FakeGcp, provider: Make) -> None:
    page = body(LIBCLOUD / "aggregated_machineTypes.json")
    page.pop("nextPageToken", None)
    names = {each["name"] for part in page["items"].values() for each in part["machineTypes"]}
    assert names
    gcp.edits["compute:AggregatedListMachineTypes"] = lambda _: page
    gcp.machine("new", "a9-newgpu-8g")
    (gap,) = provider().machines().gaps
    assert gap.what == "machine type a9-newgpu-8g"
