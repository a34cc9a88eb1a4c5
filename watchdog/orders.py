"""A person orders a stop, by command or by button: the same vetoes, claim and outcome as a patrol.

The order stands in for the warning, its grace, the policy's patience and the limits of one patrol.
Every other veto holds unless it is overridden by its name, and then it stands in the audit trail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from policies.facts import Gap, Machine
from policies.ladder import EventKind
from policies.verdicts import QUIET, Phase, Result, Veto
from policies.vetoes import NAMES, can_be_overridden, stale, vetoes_of
from watchdog import rows
from watchdog.actions import GONE_STATES, Acting, Actor
from watchdog.judging_now import Sighting, judged_now
from watchdog.keeps import keeps_of
from watchdog.ledger.incidents import IncidentLog, Kept
from watchdog.patrol_report import JudgedMachine

if TYPE_CHECKING:
    from watchdog.patrol import Parts

REFUSED = "stop_refused"
"""The event that a person's order was not carried out."""
BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


class UnknownVetoError(Exception):
    """A veto was named that does not exist."""

    exit_code = 2


def refuse_unknown_vetoes(names: Sequence[str]) -> None:
    for name in names:
        if name not in NAMES:
            close = get_close_matches(name, sorted(NAMES), n=1)
            hint = f"did you mean {close[0]}?" if close else f"there are {', '.join(sorted(NAMES))}"
            raise UnknownVetoError(f"--override {name}: there is no such veto; {hint}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    machine: str
    """Its id."""
    by: str
    """Who gives it."""
    via: str
    """`command` or `slack`."""
    override: frozenset[str] = frozenset()
    """Names of vetoes that shall not hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What became of an order."""

    order: Order
    result: Result
    why: str
    vetoes: tuple[Veto, ...] = ()
    """Those that stand against it, overridden ones left out."""
    final: tuple[Veto, ...] = ()
    """Those among them that nobody can override."""
    overridden: tuple[Veto, ...] = ()
    shown: bool = False
    """Whether it was carried out as far as the cloud, and the incident's message says how."""

    @property
    def done(self) -> bool:
        return self.result in {Result.STOPPED, Result.REQUESTED}


Confirm = Callable[[JudgedMachine, Sequence[Veto]], bool]
"""Whether the person still wants it, shown the machine and the vetoes that are overridden."""


@dataclass(slots=True, kw_only=True)
class OrderActor(Actor):
    """Carries out one order. It raises only where the ledger cannot be written."""

    order: Order
    company: Sequence[JudgedMachine] = ()
    overridden: tuple[Veto, ...] = field(default=())

    def carry_out(self, each: JudgedMachine, confirm: Confirm | None) -> Ordered:
        self._keeps = keeps_of(self.ledger)
        refusal = self._refusal(each)
        if refusal is None and confirm is not None:
            if not confirm(each, self.overridden):
                return self._told(Result.REFUSED, "it was not confirmed: nothing was done")
            refusal = self._refusal(each)  # time has passed
        if refusal is not None:
            return refusal
        log = IncidentLog(self.ledger)
        kept = self._incident(log, each)
        if isinstance(kept, str):
            return self._told(Result.OVERTAKEN, kept)
        self._carried_out(log, each, kept, **self._detail())
        self._mirror(self._touched)
        (outcome,) = self.outcomes
        shown = outcome.result is not Result.OVERTAKEN
        return replace(self._told(outcome.result, outcome.why), shown=shown)

    def _refusal(self, each: JudgedMachine) -> Ordered | None:
        """The fresh look, and what it finds against the order; None: nothing."""
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            return self._told(Result.FAILED, f"it could not be looked at: {looked.why}")
        if looked is None:
            return self._told(Result.GONE, "it does not exist any more")
        seen = looked.machine
        if not seen.running:
            return self._told(*_not_running(seen))
        if seen.boot != each.machine.boot:
            return self._told(Result.OVERTAKEN, "it was started again this moment: ask again")
        look = self._look(each, looked)
        against = (*vetoes_of(look), *self._measured_long_ago(each), *_of_company(self.company))
        may = {each.name for each in against if can_be_overridden(each, look.machine)}
        named = self.order.override & may
        self.overridden = tuple(each for each in against if each.name in named)
        standing = tuple(each for each in against if each.name not in named)
        if not standing:
            return None
        return Ordered(
            order=self.order,
            result=Result.VETOED,
            why="; ".join(f"{each.name}: {each.why}" for each in standing),
            vetoes=standing,
            final=tuple(each for each in standing if each.name not in may),
            overridden=self.overridden,
        )

    def _measured_long_ago(self, each: JudgedMachine) -> Iterator[Veto]:
        if each.phase.phase is Phase.UNKNOWN:
            return  # told as `uncertain`
        period = each.phase.period
        why = stale(each.phase, warned_at=BEGINNING, now=self._moment, period=period)
        if why is not None:
            yield Veto(name="stale", why=why)

    def _incident(self, log: IncidentLog, each: JudgedMachine) -> Kept | str:
        """The open incident of this boot, else a new one; a sentence: somebody else acts on it."""
        known = [one for one in log.of(each.machine.id) if one.incident.boot == each.machine.boot]
        kept: Kept | None = known[-1] if known and known[-1].incident.open else None
        if kept is not None and kept.incident.intended_at is not None:
            by = kept.incident.intended_by
            if self._moment - kept.incident.intended_at < self.acting.claim_lasts:
                return f"{by} is stopping it"
            why = f"{by} ended before it was stopped"
            kept = self._write(log, kept, EventKind.STOP_FAILED, why=why)
        elif kept is None:
            since = each.phase.quiet_since or each.machine.started_at or self.now
            kept = log.open(each.machine, since, self.order.by, self._moment)
            kept = kept or log.open(each.machine, self.now, self.order.by, self._moment)
        return kept or "somebody else is acting on it this moment: look again"

    def _detail(self) -> dict[str, str]:
        told = {"ordered": self.order.via}
        if self.overridden:
            told["overridden"] = "; ".join(f"{each.name}: {each.why}" for each in self.overridden)
        return told

    def _told(self, result: Result, why: str) -> Ordered:
        return Ordered(order=self.order, result=result, why=why, overridden=self.overridden)


def _not_running(seen: Machine) -> tuple[Result, str]:
    if seen.state in GONE_STATES:
        return Result.STOPPED, f"it is {seen.state.value} already"
    return Result.FAILED, f"it is {seen.state.value}"


def _of_company(company: Sequence[JudgedMachine]) -> Iterator[Veto]:
    """One veto for all machines of its group that are at work, or that nobody measures."""
    busy = [each for each in company if each.phase.phase not in QUIET]
    if busy:
        first = busy[0].machine
        more = f" and {len(busy) - 1} more" if len(busy) > 1 else ""
        phase = busy[0].phase.phase
        state = "unmeasured" if phase is Phase.UNKNOWN else phase.value
        why = f"{first.name or first.native_id}{more} of its group: {state}"
        yield Veto(name="group", why=why)


def carried_out(
    parts: Parts,
    acting: Acting,
    order: Order,
    *,
    now: datetime,
    confirm: Confirm | None = None,
) -> Ordered:
    """Look at the machine now, and stop it where nothing stands against it.

    What was refused is an event, too. `confirm` None: nobody is asked again.
    """
    sighting = judged_now(parts, order.machine, now=now)
    done = _carried_out(parts, acting, order, sighting, now, confirm)
    if not done.done:
        parts.ledger.append("events", [_refused_row(done, sighting, now)])
    return done


def _carried_out(
    parts: Parts,
    acting: Acting,
    order: Order,
    sighting: Sighting,
    now: datetime,
    confirm: Confirm | None,
) -> Ordered:
    each = sighting.machine
    if each is None:
        if sighting.gaps:
            why = f"it could not be seen: {sighting.gaps[0].why}"
            return Ordered(order=order, result=Result.FAILED, why=why)
        return Ordered(order=order, result=Result.GONE, why="it does not exist any more")
    if not each.machine.running:
        result, why = _not_running(each.machine)
        return Ordered(order=order, result=result, why=why)
    actor = OrderActor(
        acting=acting,
        ledger=parts.ledger,
        providers=parts.providers,
        limits=parts.policy.limits,
        patrol_id=order.by,
        now=now,
        order=order,
        company=sighting.company,
    )
    return actor.carry_out(each, confirm)


def _refused_row(done: Ordered, sighting: Sighting, now: datetime) -> dict[str, object]:
    detail = {
        "by": done.order.by,
        "ordered": done.order.via,
        "result": done.result.value,
        "why": done.why,
        "overridden": [each.name for each in done.overridden],
    }
    seen = sighting.machine
    row = rows.event_row(
        subject=f"{done.order.machine}/order",
        n=f"{now:%Y%m%dT%H%M%S.%fZ}",
        at=now,
        kind=REFUSED,
        machine=None if seen is None else seen.machine,
        detail=detail,
        observed_at=now,
    )
    return {**row, "machine": done.order.machine}


def ordered_json(done: Ordered, now: datetime) -> dict[str, object]:
    """One order, as scripts read it."""
    final = {each.name for each in done.final}
    return {
        "schema": "spend-watchdog/stop/1",
        "at": f"{now:%Y-%m-%dT%H:%M:%SZ}",
        "machine": done.order.machine,
        "by": done.order.by,
        "result": done.result.value,
        "why": done.why,
        "vetoes": [
            {"name": each.name, "why": each.why, "can_be_overridden": each.name not in final}
            for each in done.vetoes
        ],
        "overridden": [{"name": each.name, "why": each.why} for each in done.overridden],
    }
