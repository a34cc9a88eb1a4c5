"""An incident as a fold over its events, and what comes next. Pure; it acts on nothing.

One incident is one pause of one boot of a machine: opened → warned → stop intended → stopped, or
closed because somebody came back. What was written is never changed: an event says what happened.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

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
NO_DETAIL: Mapping[str, str] = {}


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
    for event in events:
        incident = replace(_after(incident, event), n=event.n + 1)
    return incident


def _after(incident: Incident, event: IncidentEvent) -> Incident:
    detail = event.detail
    if event.kind is EventKind.TELLING:
        return replace(incident, telling_at=event.at, telling_by=event.by)
    incident = replace(incident, telling_at=None, telling_by=None)
    if event.kind in {EventKind.NOTIFIED, EventKind.WARNED}:
        incident = replace(
            incident,
            notified_at=event.at,
            told=incident.told + 1,
            messages=_messages(incident, detail),
        )
    if event.kind is EventKind.WARNED and "stop_at" in detail:
        return replace(
            incident, warned_at=event.at, stop_at=datetime.fromisoformat(detail["stop_at"])
        )
    if event.kind is EventKind.STOP_INTENDED:
        return replace(incident, intended_at=event.at, intended_by=event.by)
    if event.kind is EventKind.STOP_FAILED:
        return replace(incident, intended_at=None, intended_by=None)
    if event.kind in ENDS:
        return replace(incident, intended_at=None, intended_by=None, ended=event.kind)
    return incident


def _messages(incident: Incident, detail: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    if "channel" not in detail or "ts" not in detail:
        return incident.messages
    message = (detail["channel"], detail["ts"])
    return incident.messages if message in incident.messages else (*incident.messages, message)


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
