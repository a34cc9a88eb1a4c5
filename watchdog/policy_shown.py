"""A policy in words and in JSON."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.pack_names import PACKS
from policies.policy_check import Doubt
from policies.policy_types import LADDER
from policies.rules import Budget, Exemption, GpuClass, Limits, Policy, PolicyError, Rule
from policies.verdicts import Wanted
from watchdog.json_values import moment, money

if TYPE_CHECKING:
    from watchdog.settings import Settings

CHECKED = "spend-watchdog/policy-check/1"
SHOWN = "spend-watchdog/policy-shown/1"
HARD = frozenset({Wanted.WARN, Wanted.STOP})
VARIABLE = "SPEND_WATCHDOG_POLICY"


def source_of(settings: Settings) -> str:
    """What named the policy: the environment goes before the file."""
    if "policy" not in settings.model_fields_set:
        return "the default"
    if any(name.upper() == VARIABLE for name in os.environ):
        return f"the environment, {VARIABLE}"
    return "the settings file"


def fine_told(policy: Policy) -> str:
    """`ours.yaml: fine; mode act, 6 rules: 1 leaves, 3 notify, 1 warns, 1 stops; at most …`."""
    counts = Counter(rule.then for rule in policy.rules)
    rules = ", ".join(f"{counts[then]} {then.value}" for then in LADDER if counts[then])
    parts = [f"mode {policy.mode}", f"{_counted(len(policy.rules), 'rule')} ({rules})"]
    if policy.mode == "act" and counts[Wanted.STOP]:
        parts.append(f"at most {_counted(policy.limits.stops_per_patrol, 'stop')} a patrol")
    if policy.exemptions:
        parts.append(_counted(len(policy.exemptions), "exemption"))
    if policy.budgets:
        parts.append(_counted(len(policy.budgets), "budget"))
    return f"{policy.origin}: fine: {', '.join(parts)}"


def policy_lines(policy: Policy, name: str, source: str, now: datetime) -> Iterator[str]:
    """All of it, for people."""
    kind = "pack" if name in PACKS else "file"
    yield f"Policy {policy.name}: {kind} {name}, from {source}"
    acts = "; acts with patrol --act" if policy.mode == "act" else ": nothing is warned or stopped"
    yield f"  mode {policy.mode}{acts}"
    yield f"  a restart counts for {_restart(policy.restart_cost)}"
    yield f"  time zone {policy.time_zone}; set-up lasts at most {_span(policy.setup_limit)}"
    yield f"  told as forgotten once stopped for {_span(policy.forgotten_after)}"
    yield "Rules: the first that holds decides"
    for number, rule in enumerate(policy.rules, 1):
        grace = f", {_span(rule.grace)} after the warning" if rule.then is Wanted.STOP else ""
        yield f"  {number}. {rule.name}: {rule.then.value}{grace}"
        yield f"     when {rule.when}"
        yield f"     {rule.because}"
    yield "Limits of one patrol"
    yield from (f"  {line}" for line in _limit_lines(policy.limits))
    if policy.exemptions:
        yield "Exemptions"
        yield from (f"  {_exemption_told(each, now)}" for each in policy.exemptions)
    if policy.budgets:
        yield "Budgets of exploratory work"
        yield from (f"  {_budget_told(each)}" for each in policy.budgets)


def _limit_lines(limits: Limits) -> Iterator[str]:
    stops = _counted(limits.stops_per_patrol, "stop")
    yield f"at most {stops}, and {limits.stop_share:.0%} of the machines"
    yield f"at most {limits.stop_usd_per_hour:,} USD an hour"
    yield f"only observes where more than {limits.regret_rate:.0%} of stops were undone"
    for each in limits.gpu_classes:
        yield f"{each.model}: {_class_told(each)}"


def _class_told(each: GpuClass) -> str:
    told = [
        f"not warned before {_span(each.min_idle)} quiet" if each.min_idle is not None else "",
        f"told of after {_span(each.max_idle)} quiet" if each.max_idle is not None else "",
        f"grace {_span(each.grace)}" if each.grace is not None else "",
        f"at most {_counted(each.stops_per_patrol, 'stop')}"
        if each.stops_per_patrol is not None
        else "",
    ]
    return ", ".join(filter(None, told)) or "as all others"


def _exemption_told(each: Exemption, now: datetime) -> str:
    over = " (over)" if each.until <= now else ""
    return f"{each.whose} until {each.until:%Y-%m-%d %H:%M} UTC{over}: {each.because}"


def _budget_told(each: Budget) -> str:
    whose = "all of it"
    if each.workload is not None:
        whose = f"workload {each.workload}"
    elif each.owner is not None:
        whose = f"owner {each.owner}"
    grace = f", {_span(each.grace)} after the warning" if each.then is Wanted.STOP else ""
    least = f"{each.usd_per_week:,} USD a week for {whose}"
    return f"{each.name}: {least}; above it {each.then.value}{grace}"


def check_json(policy: Policy, doubts: Sequence[Doubt]) -> dict[str, object]:
    return {
        "schema": CHECKED,
        "file": policy.origin,
        "ok": True,
        "summary": fine_told(policy),
        "errors": [],
        "warnings": [
            {"line": each.place.line, "column": each.place.column, "message": each.message}
            for each in doubts
        ],
    }


def wrong_json(origin: str, error: PolicyError) -> dict[str, object]:
    return {
        "schema": CHECKED,
        "file": origin,
        "ok": False,
        "summary": None,
        "errors": [
            {"line": place.line, "column": place.column, "message": message}
            for place, message in error.mistakes
        ],
        "warnings": [],
    }


def policy_json(policy: Policy, name: str, source: str) -> dict[str, object]:
    """The policy with its defaults filled in; durations in seconds, dollars as text."""
    cost = policy.restart_cost
    return {
        "schema": SHOWN,
        "name": policy.name,
        "policy": name,
        "source": source,
        "mode": policy.mode,
        "restart_cost_seconds": cost.total_seconds() if isinstance(cost, timedelta) else None,
        "restart_cost_usd": money(cost) if isinstance(cost, Decimal) else None,
        "time_zone": policy.time_zone,
        "setup_limit_seconds": policy.setup_limit.total_seconds(),
        "forgotten_after_seconds": policy.forgotten_after.total_seconds(),
        "rules": [_rule_json(each) for each in policy.rules],
        "limits": _limits_json(policy.limits),
        "exemptions": [
            {
                "machine": each.machine,
                "workload": each.workload,
                "owner": each.owner,
                "tag": each.tag,
                "until": moment(each.until),
                "because": each.because,
            }
            for each in policy.exemptions
        ],
        "budgets": [
            {
                "name": each.name,
                "workload": each.workload,
                "owner": each.owner,
                "usd_per_week": money(each.usd_per_week),
                "then": each.then.value,
                "grace_seconds": each.grace.total_seconds(),
            }
            for each in policy.budgets
        ],
    }


def _rule_json(rule: Rule) -> Mapping[str, object]:
    return {
        "name": rule.name,
        "when": rule.when,
        "because": rule.because,
        "then": rule.then.value,
        "grace_seconds": rule.grace.total_seconds(),
    }


def _limits_json(limits: Limits) -> Mapping[str, object]:
    return {
        "stops_per_patrol": limits.stops_per_patrol,
        "stop_share": limits.stop_share,
        "stop_usd_per_hour": money(limits.stop_usd_per_hour),
        "regret_rate": limits.regret_rate,
        "gpu_classes": {
            each.model: {
                "min_idle_seconds": _seconds(each.min_idle),
                "max_idle_seconds": _seconds(each.max_idle),
                "grace_seconds": _seconds(each.grace),
                "stops_per_patrol": each.stops_per_patrol,
            }
            for each in limits.gpu_classes
        },
    }


def _seconds(span: timedelta | None) -> float | None:
    return None if span is None else span.total_seconds()


def _restart(cost: timedelta | Decimal) -> str:
    if isinstance(cost, timedelta):
        return f"{_span(cost)} of the machine's own price"
    return f"{cost} USD"


def _span(span: timedelta) -> str:
    """As policy files write it: `90s`, `15m`, `6h`, `3d`."""
    seconds = int(span.total_seconds())
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun if count == 1 else noun + 's'}"
