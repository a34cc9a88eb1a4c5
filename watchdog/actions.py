"""Acting on incidents: tell, warn, look again, claim, stop, look whether it worked.

Each step is written before it is taken, and its outcome after it, as events of the incident. So a
patrol that is killed anywhere leaves behind what the next one needs to go on.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.engine import unmeasured_since
from policies.facts import Gap, Machine, MachineState
from policies.grids import cpu_measured, host_activity
from policies.ladder import ENDS, EventKind, Move, Step, next_step
from policies.rules import Limits
from policies.verdicts import Decision, Outcome, Phase, Result, Veto, Wanted
from policies.vetoes import Look, stale, vetoes_of
from providers.base import Inventory, Looked, StopAnswer, Stops
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import (
    IncidentChannel,
    IncidentNews,
    Message,
    Stage,
    news_of,
    news_of_gone,
    news_of_notice,
)
from watchdog.alerts.message import dearest_first
from watchdog.keeps import Keep, keep_of, keeps_of
from watchdog.ledger.incidents import IncidentLog, Kept, event_rows
from watchdog.notice import Notice, claimed
from watchdog.patrol_report import JudgedMachine
from watchdog.stop_limits import StopBudget, hourly_usd

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

CLAIM_LASTS = timedelta(minutes=9)
"""So long a claim without an outcome belongs to its patrol: two patrols of five minutes, less the
time that the second needs to get to it."""
CALL_WITHIN = timedelta(minutes=2)
"""From the fresh look to the call that stops, and from the claim to it: a patrol that was held up
for longer, by a slow channel or a sleeping host, knows too little to stop anything."""
UNMEASURED_TOLD_AFTER = timedelta(minutes=30)
"""A machine that starts is unmeasured until its first metrics come, and nobody is told of that."""
GONE_STATES = frozenset({MachineState.STOPPED, MachineState.STOPPING})
DONE = frozenset({Result.STOPPED, Result.REQUESTED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What a patrol needs to act; without it, it observes."""

    channels: Sequence[IncidentChannel]
    claim_lasts: timedelta = CLAIM_LASTS
    call_within: timedelta = CALL_WITHIN


@dataclass(slots=True, kw_only=True)
class Actor:
    """One pass over the judged machines. It raises only where the ledger cannot be written."""

    acting: Acting
    ledger: Ledger
    providers: Sequence[Inventory]
    limits: Limits
    patrol_id: str
    """Who acts: a patrol, or whoever gave an order."""
    now: datetime
    seen: Callable[[str], bool] = lambda _: False
    """Whether a machine of this id would have been listed, were it still there."""
    outcomes: list[Outcome] = field(default_factory=list)
    gaps: dict[Gap, None] = field(default_factory=dict)
    vetoes: dict[str, tuple[Veto, ...]] = field(default_factory=dict)
    """By machine, what was found against its stop while acting."""
    waits: dict[str, str] = field(default_factory=dict)
    """By machine, why nothing was due."""
    _began: float = field(default_factory=time.monotonic)
    _touched: dict[str, Kept] = field(default_factory=dict)
    _keeps: Mapping[str, Keep] = field(default_factory=dict)

    def act(self, judged: Sequence[JudgedMachine]) -> None:
        log = IncidentLog(self.ledger)
        self._keeps = keeps_of(self.ledger)
        known = self._open(log)
        self._gone(log, known, {each.machine.id for each in judged})
        plans: list[_Plan] = []
        for each in sorted(judged, key=lambda one: dearest_first(one.machine)):
            if each.machine.id in log.broken:
                continue
            kept = self._settled(log, each, known.get(each.machine.id))
            if each.machine.running:
                plans += self._planned(log, each, kept)
        due = self._taken(log, self._looked_at(plans))
        self._stop_due(log, due, [each for each in judged if each.machine.running])
        self._mirror(self._touched)

    def _open(self, log: IncidentLog) -> dict[str, Kept]:
        """By machine, its one open incident. What earlier patrols did not mirror, this one does."""
        mirrored = self.ledger.rows("incidents_mirrored")
        ended = {
            str(row["subject"]): int(str(row["n"])) + 1 for row in mirrored if row["kind"] in ENDS
        }
        known: dict[str, Kept] = {}
        for machine, found in log.unended(ended).items():
            self._touched |= {kept.key: kept for kept in found}
            alive = sorted((one for one in found if one.incident.open), key=_progress)
            for other in alive[:-1]:
                self._write(log, other, EventKind.CLOSED, why="another incident has this pause")
            if alive:
                known[machine] = alive[-1]
        for machine, why in log.broken.items():
            provider = machine.partition(":")[0]
            told = f"left alone: {why}"
            self.gaps[Gap(provider=provider, what="incident", why=told, resource=machine)] = None
        return known

    def _gone(self, log: IncidentLog, known: Mapping[str, Kept], judged: Collection[str]) -> None:
        """Incidents of machines that are listed no more, though their place was."""
        for machine, kept in known.items():
            if machine in judged or machine in log.broken or not self.seen(machine):
                continue
            why = "it does not exist any more"
            closed = self._write(log, kept, EventKind.CLOSED, why=why)
            if closed is None:
                continue
            if kept.incident.intended_at is not None:
                outcome = Outcome(machine=machine, action="stop", result=Result.GONE, why=why)
                self.outcomes.append(outcome)
            if kept.incident.notified_at is not None:
                self._said(news_of_gone(machine, kept.key, why), closed.incident.messages)

    def tell_notices(self, notices: Sequence[Notice]) -> tuple[Notice, ...]:
        """Those that it was this patrol's turn to tell, with what became of each."""
        mine = claimed(self.ledger, notices, self.patrol_id, now=self.now)
        return tuple(replace(each, result=self._delivered(each)) for each in mine)

    def _delivered(self, notice: Notice) -> Result:
        delivery = self._said(news_of_notice(notice), ())
        return Result.DELIVERED if delivery.delivered else Result.FAILED

    @property
    def _moment(self) -> datetime:
        """The patrol's own time, as it passes: a warning counts from when it arrived."""
        return self.now + timedelta(seconds=time.monotonic() - self._began)

    def _write(
        self, log: IncidentLog, kept: Kept | None, kind: EventKind, **detail: str
    ) -> Kept | None:
        """The incident with one more event; None: another patrol was faster, and goes on."""
        written = None
        if kept is not None:
            written = log.write(kept, kind, self.patrol_id, self._moment, detail)
        if written is not None:
            self._touched[written.key] = written
        return written

    def _outcome(self, each: JudgedMachine, action: str, result: Result, why: str) -> None:
        outcome = Outcome(machine=each.machine.id, action=action, result=result, why=why)
        self.outcomes.append(outcome)

    def _settled(self, log: IncidentLog, each: JudgedMachine, kept: Kept | None) -> Kept | None:
        """The open incident of this pause; None: there is none, or it is over now."""
        if kept is None or not kept.incident.open:
            return None
        incident, machine = kept.incident, each.machine
        claimed = incident.intended_at is not None
        if incident.boot != machine.boot:
            self._over(log, each, kept, "it was started again")
            if claimed:
                self._outcome(each, "stop", Result.OVERTAKEN, "it was started again")
            return None
        if machine.state in GONE_STATES:
            if not claimed:
                self._over(log, each, kept, f"it is {machine.state.value}; nobody here did it")
            elif self._moment - (incident.intended_at or self.now) >= self.acting.claim_lasts:
                self._seen_stopped(log, each, kept)
            return None
        if not machine.running:
            self._over(log, each, kept, f"it is {machine.state.value}")
            return None
        since, told = each.phase.quiet_since, incident.notified_at or incident.opened_at
        if since is not None and since > told and not claimed:
            self._over(log, each, kept, f"it worked until {since:%H:%M} UTC")
            return None
        return kept

    def _over(self, log: IncidentLog, each: JudgedMachine, kept: Kept, why: str) -> None:
        closed = self._write(log, kept, EventKind.CLOSED, why=why)
        if closed is not None and kept.incident.notified_at is not None:
            self._show(each, closed, Stage.OVER, why)

    def _seen_stopped(self, log: IncidentLog, each: JudgedMachine, kept: Kept) -> None:
        """A patrol that claimed it was killed before it wrote what became of it."""
        why = f"seen {each.machine.state.value}; {kept.incident.intended_by} did not say so"
        stopped = self._write(log, kept, EventKind.STOPPED, why=why)
        if stopped is not None:
            self._outcome(each, "stop", Result.STOPPED, why)
            self._show(each, stopped, Stage.STOPPED, why)

    def _planned(self, log: IncidentLog, each: JudgedMachine, kept: Kept | None) -> Iterator[_Plan]:
        """What is to be done about it, once it is known what became of an earlier claim."""
        step = self._step(each, kept, each.decision)
        if step.move is Move.LOOK and kept is not None:
            kept = self._looked(log, each, kept)
            if kept is None:
                return
            step = self._step(each, kept, each.decision)
        yield _Plan(each=each, kept=kept, step=step)

    def _looked_at(self, plans: Sequence[_Plan]) -> Iterator[_Plan]:
        """Nobody is warned of a stop that cannot be: what a machine itself forbids is found out
        before, and one of a group that may not be stopped keeps the others.
        """
        found: dict[str, Decision | None] = {}
        against: dict[str, tuple[Machine, Veto]] = {}
        for plan in plans:
            if not plan.announces_a_stop:
                continue
            machine = plan.each.machine
            decision = self._looked_before_warning(plan.each)
            found[machine.id] = decision
            if decision is not None and decision.vetoes:
                against.setdefault(machine.group, (machine, decision.vetoes[0]))
        for plan in plans:
            machine = plan.each.machine
            decision = found.get(machine.id, plan.each.decision)
            if decision is None:
                continue
            other, veto = against.get(machine.group, (machine, None))
            if veto is not None and not decision.vetoes and decision.wanted is Wanted.STOP:
                why = f"{other.name or other.native_id} of its group may not be stopped: {veto.why}"
                decision = replace(decision, vetoes=(Veto(name="group", why=why),))
            step = plan.step
            if decision is not plan.each.decision:
                step = self._step(plan.each, plan.kept, decision)
                self.vetoes[machine.id] = decision.vetoes
            yield replace(plan, each=replace(plan.each, decision=decision), step=step)

    def _taken(self, log: IncidentLog, plans: Iterable[_Plan]) -> list[tuple[JudgedMachine, Kept]]:
        """Takes each step but a stop; those whose stop is due."""
        due = []
        for plan in plans:
            each, kept, step = plan.each, plan.kept, plan.step
            match step.move:
                case Move.NOTIFY:
                    self._tell(log, each, kept, Stage.TOLD, step)
                case Move.WARN:
                    self._tell(log, each, kept, Stage.WARNED, step)
                case Move.CLOSE if kept is not None:
                    self._over(log, each, kept, step.why)
                case Move.STOP if kept is not None:
                    due.append((each, kept))
                case Move.NOTHING if each.decision.wanted in {Wanted.WARN, Wanted.STOP}:
                    self.waits[each.machine.id] = step.why
                case _:
                    pass
        return due

    def _step(self, each: JudgedMachine, kept: Kept | None, decision: Decision) -> Step:
        if each.phase.phase is Phase.UNKNOWN and self._is_young(each):
            return Step(move=Move.NOTHING, why="it started lately, and is not measured yet")
        keep = keep_of(each.machine, self._keeps)
        return next_step(
            None if kept is None else kept.incident,
            decision,
            each.phase,
            kept_until=None if keep is None else keep.until,
            claim_lasts=self.acting.claim_lasts,
            now=self._moment,
        )

    def _is_young(self, each: JudgedMachine) -> bool:
        since = unmeasured_since(each.machine, each.phase)
        return since is not None and self._moment - since < UNMEASURED_TOLD_AFTER

    def _looked(self, log: IncidentLog, each: JudgedMachine, kept: Kept) -> Kept | None:
        """What became of a stop that somebody claimed: by looking at the machine."""
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            self.gaps[looked] = None
            return None
        if looked is None:
            self._over(log, each, kept, "it is gone")
            return None
        seen = looked.machine
        if seen.state in GONE_STATES:
            self._seen_stopped(log, replace(each, machine=seen), kept)
            return None
        why = f"{kept.incident.intended_by} ended before it was stopped"
        return self._write(log, kept, EventKind.STOP_FAILED, why=why)

    def _looked_before_warning(self, each: JudgedMachine) -> Decision | None:
        """The decision with what the machine itself forbids; None: it cannot be looked at, or is
        gone, and nobody is told of what the next patrol will know better.
        """
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            self.gaps[looked] = None
            self._outcome(each, "warn", Result.FAILED, f"it could not be looked at: {looked.why}")
            return None
        if looked is None:
            self._outcome(each, "warn", Result.GONE, "it does not exist any more")
            return None
        seen = looked.machine
        if not seen.running or seen.boot != each.machine.boot:
            why = "it was started again" if seen.running else f"it is {seen.state.value}"
            self._outcome(each, "warn", Result.OVERTAKEN, why)
            return None
        vetoes = vetoes_of(self._look(each, looked))
        return replace(each.decision, vetoes=vetoes) if vetoes else each.decision

    def _look(self, each: JudgedMachine, looked: Looked) -> Look:
        priced = replace(looked.machine, price=each.machine.price)
        typed = replace(priced, last_input_at=each.machine.last_input_at)
        keep = keep_of(typed, self._keeps)
        return Look(
            machine=typed,
            phase=each.phase,
            kind=each.attribution.kind,
            verdict=each.maturity.verdict,
            now=self._moment,
            host_activity=host_activity(looked.host) if cpu_measured(looked.host) else None,
            kept_until=None if keep is None else keep.until,
            kept_by=None if keep is None else keep.by,
        )

    def _stopper(self, machine: Machine) -> Stops | None:
        """Who stops machines of this provider; None: nobody does."""
        for each in self.providers:
            if each.name == machine.provider and isinstance(each, Stops):
                return each
        return None

    def _seen(self, machine: Machine) -> Looked | Gap | None:
        stopper = self._stopper(machine)
        if stopper is None:
            why = f"the provider {machine.provider} stops nothing"
            return Gap(provider=machine.provider, what="stop", why=why, resource=machine.id)
        try:
            return stopper.look(machine)
        except Exception as error:  # noqa: BLE001 - one machine must not end the patrol
            why = f"the {machine.provider} adapter broke: {type(error).__name__}: {error}"
            return Gap(provider=machine.provider, what="machine", why=why, resource=machine.id)

    def _tell(
        self, log: IncidentLog, each: JudgedMachine, kept: Kept | None, stage: Stage, step: Step
    ) -> None:
        action = "notify" if stage is Stage.TOLD else "warn"
        if kept is None:
            since = each.phase.quiet_since or each.machine.started_at or self.now
            kept = log.begin(each.machine, since, self.patrol_id, self._moment)
        claimed = self._write(log, kept, EventKind.TELLING)
        if claimed is None:
            self._outcome(each, action, Result.OVERTAKEN, "another patrol is telling people")
            return
        delivery = self._show(each, claimed, stage, step.why, stop_at=step.stop_at)
        if not delivery.delivered:
            self._write(log, claimed, EventKind.UNDELIVERED, why=delivery.why)
            self._outcome(each, action, Result.FAILED, delivery.why)
            return
        detail = {"why": step.why, "channel": delivery.channel}
        if delivery.ts is not None:
            detail["ts"] = delivery.ts
        if step.stop_at is not None:
            detail["stop_at"] = (self._moment + each.decision.grace).isoformat()
        kind = EventKind.NOTIFIED if stage is Stage.TOLD else EventKind.WARNED
        self._write(log, claimed, kind, **detail)
        vetoed = action == "notify" and bool(each.decision.vetoes)
        self._outcome(each, action, Result.DELIVERED, step.why)
        if vetoed:
            self._outcome(each, "stop", Result.VETOED, each.decision.vetoes[0].why)

    def _show(
        self,
        each: JudgedMachine,
        kept: Kept,
        stage: Stage,
        why: str,
        *,
        stop_at: datetime | None = None,
        ordered_by: str | None = None,
    ) -> Delivery:
        """One channel that a person reads is enough; the others' failures are gaps."""
        news = news_of(each, kept.key, stage, why, stop_at=stop_at, ordered_by=ordered_by)
        return self._said(news, kept.incident.messages)

    def _said(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        arrived: Delivery | None = None
        failures = []
        for channel in self.acting.channels:
            delivery = channel(news, known)
            if delivery.delivered:
                arrived = arrived or delivery
            else:
                failures.append(delivery.why)
                gap = Gap(provider="slack", what="alert", why=f"{delivery.channel}: {delivery.why}")
                self.gaps[gap] = None
        if arrived is not None:
            return arrived
        return Delivery(channel="none", delivered=False, why="; ".join(failures) or "no channel")

    def _stop_due(
        self,
        log: IncidentLog,
        due: Sequence[tuple[JudgedMachine, Kept]],
        running: Sequence[JudgedMachine],
    ) -> None:
        """Whole groups, most dollars first, as many as one patrol may stop.

        Only what went as far as a call counts against the limits: what is vetoed at the last moment
        keeps no other machine from its turn.
        """
        ready: dict[str, list[tuple[JudgedMachine, Kept]]] = defaultdict(list)
        for each, kept in due:
            ready[each.machine.group].append((each, kept))
        sizes = Counter(each.machine.group for each in running)
        budget = StopBudget(limits=self.limits, machines=len(running))
        dearest = sorted(ready.items(), key=lambda item: -hourly_usd(_machines(item[1])))
        for group, members in dearest:
            over = budget.against(_machines(members))
            if len(members) < sizes[group]:
                self._vetoed(members, "group", "it waits for the other machines of its group")
            elif over is not None:
                self._vetoed(members, "blast_radius", over)
            else:
                budget.spend(_machines(members), self._stop_together(log, members))

    def _vetoed(self, members: Sequence[tuple[JudgedMachine, Kept]], name: str, why: str) -> None:
        for each, _ in members:
            self._against_stop(each, (Veto(name=name, why=why),))

    def _against_stop(self, each: JudgedMachine, vetoes: tuple[Veto, ...]) -> None:
        self.vetoes[each.machine.id] = vetoes
        self._outcome(each, "stop", Result.VETOED, f"{vetoes[0].name}: {vetoes[0].why}")

    def _stop_together(
        self, log: IncidentLog, members: Sequence[tuple[JudgedMachine, Kept]]
    ) -> int:
        """The fresh look at all of a group, and then each one's stop; how many may have stopped.

        People are told in between, which also shows that they can be: if that took long, all are
        looked at once more.
        """
        for again in (False, True):
            if self._any_against(log, members):
                for each, kept in members if again else ():
                    self._show(each, kept, Stage.NOT_STOPPED, "something came up meanwhile")
                return 0
            looked_at = time.monotonic()
            if not again and not self._all_told(members):
                return 0
            if time.monotonic() - looked_at < self.acting.call_within.total_seconds():
                break
        before = len(self.outcomes)
        for each, kept in members:
            self._carried_out(log, each, kept)
        results = [outcome.result for outcome in self.outcomes[before:]]
        return sum(result in {*DONE, Result.FAILED} for result in results)

    def _any_against(self, log: IncidentLog, members: Sequence[tuple[JudgedMachine, Kept]]) -> bool:
        """Whether the fresh look finds anything against one of them; then none is stopped."""
        self.ledger.fold_inbox()
        self._keeps = keeps_of(self.ledger)
        found = {each.machine.id: self._against(log, each, kept) for each, kept in members}
        standing = [each.machine for each, _ in members if found[each.machine.id] is not None]
        if not standing:
            return False
        first = standing[0]
        why = f"{first.name or first.native_id} of its group is not stopped"
        for each, _ in members:
            told = found[each.machine.id]
            if isinstance(told, _Ended):
                self._outcome(each, "stop", told.result, told.why)
            else:
                self._against_stop(each, told or (Veto(name="group", why=why),))
        return True

    def _all_told(self, members: Sequence[tuple[JudgedMachine, Kept]]) -> bool:
        """Whether people could be told that these are stopped; if not, none is."""
        for each, kept in members:
            shown = self._show(each, kept, Stage.STOPPING, "nobody objected")
            if not shown.delivered:
                why = f"nobody could be told that it is stopped: {shown.why}"
                for other, _ in members:
                    self._outcome(other, "stop", Result.FAILED, why)
                return False
        return True

    def _carried_out(self, log: IncidentLog, each: JudgedMachine, kept: Kept, **order: str) -> None:
        """The claim, the stop, and what became of it. `order`: what a person said who ordered it,
        which stands in each of these events.
        """
        began = time.monotonic()
        claimed = self._write(log, kept, EventKind.STOP_INTENDED, **order)
        if claimed is None:
            self._outcome(each, "stop", Result.OVERTAKEN, "somebody else is stopping it")
            return
        if time.monotonic() - began < self.acting.call_within.total_seconds():
            answer = self._stopped(each.machine)
        else:
            answer = StopAnswer(result="failed", why="the ledger took too long to note the stop")
        result = Result(answer.result)
        told = {**order, "why": answer.why}
        if result in DONE:
            done = self._write(log, claimed, EventKind.STOPPED, **told, result=result)
            stage = Stage.STOPPED if result is Result.STOPPED else Stage.REQUESTED
        elif result is Result.GONE:
            done, stage = self._write(log, claimed, EventKind.CLOSED, **told), Stage.OVER
        else:
            done = self._write(log, claimed, EventKind.STOP_FAILED, **told, result=result)
            stage = Stage.NOT_STOPPED
        self._outcome(each, "stop", result, answer.why)
        ordered_by = self.patrol_id if order else None
        self._show(each, done or claimed, stage, answer.why, ordered_by=ordered_by)

    def _stopped(self, machine: Machine) -> StopAnswer:
        stopper = self._stopper(machine)
        if stopper is None:
            return StopAnswer(result="refused", why=f"{machine.provider} stops nothing")
        try:
            return stopper.stop(machine)
        except Exception as error:  # noqa: BLE001 - one machine must not end the patrol
            why = f"the {machine.provider} adapter broke: {type(error).__name__}: {error}"
            return StopAnswer(result="failed", why=why)

    def _against(
        self, log: IncidentLog, each: JudgedMachine, kept: Kept
    ) -> _Ended | tuple[Veto, ...] | None:
        """What the last look before the stop finds; None: nothing stands against it."""
        warned = kept.incident.warned_at
        if warned is None:
            return (Veto(name="not_warned", why="no warning was delivered"),)
        old = stale(each.phase, warned_at=warned, now=self._moment, period=each.phase.period)
        if old is not None:
            return (Veto(name="stale", why=old),)
        return self._fresh_look(log, each, kept)

    def _fresh_look(
        self, log: IncidentLog, each: JudgedMachine, kept: Kept
    ) -> _Ended | tuple[Veto, ...] | None:
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            self.gaps[looked] = None
            return _Ended(result=Result.FAILED, why=looked.why)
        if looked is None:
            self._over(log, each, kept, "it is gone")
            return _Ended(result=Result.GONE, why="it is gone")
        seen = looked.machine
        if seen.boot != each.machine.boot:
            self._over(log, each, kept, "it was started again")
            return _Ended(result=Result.OVERTAKEN, why="it was started again")
        if not seen.running:
            self._over(log, each, kept, f"it is {seen.state.value}; nobody here did it")
            return _Ended(result=Result.OVERTAKEN, why=f"it is {seen.state.value}")
        return vetoes_of(self._look(each, looked)) or None

    def _mirror(self, incidents: Mapping[str, Kept]) -> None:
        """The events of incidents as rows, so that every question can be asked of tables."""
        mirrored = {
            str(row["subject"]): int(str(row["n"]))
            for row in self.ledger.rows("incidents_mirrored")
        }
        self.ledger.append(
            "events",
            [
                row
                for kept in incidents.values()
                for event, row in zip(kept.events, event_rows(kept), strict=True)
                if event.n > mirrored.get(kept.key, -1)
            ],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ended:
    """What keeps a stop from being made, beside vetoes."""

    result: Result
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """One running machine, its open incident, and the step that is due."""

    each: JudgedMachine
    kept: Kept | None
    step: Step

    @property
    def announces_a_stop(self) -> bool:
        return self.step.move is Move.WARN and self.step.stop_at is not None


def _progress(kept: Kept) -> tuple[bool, bool, int]:
    """Of several open incidents of a pause the one that came furthest is the one."""
    told = kept.incident
    return told.intended_at is not None, told.notified_at is not None, told.n


def _machines(members: Sequence[tuple[JudgedMachine, Kept]]) -> list[Machine]:
    return [each.machine for each, _ in members]
