"""What goes wrong at Google is a gap that says what to do, and everything else still comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from policies.facts import Machine
from providers.base import Seen
from providers.gcp.adapter import GcpProvider
from tests.contract.provider_contract import window
from tests.fake_gcp import PROJECT, ZONE, FakeGcp
from tests.providers.gcp.conftest import QUICK

Make = Callable[..., GcpProvider]
LIST = "compute:AggregatedListInstances"


def two_projects(gcp: FakeGcp) -> None:
    gcp.projects = {"ml-lab": "ACTIVE", "ml-prod": "ACTIVE"}
    gcp.machine("a")
    gcp.machine("b", project="ml-prod")


def names(seen: Seen[Machine]) -> list[str | None]:
    return [machine.name for machine in seen.values]


@pytest.mark.parametrize(
    ("status", "reason", "words"),
    [
        (401, "authError", "sign in again"),
        (403, "forbidden", "grant compute.instances.list in project ml-lab"),
        (403, "rateLimitExceeded", "throttled"),
        (429, "rateLimitExceeded", "throttled"),
        (500, "backendError", "HTTP 500"),
        (503, "backendError", "HTTP 503"),
        (404, "notFound", "is not there"),
        (400, "invalid", "refused"),
    ],
)
def test_a_project_that_cannot_be_listed(
    gcp: FakeGcp, provider: Make, status: int, reason: str, words: str
) -> None:
    two_projects(gcp)
    gcp.fail(LIST, status, reason=reason, project="ml-lab")
    seen = provider().machines()
    assert names(seen) == ["b"]
    (gap,) = seen.gaps
    assert (gap.account, gap.what) == ("ml-lab", "machines")
    assert words in gap.why
    assert {scope.account for scope in seen.scopes} == {"ml-prod"}


@pytest.mark.parametrize(("status", "reason"), [(503, "backendError"), (429, "rateLimitExceeded")])
def test_what_passes_is_tried_again(gcp: FakeGcp, provider: Make, status: int, reason: str) -> None:
    gcp.machine("a")
    gcp.fail(LIST, status, reason=reason, times=2)
    seen = provider().machines()
    assert names(seen) == ["a"]
    assert seen.gaps == ()
    assert gcp.calls[LIST] == 3


def test_a_service_that_is_off_is_no_gap_where_nobody_named_the_project(
    gcp: FakeGcp, provider: Make
) -> None:
    two_projects(gcp)
    gcp.fail(LIST, 403, reason="accessNotConfigured", project="ml-lab")
    assert provider().machines().gaps == ()
    (gap,) = provider(projects=("ml-lab",)).machines().gaps
    assert "not enabled in project ml-lab" in gap.why


def test_a_zone_that_cannot_be_reached_leaves_its_region_unseen(
    gcp: FakeGcp, provider: Make
) -> None:
    gcp.machine("a")
    gcp.machine("far", zone="europe-west4-a")
    gcp.unreachable.add((PROJECT, "us-central1-b"))
    seen = provider().machines()
    assert names(seen) == ["far", "a"]
    (gap,) = seen.gaps
    assert (gap.region, gap.what) == ("us-central1", "machines")
    assert "us-central1-b" in gap.why
    assert {scope.region for scope in seen.scopes} == {"europe-west4"}


def test_a_warning_of_a_zone_is_a_gap(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("a")
    gcp.warned[PROJECT, "europe-west4-a"] = "UNREACHABLE"
    seen = provider().machines()
    assert [(gap.region, "UNREACHABLE" in gap.why) for gap in seen.gaps] == [("europe-west4", True)]


def test_a_permission_that_is_lost_in_the_middle(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.inventory.PAGE", 1)
    for name in ("a", "b", "c"):
        gcp.machine(name)
    gcp.fail(LIST, 403, after=1)
    seen = provider().machines()
    assert names(seen) == ["a"]
    assert seen.scopes == ()
    assert "grant compute.instances.list" in seen.gaps[0].why


def test_a_listing_that_never_ends_is_a_gap(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.listing.PAGES_AT_MOST", 5)
    gcp.machine("a")
    gcp.endless.add("instances")
    seen = provider().machines()
    assert seen.scopes == ()
    assert "do not end" in seen.gaps[0].why
    assert gcp.calls[LIST] == 5


def test_a_listing_that_goes_round_in_circles_is_a_gap(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine("a")
    gcp.edits[LIST] = lambda page: {**page, "nextPageToken": "0"}
    seen = provider().machines()
    assert "do not end" in seen.gaps[0].why
    assert gcp.calls[LIST] == 2


def test_fields_that_are_new_or_missing(gcp: FakeGcp, provider: Make) -> None:
    native = gcp.machine("a", brandNew={"field": 1}, scheduling={"newer": True})
    for field in ("lastStartTimestamp", "labels", "disks", "networkInterfaces", "scheduling"):
        del gcp.find(native)[field]
    (machine,) = provider().machines().values
    assert machine.started_at is not None
    assert machine.stop_terms.can_stop is None, "whether it has local SSD is not known"


@pytest.mark.parametrize("body", [b"<html>sign in</html>", b"[]", b'{"items": 3}', b""])
def test_an_answer_that_is_not_googles(gcp: FakeGcp, provider: Make, body: bytes) -> None:
    gcp.machine("a")
    gcp.edits[LIST] = lambda _: body
    seen = provider().machines()
    assert seen.values == ()
    assert seen.gaps or seen.scopes == ()


def test_projects_that_cannot_be_searched(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    gcp.machine("a")
    gcp.fail("cloudresourcemanager:SearchProjects", 403)
    (gap,) = provider().machines().gaps
    assert "no project is watched" in gap.why
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", PROJECT)
    seen = provider().machines()
    assert names(seen) == ["a"]
    assert "only ml-lab is watched" in seen.gaps[0].why


def test_projects_that_are_being_deleted_are_left_out(gcp: FakeGcp, provider: Make) -> None:
    gcp.projects |= {"gone": "DELETE_REQUESTED", "sys-123": "ACTIVE"}
    gcp.machine("a")
    provider().machines()
    assert gcp.calls[LIST] == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ({"status": 401}, "sign in again"),
        ({"status": 403}, "grant monitoring.timeSeries.list"),
        ({"status": 429}, "throttled"),
        ({"status": 503}, "HTTP 503"),
    ],
)
def test_metrics_that_cannot_be_read(
    gcp: FakeGcp, provider: Make, fault: dict[str, Any], words: str
) -> None:
    gcp.quiet(gcp.machine("a"), window().started_at, 180)
    made = provider()
    machines = made.machines().values
    gcp.fail("monitoring:ListTimeSeries", **fault)
    usage = made.readings(machines, window())
    assert usage.values == (), "a host must not stand in for GPUs that nobody could ask"
    assert words in usage.gaps[0].why


def test_metrics_without_an_end_are_a_gap(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.usage.PAGES_AT_MOST", 4)
    gcp.quiet(gcp.machine("a"), window().started_at, 180)
    made = provider()
    machines = made.machines().values
    gcp.endless.add("timeSeries")
    usage = made.readings(machines, window())
    assert "do not end" in usage.gaps[0].why
    assert gcp.calls["monitoring:ListTimeSeries"] == 4


def test_one_figure_that_fails_leaves_the_others(gcp: FakeGcp, provider: Make) -> None:
    gcp.quiet(gcp.machine("a"), window().started_at, 180)
    made = provider()
    machines = made.machines().values
    gcp.fail("monitoring:ListTimeSeries", 403, reason="only gpu/memory/bytes_used")
    usage = made.readings(machines, window())
    gpu = next(each for each in usage.values if each.gpu is not None)
    assert gpu.coverage == 1
    assert gpu.memory_used_mib is None
    assert len(usage.gaps) == 1


def test_without_an_address_of_monitoring_nothing_is_asked_elsewhere(
    gcp: FakeGcp, provider: Make
) -> None:
    gcp.machine("a")
    made = provider(monitoring_endpoint=None)
    usage = made.readings(made.machines().values, window())
    assert usage.values == ()
    assert "gcp.monitoring_endpoint" in usage.gaps[0].why


def test_a_project_that_is_slow_is_a_gap(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    two_projects(gcp)
    gcp.fail(LIST, 503, project="ml-lab")
    hasty = replace(QUICK, scope_s=0.4, retry_s=30, first_wait_s=0.05)
    seen = provider(limits=hasty).machines()
    assert names(seen) == ["b"]
    assert "took too long" in seen.gaps[0].why


def test_a_zone_that_stands_on_several_pages_is_one(
    gcp: FakeGcp, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("providers.gcp.inventory.PAGE", 2)
    for number in range(5):
        gcp.machine(f"m{number}", zone=ZONE)
    seen = provider().machines()
    assert len(seen.values) == 5
    assert gcp.calls[LIST] == 3
