"""Disks, snapshots, addresses and buckets of a project, with what they cost."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from policies.facts import Storage
from providers.base import Seen, StorageAsked
from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, ZONE, FakeGcp, Stored

Make = Callable[..., GcpProvider]
NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)
BASE = f"https://www.googleapis.com/compute/v1/projects/{PROJECT}"
BYTES = "storage.googleapis.com/storage/v2/total_bytes"


def asked(**read: datetime) -> StorageAsked:
    return StorageAsked(now=NOW, sized_at=read, named=lambda _: False)


def listed(make: Make, **options: Any) -> Seen[Storage]:
    provider = make(**options)
    provider.machines()
    return provider.storage(asked())


def only(seen: Seen[Storage], kind: str) -> Storage:
    (found,) = [each for each in seen.values if each.kind == kind]
    return found


def disk(gcp: FakeGcp, kind: str = "pd-ssd", *users: str, **more: Any) -> None:
    gcp.disks[PROJECT, ZONE].append(
        {
            "id": "501",
            "name": "data",
            "sizeGb": "200",
            "zone": f"{BASE}/zones/{ZONE}",
            "type": f"{BASE}/zones/{ZONE}/diskTypes/{kind}",
            "status": "READY",
            "creationTimestamp": "2026-11-01T00:00:00.000-07:00",
            "users": [f"{BASE}/zones/{ZONE}/instances/{user}" for user in users],
            "labels": {"spend-watchdog-workload": "llama"},
            **more,
        }
    )


def bucket(gcp: FakeGcp, name: str = "checkpoints", location: str = "US-CENTRAL1") -> None:
    gcp.buckets[PROJECT].append(
        {
            "name": name,
            "location": location,
            "storageClass": "STANDARD",
            "timeCreated": "2026-01-01T00:00:00.000Z",
            "labels": {"team": "nlp"},
        }
    )


def held(gcp: FakeGcp, kind: str, gib: float, *, days: int = 1, metric: str = BYTES) -> None:
    points = [
        (NOW.replace(hour=8) - timedelta(days=ago), gib * 2**30) for ago in range(days, 0, -1)
    ]
    labels = {"storage_class": "STANDARD"} | ({"type": kind} if kind else {})
    resource = {"bucket_name": "checkpoints", "location": "us-central1"}
    gcp.series.append(Stored(PROJECT, metric, resource, labels, points, resource_type="gcs_bucket"))


def test_a_disk_without_a_machine_costs_on(gcp: FakeGcp, provider: Make) -> None:
    disk(gcp, lastDetachTimestamp="2026-11-20T00:00:00.000-08:00")
    found = only(listed(provider), "volume")
    assert found.id == f"gcp:{PROJECT}:us-central1:501"
    assert found.size_bytes == 200 * 2**30
    assert found.monthly_cost_usd == 200 * Decimal("0.17")
    assert found.attached_to is None
    assert found.unattached_since == datetime(2026, 11, 20, 8, tzinfo=UTC)
    assert found.tags["spend-watchdog-workload"] == "llama"
    assert "attached to no machine" in found.why


def test_a_disk_is_known_by_its_machine(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine("trainer-1")
    disk(gcp, "pd-balanced", "trainer-1")
    made = provider()
    (machine,) = made.machines().values
    seen = made.storage(asked())
    assert only(seen, "volume").attached_to == f"gcp:{PROJECT}:us-central1:{native}"
    assert made.stopped_hourly_usd(machine, seen.values) == 200 * Decimal("0.1") / 730


def test_performance_that_is_billed_besides_leaves_no_price(gcp: FakeGcp, provider: Make) -> None:
    disk(gcp, "hyperdisk-balanced")
    found = only(listed(provider), "volume")
    assert found.monthly_cost_usd is None
    assert any("hyperdisk-balanced performance" in why for why in found.why)


def test_a_snapshot_is_what_google_counts_of_it(gcp: FakeGcp, provider: Make) -> None:
    gcp.snapshots[PROJECT].append(
        {
            "id": "77",
            "name": "before",
            "diskSizeGb": "200",
            "storageBytes": str(10 * 2**30),
            "storageLocations": ["us"],
            "sourceDisk": f"{BASE}/zones/{ZONE}/disks/data",
            "sourceDiskId": "501",
            "creationTimestamp": "2026-11-01T00:00:00.000-07:00",
        }
    )
    found = only(listed(provider), "snapshot")
    assert found.monthly_cost_usd == 10 * Decimal("0.065")
    assert found.made_from == f"gcp:{PROJECT}:us-central1:501"


def test_an_address_that_serves_nothing_or_a_stopped_machine(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("trainer-1", status="TERMINATED")
    gcp.machine("at-work")
    region = f"{BASE}/regions/us-central1"
    rows = [("9", "RESERVED", []), ("10", "IN_USE", ["trainer-1"]), ("11", "IN_USE", ["at-work"])]
    for native, status, users in rows:
        gcp.addresses[PROJECT, "us-central1"].append(
            {
                "id": native,
                "name": f"ip-{native}",
                "address": "34.1.1.1",
                "addressType": "EXTERNAL",
                "status": status,
                "region": region,
                "users": [f"{BASE}/zones/{ZONE}/instances/{user}" for user in users],
            }
        )
    found = {each.native_id: each for each in listed(provider).values if each.kind == "address"}
    assert set(found) == {"9", "10"}
    assert found["9"].monthly_cost_usd == Decimal("7.3")
    assert found["9"].size_bytes is None
    assert "stopped" in found["10"].why[0]


def test_a_bucket_is_one_row_and_tells_its_kinds_apart(gcp: FakeGcp, provider: Make) -> None:
    bucket(gcp)
    for kind, gib in (("live-object", 100.0), ("noncurrent-object", 30.0)):
        held(gcp, kind, gib)
    held(gcp, "soft-deleted-object", 20.0)
    held(gcp, "multipart-upload", 5.0)
    found = only(listed(provider), "bucket")
    assert found.size_bytes == 155 * 2**30
    assert found.monthly_cost_usd == 155 * Decimal("0.02")
    assert {meter.name for meter in found.eras[-1].meters} == {
        "STANDARD live-object",
        "STANDARD noncurrent-object",
        "STANDARD soft-deleted-object",
        "STANDARD multipart-upload",
    }
    told = " ".join(found.why)
    assert "30.0 GiB of it are noncurrent objects" in told
    assert "20.0 GiB of it are soft deleted objects" in told
    assert "5.0 GiB of it are multipart uploads" in told


def test_without_kinds_the_older_metric_is_read_and_says_so(gcp: FakeGcp, provider: Make) -> None:
    bucket(gcp)
    held(gcp, "", 10.0, days=3, metric="storage.googleapis.com/storage/total_bytes")
    found = only(listed(provider), "bucket")
    assert found.size_bytes == 10 * 2**30
    assert len(found.eras) == 3
    assert "not told apart" in " ".join(found.why)


def test_a_bucket_without_points_has_no_size(gcp: FakeGcp, provider: Make) -> None:
    bucket(gcp)
    found = only(listed(provider), "bucket")
    assert (found.size_bytes, found.monthly_cost_usd) == (None, None)
    assert "no daily size" in found.why[0]


def test_sizes_are_read_once_a_day(gcp: FakeGcp, provider: Make) -> None:
    bucket(gcp)
    held(gcp, "live-object", 10.0)
    made = provider()
    made.machines()
    read = StorageAsked(
        now=NOW,
        sized_at={f"gcp:{PROJECT}:us-central1:checkpoints": NOW - timedelta(hours=3)},
        named=lambda _: False,
    )
    assert only(made.storage(read), "bucket").eras == ()
    assert gcp.calls["monitoring:ListTimeSeries"] == 0


def test_what_lies_elsewhere_is_left_out_where_regions_are_named(
    gcp: FakeGcp, provider: Make
) -> None:
    bucket(gcp)
    bucket(gcp, "everywhere", "US")
    seen = listed(provider, regions=("us-central1",))
    assert [each.name for each in seen.values] == ["checkpoints"]


@pytest.mark.parametrize(
    ("call", "what"),
    [
        ("compute:AggregatedListDisks", "disks"),
        ("compute:AggregatedListAddresses", "addresses"),
        ("compute:ListSnapshots", "snapshots"),
        ("storage:ListBuckets", "buckets"),
        ("monitoring:ListTimeSeries", "bucket sizes"),
    ],
)
def test_what_cannot_be_listed_is_a_gap_and_the_rest_comes(
    gcp: FakeGcp, provider: Make, call: str, what: str
) -> None:
    bucket(gcp)
    disk(gcp)
    gcp.fail(call, 403)
    seen = listed(provider)
    assert [gap.what for gap in seen.gaps] == [what]
    assert seen.values
    assert seen.scopes == ()


def test_a_denied_project_is_told_once(gcp: FakeGcp, provider: Make) -> None:
    calls = ("AggregatedListDisks", "AggregatedListAddresses", "ListSnapshots")
    for call in (*(f"compute:{each}" for each in calls), "storage:ListBuckets"):
        gcp.fail(call, 403)
    (gap,) = listed(provider).gaps
    assert gap.what == "storage"
    assert "compute.disks.list" in gap.why
    assert "storage.buckets.list" in gap.why
