"""What a policy says beside its rules: exemptions, limits by GPU class, and budgets.

Each takes what the rules want and gives what is wanted then. An exemption or a limit that cannot be
told to fit or not caps at notify, like a condition that cannot be evaluated.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from fnmatch import fnmatchcase

from policies.budgets import BudgetState, Level
from policies.facts import Attribution, Machine
from policies.policy_types import LADDER
from policies.rules import Exemption, Limits, RuleDecision
from policies.verdicts import QUIET, PhaseNow, Verdict, Wanted

HARD = frozenset({Wanted.WARN, Wanted.STOP})
Ruled = RuleDecision


def capped(ruled: Ruled, why: str) -> Ruled:
    """No more than a notification, and why."""
    if ruled.wanted not in HARD:
        return ruled
    said = f"{why}, so it is only notified"
    return replace(ruled, wanted=Wanted.NOTIFY, why=(*ruled.why, said), doubtful=True)


def exemption_of(
    exemptions: Sequence[Exemption], machine: Machine, attribution: Attribution, now: datetime
) -> Exemption | None:
    """The one of those that fit which holds longest; None: none fits and still holds."""
    holding = [
        each for each in exemptions if now < each.until and fits(each, machine, attribution) is True
    ]
    return max(holding, key=lambda each: each.until, default=None)


def by_exemptions(
    ruled: Ruled,
    exemptions: Sequence[Exemption],
    machine: Machine,
    attribution: Attribution,
    now: datetime,
) -> Ruled:
    """Capped where one may fit: whose machine it is, is unknown."""
    for each in exemptions:
        if now < each.until and fits(each, machine, attribution) is None:
            missing = "workload" if attribution.workload is None else "owner"
            why = f"the exemption of {each.whose} may hold for it, but its {missing} is unknown"
            return capped(ruled, why)
    return ruled


def fits(exemption: Exemption, machine: Machine, attribution: Attribution) -> bool | None:
    """Whether the machine is meant; None: that cannot be told."""
    names = (machine.name or "", machine.native_id, machine.id)
    answers = [
        None if exemption.machine is None else _any_fits(exemption.machine, names),
        None if exemption.tag is None else _tagged(exemption.tag, machine),
    ]
    if False in answers:
        return False
    told = (
        (exemption.workload, attribution.workload),
        (exemption.owner, attribution.owner),
    )
    known = [(glob, value) for glob, value in told if glob is not None and value is not None]
    if not all(fnmatchcase(value, glob) for glob, value in known):
        return False
    return None if any(glob is not None and value is None for glob, value in told) else True


def _any_fits(glob: str, names: Sequence[str]) -> bool:
    return any(fnmatchcase(name, glob) for name in names)


def _tagged(glob: str, machine: Machine) -> bool:
    key, equals, value = glob.partition("=")
    return any(
        fnmatchcase(name, key) and (not equals or fnmatchcase(told, value))
        for name, told in machine.tags.items()
    )


def by_gpu_class(ruled: Ruled, limits: Limits, machine: Machine, phase: PhaseNow) -> Ruled:
    """Least and most idle time, and the grace, of machines with this GPU."""
    if limits.gpu_classes and not machine.accelerators:
        return capped(ruled, "limits differ by GPU model, and its model is unknown")
    each = limits.class_of([accelerator.model for accelerator in machine.accelerators])
    if each is None:
        return ruled
    if each.grace is not None:
        ruled = replace(ruled, grace=each.grace)
    minutes = phase.idle_minutes()
    if each.min_idle is not None:
        least = each.min_idle.total_seconds() / 60
        if minutes is None or minutes < least:
            ruled = capped(ruled, f"a {each.model} may be quiet for {least:.0f} minutes")
    if each.max_idle is None or minutes is None or phase.phase not in QUIET:
        return ruled
    most = each.max_idle.total_seconds() / 60
    nobody_said = ruled.rule is None and ruled.wanted in {Wanted.LEAVE, Wanted.UNKNOWN}
    if not nobody_said or minutes < most:
        return ruled
    why = f"a {each.model} that was quiet for {most:.0f} minutes is told of"
    return replace(ruled, wanted=Wanted.NOTIFY, why=(why, *ruled.why))


def by_budgets(
    ruled: Ruled,
    budgets: Sequence[BudgetState],
    attribution: Attribution,
    verdict: Verdict,
    phase: PhaseNow,
) -> Ruled:
    """Above a budget, what a rule tells people of a quiet machine goes as far as the budget says.

    Work that is not known to be exploratory is in no budget, and what is unknown raises nothing.
    """
    if verdict is not Verdict.EXPLORATORY:
        return ruled
    for state in budgets:
        if state.level is Level.UNDER:
            continue
        if not state.covers(attribution):
            continue
        ruled = replace(ruled, why=(*ruled.why, state.told))
        if state.level is Level.OVER and phase.phase in QUIET:
            ruled = _raised(ruled, state)
    return ruled


def _raised(ruled: Ruled, state: BudgetState) -> Ruled:
    then = state.budget.then
    told_of = ruled.rule is not None and ruled.wanted in {Wanted.NOTIFY, Wanted.WARN}
    if not told_of or ruled.doubtful or LADDER.index(then) <= LADDER.index(ruled.wanted):
        return ruled
    why = f"above its budget it goes as far as {then.value}"
    grace = state.budget.grace if ruled.grace is None else ruled.grace
    return replace(ruled, wanted=then, grace=grace, why=(*ruled.why, why))
