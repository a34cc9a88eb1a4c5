"""Exemptions, limits by GPU class and budgets: what they make of what the rules want."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.budgets import BudgetState, Level
from policies.engine import judge
from policies.facts import WorkloadKind
from policies.policy_types import LADDER
from policies.rules import Budget, Exemption, GpuClass, Policy, load_pack
from policies.verdicts import Decision, Phase, Verdict, Wanted
from tests.builders import NOW, attribution, machine
from tests.policies.test_engine import BUSY, IDLE, UNSEEN, case, phase_now
from tests.policies.test_rules import policy, rule

STOP = policy(rule('phase == "idle"', Wanted.STOP, "idle"))
NOTIFY = policy(rule('phase == "idle"', Wanted.NOTIFY, "idle"))
LATER = NOW + timedelta(days=2)


def exemption(**given: Any) -> Exemption:
    values: dict[str, Any] = {
        "machine": None,
        "workload": None,
        "owner": None,
        "tag": None,
        "until": LATER,
        "because": "A demo.",
    }
    return Exemption(**(values | given))


def judged(case: Any, policy: Policy, *states: BudgetState) -> Decision:
    return judge([case], policy, NOW, states)[0]


def exempted(case: Any, *several: Exemption) -> Decision:
    return judged(case, replace(STOP, exemptions=several))


@pytest.mark.parametrize(
    "given",
    [
        {"machine": "trainer-*"},
        {"machine": "i-trainer-1"},
        {"machine": "aws:123456789012:*"},
        {"workload": "ll*"},
        {"owner": "ana"},
        {"tag": "team"},
        {"tag": "team=n*"},
        {"machine": "trainer-?", "workload": "llama", "owner": "ana", "tag": "team=nlp"},
    ],
)
def test_who_is_exempt_is_left_alone_until_it_is_over(given: dict[str, str]) -> None:
    one = case(IDLE, machine=machine(tags={"team": "nlp"}), attribution=attribution(owner="ana"))
    decision = exempted(one, exemption(**given))
    assert (decision.wanted, decision.findings) == (Wanted.LEAVE, ())
    assert decision.why[0].startswith("it is exempt until 2026-11-25 08:00 UTC: A demo. (")
    assert exempted(one, exemption(**given, until=NOW)).wanted is Wanted.STOP


@pytest.mark.parametrize(
    "given",
    [
        {"machine": "other"},
        {"owner": "bob"},
        {"tag": "team=web"},
        {"tag": "unset"},
        {"machine": "trainer-1", "workload": "other"},
    ],
)
def test_who_is_not_meant_is_not_exempt(given: dict[str, str]) -> None:
    one = case(IDLE, machine=machine(tags={"team": "nlp"}), attribution=attribution(owner="ana"))
    assert exempted(one, exemption(**given)).wanted is Wanted.STOP


def test_whose_owner_is_unknown_may_be_exempt_and_is_only_notified() -> None:
    decision = exempted(case(IDLE), exemption(owner="ana"))
    assert decision.wanted is Wanted.NOTIFY
    assert any("the exemption of owner ana may hold" in why for why in decision.why)
    assert exempted(case(IDLE), exemption(owner="ana", until=NOW)).wanted is Wanted.STOP
    elsewhere = exemption(owner="ana", machine="other")
    assert exempted(case(IDLE), elsewhere).wanted is Wanted.STOP


def test_an_exempt_machine_keeps_its_group_from_being_stopped_and_says_why() -> None:
    cases = [case(IDLE, machine=machine(f"w-{n}", group="g")) for n in range(2)]
    decisions = judge(cases, replace(STOP, exemptions=(exemption(machine="w-0"),)), NOW)
    assert decisions[0].wanted is Wanted.LEAVE
    assert decisions[1].vetoes[0].name == "group"
    assert "it is exempt until" in decisions[1].vetoes[0].why


def test_an_unmeasured_machine_may_be_exempt_too() -> None:
    assert exempted(case(UNSEEN), exemption(workload="llama")).wanted is Wanted.LEAVE


# --- Limits by GPU class.


def classed(one: Any, policy: Policy, *classes: GpuClass) -> Decision:
    return judged(one, replace(policy, limits=replace(policy.limits, gpu_classes=classes)))


def test_a_class_may_be_quiet_for_its_least_time_before_it_is_warned_or_stopped() -> None:
    two_hours = case(IDLE)
    assert classed(two_hours, STOP, GpuClass(model="A10G", min_idle=timedelta(hours=2))).wanted is (
        Wanted.STOP
    )
    patient = GpuClass(model="a10*", min_idle=timedelta(hours=3))
    decision = classed(two_hours, STOP, patient)
    assert decision.wanted is Wanted.NOTIFY
    assert any("may be quiet for 180 minutes" in why for why in decision.why)
    assert classed(two_hours, STOP, replace(patient, model="H100")).wanted is Wanted.STOP


def test_the_first_class_that_fits_counts_and_has_its_own_grace() -> None:
    classes = (
        GpuClass(model="A10*", grace=timedelta(minutes=7)),
        GpuClass(model="A10G", grace=timedelta(minutes=9)),
    )
    assert classed(case(IDLE), STOP, *classes).grace == timedelta(minutes=7)


def test_what_was_quiet_for_longer_than_its_class_may_be_is_told_where_no_rule_holds() -> None:
    nothing = policy(rule("false", Wanted.STOP))
    strict = GpuClass(model="A10G", max_idle=timedelta(hours=1))
    decision = classed(case(IDLE), nothing, strict)
    assert decision.wanted is Wanted.NOTIFY
    assert decision.findings[0].rule == "max_idle"
    assert classed(case(BUSY), nothing, strict).wanted is Wanted.LEAVE
    short = case(phase_now(Phase.IDLE, 59))
    assert classed(short, nothing, strict).wanted is Wanted.LEAVE
    leave = policy(rule("true", Wanted.LEAVE))
    assert classed(case(IDLE), leave, strict).wanted is Wanted.LEAVE


def test_a_machine_whose_model_is_unknown_is_only_notified_where_classes_differ() -> None:
    unseen = case(IDLE, machine=machine(accelerators=()))
    assert classed(unseen, STOP).wanted is Wanted.STOP
    assert classed(unseen, STOP, GpuClass(model="H100")).wanted is Wanted.NOTIFY


# --- Budgets.


def budget(then: Wanted = Wanted.STOP, **given: Any) -> Budget:
    values: dict[str, Any] = {
        "name": "exploration",
        "workload": None,
        "owner": None,
        "usd_per_week": Decimal(500),
        "then": then,
        "grace": timedelta(hours=1),
    }
    return Budget(**(values | given))


def state(usd: str, *, whole: bool = True, **given: Any) -> BudgetState:
    return BudgetState(budget=budget(**given), usd=Decimal(usd), whole=whole)


@pytest.mark.parametrize(
    ("spent", "level"),
    [
        (state("399.99"), Level.UNDER),
        (state("400"), Level.NEAR),
        (state("500"), Level.NEAR),
        (state("500.01"), Level.OVER),
        (state("500.01", whole=False), Level.OVER),
        (state("499", whole=False), Level.UNKNOWN),
        (state("0", whole=False), Level.UNKNOWN),
        (state("0"), Level.UNDER),
    ],
)
def test_what_has_no_price_counts_neither_as_under_nor_as_over(
    spent: BudgetState, level: Level
) -> None:
    assert spent.level is level


def test_above_its_budget_what_is_told_goes_as_far_as_the_budget_says() -> None:
    decision = judged(case(IDLE), NOTIFY, state("501"))
    assert (decision.wanted, decision.grace) == (Wanted.STOP, timedelta(hours=1))
    assert "budget exploration: 501.00 of 500 USD a week are spent on exploratory work" in (
        decision.why
    )
    assert judged(case(IDLE), NOTIFY, state("501", then=Wanted.WARN)).wanted is Wanted.WARN
    assert judged(case(IDLE), STOP, state("501", then=Wanted.WARN)).wanted is Wanted.STOP


@pytest.mark.parametrize("spent", [state("450"), state("450", whole=False)])
def test_near_a_budget_or_where_nobody_knows_it_is_said_and_nothing_goes_further(
    spent: BudgetState,
) -> None:
    decision = judged(case(IDLE), NOTIFY, spent)
    assert decision.wanted is Wanted.NOTIFY
    assert any(why.startswith("budget exploration:") for why in decision.why)


@pytest.mark.parametrize(
    ("one", "of"),
    [
        (case(IDLE, verdict=Verdict.MATURE), {}),
        (case(IDLE, verdict=Verdict.UNKNOWN), {}),
        (case(BUSY), {}),
        (case(IDLE), {"workload": "other"}),
        (case(IDLE), {"owner": "ana"}),
    ],
)
def test_a_budget_is_of_quiet_exploratory_work_that_it_covers(one: Any, of: dict[str, Any]) -> None:
    told = policy(rule("true", Wanted.NOTIFY))
    assert judged(one, told, state("501", **of)).wanted is Wanted.NOTIFY


def test_a_budget_raises_nothing_that_a_rule_leaves_or_that_is_in_doubt() -> None:
    over = state("501")
    left = policy(rule("true", Wanted.LEAVE))
    assert judged(case(IDLE), left, over).wanted is Wanted.LEAVE
    nothing = policy(rule("false", Wanted.STOP))
    assert judged(case(IDLE), nothing, over).wanted is Wanted.LEAVE
    doubt = policy(rule("workload.score > 0.9", Wanted.LEAVE), rule("true", Wanted.NOTIFY))
    assert judged(case(IDLE), doubt, over).wanted is Wanted.NOTIFY


def test_a_budget_goes_no_further_than_the_vetoes_allow() -> None:
    service = case(IDLE, attribution=attribution(kind=WorkloadKind.SERVICE))
    decision = judged(service, NOTIFY, state("501"))
    assert decision.vetoes[0].name == "service"


# --- Laws.

DEFAULT = load_pack("default")
moments = st.sampled_from([0.0, 5.0, 12.0, 29.0, 31.0, 61.0, 300.0])
several = st.lists(
    st.builds(
        state,
        st.sampled_from(["0", "450", "501"]),
        whole=st.booleans(),
        then=st.sampled_from(LADDER[1:]),
        workload=st.sampled_from([None, "llama", "other"]),
    ),
    max_size=3,
)
exemptions = st.lists(
    st.builds(
        exemption,
        owner=st.sampled_from([None, "ana", "b*"]),
        workload=st.sampled_from(["*", "llama", "other"]),
        until=st.sampled_from([NOW, LATER]),
    ),
    max_size=2,
)
classes = st.lists(
    st.builds(
        GpuClass,
        model=st.sampled_from(["A10G", "H100", "*"]),
        min_idle=st.sampled_from([None, timedelta(minutes=30)]),
        max_idle=st.sampled_from([None, timedelta(minutes=60)]),
    ),
    max_size=2,
)


@given(
    moments,
    st.sampled_from(list(Verdict)),
    st.sampled_from([Phase.IDLE, Phase.PARKED, Phase.ACTIVE]),
    several,
    exemptions,
    classes,
    st.sampled_from(["owner", "workload", "verdict", "accelerators", "price", "spend"]),
)
def test_what_becomes_unknown_never_raises_an_action(  # noqa: PLR0917 - drawn
    minutes: float, verdict: Verdict, phase: Phase, states: Any, left: Any, kinds: Any, lost: str
) -> None:
    own = replace(
        DEFAULT,
        exemptions=tuple(left),
        limits=replace(DEFAULT.limits, gpu_classes=tuple(kinds)),
    )
    full = case(
        phase_now(phase, minutes if phase is not Phase.ACTIVE else None),
        verdict=verdict,
        attribution=attribution(owner="ana"),
    )
    less, known = full, list(states)
    match lost:
        case "owner":
            less = replace(full, attribution=replace(full.attribution, owner=None))
        case "workload":
            gone = replace(full.attribution, workload=None)
            less = replace(full, attribution=gone)
        case "verdict":
            less = case(full.phase, verdict=Verdict.UNKNOWN, attribution=full.attribution)
        case "accelerators":
            less = replace(full, machine=replace(full.machine, accelerators=()))
        case "price":
            less = replace(full, patience=None, pause_usd=None)
        case _:
            known = [
                replace(each, whole=False, usd=each.usd / 2)  # a part of it has no price
                for each in states
            ]
    before, after = judged(full, own, *states), judged(less, own, *known)
    hard = {Wanted.WARN, Wanted.STOP}
    if after.wanted in hard:
        assert before.wanted in hard
        assert LADDER.index(after.wanted) <= LADDER.index(before.wanted)


@given(moments, several, exemptions, classes)
def test_a_service_or_mature_work_is_never_stopped(
    minutes: float, states: Any, left: Any, kinds: Any
) -> None:
    own = replace(
        DEFAULT, exemptions=tuple(left), limits=replace(DEFAULT.limits, gpu_classes=tuple(kinds))
    )
    idle = phase_now(Phase.IDLE, minutes)
    service = case(idle, attribution=attribution(kind=WorkloadKind.SERVICE))
    for one in (service, case(idle, verdict=Verdict.MATURE)):
        decision = judged(one, own, *states)
        assert decision.wanted not in {Wanted.WARN, Wanted.STOP} or decision.vetoes
