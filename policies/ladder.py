"""An incident as a fold over its events, and what comes next. Pure; it acts on nothing.

One incident is one pause of one boot of a machine: opened → warned → stop intended → stopped, or
closed because somebody came back. What was written is never changed: an event says what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from policies.verdicts import QUIET, Decision, Phase, PhaseNow, Wanted

WARNING_LASTS = timedelta(hours=24)
"""Who was warned longer ago, and was then not stopped, is warned again."""
TOLD_AGAIN = timedelta(hours=24)
"""What is only told is told once a day, with the bill so far."""


class EventKind(StrEnum):
    OPENED = "opened"
    TELLING = "telling"
    """The claim to tell people, written before a message is sent."""
    UNDELIVERED = "undelivered"
    """Nobody could be told; the next patrol tries again."""
    NOTIFIED = "notified"
    WARNED = "warned"
    """A warning was delivered; `stop_at` stands in it where it announces a stop."""
    STOP_INTENDED = "stop_intended"
    """The claim, written before the stop call."""
    STOP_FAILED = "stop_failed"
    """Refused or failed; the next patrol tries again."""
    STOPPED = "stopped"
    """The machine was seen stopped, or on its way there."""
    CLOSED = "closed"


ENDS = frozenset({EventKind.STOPPED, EventKind.CLOSED})
TOLD = frozenset({EventKind.NOTIFIED, EventKind.WARNED})
NO_DETAIL: Mapping[str, str] = MappingProxyType({})
NOT_TELLING: Mapping[str, Any] = MappingProxyType({"telling_at": None, "telling_by": None})
NEITHER: Mapping[str, Any] = MappingProxyType(
    {**NOT_TELLING, "intended_at": None, "intended_by": None}
)
"""Nobody is telling people, and nobody is stopping it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentEvent:
    n: int
    at: datetime
    kind: EventKind
    by: str
    """The patrol, or the person."""
    detail: Mapping[str, str] = field(default_factory=lambda: NO_DETAIL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Incident:
    """What has happened so far. `n`: how many events there are."""

    machine: str
    boot: str
    opened_at: datetime
    n: int = 0
    notified_at: datetime | None = None
    """When people were told last, by a notification or a warning."""
    told: int = 0
    """How often they were."""
    warned_at: datetime | None = None
    """When the newest warning that announces a stop was delivered."""
    stop_at: datetime | None = None
    """The moment that it announced."""
    intended_at: datetime | None = None
    """When a stop was claimed whose outcome nobody wrote yet."""
    intended_by: str | None = None
    telling_at: datetime | None = None
    """When somebody began to tell people and did not write yet how that ended."""
    telling_by: str | None = None
    messages: tuple[tuple[str, str], ...] = ()
    """Channel and name of each message that can be updated."""
    ended: EventKind | None = None

    @property
    def open(self) -> bool:
        return self.ended is None


def fold(incident: Incident, events: Iterable[IncidentEvent]) -> Incident:
    """The incident after these events, which follow those that it knows."""
    told: dict[str, Any] = {}
    messages, n, times = dict.fromkeys(incident.messages), incident.n, incident.told
    for event in events:
        n = event.n + 1
        told |= _told_by(event)
        times += event.kind in TOLD
        if event.kind in TOLD and "channel" in event.detail and "ts" in event.detail:
            messages[event.detail["channel"], event.detail["ts"]] = None
    return replace(incident, **told, messages=tuple(messages), n=n, told=times)


def _told_by(event: IncidentEvent) -> Mapping[str, Any]:
    """What is another than before. Whatever happens, it ends the telling of people."""
    kind, at = event.kind, event.at
    if kind is EventKind.TELLING:
        return {"telling_at": at, "telling_by": event.by}
    if kind is EventKind.WARNED and "stop_at" in event.detail:
        stop_at = datetime.fromisoformat(event.detail["stop_at"])
        return {**NOT_TELLING, "notified_at": at, "warned_at": at, "stop_at": stop_at}
    if kind in TOLD:
        return {**NOT_TELLING, "notified_at": at}
    if kind is EventKind.STOP_INTENDED:
        return {**NOT_TELLING, "intended_at": at, "intended_by": event.by}
    if kind is EventKind.STOP_FAILED:
        return NEITHER
    return {**NEITHER, "ended": kind} if kind in ENDS else NOT_TELLING


class Move(StrEnum):
    """What is to be done about an incident now."""

    NOTHING = "nothing"
    NOTIFY = "notify"
    WARN = "warn"
    STOP = "stop"
    LOOK = "look"
    """A stop was claimed and nobody wrote what became of it: see how the machine is."""
    CLOSE = "close"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    move: Move
    why: str
    stop_at: datetime | None = None
    """What a warning announces; None: it announces no stop."""


def next_step(
    incident: Incident | None,
    decision: Decision,
    phase: PhaseNow,
    *,
    kept_until: datetime | None,
    claim_lasts: timedelta,
    now: datetime,
) -> Step:
    """What comes next for one machine, were it alone.

    `kept_until`: the newest keep, past ones too: who kept a machine is warned anew afterwards.
    `claim_lasts`: how long a claim without an outcome belongs to the patrol that made it.
    """
    if incident is not None and not incident.open:
        incident = None
    if incident is not None and incident.intended_at is not None:
        return _claimed(incident, now - incident.intended_at < claim_lasts)
    telling = None if incident is None else incident.telling_at
    if incident is not None and telling is not None and now - telling < claim_lasts:
        return Step(move=Move.NOTHING, why=f"{incident.telling_by} is telling people")
    return _unclaimed(incident, decision, phase, kept_until, now)


def _unclaimed(
    incident: Incident | None,
    decision: Decision,
    phase: PhaseNow,
    kept_until: datetime | None,
    now: datetime,
) -> Step:
    if phase.phase is Phase.UNKNOWN:
        if decision.findings:
            return _told(incident, decision, now)
        return Step(move=Move.NOTHING, why="it is unmeasured")
    if phase.phase not in QUIET or decision.wanted in {Wanted.LEAVE, Wanted.UNKNOWN}:
        why = f"it is {phase.phase.value}" if phase.phase not in QUIET else "it is left alone"
        return Step(move=Move.NOTHING if incident is None else Move.CLOSE, why=why)
    if decision.wanted is Wanted.NOTIFY or decision.vetoes:
        return _told(incident, decision, now)
    if decision.wanted is Wanted.WARN:
        return _warned_only(incident, now)
    return _towards_stop(incident, decision, kept_until, now)


def _claimed(incident: Incident, fresh: bool) -> Step:  # noqa: FBT001 - private
    if fresh:
        return Step(move=Move.NOTHING, why=f"{incident.intended_by} is stopping it")
    return Step(move=Move.LOOK, why=f"{incident.intended_by} did not say how its stop ended")


def _told(incident: Incident | None, decision: Decision, now: datetime) -> Step:
    why = decision.vetoes[0].why if decision.vetoes else "a person decides"
    told = None if incident is None else incident.notified_at
    if told is not None and now - told < TOLD_AGAIN:
        return Step(move=Move.NOTHING, why=f"told at {told:%H:%M} UTC: {why}")
    if incident is not None and incident.told:
        why = f"told for the {incident.told + 1}. time: {why}"
    return Step(move=Move.NOTIFY, why=why)


def _warned_only(incident: Incident | None, now: datetime) -> Step:
    told = None if incident is None else incident.notified_at
    if told is not None and now - told < TOLD_AGAIN:
        return Step(move=Move.NOTHING, why=f"warned at {told:%H:%M} UTC; the rule goes no further")
    return Step(move=Move.WARN, why="the rule warns and goes no further")


def _towards_stop(
    incident: Incident | None, decision: Decision, kept_until: datetime | None, now: datetime
) -> Step:
    warned = None if incident is None else incident.warned_at
    announced = None if incident is None else incident.stop_at
    if warned is None or announced is None:
        return Step(move=Move.WARN, why="nobody was warned yet", stop_at=now + decision.grace)
    if kept_until is not None and warned < kept_until:
        why = f"it was kept until {kept_until:%Y-%m-%d %H:%M} UTC"
        return Step(move=Move.WARN, why=why, stop_at=now + decision.grace)
    if now - warned > WARNING_LASTS + decision.grace:
        why = f"the warning of {warned:%Y-%m-%d %H:%M} UTC is too old"
        return Step(move=Move.WARN, why=why, stop_at=now + decision.grace)
    due = max(announced, warned + decision.grace)
    if now < due:
        return Step(move=Move.NOTHING, why=f"warned; it is stopped from {due:%H:%M} UTC on")
    return Step(move=Move.STOP, why=f"warned at {warned:%H:%M} UTC, and nobody objected")
