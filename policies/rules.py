"""Policies: rules in order, of which the first whose condition holds decides about a machine."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from importlib.resources import files
from typing import Literal

from policies.conditions import Known, compiled
from policies.marked_yaml import MarkedYaml, Place, YamlError, read_yaml
from policies.pack_names import PACKS
from policies.policy_schema import LimitsEntry, Mistake, PolicyEntry, entries_of
from policies.verdicts import Wanted


class PolicyError(Exception):
    """What is wrong with a policy: one line a mistake, `FILE:LINE:COLUMN: what; how to fix`."""

    exit_code = 2


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
class Limits:
    """The most that one patrol may do."""

    stops_per_patrol: int
    stop_share: float
    """Of the machines, 0 to 1; rounded up, at least one machine."""
    stop_usd_per_hour: Decimal
    regret_rate: float
    """Share of stops that were undone, 0 to 1, above which patrols only observe."""


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
    )


def _decided(rule: Rule, missing: Mapping[str, None], doubts: Sequence[str]) -> RuleDecision:
    wanted, why = rule.then, [f"rule {rule.name}: {rule.because}", *doubts]
    if doubts and wanted in {Wanted.WARN, Wanted.STOP}:
        wanted = Wanted.NOTIFY
        why.append(f"so it is only notified, where rule {rule.name} would {rule.then.value}")
    return RuleDecision(rule=rule, wanted=wanted, missing=tuple(missing), why=tuple(why))


def load_policy(text: str, origin: str) -> Policy:
    """A policy from its text. `origin` is what the text was read from, for names and errors."""
    try:
        document = read_yaml(text)
    except YamlError as error:
        raise PolicyError(_line(origin, error.place, str(error))) from error
    entries, mistakes = entries_of(document.data)
    if mistakes or entries is None:
        placed = sorted((_place(document, each), each.message) for each in mistakes)
        raise PolicyError("\n".join(_line(origin, place, message) for place, message in placed))
    return _policy(entries, origin)


def load_pack(name: str) -> Policy:
    """One of the policies that come with the product."""
    if name not in PACKS:
        close = get_close_matches(name, PACKS, n=1)
        meant = f"did you mean {close[0]}? There" if close else "there"
        raise PolicyError(f"no policy pack is called {name}; {meant} are {', '.join(PACKS)}")
    path = f"packs/{name}.yaml"
    text = (files("policies") / path).read_text(encoding="utf-8")
    return load_policy(text, f"policies/{path}")


def _line(origin: str, place: Place, message: str) -> str:
    return f"{origin}:{place.line}:{place.column}: {message}"


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
    )


def _limits(entry: LimitsEntry) -> Limits:
    return Limits(
        stops_per_patrol=entry.stops_per_patrol,
        stop_share=entry.stop_share,
        stop_usd_per_hour=entry.stop_usd_per_hour,
        regret_rate=entry.regret_rate,
    )
