"""A policy replayed over pauses: what it would have done at each patrol, from what it then knew.

A patrol comes every period from a pause's beginning on, and the grace is one patrol: what is warned
about at one is stopped at the next, if the policy still wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from heapq import heappop, heappush

from policies.facts import WorkloadKind
from policies.habits import DEFAULT_PRIOR, Habits, Prior
from policies.names import schedule_names
from policies.patience import Patience, patience, patience_names, patrols_until
from policies.pauses import JudgedPause
from policies.rules import Policy, decide
from policies.verdicts import Verdict, Wanted

REGRET = timedelta(hours=2)
"""A stop that is undone within this time is regretted."""
FOLLOWED = timedelta(days=7)
"""How long patrols follow one pause: what has not been stopped by then, never is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What one policy did about one pause."""

    judged: JudgedPause
    warned_at: datetime | None
    stopped_at: datetime | None
    why: str

    @property
    def regretted(self) -> bool:
        ended, stopped = self.judged.pause.ended_at, self.stopped_at
        return ended is not None and stopped is not None and ended - stopped <= REGRET


Plan = Callable[[JudgedPause, Habits, datetime | None], tuple[int | None, int | None, str]]
"""Numbers of the patrols that warn and stop if the pause lasts so long, None: none does; and why.
The moment is that at which the last pause of the resource was to be stopped."""


def replayed(
    pauses: Sequence[JudgedPause], plan: Plan, every: timedelta, *, prior: Prior = DEFAULT_PRIOR
) -> list[Replayed]:
    """Each pause in the order given, which is that of beginnings, with what the plan did.

    What is learned from a pause is known from its end on, never earlier; whether a stop was
    regretted, two hours after it at the latest.
    """
    habits = Habits(prior=prior)
    planned: dict[str, datetime] = {}
    pending: list[tuple[float, int, Replayed]] = []
    found = []
    for number, each in enumerate(pauses):
        began = each.pause.began_at
        while pending and pending[0][0] <= began.timestamp():
            _learn(habits, heappop(pending)[2])
        warn, stop, why = plan(each, habits, planned.get(each.pause.resource))
        done = Replayed(
            judged=each,
            warned_at=_reached(each, warn, every),
            stopped_at=_reached(each, stop, every),
            why=why,
        )
        if stop is not None:
            planned[each.pause.resource] = began + stop * every
        if each.pause.ended_at is not None:
            heappush(pending, (each.pause.ended_at.timestamp(), number, done))
        found.append(done)
    return found


def _learn(habits: Habits, done: Replayed) -> None:
    length_s = done.judged.pause.length_s
    if length_s is not None:
        habits.ended(done.judged.before, length_s)
    if done.stopped_at is not None:
        habits.stopped(done.judged.before.key, regretted=done.regretted)


def _reached(each: JudgedPause, patrol: int | None, every: timedelta) -> datetime | None:
    """When that patrol came, if the pause still lasted.

    One that nothing is known to have ended is followed on.
    """
    if patrol is None:
        return None
    at = each.pause.began_at + patrol * every
    until = each.pause.seen_until
    return at if until is None or at < until else None


def by_patience(restart_cost: timedelta, every: timedelta) -> Plan:
    """The engine's own: exploratory pauses by patience alone, anything else never."""

    def plan(
        each: JudgedPause, habits: Habits, not_before: datetime | None
    ) -> tuple[int | None, int | None, str]:
        if each.kind is WorkloadKind.SERVICE:
            return None, None, "a service is never stopped"
        if each.maturity.verdict is not Verdict.EXPLORATORY:
            return None, None, f"{each.maturity.verdict.value} work is not stopped"
        told = _patience(each, habits, not_before, restart_cost)
        stop = max(1, patrols_until(told.stop_after.total_seconds() / 60, every))
        return stop - 1, stop, told.why

    return plan


def _patience(
    each: JudgedPause, habits: Habits, not_before: datetime | None, restart_cost: timedelta
) -> Patience:
    """As it is known when the pause begins."""
    told = patience(
        habits,
        each.before,
        quiet=timedelta(0),
        restart_cost=restart_cost,
        hourly_usd=None,
        verdict=each.maturity.verdict,
        not_before=_not_before(each, not_before),
    )
    if told is None:
        raise ValueError("a restart cost in time needs no price")
    return told


def _not_before(each: JudgedPause, planned: datetime | None) -> datetime | None:
    """The plan for the last pause, if activity came before it: else that pause was stopped."""
    began = each.pause.began_at - timedelta(seconds=each.before.activity_s)
    return planned if planned is not None and planned > began else None


def after(moment: timedelta, every: timedelta) -> Plan:
    """A baseline: stops every exploratory pause after a fixed time."""
    stop = max(1, patrols_until(moment.total_seconds() / 60, every))

    def plan(
        each: JudgedPause, _habits: Habits, _not_before: datetime | None
    ) -> tuple[int | None, int | None, str]:
        if each.maturity.verdict is not Verdict.EXPLORATORY:
            return None, None, "not exploratory"
        return stop - 1, stop, "after a fixed time"

    return plan


def by_rules(policy: Policy, restart_cost: timedelta, every: timedelta) -> Plan:
    """The rules of a policy file. Its graces and its mode do not matter in a replay."""
    softest = all(rule.then in {Wanted.LEAVE, Wanted.NOTIFY} for rule in policy.rules)
    used = policy.names

    def plan(
        each: JudgedPause, habits: Habits, not_before: datetime | None
    ) -> tuple[int | None, int | None, str]:
        warned: int | None = None
        why = "no rule wanted more than to notify"
        if softest:
            return None, None, why
        told = _patience(each, habits, not_before, restart_cost)
        names = _names_at_start(each)
        for patrol, quiet in _patrols(each, every):
            known = {**names, **_names_at(each, quiet, told, policy.time_zone)}
            ruled = decide(policy, {name: known[name] for name in used if name in known})
            if warned is not None and ruled.wanted is Wanted.STOP:
                return warned, patrol, ruled.why[0]
            if warned is None and ruled.wanted in {Wanted.WARN, Wanted.STOP}:
                warned, why = patrol, ruled.why[0]
        return warned, None, why

    return plan


def _patrols(each: JudgedPause, every: timedelta) -> Iterator[tuple[int, timedelta]]:
    until = each.pause.seen_until
    lasts = FOLLOWED if until is None else min(until - each.pause.began_at, FOLLOWED)
    patrol = 0
    while patrol * every < lasts:
        yield patrol, patrol * every
        patrol += 1


def _names_at_start(each: JudgedPause) -> dict[str, object]:
    maturity, last = each.maturity, each.last
    names: dict[str, object | None] = {
        "workload.verdict": maturity.verdict.value,
        "workload.kind": each.kind.value,
        "workload.score": maturity.score,
        "workload.runs": float(maturity.runs),
        "workload.attributed": last is not None,
        "phase": each.pause.phase.value,
        "idle.confidence": 1.0,
        "idle.coverage": 1.0,
        "machine.name": each.pause.resource,
        "machine.state": "running",
        "group.size": 1.0,
        "group.active": 0.0,
        "group.unmeasured": 0.0,
        "tags": {},
    }
    if last is not None:
        names |= {
            "workload.name": last.workload,
            "workload.owner": last.owner,
            "workload.group": last.group,
            "workload.data_class": last.data_class,
            "machine.provider": last.provider,
            "machine.region": last.region,
            "machine.type": last.machine_type,
            "machine.gpus": None if last.gpus is None else float(last.gpus),
            "machine.gpu_model": last.gpu_model,
        }
    return {name: value for name, value in names.items() if value is not None}


def _names_at(
    each: JudgedPause, quiet: timedelta, told: Patience, time_zone: str
) -> Mapping[str, object]:
    now = each.pause.began_at + quiet
    minutes = quiet.total_seconds() / 60
    return {
        "idle.minutes": minutes,
        **patience_names(told, quiet),
        **schedule_names(now, time_zone),
    }
