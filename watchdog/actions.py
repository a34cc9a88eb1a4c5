"""Acting on incidents: tell, warn, look again, claim, stop, look whether it worked.

Each step is written before it is taken, and its outcome after it, as events of the incident. So a
patrol that is killed anywhere leaves behind what the next one needs to go on.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from typing import TYPE_CHECKING

from policies.engine import unmeasured_since
from policies.facts import Gap, Machine, MachineState
from policies.grids import cpu_measured, host_activity
from policies.ladder import EventKind, Move, Step, next_step
from policies.rules import GpuClass, Limits
from policies.verdicts import Decision, Outcome, Phase, Result, Veto
from policies.vetoes import Look, stale, vetoes_of
from providers.base import Inventory, Looked, StopAnswer, Stops
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import (
    IncidentChannel,
    IncidentNews,
    Message,
    Stage,
    news_of,
    news_of_notice,
)
from watchdog.alerts.message import dearest_first
from watchdog.keeps import Keep, keep_of, keeps_of
from watchdog.ledger.incidents import IncidentLog, Kept, event_rows
from watchdog.notice import Notice, claimed
from watchdog.patrol_report import JudgedMachine

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

CLAIM_LASTS = timedelta(minutes=10)
"""Two patrols of five minutes: so long a claim without an outcome belongs to its patrol."""
UNMEASURED_TOLD_AFTER = timedelta(minutes=30)
"""A machine that starts is unmeasured until its first metrics come, and nobody is told of that."""
GONE_STATES = frozenset({MachineState.STOPPED, MachineState.STOPPING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Acting:
    """What a patrol needs to act; without it, it observes."""

    channels: Sequence[IncidentChannel]
    claim_lasts: timedelta = CLAIM_LASTS


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
    outcomes: list[Outcome] = field(default_factory=list)
    gaps: dict[Gap, None] = field(default_factory=dict)
    _began: float = field(default_factory=time.monotonic)
    _touched: dict[str, Kept] = field(default_factory=dict)
    _keeps: Mapping[str, Keep] = field(default_factory=dict)

    def act(self, judged: Sequence[JudgedMachine]) -> None:
        log = IncidentLog(self.ledger)
        self._keeps = keeps_of(self.ledger)
        known = log.newest()
        due: list[tuple[JudgedMachine, Kept]] = []
        for each in sorted(judged, key=lambda one: dearest_first(one.machine)):
            kept = self._settled(log, each, known.get(each.machine.id))
            if not each.machine.running:
                continue
            ready = self._moved(log, each, kept)
            if ready is not None:
                due.append((each, ready))
        running = [each for each in judged if each.machine.running]
        for each, kept in self._within_limits(due, running):
            self._stop(log, each, kept)
        self._mirror({**known, **self._touched})

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
            self._touched[written.incident.machine] = written
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

    def _moved(self, log: IncidentLog, each: JudgedMachine, kept: Kept | None) -> Kept | None:
        """Takes the step that is due; the incident where that step is a stop."""
        step = self._step(each, kept, each.decision)
        if step.move is Move.LOOK and kept is not None:
            kept = self._looked(log, each, kept)
            if kept is None:
                return None
            step = self._step(each, kept, each.decision)
        if step.move is Move.WARN and step.stop_at is not None:
            vetoed = self._looked_before_warning(each)
            if vetoed is not None:
                step = self._step(each, kept, vetoed)
        match step.move:
            case Move.NOTIFY:
                self._tell(log, each, kept, Stage.TOLD, step)
            case Move.WARN:
                self._tell(log, each, kept, Stage.WARNED, step)
            case Move.CLOSE if kept is not None:
                self._over(log, each, kept, step.why)
            case Move.STOP:
                return kept
            case _:
                pass
        return None

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
        """What the machine itself forbids, so that nobody is warned of a stop that cannot be."""
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            veto = Veto(name="changed", why=f"it could not be looked at: {looked.why}")
            return replace(each.decision, vetoes=(veto,))
        if looked is None:
            return replace(each.decision, vetoes=(Veto(name="changed", why="it is gone"),))
        vetoes = vetoes_of(self._look(each, looked))
        return replace(each.decision, vetoes=vetoes) if vetoes else None

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
            kept = log.open(each.machine, since, self.patrol_id, self._moment)
            kept = kept or log.open(each.machine, self.now, self.patrol_id, self._moment)
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

    def _within_limits(
        self, due: Sequence[tuple[JudgedMachine, Kept]], running: Sequence[JudgedMachine]
    ) -> list[tuple[JudgedMachine, Kept]]:
        """Whole groups, most dollars first, as many as one patrol may stop."""
        ready: dict[str, list[tuple[JudgedMachine, Kept]]] = defaultdict(list)
        for each, kept in due:
            ready[each.machine.group].append((each, kept))
        sizes: dict[str, int] = defaultdict(int)
        for each in running:
            sizes[each.machine.group] += 1
        share = max(1, ceil(self.limits.stop_share * len(running)))
        most = min(self.limits.stops_per_patrol, share)
        chosen: list[tuple[JudgedMachine, Kept]] = []
        spent = Decimal(0)
        by_class: Counter[str] = Counter()
        for group, members in sorted(ready.items(), key=lambda item: -_hourly(item[1])):
            if len(members) < sizes[group]:
                self._vetoed(members, "group", "it waits for the other machines of its group")
            elif (full := self._full_class(members, by_class)) is not None:
                why = f"this patrol stops at most {full.stops_per_patrol} {full.model}"
                self._vetoed(members, "blast_radius", why)
            elif len(chosen) + len(members) > most:
                why = f"this patrol stops at most {most} machines, and stops dearer ones"
                self._vetoed(members, "blast_radius", why)
            elif spent + _hourly(members) > self.limits.stop_usd_per_hour:
                why = f"this patrol stops at most {self.limits.stop_usd_per_hour} USD an hour"
                self._vetoed(members, "blast_radius", why)
            else:
                chosen += members
                spent += _hourly(members)
                by_class.update(self._classes(members))
        return chosen

    def _full_class(
        self, members: Sequence[tuple[JudgedMachine, Kept]], stopped: Counter[str]
    ) -> GpuClass | None:
        """A class of GPUs of which this patrol would stop too many; None: there is none."""
        wanted = stopped + self._classes(members)
        for each in self.limits.gpu_classes:
            if each.stops_per_patrol is not None and wanted[each.model] > each.stops_per_patrol:
                return each
        return None

    def _classes(self, members: Sequence[tuple[JudgedMachine, Kept]]) -> Counter[str]:
        """How many of them each class of GPUs has."""
        models = ([each.model for each in one.machine.accelerators] for one, _ in members)
        found = (self.limits.class_of(several) for several in models)
        return Counter(each.model for each in found if each is not None)

    def _vetoed(self, members: Sequence[tuple[JudgedMachine, Kept]], name: str, why: str) -> None:
        for each, _ in members:
            self._outcome(each, "stop", Result.VETOED, f"{name}: {why}")

    def _stop(self, log: IncidentLog, each: JudgedMachine, kept: Kept) -> None:
        """The fresh look, the claim, the stop, and what became of it."""
        against = self._against(log, each, kept)
        if against is not None:
            self._outcome(each, "stop", *against)
            return
        shown = self._show(each, kept, Stage.STOPPING, "nobody objected")
        if not shown.delivered:
            why = f"nobody could be told that it is stopped: {shown.why}"
            self._outcome(each, "stop", Result.FAILED, why)
            return
        self._carried_out(log, each, kept)

    def _carried_out(self, log: IncidentLog, each: JudgedMachine, kept: Kept, **order: str) -> None:
        """The claim, the stop, and what became of it. `order`: what a person said who ordered it,
        which stands in each of these events.
        """
        claimed = self._write(log, kept, EventKind.STOP_INTENDED, **order)
        if claimed is None:
            self._outcome(each, "stop", Result.OVERTAKEN, "somebody else is stopping it")
            return
        answer = self._stopped(each.machine)
        result = Result(answer.result)
        told = {**order, "why": answer.why}
        if result in {Result.STOPPED, Result.REQUESTED}:
            done = self._write(log, claimed, EventKind.STOPPED, **told, result=result)
            stage = Stage.STOPPED
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
    ) -> tuple[Result, str] | None:
        """What the last look before the stop finds; None: nothing stands against it."""
        warned = kept.incident.warned_at
        if warned is None:
            return Result.VETOED, "not_warned: no warning was delivered"
        old = stale(each.phase, warned_at=warned, now=self._moment, period=each.phase.period)
        if old is not None:
            return Result.VETOED, f"stale: {old}"
        self.ledger.fold_inbox()
        self._keeps = keeps_of(self.ledger)
        return self._fresh_look(log, each, kept)

    def _fresh_look(
        self, log: IncidentLog, each: JudgedMachine, kept: Kept
    ) -> tuple[Result, str] | None:
        looked = self._seen(each.machine)
        if isinstance(looked, Gap):
            self.gaps[looked] = None
            return Result.FAILED, looked.why
        if looked is None:
            self._over(log, each, kept, "it is gone")
            return Result.GONE, "it is gone"
        seen = looked.machine
        if seen.boot != each.machine.boot:
            self._over(log, each, kept, "it was started again")
            return Result.OVERTAKEN, "it was started again"
        if not seen.running:
            self._over(log, each, kept, f"it is {seen.state.value}; nobody here did it")
            return Result.OVERTAKEN, f"it is {seen.state.value}"
        vetoes = vetoes_of(self._look(each, looked))
        return (Result.VETOED, f"{vetoes[0].name}: {vetoes[0].why}") if vetoes else None

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


def _hourly(members: Sequence[tuple[JudgedMachine, Kept]]) -> Decimal:
    prices = (each.machine.price.hourly_usd or Decimal(0) for each, _ in members)
    return sum(prices, Decimal(0))


def regret_rate(ledger: Ledger, now: datetime, *, window: timedelta, least: int) -> float | None:
    """Share of stops that were undone within two hours; None: too few stops to tell."""
    stops = ledger.rows("stops", since=now - window)
    if len(stops) < least:
        return None
    return sum(row["restarted_at"] is not None for row in stops) / len(stops)
