"""A policy over the time that was watched, patrol by patrol: whom it would have warned and stopped.

Each patrol judges by what it knew then, with the engine and the ladder of a patrol that acts; every
warning is taken as delivered at once. What happened after a stop is looked at only to say what the
stop would have saved, and whether it would have been undone.
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from policies.engine import Case, judge
from policies.facts import Machine, MachineState, Run, WorkloadKey
from policies.ladder import EventKind, Incident, IncidentEvent, Move, fold, next_step
from policies.maturity import unknown_maturity
from policies.patience import Patience
from policies.policy_replay import REGRET
from policies.rules import Policy
from policies.verdicts import QUIET, Decision, Phase, Veto, Wanted
from watchdog.gather import Progress
from watchdog.remember import scope_of
from watchdog.rows import Row, machine_from, moment_of
from watchdog.shadow.remembered import Known
from watchdog.shadow.watching import Look, Watched
from watchdog.stop_limits import StopBudget, hourly_usd
from watchdog.waiting import Waiting

BACK_WITHIN = timedelta(minutes=30)
"""A stop whose machine was wanted again so soon would have been a nuisance."""
UNMEASURED = "unmeasured"
UNTOLD = "not evaluated"
"""A condition lacked a value, so that no rule went further than telling people."""
HOUR_S = 3600


@dataclass(slots=True, kw_only=True)
class Burnt:
    """Watched time of a machine, and what it cost."""

    time: timedelta = timedelta()
    usd: Decimal | None = Decimal(0)
    """None: a part of it is unpriced, so nobody knows the sum."""

    def add(self, time: timedelta, hourly: Decimal | None) -> None:
        self.time += time
        if hourly is None or self.usd is None:
            self.usd = None
        else:
            self.usd += hourly * Decimal(str(time.total_seconds())) / HOUR_S


@dataclass(slots=True, kw_only=True)
class ShadowStop:
    """A stop that would have been made, and what became of the machine instead."""

    known: Known
    machine: Machine
    rule: str
    warned_at: datetime
    at: datetime
    ended_at: datetime | None = None
    """When it was at work again, started again or stopped by others; None: it stayed quiet."""
    back: bool = False
    """Whether that was because somebody wanted it: by work, or by a start."""
    saved: Burnt = field(default_factory=Burnt)
    """Watched time from the stop on in which it was still quiet."""

    @property
    def back_soon(self) -> bool:
        return self.back_after is not None and self.back_after <= BACK_WITHIN

    @property
    def back_after(self) -> timedelta | None:
        return self.ended_at - self.at if self.back and self.ended_at is not None else None


@dataclass(slots=True, kw_only=True)
class Undecided:
    """A pause, or a time without measurement, in which the policy could or might not decide."""

    known: Known
    machine: Machine
    rule: str | None
    """The rule that would have stopped it; None where none could be told."""
    reason: str
    """A veto's name, `unmeasured` or `not evaluated`."""
    why: str
    since: datetime
    """The first patrol that could not decide."""
    burnt: Burnt = field(default_factory=Burnt)
    """Watched time between patrols from then on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    policy: Policy
    stops: tuple[ShadowStop, ...]
    warned: Mapping[str, int]
    """By rule, warnings that would have been sent."""
    told: Mapping[str, int]
    """By rule, notifications: of a pause at most one a day."""
    undecided: tuple[Undecided, ...]
    machines: int
    """Those that were seen running."""


@dataclass(slots=True)
class _Track:
    """One machine as the replay goes on."""

    judgements: deque[Known]
    observations: deque[tuple[datetime, Row]]
    known: Known | None = None
    machine: Machine | None = None
    incident: Incident | None = None
    stop: ShadowStop | None = None
    rule: str | None = None
    """The one that decided last."""
    at_start: dict[datetime | None, datetime] = field(default_factory=dict)
    """By begin of a pause, the first patrol that knew of it."""

    sure: tuple[Machine, Known] | None = None
    """What is known of it while it runs; None: it does not, or its boot was not judged yet."""

    def move_to(self, at: datetime) -> None:
        before, row = self.known, None
        while self.judgements and self.judgements[0].at <= at:
            self.known = self.judgements.popleft()
        while self.observations and self.observations[0][0] <= at:
            row = self.observations.popleft()[1]
        if row is not None:
            self.machine = machine_from(row)
        if row is not None or self.known is not before:
            self.sure = _together(self.machine, self.known)


def _together(machine: Machine | None, known: Known | None) -> tuple[Machine, Known] | None:
    if machine is None or known is None or not machine.running or known.boot != machine.boot:
        return None
    return machine, known


class Shadow:
    """One pass over the patrols."""

    def __init__(
        self,
        policy: Policy,
        *,
        judgements: Mapping[str, Sequence[Known]],
        observations: Mapping[str, Sequence[Row]],
        runs: Sequence[tuple[datetime, Run]],
    ) -> None:
        """`runs`: each with when the ledger was told of it last."""
        self._policy = policy
        self._tracks = {
            machine: _Track(
                deque(several),
                deque(
                    (moment_of(row["observed_at"]), row) for row in observations.get(machine, ())
                ),
            )
            for machine, several in judgements.items()
        }
        self._runs = runs
        self._unknown = unknown_maturity(datetime.min.replace(tzinfo=UTC))
        self._asks_patience = any(name.startswith("patience.") for name in policy.names)
        self._waiting: dict[datetime, Waiting] = {}
        self._stops: list[ShadowStop] = []
        self._undecided: dict[tuple[object, ...], Undecided] = {}
        self._warned: Counter[str] = Counter()
        self._told: Counter[str] = Counter()
        self._seen: set[str] = set()

    def replayed(self, watched: Watched, progress: Progress) -> Replay:
        for number, look in enumerate(watched.looks):
            if number % 100 == 0:
                progress(f"replaying patrol {number:,} of {len(watched.looks):,}")
            self._patrol(look, watched)
        return Replay(
            policy=self._policy,
            stops=tuple(self._stops),
            warned=self._warned,
            told=self._told,
            undecided=tuple(self._undecided.values()),
            machines=len(self._seen),
        )

    def _patrol(self, look: Look, watched: Watched) -> None:
        here: list[_Track] = []
        for track in self._tracks.values():
            track.move_to(look.at)
            machine = track.machine
            if machine is None or scope_of(machine) not in look.scopes:
                continue
            since = watched.since(scope_of(machine), look.at)
            if track.stop is not None:
                self._after_stop(track, track.stop, since, look.at)
            if track.sure is not None:
                self._seen.add(machine.id)
                here.append(track)
        running = sum(1 for track in here if track.stop is None)
        due = []
        for track, case, decision in self._judged(here, look.at):
            self._not_decided(case, decision, track, watched, look.at)
            if self._climbs(track, case, decision, look.at):
                due.append(track)
        self._stop_due(due, here, running, look.at)

    # --- What became of a machine that would be stopped.

    def _after_stop(
        self, track: _Track, stop: ShadowStop, since: datetime | None, at: datetime
    ) -> None:
        machine, known = track.machine, track.known
        if machine is None or known is None:
            return
        if machine.boot != stop.machine.boot:
            self._ended(track, stop, machine.started_at or at, since, at, back=True)
        elif not machine.running:
            gone_at = machine.stopped_at if machine.state is MachineState.STOPPED else None
            self._ended(track, stop, gone_at or at, since, at, back=False)
        elif known.phase.phase is Phase.UNKNOWN:
            return
        elif not known.quiet or _moved(known, stop):
            came = known.active_from or known.phase.quiet_since or at
            self._ended(track, stop, came, since, at, back=True)
        elif since is not None:
            stop.saved.add(at - max(since, stop.at), _saves(machine))

    def _ended(
        self,
        track: _Track,
        stop: ShadowStop,
        ended_at: datetime,
        since: datetime | None,
        at: datetime,
        *,
        back: bool,
    ) -> None:
        stop.ended_at, stop.back = min(max(ended_at, stop.at), at), back
        began = None if since is None else max(since, stop.at)
        if began is not None and stop.ended_at > began:
            stop.saved.add(stop.ended_at - began, _saves(stop.machine))
        track.stop = track.incident = None

    # --- One patrol's judgement.

    def _judged(
        self, here: Sequence[_Track], at: datetime
    ) -> Iterator[tuple[_Track, Case, Decision]]:
        groups: dict[str, list[tuple[_Track, Machine, Known]]] = defaultdict(list)
        for track in here:
            if track.sure is not None and track.stop is None:
                groups[track.sure[0].group].append((track, *track.sure))
        for members in groups.values():
            if not any(known.quiet or _dark(known) for _, _, known in members):
                for track, _, _ in members:
                    track.incident = None
                continue
            cases = [self._case(track, machine, known, at) for track, machine, known in members]
            known = [each for _, _, each in members]
            decisions = _with_vetoes_of_then(judge(cases, self._policy, at), known)
            for (track, _, _), case, decision in zip(members, cases, decisions, strict=True):
                yield track, case, decision

    def _case(self, track: _Track, machine: Machine, known: Known, at: datetime) -> Case:
        phase = known.phase_at(at)
        minutes, hourly = phase.idle_minutes(), machine.price.hourly_usd
        return Case(
            machine=machine,
            attribution=known.attribution,
            phase=phase,
            maturity=replace(
                self._unknown, as_of=at, verdict=known.verdict, score=known.score, runs=known.runs
            ),
            pause_usd=(
                None
                if minutes is None or hourly is None
                else (hourly * Decimal(str(minutes)) / 60).quantize(Decimal("0.01"))
            ),
            patience=self._patience(track, machine, known, at),
        )

    def _patience(
        self, track: _Track, machine: Machine, known: Known, at: datetime
    ) -> Patience | None:
        """As the habits were when the pause was first known of."""
        if not self._asks_patience or not known.quiet:
            return None
        as_of = track.at_start.setdefault(known.phase.quiet_since, at)
        if as_of not in self._waiting:
            told = [run for observed_at, run in self._runs if observed_at <= as_of]
            self._waiting[as_of] = Waiting(
                told, self._policy.restart_cost, as_of, stops=list(self._known_stops(as_of))
            )
        key = known.attribution.key
        return self._waiting[as_of].lasting(
            machine, known.phase_at(at), key, known.verdict, known.activity_s
        )

    def _known_stops(self, as_of: datetime) -> Iterator[tuple[WorkloadKey | None, bool]]:
        """Its own stops of which it is known by then whether they would have been undone."""
        for stop in self._stops:
            after = stop.back_after
            undone = after is not None and after <= REGRET and stop.at + after <= as_of
            if undone or stop.at + REGRET < as_of:
                yield stop.known.attribution.key, undone

    def _climbs(self, track: _Track, case: Case, decision: Decision, at: datetime) -> bool:
        """One step of the ladder; whether the stop is due."""
        incident, phase = track.incident, case.phase
        since = phase.quiet_since
        if incident is not None and incident.boot != case.machine.boot:
            incident = None
        if incident is not None and since is not None:
            told = incident.notified_at or incident.opened_at
            incident = None if since > told else incident
        step = next_step(
            incident, decision, phase, kept_until=None, claim_lasts=timedelta(), now=at
        )
        rule = decision.rule or UNMEASURED
        if step.move in {Move.NOTIFY, Move.WARN}:
            counted = self._warned if step.move is Move.WARN else self._told
            counted[rule] += 1
            stop_at = {} if step.stop_at is None else {"stop_at": step.stop_at.isoformat()}
            kind = EventKind.WARNED if step.move is Move.WARN else EventKind.NOTIFIED
            begun = incident or Incident(
                machine=case.machine.id, boot=case.machine.boot, opened_at=at
            )
            event = IncidentEvent(n=begun.n, at=at, kind=kind, by="shadow", detail=stop_at)
            incident = fold(begun, [event])
        track.incident = None if step.move is Move.CLOSE else incident
        seen_since = incident is not None and _measured_since(phase.measured_until, incident)
        return step.move is Move.STOP and seen_since

    def _stop_due(
        self, due: Sequence[_Track], here: Sequence[_Track], running: int, at: datetime
    ) -> None:
        """Whole groups, most dollars first, as many as one patrol may stop."""
        groups: dict[str, list[_Track]] = defaultdict(list)
        sizes: Counter[str] = Counter()
        for track in here:
            if track.sure is not None and track.stop is None:
                sizes[track.sure[0].group] += 1
        for track in due:
            if track.sure is not None:
                groups[track.sure[0].group].append(track)
        budget = StopBudget(limits=self._policy.limits, machines=running)
        for group, members in sorted(groups.items(), key=lambda item: -hourly_usd(_of(item[1]))):
            machines = _of(members)
            if len(members) < sizes[group] or budget.against(machines) is not None:
                continue
            budget.spend(machines, len(machines))
            for track in members:
                self._stop(track, at)

    def _stop(self, track: _Track, at: datetime) -> None:
        sure, incident = track.sure, track.incident
        if sure is None or incident is None or incident.warned_at is None:
            return
        track.stop = ShadowStop(
            machine=sure[0],
            known=sure[1],
            rule=track.rule or UNMEASURED,
            warned_at=incident.warned_at,
            at=at,
        )
        self._stops.append(track.stop)

    # --- What could not be decided.

    def _not_decided(
        self, case: Case, decision: Decision, track: _Track, watched: Watched, at: datetime
    ) -> None:
        if track.known is None:
            return
        track.rule = decision.rule
        told = _reason(case, decision)
        if told is None:
            return
        reason, why = told
        key = (case.machine.id, case.machine.boot, case.phase.quiet_since, reason)
        known = self._undecided.get(key)
        if known is None:
            self._undecided[key] = Undecided(
                known=track.known,
                machine=case.machine,
                rule=decision.rule,
                reason=reason,
                why=why,
                since=at,
            )
            return
        began = watched.since(scope_of(case.machine), at)
        if began is not None:
            known.burnt.add(at - max(began, known.since), case.machine.price.hourly_usd)


def _of(tracks: Sequence[_Track]) -> list[Machine]:
    return [track.sure[0] for track in tracks if track.sure is not None]


def _dark(known: Known) -> bool:
    return known.phase.phase is Phase.UNKNOWN


def _saves(machine: Machine) -> Decimal | None:
    """What an hour of being stopped saves, in US dollars; None: nobody knows."""
    saves = machine.price.saves_usd
    return machine.price.hourly_usd if saves is None else saves


def _moved(known: Known, stop: ShadowStop) -> bool:
    """Whether it was at work between two patrols."""
    since = known.phase.quiet_since
    return since is not None and since > stop.at


def _measured_since(measured_until: datetime | None, incident: Incident) -> bool:
    """Whether what was measured reaches beyond the warning, as it must before a stop."""
    warned = incident.warned_at
    return measured_until is not None and warned is not None and measured_until > warned


def _with_vetoes_of_then(
    decisions: Sequence[Decision], known: Sequence[Known]
) -> Sequence[Decision]:
    """With what stood against a stop when it was judged; one of a group keeps the others."""
    own = [
        replace(decision, vetoes=_vetoes(decision, each))
        if decision.wanted is Wanted.STOP
        else decision
        for decision, each in zip(decisions, known, strict=True)
    ]
    against = next((each for each in own if each.vetoes), None)
    if against is None:
        return own
    why = f"{against.machine} of its group may not be stopped: {against.vetoes[0].why}"
    group = (Veto(name="group", why=why),)
    return [
        replace(each, vetoes=group) if each.wanted is Wanted.STOP and not each.vetoes else each
        for each in own
    ]


def _vetoes(decision: Decision, known: Known) -> tuple[Veto, ...]:
    """Those of then, and the engine's own: that of a group, and what a machine's row tells."""
    names = {veto.name for veto in known.vetoes}
    return (*known.vetoes, *(veto for veto in decision.vetoes if veto.name not in names))


def _reason(case: Case, decision: Decision) -> tuple[str, str] | None:
    """Why the policy could not decide, or might have decided otherwise; None: it decided."""
    if case.phase.phase is Phase.UNKNOWN:
        return UNMEASURED, "; ".join(case.phase.why)
    if case.phase.phase not in QUIET:
        return None
    if decision.wanted is Wanted.STOP and decision.vetoes:
        return decision.vetoes[0].name, decision.vetoes[0].why
    if decision.doubtful:
        told = (why for why in decision.why if "could not be evaluated" in why)
        return UNTOLD, next(told, decision.why[0])
    return None
