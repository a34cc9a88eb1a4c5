"""When machines were started and stopped, from the audit logs of admin activity (400 days)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from policies.facts import Gap, Scope, Transition, Window
from providers.errors import AnswerCut
from providers.gcp.errors import gap_from
from providers.gcp.listing import region_of, tail
from providers.gcp.machines import moment
from providers.gcp.session import GcpSession

WHAT = "start and stop history"
NEEDS = "logging.logEntries.list"
PAGE = 1000
PAGES_AT_MOST = 20
"""Pages of one project a patrol: reading logs has a quota of sixty calls a minute."""
EVENTS = {
    "insert": True,
    "bulkInsert": True,
    "start": True,
    "startWithEncryptionKey": True,
    "resume": True,
    "stop": False,
    "suspend": False,
    "delete": False,
}
"""By the last part of `methodName`, whether metering begins with it."""
SYSTEM_EVENTS = {
    "compute.instances.preempted": False,
    "compute.instances.hostError": False,
    "compute.instances.automaticRestart": True,
    "compute.instances.guestTerminate": False,
    "compute.instances.scheduledTermination": False,
}
"""What nobody asked for, in the log of system events."""

_METHOD = re.compile(r"(?:.*\.)?compute\.instances\.(\w+)$")
_NAME = re.compile(r"projects/([^/]+)/zones/([^/]+)/instances/([^/]+)$")


@dataclass(slots=True)
class ProjectHistory:
    transitions: list[Transition] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    unread: Window | None = None
    """What a gap leaves out, from the beginning of the window on; None: nothing."""


def project_history(
    session: GcpSession,
    project: str,
    regions: Sequence[str],
    window: Window,
    is_watched: Callable[[Transition], bool],
) -> ProjectHistory:
    """Newest first, so that what is left out is the oldest. Raises one of `GCP_ERRORS`."""
    entries, cut = _fetch(session, project, window)
    history = ProjectHistory()
    told = [each for entry in entries if (each := transition_from(entry, project)) is not None]
    typed = _typed(told, _types(entries))
    history.transitions = [each for each in typed if is_watched(each)]
    if cut:
        oldest = min((_at(entry) for entry in entries), default=window.ended_at)
        history.unread = replace(
            window, ended_at=min(window.ended_at, max(window.started_at, oldest))
        )
        history.gaps = [_cut(oldest, project, region) for region in regions]
    return history


def transition_from(entry: Mapping[str, Any], project: str) -> Transition | None:
    """One log entry as a start or an end; None for one that failed, or that is something else.

    An operation has two entries, its first and its last: metering begins or ends with the last.
    """
    payload = entry.get("protoPayload") or {}
    method = str(payload.get("methodName", ""))
    started = SYSTEM_EVENTS.get(method)
    if started is None:
        match = _METHOD.search(method)
        started = EVENTS.get(match[1]) if match else None
    status = payload.get("status") or {}
    operation = entry.get("operation") or {}
    if (
        started is None
        or status.get("code")
        or (operation.get("first") and not operation.get("last"))
    ):
        return None
    labels = (entry.get("resource") or {}).get("labels") or {}
    native = labels.get("instance_id")
    named = _NAME.search(str(payload.get("resourceName", "")))
    zone = labels.get("zone") or (named[2] if named else None)
    at = moment(entry.get("timestamp"))
    if not native or not zone or at is None:
        return None
    return Transition(
        machine=f"gcp:{project}:{region_of(zone)}:{native}",
        at=at,
        started=started,
        event=method.removeprefix("v1.").removeprefix("beta."),
        by=(payload.get("authenticationInfo") or {}).get("principalEmail"),
    )


def gaps_of(error: BaseException, project: str, regions: Sequence[str]) -> list[Gap]:
    return [
        gap_from(error, Scope(provider="gcp", account=project, region=region), WHAT, NEEDS)
        for region in regions
    ]


def _fetch(
    session: GcpSession, project: str, window: Window
) -> tuple[list[Mapping[str, Any]], bool]:
    """Entries, newest first, and whether older ones were left out."""
    body: dict[str, Any] = {
        "resourceNames": [f"projects/{project}"],
        "filter": _filter(project, window),
        "orderBy": "timestamp desc",
        "pageSize": PAGE,
    }
    found: list[Mapping[str, Any]] = []
    for _ in range(PAGES_AT_MOST):
        page = session.post("logging", "/v2/entries:list", body)
        found += page.get("entries", ())
        token = page.get("nextPageToken")
        if not token:
            return found, False
        if token == body.get("pageToken"):
            raise AnswerCut("its pages do not end")
        body["pageToken"] = token
    return found, True


def _filter(project: str, window: Window) -> str:
    logs = " OR ".join(
        f'"projects/{project}/logs/cloudaudit.googleapis.com%2F{name}"'
        for name in ("activity", "system_event")
    )
    return (
        f'resource.type="gce_instance" AND logName=({logs})'
        f' AND timestamp>="{_text(window.started_at)}" AND timestamp<"{_text(window.ended_at)}"'
    )


def _text(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%SZ}"


def _at(entry: Mapping[str, Any]) -> datetime:
    told = moment(str(entry["timestamp"]))
    if told is None:
        raise AnswerCut("an entry without a time")
    return told


def _types(entries: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """By a machine's number, its type, which only the first entry of its launch tells."""
    found: dict[str, str] = {}
    for entry in entries:
        native = ((entry.get("resource") or {}).get("labels") or {}).get("instance_id")
        told = ((entry.get("protoPayload") or {}).get("request") or {}).get("machineType")
        if native and told:
            found[native] = tail(str(told))
    return found


def _typed(transitions: Sequence[Transition], types: Mapping[str, str]) -> list[Transition]:
    """Each once, the oldest first."""
    typed = {
        replace(each, machine_type=types.get(each.machine.rsplit(":", 1)[-1])): None
        for each in transitions
    }
    return sorted(typed, key=lambda each: (each.at, each.machine))


def _cut(oldest: datetime, project: str, region: str) -> Gap:
    return Gap(
        provider="gcp",
        account=project,
        region=region,
        what=WHAT,
        why=f"only the newest {PAGES_AT_MOST * PAGE} log entries (back to"
        f" {oldest:%Y-%m-%d %H:%M} UTC) were read: earlier starts and stops are missing until the"
        " next patrols have read on",
    )
