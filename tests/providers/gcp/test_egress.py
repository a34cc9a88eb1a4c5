"""Bytes that leave machines and buckets, hour by hour, and how far the counter can tell."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from policies.facts import Scope, Window
from providers.base import Seen
from providers.egress import EgressCounter
from providers.gcp.adapter import GcpProvider
from tests.fake_gcp import PROJECT, FakeGcp, Stored

Make = Callable[..., GcpProvider]
END = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
HOURS = Window(started_at=END - timedelta(hours=3), ended_at=END, period_s=3600)
SCOPE = Scope(provider="gcp", account=PROJECT, region="us-central1")
SENT = "compute.googleapis.com/instance/network/sent_bytes_count"
FLOW = "networking.googleapis.com/vm_flow/egress_bytes_count"


def read(make: Make) -> Seen[EgressCounter]:
    provider = make()
    return provider.egress(provider.machines().values, [SCOPE], HOURS)


def test_all_that_a_machine_sent_is_an_upper_bound(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    for balanced in ("true", "false"):
        gcp.put(
            SENT, [100.0] * 180, machine=native, started_at=HOURS.started_at, loadbalanced=balanced
        )
    (counter,) = read(provider).values
    assert counter.hours == {HOURS.started_at + timedelta(hours=n): 12_000 for n in range(3)}
    assert (counter.reach, counter.upper_bound) == ("all", True)
    assert "if all of it went to the internet" in counter.why[0]
    assert str(counter.tariff.tiers[0].usd_per_gb) == "0.12"


def test_flows_to_the_outside_are_believed_where_there_are_any(
    gcp: FakeGcp, provider: Make
) -> None:
    native = gcp.machine()
    gcp.put(SENT, [100.0] * 180, machine=native, started_at=HOURS.started_at)
    for place, sent in (("EXTERNAL", 10.0), ("CLOUD", 90.0)):
        gcp.put(
            FLOW,
            [sent] * 180,
            machine=native,
            started_at=HOURS.started_at,
            remote_location_type=place,
        )
    (counter,) = read(provider).values
    assert counter.reach == "internet"
    assert set(counter.hours.values()) == {600}
    assert "estimate" in counter.why[0]


def test_what_is_read_from_a_bucket(gcp: FakeGcp, provider: Make) -> None:
    labels = {"method": "ReadObject", "response_code": "OK"}
    points = [(HOURS.started_at + timedelta(minutes=n + 1), 5.0) for n in range(180)]
    metric = "storage.googleapis.com/network/sent_bytes_count"
    for name, place in (("checkpoints", "us-central1"), ("elsewhere", "us")):
        resource = {"bucket_name": name, "location": place, "project_id": PROJECT}
        gcp.series.append(
            Stored(PROJECT, metric, resource, labels, points, resource_type="gcs_bucket")
        )
    (counter,) = read(provider).values
    assert counter.id == f"gcp:{PROJECT}:us-central1:checkpoints"
    assert counter.tags is None
    assert set(counter.hours.values()) == {300}


def test_without_flows_read_nobody_is_told_a_number(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine()
    gcp.put(SENT, [100.0] * 180, machine=native, started_at=HOURS.started_at)
    gcp.fail("monitoring:ListTimeSeries", 403, reason=f"only {FLOW}")
    seen = read(provider)
    assert seen.values == ()
    assert {gap.region for gap in seen.gaps} == {"us-central1"}
