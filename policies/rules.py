"""Policies: rules in order, of which the first whose condition holds decides about a machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from difflib import get_close_matches
from fnmatch import fnmatchcase
from importlib.resources import files
from typing import Literal

from policies.conditions import Known, compiled
from policies.marked_yaml import MarkedYaml, Place, YamlError, read_yaml
from policies.pack_names import PACKS
from policies.policy_schema import (
    ExemptionEntry,
    LimitsEntry,
    Mistake,
    PolicyEntry,
    entries_of,
)
from policies.policy_types import end_of
from policies.verdicts import Wanted


class PolicyError(Exception):
    """What is wrong with a policy: one line a mistake, `FILE:LINE:COLUMN: what; how to fix`."""

    exit_code = 2

    def __init__(self, told: str, mistakes: Sequence[tuple[Place, str]] = ()) -> None:
        super().__init__(told)
        self.mistakes = tuple(mistakes)
        """Each with its place; empty where the file could not be read at all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    name: str
    when: str
    """The condition, in CEL."""
    because: str
    then: Wanted
    """How far the ladder goes: `LEAVE`, `NOTIFY`, `WARN` or `STOP`."""
    grace: timedelta
    """From the delivered warning to the stop."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuClass:
    """What differs for machines with one kind of GPU; None: nothing does."""

    model: str
    """A glob over GPU models, whatever their case."""
    min_idle: timedelta | None = None
    """Nothing is warned or stopped that was quiet for less."""
    max_idle: timedelta | None = None
    """What was quiet for longer is at least notified."""
    grace: timedelta | None = None
    stops_per_patrol: int | None = None

    def fits(self, models: Sequence[str]) -> bool:
        return any(fnmatchcase(model.casefold(), self.model.casefold()) for model in models)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """Machines that are left alone for a while. All that is not None must fit."""

    machine: str | None
    workload: str | None
    owner: str | None
    tag: str | None
    """`key` or `key=value`. All four are globs."""
    until: datetime
    """The moment at which it is over."""
    because: str

    @property
    def whose(self) -> str:
        """`machine trainer-*, owner ana`."""
        told = {name: getattr(self, name) for name in ("machine", "workload", "owner", "tag")}
        return ", ".join(f"{name} {value}" for name, value in told.items() if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What exploratory work may cost in seven days: a workload's, an owner's, or all of it."""

    name: str
    workload: str | None
    owner: str | None
    usd_per_week: Decimal
    then: Wanted
    """How far what a rule tells people of goes above it: `NOTIFY`, `WARN` or `STOP`."""
    grace: timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The most that one patrol may do."""

    stops_per_patrol: int
    stop_share: float
    """Of the machines, 0 to 1; rounded up, at least one machine."""
    stop_usd_per_hour: Decimal
    regret_rate: float
    """Share of stops that were undone, 0 to 1, above which patrols only observe."""
    gpu_classes: tuple[GpuClass, ...] = ()
    """The first that fits a machine counts."""

    def class_of(self, models: Sequence[str]) -> GpuClass | None:
        return next((each for each in self.gpu_classes if each.fits(models)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    name: str
    origin: str
    """The file it was read from, or the pack."""
    mode: Literal["observe", "act"]
    restart_cost: timedelta | Decimal
    """Price of a restart: time at the machine's own price, or US dollars."""
    limits: Limits
    rules: tuple[Rule, ...]
    time_zone: str = "UTC"
    """Of the names that begin with `schedule.`, and of dates."""
    setup_limit: timedelta = timedelta(hours=2)
    """How long after a boot the time before the first activity is set-up."""
    forgotten_after: timedelta = timedelta(days=7)
    """What was stopped longer ago and goes on costing is told."""
    exemptions: tuple[Exemption, ...] = ()
    budgets: tuple[Budget, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """The names that its conditions use."""
        return frozenset(name for rule in self.rules for name in compiled(rule.when).names)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleDecision:
    """What a policy wants of one machine."""

    rule: Rule | None
    """The rule that decided; None where no condition held."""
    wanted: Wanted
    """`UNKNOWN`: no rule held, and one that might have could not be evaluated."""
    missing: tuple[str, ...]
    """Names and tags without a value because of which conditions could not be evaluated."""
    why: tuple[str, ...]
    doubtful: bool = False
    """Something above the rule could not be told, so no more than a notification is wanted."""
    grace: timedelta | None = None
    """None: the rule's."""


def decide(policy: Policy, known: Mapping[str, object]) -> RuleDecision:
    """The first rule whose condition holds decides. `known` has only names with a value.

    A condition above it that cannot be evaluated might have decided otherwise: then no more than
    a notification is wanted.
    """
    conditions = [compiled(rule.when) for rule in policy.rules]
    values = Known(known, conditions)
    missing: dict[str, None] = {}
    doubts: list[str] = []
    for rule, condition in zip(policy.rules, conditions, strict=True):
        evaluation = values.evaluate(condition)
        if evaluation.holds:
            return _decided(rule, missing, doubts)
        if evaluation.holds is None:
            missing.update(dict.fromkeys(evaluation.missing))
            doubts.append(f"rule {rule.name} could not be evaluated: {evaluation.why}")
    return RuleDecision(
        rule=None,
        wanted=Wanted.UNKNOWN if doubts else Wanted.LEAVE,
        missing=tuple(missing),
        why=(*doubts, f"no rule of policy {policy.name} holds"),
        doubtful=bool(doubts),
    )


def _decided(rule: Rule, missing: Mapping[str, None], doubts: Sequence[str]) -> RuleDecision:
    wanted, why = rule.then, [f"rule {rule.name}: {rule.because}", *doubts]
    if doubts and wanted in {Wanted.WARN, Wanted.STOP}:
        wanted = Wanted.NOTIFY
        why.append(f"so it is only notified, where rule {rule.name} would {rule.then.value}")
    return RuleDecision(
        rule=rule, wanted=wanted, missing=tuple(missing), why=tuple(why), doubtful=bool(doubts)
    )


def load_policy(text: str, origin: str) -> Policy:
    """A policy from its text. `origin` is what the text was read from, for names and errors."""
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise _error(origin, [(error.place, str(error))]) from error
    entries, mistakes = entries_of(document.data)
    if mistakes or entries is None:
        placed = sorted((_place(document, each), each.message) for each in mistakes)
        raise _error(origin, placed)
    return _policy(entries, origin)


def load_pack(name: str) -> Policy:
    """One of the policies that come with the product."""
    return load_policy(*pack_text(name))


def pack_text(name: str) -> tuple[str, str]:
    """What stands in its file, and what it was read from."""
    if name not in PACKS:
        close = get_close_matches(name, PACKS, n=1)
        meant = f"did you mean {close[0]}? There" if close else "there"
        raise PolicyError(f"no policy pack is called {name}; {meant} are {', '.join(PACKS)}")
    path = f"packs/{name}.yaml"
    return (files("policies") / path).read_text(encoding="utf-8"), f"policies/{path}"


def _error(origin: str, placed: Sequence[tuple[Place, str]]) -> PolicyError:
    lines = (f"{origin}:{place.line}:{place.column}: {message}" for place, message in placed)
    return PolicyError("\n".join(lines), placed)


def _place(document: MarkedYaml, mistake: Mistake) -> Place:
    if mistake.on_key:
        return document.place_of_key(mistake.path)
    if mistake.offset is None:
        return document.place_of(mistake.path)
    return document.place_within(mistake.path, mistake.offset)


def _policy(entries: PolicyEntry, origin: str) -> Policy:
    file_name = origin.replace("\\", "/").rpartition("/")[2]
    return Policy(
        name=file_name.removesuffix(".yaml").removesuffix(".yml") or origin,
        origin=origin,
        mode=entries.mode,
        restart_cost=entries.restart_cost,
        limits=_limits(entries.limits),
        rules=tuple(
            Rule(
                name=each.name,
                when=each.when,
                because=each.because,
                then=each.then,
                grace=each.grace,
            )
            for each in entries.rules
        ),
        time_zone=entries.time_zone,
        setup_limit=entries.setup_limit,
        forgotten_after=entries.forgotten_after,
        exemptions=tuple(_exemption(each, entries.time_zone) for each in entries.exemptions),
        budgets=tuple(Budget(**dict(each)) for each in entries.budgets),
    )


def _exemption(entry: ExemptionEntry, zone: str) -> Exemption:
    return Exemption(**{**dict(entry), "until": end_of(entry.until, zone)})


def _limits(entry: LimitsEntry) -> Limits:
    return Limits(
        stops_per_patrol=entry.stops_per_patrol,
        stop_share=entry.stop_share,
        stop_usd_per_hour=entry.stop_usd_per_hour,
        regret_rate=entry.regret_rate,
        gpu_classes=tuple(
            GpuClass(model=model, **dict(each)) for model, each in entry.gpu_classes.items()
        ),
    )
