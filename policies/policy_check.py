"""What is right and yet doubtful about a policy file, each with its place."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from policies.marked_yaml import Place, read_yaml
from policies.rules import Policy, Rule, load_policy
from policies.shadowing import always_holds, never_holds, shadowed_by
from policies.verdicts import Wanted

HARD = frozenset({Wanted.WARN, Wanted.STOP})
ENDS_SOON = timedelta(days=3)
Found = tuple[tuple[str | int, ...], str]


@dataclass(frozen=True, slots=True, order=True)
class Doubt:
    """A warning about something that loads."""

    place: Place
    message: str


def checked_policy(text: str, origin: str, now: datetime) -> tuple[Policy, tuple[Doubt, ...]]:
    """The policy, and what is doubtful about it. `PolicyError` where it is wrong."""
    policy = load_policy(text, origin)
    document = read_yaml(text)
    found = (*_of_rules(policy), *_of_the_mode(policy), *_of_exemptions(policy, now))
    return policy, tuple(sorted(Doubt(document.place_of(path), said) for path, said in found))


def _of_rules(policy: Policy) -> Iterator[Found]:
    conditions = [rule.when for rule in policy.rules]
    for index, rule in enumerate(policy.rules):
        when = ("rules", index, "when")
        if never_holds(rule.when):
            yield when, f"rule {rule.name} never holds"
            continue
        earlier = shadowed_by(conditions, index)
        if earlier is not None:
            shadow = policy.rules[earlier]
            how = "always holds" if always_holds(shadow.when) else "holds wherever it does"
            yield when, f"rule {rule.name} is never reached: rule {shadow.name} above it {how}"
        elif rule.then is Wanted.STOP:
            yield from _of_a_stop(rule, index)


def _of_a_stop(rule: Rule, index: int) -> Iterator[Found]:
    protected = {
        'workload.verdict == "mature"': "mature work",
        'workload.kind == "service"': "a service",
    }
    for asked, whom in protected.items():
        if shadowed_by([asked, rule.when], 1) is not None:
            said = f"rule {rule.name} would stop {whom}, which the vetoes never allow"
            yield ("rules", index, "then"), said
    if not rule.grace:
        said = f"rule {rule.name} gives no time between the warning and the stop"
        yield ("rules", index, "grace"), said


def _of_the_mode(policy: Policy) -> Iterator[Found]:
    hard = [rule for rule in policy.rules if rule.then in HARD]
    budgets = [budget for budget in policy.budgets if budget.then in HARD]
    names = [*(f"rule {each.name}" for each in hard), *(f"budget {each.name}" for each in budgets)]
    if policy.mode == "observe" and names:
        verb = "wants" if len(names) == 1 else "want"
        said = f"{_listed(names)} {verb} to warn or stop, but in mode observe nobody does"
        yield ("mode",), said
    if policy.mode == "act" and not names:
        yield ("mode",), "mode is act, but no rule warns or stops"
    stops = Wanted.STOP in {*(each.then for each in hard), *(each.then for each in budgets)}
    if policy.mode == "act" and stops and not policy.limits.stops_per_patrol:
        yield ("limits", "stops_per_patrol"), "no patrol may stop anything"


def _of_exemptions(policy: Policy, now: datetime) -> Iterator[Found]:
    for index, each in enumerate(policy.exemptions):
        at = f"{each.until:%Y-%m-%d %H:%M} UTC"
        if each.until <= now:
            yield ("exemptions", index, "until"), f"the exemption of {each.whose} ended at {at}"
        elif each.until - now <= ENDS_SOON:
            yield ("exemptions", index, "until"), f"the exemption of {each.whose} ends at {at}"


def _listed(names: list[str]) -> str:
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
