"""The shadow report: what a policy would have done in the time that was observed, in figures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import TYPE_CHECKING

from policies.rules import Policy, load_pack
from policies.verdicts import Wanted
from watchdog.gather import Progress
from watchdog.regrets import REGRETS_FROM
from watchdog.remember import observations_of
from watchdog.rows import moment_of, run_from
from watchdog.shadow.remembered import knowledge
from watchdog.shadow.replay import Burnt, Replay, Shadow, ShadowStop, Undecided
from watchdog.shadow.watching import Watched, watched

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

LEAST_OBSERVED = timedelta(days=7)
"""So long one should have observed before acting: a weekend belongs to it."""
FURTHER = frozenset({Wanted.WARN, Wanted.STOP})
INSTEAD = "default"
"""The pack that is tried where the policy in use never goes further than to notify."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What would have been stopped of one rule, workload or owner."""

    name: str
    stops: int
    back_soon: int
    """Those whose machine was at work, or started, again within half an hour."""
    saved: timedelta
    saved_usd: Decimal | None
    """None: a part of it is unpriced. Restarts are not subtracted."""
    restarts_usd: Decimal | None
    """What starting again what came back would have cost, by the policy's restart cost."""
    warned: int | None = None
    """Warnings; None where they are not counted so."""
    told: int | None = None
    undecided_usd: Decimal | None = Decimal(0)
    """Dollars of pauses that a veto kept, or that could not be decided; None: unpriced."""
    undecided: timedelta = timedelta()
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """A machine about which one reason kept the policy from deciding, all its pauses together."""

    machine: str
    name: str | None
    workload: str | None
    owner: str | None
    reason: str
    why: str
    burnt: Burnt


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Whether one rule may act, for one team first."""

    rule: str
    ready: bool
    why: str
    team: str | None = None
    """What names the team: `workload.owner` or `workload.group`; None: nobody is known."""
    team_name: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowReport:
    since: datetime
    until: datetime
    watched: Watched
    policy: Policy
    tried_instead: str | None
    """The policy in use, where that never stops anything and another one was tried."""
    judged_from: datetime | None
    """From when on the ledger knows what was judged; None: it does not."""
    replay: Replay
    rules: tuple[Line, ...]
    workloads: tuple[Line, ...]
    held: tuple[Held, ...]
    total: Line
    ready: tuple[Ready, ...]

    @property
    def acted(self) -> int:
        return sum(look.acted for look in self.watched.looks)


def shadow_report(
    ledger: Ledger,
    policy: Policy,
    *,
    asked: bool,
    since: datetime,
    until: datetime,
    progress: Progress,
) -> ShadowReport:
    """`asked`: whether the policy was named for this report; then it is tried as it is."""
    tried = policy if asked or _goes_further(policy) else load_pack(INSTEAD)
    progress("reading what was observed")
    seen = watched(ledger.rows("patrols"), since=since, until=until)
    judgements = knowledge(ledger, until=until)
    shadow = Shadow(
        tried,
        judgements=judgements,
        observations=observations_of(ledger),
        runs=[(moment_of(row["observed_at"]), run_from(row)) for row in ledger.rows("runs")],
    )
    judged_from = min((several[0].at for several in judgements.values()), default=None)
    replay = shadow.replayed(seen, progress)
    rules = tuple(
        _of_rule(each.name, replay) for each in tried.rules if each.then is not Wanted.LEAVE
    )
    return ShadowReport(
        since=since,
        until=until,
        watched=seen,
        policy=tried,
        tried_instead=None if tried is policy else policy.name,
        judged_from=judged_from,
        replay=replay,
        rules=rules,
        workloads=_by_workload(replay),
        held=_held(replay.undecided),
        total=_line("all", replay, lambda _: True),
        ready=tuple(_readiness(tried, replay, seen)),
    )


def _goes_further(policy: Policy) -> bool:
    return any(rule.then in FURTHER for rule in policy.rules)


def _line(
    name: str,
    replay: Replay,
    ours: Callable[[ShadowStop | Undecided], bool],
    *,
    warned: int | None = None,
    told: int | None = None,
    owner: str | None = None,
) -> Line:
    stops = [each for each in replay.stops if ours(each)]
    undecided = [each for each in replay.undecided if ours(each)]
    return Line(
        name=name,
        stops=len(stops),
        back_soon=sum(each.back_soon for each in stops),
        saved=_time(each.saved for each in stops),
        saved_usd=_usd(each.saved.usd for each in stops),
        restarts_usd=_usd(restart_usd(each, replay.policy) for each in stops if each.back),
        warned=warned,
        told=told,
        undecided=_time(each.burnt for each in undecided),
        undecided_usd=_usd(each.burnt.usd for each in undecided),
        owner=owner,
    )


def restart_usd(stop: ShadowStop, policy: Policy) -> Decimal | None:
    """What starting it again costs; None: its price is unknown."""
    if isinstance(policy.restart_cost, Decimal):
        return policy.restart_cost
    hourly = stop.machine.price.hourly_usd
    if hourly is None:
        return None
    return hourly * Decimal(str(policy.restart_cost.total_seconds())) / 3600


def _of_rule(name: str, replay: Replay) -> Line:
    return _line(
        name,
        replay,
        lambda each: each.rule == name,
        warned=replay.warned.get(name, 0),
        told=replay.told.get(name, 0),
    )


def _by_workload(replay: Replay) -> tuple[Line, ...]:
    """The dearest first, by what would have been saved and what could not be decided."""
    owners: dict[str, str | None] = {}
    for stop in replay.stops:
        owners[workload_of(stop)] = stop.known.attribution.owner
    for held in replay.undecided:
        owners.setdefault(workload_of(held), held.known.attribution.owner)
    lines = [
        _line(name, replay, partial(_is_of, name), owner=owner) for name, owner in owners.items()
    ]
    return tuple(sorted(lines, key=_by_dollars))


def _is_of(name: str, each: ShadowStop | Undecided) -> bool:
    return workload_of(each) == name


def workload_of(each: ShadowStop | Undecided) -> str:
    key = each.known.attribution.key
    return "(no workload)" if key is None else str(key)


def _by_dollars(line: Line) -> tuple[Decimal, str]:
    return -((line.saved_usd or Decimal(0)) + (line.undecided_usd or Decimal(0))), line.name


def _held(undecided: Sequence[Undecided]) -> tuple[Held, ...]:
    """The dearest first; what has no price stands last, by time."""
    several: dict[tuple[str, str], list[Undecided]] = defaultdict(list)
    for each in undecided:
        several[each.machine.id, each.reason].append(each)
    found = []
    for (machine, reason), pauses in several.items():
        newest = pauses[-1]
        burnt = Burnt(
            time=_time(each.burnt for each in pauses),
            usd=_usd(each.burnt.usd for each in pauses),
        )
        found.append(
            Held(
                machine=machine,
                name=newest.machine.name,
                workload=newest.known.attribution.workload,
                owner=newest.known.attribution.owner,
                reason=reason,
                why=newest.why,
                burnt=burnt,
            )
        )
    return tuple(sorted(found, key=_by_burnt))


def _by_burnt(held: Held) -> tuple[bool, Decimal, timedelta, str]:
    usd = held.burnt.usd
    return usd is None, -(usd or Decimal(0)), -held.burnt.time, held.machine


def _time(several: Iterable[Burnt]) -> timedelta:
    return sum((each.time for each in several), timedelta())


def _usd(several: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for usd in several:
        if usd is None:
            return None
        total += usd
    return total


def _readiness(policy: Policy, replay: Replay, seen: Watched) -> Iterable[Ready]:
    short = seen.observed < LEAST_OBSERVED
    for rule in policy.rules:
        if rule.then is not Wanted.STOP:
            continue
        stops = [each for each in replay.stops if each.rule == rule.name]
        back, limit = sum(each.back_soon for each in stops), policy.limits.regret_rate
        team, name = _team(stops)
        enough = len(stops) >= REGRETS_FROM
        calm = back <= limit * len(stops)
        why = f"{back} of {len(stops)} came back within 30 minutes; the policy allows {limit:.0%}"
        if not stops:
            why = "it would have stopped nothing so far"
        elif not enough:
            why = f"only {len(stops)} stops so far; {REGRETS_FROM} say something ({why})"
        if short:
            days = seen.observed / timedelta(days=1)
            why += (
                f"; observed for {days:.1f} days, {LEAST_OBSERVED.days} with a weekend are better"
            )
        yield Ready(
            rule=rule.name,
            ready=enough and calm and not short,
            why=why,
            team=team,
            team_name=name,
        )


def _team(stops: Sequence[ShadowStop]) -> tuple[str | None, str | None]:
    """Who would have saved the most, of those with the fewest machines that came back soon."""
    teams: Mapping[tuple[str, str], list[ShadowStop]] = defaultdict(list)
    for each in stops:
        attribution = each.known.attribution
        if attribution.group is not None:
            teams["workload.group", attribution.group].append(each)
        elif attribution.owner is not None:
            teams["workload.owner", attribution.owner].append(each)
    if not teams:
        return None, None

    def worth(team: tuple[str, str]) -> tuple[float, Decimal, str]:
        own = teams[team]
        share = sum(each.back_soon for each in own) / len(own)
        return share, -(_usd(each.saved.usd for each in own) or Decimal(0)), team[1]

    return min(teams, key=worth)
