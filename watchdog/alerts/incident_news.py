"""What one incident has to tell, as a value that knows no channel. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from policies.engine import unmeasured_since
from policies.verdicts import Phase
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.message import label, reasons
from watchdog.alerts.wording import duration, hourly, money
from watchdog.notice import Notice
from watchdog.patrol_report import JudgedMachine

Message = tuple[str, str]
"""Channel and name (`ts`) of a message that can be updated."""


class Stage(StrEnum):
    """How far the incident has come; each stage has its own headline."""

    TOLD = "told"
    WARNED = "warned"
    STOPPING = "stopping"
    REQUESTED = "requested"
    """The cloud took the stop; the machine was not seen stopped yet."""
    STOPPED = "stopped"
    NOT_STOPPED = "not_stopped"
    OVER = "over"


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentNews:
    """One state of one incident's message, and the line that its history gets."""

    key: str
    """Names the incident: buttons carry it."""
    machine: str
    name: str
    stage: Stage
    headline: str
    facts: str
    sentences: tuple[str, ...]
    history: str
    answerable: bool
    """Whether buttons are shown: keep, stop now, not mine."""


class IncidentChannel(Protocol):
    """Shows incidents: one message each, kept up to date."""

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        """Show it. `known`: the incident's messages so far; the channel updates its own."""


def news_of(
    each: JudgedMachine,
    key: str,
    stage: Stage,
    why: str,
    *,
    stop_at: datetime | None = None,
    ordered_by: str | None = None,
) -> IncidentNews:
    """What people should read of this machine now. `ordered_by`: the person who wanted the stop."""
    name = label(each.machine)
    because, evidence = reasons(each.decision)
    unmeasured = each.phase.phase is Phase.UNKNOWN and stage is Stage.TOLD
    return IncidentNews(
        key=key,
        machine=each.machine.id,
        name=name,
        stage=stage,
        headline=_ordered(name, stage, ordered_by)
        or (_unmeasured(name, each) if unmeasured else _headline(name, each, stage, stop_at)),
        facts=_facts(each),
        sentences=(because, *evidence, *_emptied(each, stage)),
        history=f"{_HISTORY[stage]}: {why}{f', by order of {ordered_by}' if ordered_by else ''}",
        answerable=stage in {Stage.TOLD, Stage.WARNED},
    )


def news_of_gone(machine: str, key: str, why: str) -> IncidentNews:
    """The end of an incident whose machine is listed no more: its id is all that is left."""
    return IncidentNews(
        key=key,
        machine=machine,
        name=machine.rsplit(":", 1)[-1],
        stage=Stage.OVER,
        headline=f"{machine.rsplit(':', 1)[-1]}: nothing to do any more",
        facts=machine,
        sentences=(why,),
        history=f"{_HISTORY[Stage.OVER]}: {why}",
        answerable=False,
    )


def news_of_notice(notice: Notice) -> IncidentNews:
    """A message of its own, which nobody has to answer."""
    machine = notice.machine
    facts = (
        "" if machine is None else f"{machine.machine_type}, {machine.provider} {machine.region}"
    )
    return IncidentNews(
        key=notice.key,
        machine=notice.subject,
        name=notice.name,
        stage=Stage.TOLD,
        headline=f"{notice.name}: {notice.kind}",
        facts=facts or f"of the policy: {notice.kind}",
        sentences=(notice.text,),
        history=f"told: {notice.text}",
        answerable=False,
    )


_HISTORY = {
    Stage.TOLD: "told",
    Stage.WARNED: "warned",
    Stage.STOPPING: "stopping it now",
    Stage.REQUESTED: "asked to stop",
    Stage.STOPPED: "stopped",
    Stage.NOT_STOPPED: "not stopped",
    Stage.OVER: "over",
}


def _emptied(each: JudgedMachine, stage: Stage) -> tuple[str, ...]:
    """What the stop empties besides, while there is time to save it."""
    empties = each.machine.stop_terms.empties
    if stage is not Stage.WARNED or not empties:
        return ()
    return (f"A stop empties {' and '.join(empties)}.",)


def _ordered(name: str, stage: Stage, by: str | None) -> str | None:
    """A stop that a person ordered says nothing of work."""
    if by is None or stage not in {Stage.STOPPED, Stage.REQUESTED}:
        return None
    verb = "was" if stage is Stage.STOPPED else "is being"
    return f"{name} {verb} stopped by order of {by}; its disks are kept"


def _headline(name: str, each: JudgedMachine, stage: Stage, stop_at: datetime | None) -> str:
    idle, phase = duration(each.idle_minutes), each.phase.phase
    told = {
        Stage.STOPPING: f"{name} is being stopped",
        Stage.REQUESTED: f"{name} is being stopped after {idle} without work; its disks are kept",
        Stage.STOPPED: f"{name} was stopped after {idle} without work; its disks are kept",
        Stage.NOT_STOPPED: f"{name} could not be stopped",
        Stage.OVER: f"{name}: nothing to do any more",
    }
    if stage in told:
        return told[stage]
    if phase is Phase.UNKNOWN:
        return f"{name} runs, and nobody measures whether it is used"
    quiet = f"{name} is {phase.value} for {idle}"
    if stop_at is None:
        return quiet
    return f"{quiet} and will be stopped at {stop_at:%Y-%m-%d %H:%M} UTC"


def _unmeasured(name: str, each: JudgedMachine) -> str:
    """`trainer is unmeasured for 1 d at $98.32/h`; how long is left out where nobody knows."""
    since = unmeasured_since(each.machine, each.phase)
    now = each.maturity.as_of
    lasts = "" if since is None else f" for {duration((now - since).total_seconds() / 60)}"
    return f"{name} is unmeasured{lasts} at {hourly(each.machine.price.hourly_usd)}"


def _facts(each: JudgedMachine) -> str:
    machine = each.machine
    bill = None
    if machine.price.hourly_usd is not None and each.idle_minutes is not None:
        bill = machine.price.hourly_usd * int(each.idle_minutes) / 60
    parts = [
        f"{machine.gpus or '?'} × {machine.gpu_model or 'unknown accelerator'}",
        machine.machine_type,
        f"{machine.provider} {machine.region}",
        hourly(machine.price.hourly_usd),
        f"{money(bill)} so far" if bill is not None else "",
        f"workload {each.attribution.workload or 'unknown'}",
        f"owner {each.attribution.owner or 'unknown'}",
    ]
    return ", ".join(part for part in parts if part)
