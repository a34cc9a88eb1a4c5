"""Policies replayed over recorded pauses: what each would have stopped, saved and regretted."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from policies.facts import Run
from policies.pauses import JudgedPause, Pause, judged, pauses_of_runs
from policies.policy_replay import Plan, Replayed, after, by_patience, by_rules, replayed
from policies.rules import Policy
from policies.verdicts import Verdict
from watchdog.whole_file import whole_file

ENGINE = "engine"
FIXED = timedelta(minutes=30)
COLUMNS = (
    "policy",
    "resource",
    "workload",
    "idle_from",
    "idle_until",
    "verdict",
    "warned_at",
    "stopped_at",
)
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What a policy did, and what that cost in machine time.

    All of it of pauses that were seen to end; costs of exploratory ones: the time until the stop,
    or until the pause's end, and a restart for each stop.
    """

    policy: str
    stops: int
    mature_stops: int
    regrets: int
    saved: timedelta
    """From stops to the ends of their pauses; restarts are not subtracted."""
    saved_usd: Decimal | None
    """None where one of them has no price."""
    burnt: timedelta
    """From the beginnings of stopped pauses to their stops."""
    summed_stops: int
    """Stops whose restarts are in `cost`."""
    cost: timedelta
    best: timedelta
    """Of whoever knows each pause's length: the shorter of the pause and a restart."""

    @property
    def times_best(self) -> float | None:
        return self.cost / self.best if self.best else None


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyReport:
    resources: int
    pauses: Mapping[Verdict, int]
    """Pauses of each verdict."""
    open: int
    """Of them those that were not seen to end."""
    restart_cost: timedelta
    patrol_every: timedelta
    policies: tuple[Totals, ...]
    baselines: tuple[Totals, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    report: PolicyReport
    decisions: Mapping[str, Sequence[Replayed]]
    """By policy; baselines are not in it."""


def backtest_policy(
    runs: Sequence[Run],
    pauses: Sequence[Pause] | None,
    policies: Sequence[Policy],
    *,
    restart_cost: timedelta,
    patrol_every: timedelta,
) -> Backtest:
    """`pauses` None: those between the runs of each host. No policy: the engine's own."""
    told = judged(pauses_of_runs(runs) if pauses is None else pauses, runs)
    plans: dict[str, Plan] = {
        name: by_rules(policy, restart_cost, patrol_every) for name, policy in _named(policies)
    } or {ENGINE: by_patience(restart_cost, patrol_every)}
    baselines = {
        "after 30 minutes": after(FIXED, patrol_every),
        "after the restart cost": after(restart_cost, patrol_every),
    }
    decisions = {name: replayed(told, plan, patrol_every) for name, plan in plans.items()}
    report = PolicyReport(
        resources=len({each.pause.resource for each in told}),
        pauses={verdict: _count(told, verdict) for verdict in Verdict},
        open=sum(each.pause.ended_at is None for each in told),
        restart_cost=restart_cost,
        patrol_every=patrol_every,
        policies=tuple(totals(name, done, restart_cost) for name, done in decisions.items()),
        baselines=tuple(
            totals(name, replayed(told, plan, patrol_every), restart_cost)
            for name, plan in baselines.items()
        ),
    )
    return Backtest(report=report, decisions=decisions)


def _named(policies: Iterable[Policy]) -> Iterator[tuple[str, Policy]]:
    """By name; a second one of the same name is told by its number."""
    seen: dict[str, int] = {}
    for policy in policies:
        seen[policy.name] = seen.get(policy.name, 0) + 1
        number = seen[policy.name]
        yield (policy.name if number == 1 else f"{policy.name} ({number})"), policy


def _count(told: Iterable[JudgedPause], verdict: Verdict) -> int:
    return sum(each.maturity.verdict is verdict for each in told)


def totals(policy: str, done: Sequence[Replayed], restart_cost: timedelta) -> Totals:
    nothing = timedelta(0)
    over = [each for each in done if each.judged.pause.ended_at is not None]
    stopped = [each for each in over if each.stopped_at is not None]
    summed = [each for each in over if each.judged.maturity.verdict is Verdict.EXPLORATORY]
    return Totals(
        policy=policy,
        stops=len(stopped),
        mature_stops=sum(each.judged.maturity.verdict is Verdict.MATURE for each in stopped),
        regrets=sum(each.regretted for each in stopped),
        saved=sum((_saved(each) for each in stopped), nothing),
        saved_usd=_dollars(stopped),
        burnt=sum((_until_stop(each) for each in stopped), nothing),
        summed_stops=sum(each.stopped_at is not None for each in summed),
        cost=sum((_cost(each, restart_cost) for each in summed), nothing),
        best=sum((min(_length(each), restart_cost) for each in summed), nothing),
    )


def _length(each: Replayed) -> timedelta:
    return timedelta(seconds=each.judged.pause.length_s or 0.0)


def _until_stop(each: Replayed) -> timedelta:
    if each.stopped_at is None:
        return _length(each)
    return each.stopped_at - each.judged.pause.began_at


def _saved(each: Replayed) -> timedelta:
    return _length(each) - _until_stop(each)


def _cost(each: Replayed, restart_cost: timedelta) -> timedelta:
    return _until_stop(each) + (timedelta(0) if each.stopped_at is None else restart_cost)


def _dollars(stopped: Sequence[Replayed]) -> Decimal | None:
    """What the stops saved at the prices that their runs tell."""
    total = Decimal(0)
    for each in stopped:
        hourly = _hourly_usd(each.judged.last)
        if hourly is None:
            return None
        total += hourly * Decimal(str(_saved(each).total_seconds())) / 3600
    return total.quantize(CENT)


def _hourly_usd(run: Run | None) -> Decimal | None:
    if run is None or run.cost_usd is None or not run.duration_s:
        return None
    return run.cost_usd / Decimal(str(run.duration_s)) * 3600


def write_decisions(decisions: Mapping[str, Sequence[Replayed]], path: Path) -> None:
    """A row for every pause of every resource and policy; whole or not at all."""
    with whole_file(path) as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for policy, done in decisions.items():
            rows.writerows(_row(policy, each) for each in done)


def _row(policy: str, each: Replayed) -> tuple[str, ...]:
    pause, last = each.judged.pause, each.judged.last
    workload = last.workload if last is not None else ";".join(pause.workloads)
    return (
        policy,
        pause.resource,
        workload,
        _moment(pause.began_at),
        _moment(pause.ended_at),
        each.judged.maturity.verdict.value,
        _moment(each.warned_at),
        _moment(each.stopped_at),
    )


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat().replace("+00:00", "Z")
