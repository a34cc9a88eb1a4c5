"""When machines were started and stopped, from CloudTrail's event history (90 days, free)."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from policies.facts import Gap, Scope, Transition, Window, utc
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.errors import AnswerCut

EVENTS = {
    "RunInstances": True,
    "StartInstances": True,
    "StopInstances": False,
    "TerminateInstances": False,
}
"""By name, whether metering begins with it. LookupEvents takes one name a call."""
WHAT = "start and stop history"
NEEDS = "cloudtrail:LookupEvents"
EVENTS_PER_PAGE = 50
PAGES_AT_MOST = 20
"""Pages of one kind of event in one region: CloudTrail answers two calls a second."""
ATTEMPTS = 2
"""The history is wanted, not needed: it is given up sooner than the machines are."""

_METERED = frozenset({0, 16})
_NOT_METERED = frozenset({32, 48, 64, 80})
"""Codes of the states pending, running; shutting-down, terminated, stopping, stopped."""


@dataclass(slots=True)
class RegionHistory:
    transitions: list[Transition] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unread: Window | None = None
    """What a gap leaves out, from the beginning of the window on; None: nothing."""


def region_history(
    cloudtrail: Any, scope: Scope, window: Window, is_watched: Callable[[Transition], bool]
) -> RegionHistory:
    """All four kinds of events of a region; the first refusal ends the asking."""
    history = RegionHistory()
    for name in EVENTS:
        try:
            events, cut = _fetch(cloudtrail, name, window)
            found = [each for event in events for each in transitions_from(event, scope)]
            oldest = min((utc(event["EventTime"]) for event in events), default=window.ended_at)
        except AWS_ERRORS as error:
            history.gaps.append(gap_from(error, scope, WHAT, NEEDS))
            history.unread = window
            break
        history.transitions.extend(found)
        if cut:
            history.gaps.append(_cut(name, oldest, scope))
            history.unread = _longer(history.unread, _before(oldest, window))
    history.transitions = [each for each in _typed(history.transitions) if is_watched(each)]
    return history


def transitions_from(event: Mapping[str, Any], scope: Scope) -> tuple[Transition, ...]:
    """One event of LookupEvents, as a start or an end of each machine that it changed.

    A call that failed, was a dry run, or found the machine already in that state changed nothing.
    Raises one of `AWS_ERRORS` for an event that cannot be read.
    """
    record = json.loads(event["CloudTrailEvent"])
    name = record["eventName"]
    if name not in EVENTS or record.get("errorCode"):
        return ()
    return tuple(
        Transition(
            machine=f"aws:{scope.account}:{scope.region}:{item['instanceId']}",
            at=utc(event["EventTime"]),
            started=EVENTS[name],
            event=name,
            by=event.get("Username"),
            machine_type=item.get("instanceType"),
        )
        for item in _items(record)
        if item.get("instanceId") and _changed(name, item)
    )


def _items(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The machines of the answer; of the request where CloudTrail left the answer out."""
    for part in ("responseElements", "requestParameters"):
        items = ((record.get(part) or {}).get("instancesSet") or {}).get("items")
        if items:
            yield from items
            return


def _changed(name: str, item: Mapping[str, Any]) -> bool:
    before = (item.get("previousState") or {}).get("code")
    return before not in (_METERED if EVENTS[name] else _NOT_METERED)


def _fetch(cloudtrail: Any, name: str, window: Window) -> tuple[list[Mapping[str, Any]], bool]:
    """Events of one name, newest first, and whether older ones were left out."""
    wanted = {
        "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
        "StartTime": window.started_at,
        "EndTime": window.ended_at,
        "MaxResults": EVENTS_PER_PAGE,
    }
    events: list[Mapping[str, Any]] = []
    for _ in range(PAGES_AT_MOST):
        page = cloudtrail.lookup_events(**wanted)
        if "Events" not in page:
            raise AnswerCut("no Events in it")
        events.extend(page["Events"])
        if not page.get("NextToken"):
            return events, False
        wanted["NextToken"] = page["NextToken"]
    return events, True


def _typed(transitions: Iterable[Transition]) -> Iterator[Transition]:
    """Only a launch tells the type; the machine's other events learn it from there."""
    told = list(transitions)
    types = {each.machine: each.machine_type for each in told if each.machine_type}
    for each in told:
        yield replace(each, machine_type=each.machine_type or types.get(each.machine))


def _before(oldest: datetime, window: Window) -> Window:
    return replace(window, ended_at=min(window.ended_at, max(window.started_at, oldest)))


def _longer(one: Window | None, other: Window) -> Window:
    return other if one is None or one.ended_at < other.ended_at else one


def _cut(name: str, oldest: datetime, scope: Scope) -> Gap:
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what=WHAT,
        why=f"only the newest {PAGES_AT_MOST * EVENTS_PER_PAGE} {name} events (back to "
        f"{oldest:%Y-%m-%d %H:%M} UTC) were read, to spare CloudTrail: earlier starts and stops "
        "are missing until the next patrols have read on",
    )
