"""Starts and stops from CloudTrail, whose answers moto does not have: in their recorded shape."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from policies.facts import Scope, Transition, Window
from providers.aws import lifecycle
from providers.aws.adapter import AwsProvider
from providers.aws.lifecycle import transitions_from
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.quick import TWO

Make = Callable[..., AwsProvider]
AT = datetime(2026, 11, 22, 18, 2, 11, tzinfo=UTC)
WINDOW = Window(started_at=AT - timedelta(days=14), ended_at=AT, period_s=3600)
SCOPE = Scope(provider="aws", account=ACCOUNT, region="us-east-1")
STOPPED, RUNNING = {"code": 80, "name": "stopped"}, {"code": 16, "name": "running"}


def event(name: str, *items: dict[str, Any], **record: Any) -> dict[str, Any]:
    """One event as LookupEvents gives it: a JSON text within JSON, times in seconds."""
    told = {
        "eventVersion": "1.11",
        "eventSource": "ec2.amazonaws.com",
        "eventName": name,
        "requestParameters": {
            "instancesSet": {"items": [{"instanceId": each["instanceId"]} for each in items]}
        },
        "responseElements": {"instancesSet": {"items": list(items)}},
    }
    return {
        "EventId": "3f6e",
        "EventName": name,
        "EventTime": AT.timestamp(),
        "Username": "ana",
        "Resources": [],
        "CloudTrailEvent": json.dumps(told | record),
    }


def parsed(told: dict[str, Any]) -> tuple[Transition, ...]:
    return transitions_from(told | {"EventTime": AT}, SCOPE)


def stop(machine: str, **more: Any) -> dict[str, Any]:
    return {"instanceId": machine, "previousState": RUNNING, "currentState": STOPPED} | more


def test_a_launch_is_a_start_and_tells_the_type() -> None:
    (seen,) = parsed(event("RunInstances", {"instanceId": "i-1", "instanceType": "g5.xlarge"}))
    assert seen == Transition(
        machine=f"aws:{ACCOUNT}:us-east-1:i-1",
        at=AT,
        started=True,
        event="RunInstances",
        by="ana",
        machine_type="g5.xlarge",
    )


@pytest.mark.parametrize(
    ("name", "before", "started"),
    [
        ("StartInstances", STOPPED, True),
        ("StopInstances", RUNNING, False),
        ("TerminateInstances", RUNNING, False),
    ],
)
def test_starts_and_ends(*, name: str, before: dict[str, Any], started: bool) -> None:
    (seen,) = parsed(event(name, stop("i-1", previousState=before)))
    assert seen.started is started


@pytest.mark.parametrize(
    ("name", "before"),
    [("StartInstances", RUNNING), ("StopInstances", STOPPED), ("TerminateInstances", STOPPED)],
)
def test_what_was_so_already_is_no_transition(name: str, before: dict[str, Any]) -> None:
    assert parsed(event(name, stop("i-1", previousState=before))) == ()


def test_each_machine_of_a_call_has_its_own() -> None:
    seen = parsed(
        event("StopInstances", stop("i-1"), stop("i-2"), stop("i-3", previousState=STOPPED))
    )
    assert [each.machine[-3:] for each in seen] == ["i-1", "i-2"]


@pytest.mark.parametrize(
    "told",
    [
        event("StopInstances", stop("i-1"), errorCode="Client.UnauthorizedOperation"),
        event("StopInstances", stop("i-1"), errorCode="Client.DryRunOperation"),
        event("RebootInstances", stop("i-1")),
        event("StopInstances", stop("i-1"), requestParameters=None, responseElements=None),
    ],
)
def test_events_that_changed_nothing(told: dict[str, Any]) -> None:
    assert parsed(told) == ()


def test_an_answer_that_cloudtrail_left_out_is_read_from_the_request() -> None:
    assert len(parsed(event("StopInstances", stop("i-1"), responseElements=None))) == 1


def answer_with(aws: AwsServer, monkeypatch: pytest.MonkeyPatch, *events: dict[str, Any]) -> None:
    """Every call gets the same page, so only one kind of event is asked for."""
    monkeypatch.setattr(lifecycle, "EVENTS", {"StopInstances": False})
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": list(events)}))


def test_history_through_the_sdk(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    answer_with(aws, monkeypatch, event("StopInstances", stop(trainer), stop("i-other")))
    one = provider()
    seen = one.transitions(one.machines().values, WINDOW)
    assert seen.gaps == ()
    (transition,) = seen.values
    assert transition.machine.endswith(trainer)
    assert transition.at == AT
    asked = next(call for call in aws.requests if call.operation == "cloudtrail:LookupEvents")
    assert asked.parameters["LookupAttributes"] == [
        {"AttributeKey": "EventName", "AttributeValue": "StopInstances"}
    ]


def test_machines_that_are_gone_are_told_if_they_carried_accelerators(
    aws: AwsServer, provider: Make
) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    launched = [
        {"instanceId": "i-gone", "instanceType": "p4d.24xlarge"},
        {"instanceId": "i-small", "instanceType": "m5.large"},
    ]
    pages = [
        event("RunInstances", *launched),
        event("TerminateInstances", stop("i-gone"), stop("i-small")),
    ]
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": pages}))
    one = provider()
    seen = one.transitions(one.machines().values, WINDOW)
    assert {each.machine[-6:] for each in seen.values} == {"i-gone"}
    assert {each.machine_type for each in seen.values} == {"p4d.24xlarge"}


def test_pages_are_read_up_to_a_bound_and_the_cut_is_told(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    monkeypatch.setattr(lifecycle, "EVENTS", {"StopInstances": False})
    monkeypatch.setattr(lifecycle, "PAGES_AT_MOST", 3)
    page = {"Events": [event("StopInstances", stop(trainer))], "NextToken": "more"}
    aws.answer("cloudtrail:LookupEvents", json.dumps(page))
    one = provider()
    seen = one.transitions(one.machines().values, WINDOW)
    assert aws.calls["cloudtrail:LookupEvents"] == len(seen.values) == 3
    (gap,) = seen.gaps
    assert "StopInstances" in gap.why
    assert "2026-11-22 18:02" in gap.why
    assert [(each.scope, each.window) for each in seen.unread] == [
        (SCOPE, replace(WINDOW, ended_at=AT))
    ]


def test_what_a_cut_leaves_out_reaches_from_the_beginning_to_the_oldest_event(
    aws: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of several kinds of events the one that came least far counts; a refusal counts most."""
    (trainer,) = launch(aws.client("ec2"), "g5.xlarge")
    monkeypatch.setattr(lifecycle, "EVENTS", {"StartInstances": True, "StopInstances": False})
    monkeypatch.setattr(lifecycle, "PAGES_AT_MOST", 1)
    one = provider()
    machines = one.machines().values
    for days, times in ((3, 1), (9, None)):
        at = (AT - timedelta(days=days)).timestamp()
        told = event("StopInstances", stop(trainer)) | {"EventTime": at}
        page = json.dumps({"Events": [told], "NextToken": "more"})
        aws.answer("cloudtrail:LookupEvents", page, times=times)
    (unread,) = one.transitions(machines, WINDOW).unread
    assert unread.window == replace(WINDOW, ended_at=AT - timedelta(days=3))
    aws.mend()
    aws.answer("cloudtrail:LookupEvents", page, times=1)
    aws.fail("cloudtrail:LookupEvents", status=400, code="AccessDeniedException")
    seen = one.transitions(machines, WINDOW)
    assert [each.window for each in seen.unread] == [WINDOW]
    assert len(seen.gaps) == 2


@pytest.mark.parametrize(
    ("status", "code", "word"),
    [(500, None, "HTTP 500"), (400, "AccessDeniedException", "grant cloudtrail:LookupEvents")],
)
def test_a_refusal_is_a_gap_and_ends_the_asking(
    aws: AwsServer, provider: Make, status: int, code: str | None, word: str
) -> None:
    for region in TWO:
        launch(aws.client("ec2", region), "g5.xlarge")
    aws.fail("cloudtrail:LookupEvents", status=status, code=code)
    one = provider(regions=TWO)
    seen = one.transitions(one.machines().values, WINDOW)
    assert seen.values == ()
    assert [(gap.region, gap.what) for gap in seen.gaps] == [
        (region, "start and stop history") for region in TWO
    ]
    assert word in seen.gaps[0].why
    assert aws.calls["cloudtrail:LookupEvents"] <= 2 * 2


def test_an_answer_without_events_is_a_gap(aws: AwsServer, provider: Make) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    aws.answer("cloudtrail:LookupEvents", "{}")
    one = provider()
    (gap,) = one.transitions(one.machines().values, WINDOW).gaps
    assert "incomplete" in gap.why


@pytest.mark.parametrize("record", ["{cut off", "[]", "{}", '{"eventName": ["x"]}'])
def test_an_event_that_cannot_be_read_is_a_gap(aws: AwsServer, provider: Make, record: str) -> None:
    launch(aws.client("ec2"), "g5.xlarge")
    spoilt = event("StopInstances", stop("i-1")) | {"CloudTrailEvent": record}
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": [spoilt]}))
    one = provider()
    (gap,) = one.transitions(one.machines().values, WINDOW).gaps
    assert "was not AWS's" in gap.why


def test_without_machines_nothing_is_asked(aws: AwsServer, provider: Make) -> None:
    assert provider().transitions((), WINDOW).values == ()
    assert aws.calls.total() == 0
