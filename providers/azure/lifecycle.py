"""When machines were started and deallocated, from the Activity Log (90 days, free).

A VM that is powered off is billed on, so only deallocating it, or deleting it, ends its meter.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from policies.facts import Gap, Machine, Scope, Transition, Window
from providers.azure.errors import AZURE_ERRORS, gap_from
from providers.azure.machines import moment_of, resource_id_of
from providers.azure.session import AzureSession
from providers.base import Seen, Unread

WHAT = "start and stop history"
NEEDS = "Microsoft.Insights/eventtypes/values/read"
PATH = "/subscriptions/{}/providers/Microsoft.Insights/eventtypes/management/values"
VERSION = "2015-04-01"
COLUMNS = "eventTimestamp,resourceId,operationName,status,subStatus,caller"
PAGES_AT_MOST = 20
RETENTION = timedelta(days=89)
"""The log goes back 90 days, and refuses a question that reaches beyond."""
SUCCEEDED = "succeeded"
CREATED = "created"
_VM = "microsoft.compute/virtualmachines/"
_MEMBER = "microsoft.compute/virtualmachinescalesets/virtualmachines/"
EVENTS = {
    f"{kind}{action}": started
    for kind in (_VM, _MEMBER)
    for action, started in (
        ("start/action", True),
        ("write", True),
        ("deallocate/action", False),
        ("delete", False),
        ("delete/action", False),
    )
}
"""By operation, whether metering begins with it; a write that changed a VM does neither."""

Raw = Mapping[str, Any]


@dataclass(slots=True)
class SubscriptionHistory:
    events: list[Raw] = field(default_factory=list)
    gap: Gap | None = None
    unread: Window | None = None
    """What a gap leaves out, from the beginning of the window on; None: nothing."""


def read_history(
    session: AzureSession, machines: Sequence[Machine], window: Window, now: datetime
) -> Seen[Transition]:
    """One listing a subscription. Of machines that are gone nobody can tell which they were."""
    by_path = {resource_id_of(machine).lower(): machine for machine in machines}
    regions: dict[str, set[str]] = defaultdict(set)
    for machine in machines:
        regions[machine.account].add(machine.region)
    answers = session.side_by_side(
        sorted(regions), lambda subscription: history_of(session, subscription, window, now)
    )
    transitions: list[Transition] = []
    gaps: list[Gap] = []
    unread: list[Unread] = []
    for subscription, answer in answers.items():
        scopes = [
            Scope(provider="azure", account=subscription, region=region)
            for region in sorted(regions[subscription])
        ]
        if isinstance(answer, Exception):
            gaps += [gap_from(answer, scope, WHAT, NEEDS) for scope in scopes]
            continue
        transitions += [
            transition
            for event in answer.events
            if (transition := transition_from(event, by_path)) is not None
        ]
        if answer.gap is not None and answer.unread is not None:
            gaps += [replace(answer.gap, region=scope.region) for scope in scopes]
            unread += [Unread(scope=scope, window=answer.unread) for scope in scopes]
    return Seen(values=tuple(transitions), gaps=tuple(gaps), unread=tuple(unread))


def transition_from(event: Raw, by_path: Mapping[str, Machine]) -> Transition | None:
    """None for an event that changed no meter, or that of a VM which had this name before."""
    operation = _value(event, "operationName")
    if _value(event, "status") != SUCCEEDED or operation not in EVENTS:
        return None
    if operation.endswith("/write") and _value(event, "subStatus") != CREATED:
        return None
    machine = by_path.get(str(event.get("resourceId") or "").lower())
    at = moment_of(event["eventTimestamp"])
    if machine is None or at is None:
        return None
    if machine.first_launched_at is not None and at < machine.first_launched_at:
        return None
    return Transition(
        machine=machine.id,
        at=at,
        started=EVENTS[operation],
        event=operation.removeprefix("microsoft.compute/"),
        by=event.get("caller"),
        machine_type=machine.machine_type,
    )


def history_of(
    session: AzureSession, subscription: str, window: Window, now: datetime
) -> SubscriptionHistory:
    """Raises one of `AZURE_ERRORS` where nothing could be read."""
    begin = max(window.started_at, now - RETENTION)
    asked = {
        "api-version": VERSION,
        "$filter": f"eventTimestamp ge '{_text(begin)}' and eventTimestamp le"
        f" '{_text(window.ended_at)}' and resourceProvider eq 'Microsoft.Compute'",
        "$select": COLUMNS,
    }
    history = SubscriptionHistory()
    scope = Scope(provider="azure", account=subscription, region=None)
    try:
        for page in session.pages(PATH.format(subscription), asked, most=PAGES_AT_MOST):
            history.events += page["value"]
    except AZURE_ERRORS as error:
        if not history.events:
            raise
        history.gap = gap_from(error, scope, WHAT, NEEDS)
        oldest = min(moment_of(each["eventTimestamp"]) or begin for each in history.events)
        history.unread = replace(window, ended_at=min(window.ended_at, max(begin, oldest)))
    return history


def _value(event: Raw, name: str) -> str:
    told = event.get(name)
    return str(told.get("value") if isinstance(told, Mapping) else told).lower()


def _text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"
