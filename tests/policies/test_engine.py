"""Cases in, decisions out."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.engine import Case, Company, judge, names_of
from policies.facts import MachineState, StopTerms, WorkloadKind
from policies.habits import Before, Habits
from policies.maturity import unknown_maturity
from policies.names import NAMES
from policies.patience import Patience, patience
from policies.rules import load_pack
from policies.verdicts import Decision, Phase, PhaseNow, Verdict, Wanted
from tests.builders import NOW, attribution, machine

OBSERVE = load_pack("observe")
DEFAULT = load_pack("default")


def phase_now(phase: Phase, minutes: float | None = None, confidence: float = 0.95) -> PhaseNow:
    since = None if minutes is None else NOW - timedelta(minutes=minutes)
    return PhaseNow(
        phase=phase,
        quiet_since=since,
        confidence=confidence,
        coverage=1.0,
        why=("GPU 0: 0 %",),
        source="cloudwatch:CWAgent",
        measured_until=NOW,
    )


def waiting(minutes: float) -> Patience | None:
    """Of a fleet that nothing is known of."""
    before = Before(key=None, began_at=NOW - timedelta(minutes=minutes), activity_s=600)
    return patience(
        Habits(),
        before,
        quiet=timedelta(minutes=minutes),
        restart_cost=timedelta(minutes=15),
        hourly_usd=Decimal(1),
    )


def case(phase: PhaseNow, *, verdict: Verdict = Verdict.EXPLORATORY, **changes: Any) -> Case:
    quiet = phase.idle_minutes()
    values: dict[str, Any] = {
        "patience": None if not quiet else waiting(quiet),
        "machine": machine(),
        "attribution": attribution(),
        "phase": phase,
        "maturity": replace(unknown_maturity(NOW), verdict=verdict),
        "pause_usd": Decimal("1.00"),
        "advice": "install the agent",
    }
    return Case(**(values | changes))


def decided(*cases: Case, policy: Any = OBSERVE) -> Decision:
    return judge(cases, policy, NOW)[0]


IDLE = phase_now(Phase.IDLE, 120)
BUSY = phase_now(Phase.ACTIVE)
UNSEEN = phase_now(Phase.UNKNOWN)


def test_an_idle_exploratory_machine_is_notified_with_its_reason_and_its_waste() -> None:
    decision = decided(case(IDLE))
    assert decision.wanted is Wanted.NOTIFY
    assert decision.findings[0].rule == "quiet"
    assert decision.findings[0].waste_usd_per_hour == Decimal("1.00")
    assert decision.why[-1] == "GPU 0: 0 %"


def test_a_busy_machine_is_left_alone_with_a_reason() -> None:
    decision = decided(case(BUSY))
    assert (decision.wanted, decision.findings) == (Wanted.LEAVE, ())
    assert decision.why


def test_an_unmeasured_machine_is_unknown_with_the_line_that_makes_it_visible() -> None:
    decision = decided(case(UNSEEN))
    assert decision.wanted is Wanted.UNKNOWN
    assert decision.findings[0].rule == "unmeasured"
    assert decision.why[-1] == "install the agent"


def test_a_mature_workload_is_left_for_four_hours_and_then_told() -> None:
    assert decided(case(IDLE, verdict=Verdict.MATURE)).wanted is Wanted.LEAVE
    after = phase_now(Phase.IDLE, 300)
    assert decided(case(after, verdict=Verdict.MATURE)).wanted is Wanted.NOTIFY


def test_a_service_is_left_alone_however_long_it_waits() -> None:
    weekend = phase_now(Phase.IDLE, 3000)
    service = attribution(kind=WorkloadKind.SERVICE)
    assert decided(case(weekend, attribution=service)).wanted is Wanted.LEAVE


def test_a_stopped_machine_is_left() -> None:
    stopped = case(UNSEEN, machine=machine(state=MachineState.STOPPED))
    decision = decided(stopped)
    assert (decision.wanted, decision.why) == (Wanted.LEAVE, ("it is stopped",))


def test_one_active_member_leaves_the_whole_group_alone() -> None:
    idle = [case(IDLE, machine=machine(f"w-{n}", group="cluster")) for n in range(3)]
    busy = case(BUSY, machine=machine("w-3", group="cluster"))
    decision = decided(*idle, busy)
    assert decision.wanted is Wanted.LEAVE
    assert decision.why[0].startswith("1 of the 4 machines of its group are active")
    assert decided(*idle).wanted is Wanted.NOTIFY


def test_an_unmeasured_member_caps_the_group_at_notify() -> None:
    idle = case(IDLE, machine=machine("w-0", group="cluster"))
    unseen = case(UNSEEN, machine=machine("w-1", group="cluster"))
    assert decided(idle, policy=DEFAULT).wanted is Wanted.STOP
    assert decided(idle, unseen, policy=DEFAULT).wanted is Wanted.NOTIFY


def test_a_machine_that_cannot_be_stopped_says_why_beside_the_finding() -> None:
    terms = StopTerms(can_stop=False, why="a one-time spot machine can only be terminated")
    decision = decided(case(IDLE, machine=machine(stop_terms=terms)))
    assert decision.wanted is Wanted.NOTIFY
    assert decision.why[-1] == "a one-time spot machine can only be terminated"


def test_every_name_that_conditions_may_use_is_filled_and_nothing_else() -> None:
    full = case(
        IDLE,
        machine=machine(tags={"team": "nlp"}),
        attribution=attribution(owner="ana", group="nlp", data_class="internal"),
        maturity=replace(unknown_maturity(NOW), score=0.5),
        day_usd=Decimal(1),
        week_usd=Decimal(7),
        owner_day_usd=Decimal(2),
        owner_week_usd=Decimal(9),
        fleet_day_usd=Decimal(3),
        fleet_week_usd=Decimal(11),
        confusion_findings=2,
        confusion_usd=Decimal(4),
    )
    names = names_of(full, Company(size=1, active=0, unmeasured=0), NOW)
    assert set(names) == {name.name for name in NAMES}


def test_the_default_pack_stops_by_patience_and_shows_the_sum() -> None:
    decision = decided(case(phase_now(Phase.IDLE, 12)), policy=DEFAULT)
    assert decision.wanted is Wanted.STOP
    assert any(why.startswith("after 12 min quiet, pauses like this last") for why in decision.why)
    assert decided(case(phase_now(Phase.IDLE, 8)), policy=DEFAULT).wanted is Wanted.LEAVE


def test_without_a_patience_the_default_pack_only_notifies_and_says_what_is_missing() -> None:
    decision = decided(case(IDLE, patience=None), policy=DEFAULT)
    assert decision.wanted is Wanted.NOTIFY
    assert any("patience.left_minutes is unknown" in why for why in decision.why)


def test_what_is_unknown_is_left_out_and_never_zero() -> None:
    bare = case(
        UNSEEN,
        machine=machine(
            price=machine().price.__class__(hourly_usd=None, basis="list", source=None, as_of=None)
        ),
        pause_usd=None,
    )
    names = names_of(bare, Company(size=1, active=0, unmeasured=0), NOW)
    assert not {"machine.hourly_usd", "cost.idle_usd", "idle.minutes", "workload.score"} & set(
        names
    )


phases = st.sampled_from([IDLE, BUSY, UNSEEN, phase_now(Phase.PARKED, 90)])
verdicts = st.sampled_from(list(Verdict))


@given(
    st.lists(st.tuples(phases, verdicts, st.sampled_from("ab")), min_size=1, max_size=6),
    st.randoms(),
)
def test_the_order_of_machines_does_not_matter(drawn: list[Any], random: Any) -> None:
    cases = [
        case(phase, verdict=verdict, machine=machine(f"m{index}", group=group))
        for index, (phase, verdict, group) in enumerate(drawn)
    ]
    shuffled = list(cases)
    random.shuffle(shuffled)
    by_machine = {each.machine: each for each in judge(shuffled, DEFAULT, NOW)}
    assert all(by_machine[each.machine] == each for each in judge(cases, DEFAULT, NOW))


@given(st.lists(st.tuples(phases, verdicts), min_size=1, max_size=6))
def test_an_unmeasured_machine_is_never_warned_or_stopped(drawn: list[Any]) -> None:
    cases = [
        case(phase, verdict=verdict, machine=machine(f"m{index}"))
        for index, (phase, verdict) in enumerate(drawn)
    ]
    for each, decision in zip(cases, judge(cases, DEFAULT, NOW), strict=True):
        if each.phase.phase is Phase.UNKNOWN:
            assert decision.wanted is Wanted.UNKNOWN


@pytest.mark.parametrize("verdict", [Verdict.MATURE, Verdict.UNKNOWN])
def test_only_exploratory_work_is_ever_stopped_by_the_default_pack(verdict: Verdict) -> None:
    weekend = phase_now(Phase.IDLE, 3000)
    assert decided(case(weekend, verdict=verdict), policy=DEFAULT).wanted is Wanted.NOTIFY
    assert decided(case(weekend), policy=DEFAULT).wanted is Wanted.STOP


def stopped(stopped_hourly: str | None, days: float | None = 10, **changes: Any) -> Decision:
    price = replace(
        machine().price,
        stopped_hourly_usd=None if stopped_hourly is None else Decimal(stopped_hourly),
    )
    since = None if days is None else NOW - timedelta(days=days)
    seen = machine(state=MachineState.STOPPED, price=price)
    return decided(case(UNSEEN, machine=seen, stopped_since=since), **changes)


def test_what_was_stopped_a_week_ago_and_costs_is_a_finding_with_its_month() -> None:
    decision = stopped("0.05")
    assert (decision.wanted, decision.findings[0].rule) == (Wanted.LEAVE, "forgotten")
    assert decision.findings[0].waste_usd_per_hour == Decimal("0.05")
    assert decision.why == (
        "it is stopped",
        "stopped for 10 days, since 2026-11-13: its disks and addresses cost 36.50 USD a month",
    )
    later = replace(OBSERVE, forgotten_after=timedelta(days=11))
    assert stopped("0.05", policy=later).findings == ()


def test_what_costs_nothing_stopped_or_stopped_lately_is_no_finding_and_unknown_is_one() -> None:
    assert stopped("0").findings == ()
    assert stopped("0.05", days=6.9).findings == ()
    assert stopped("0.05", days=None).findings == ()
    assert stopped(None).findings[0].waste_usd_per_hour is None
    assert "cost an unknown amount" in stopped(None).why[1]


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (
            StopTerms(
                can_stop=True, why="w", controller="ASG a", controller_advice="set desired to 0"
            ),
            "ASG a owns it and would replace it: set desired to 0",
        ),
        (StopTerms(can_stop=None, why="nobody could tell"), "nobody could tell"),
        (
            StopTerms(can_stop=True, why="w", protected="tag x"),
            "it is protected by tag x: whoever set that can take it away",
        ),
        (
            StopTerms(can_stop=True, why="w", loses=("1 TB of NVMe",)),
            ("a stop would destroy 1 TB of NVMe: whoever works on it can save that and stop it"),
        ),
        (
            StopTerms(can_stop=True, why="w", prepaid="block b"),
            "block b is paid for already: give it to work that waits",
        ),
    ],
)
def test_why_a_machine_cannot_be_stopped_and_who_can_stands_in_why(
    terms: StopTerms, told: str
) -> None:
    decision = decided(case(IDLE, machine=machine(stop_terms=terms)), policy=DEFAULT)
    assert told in decision.why
    assert decision.vetoes


def test_an_unmeasured_machine_says_for_how_long_and_at_what_price() -> None:
    never = replace(UNSEEN, measured_until=None)
    assert decided(case(never)).why[0] == "unmeasured for 2.0 d at 1.00 USD an hour"
    lately = replace(UNSEEN, measured_until=NOW - timedelta(minutes=50))
    assert decided(case(lately)).why[0] == "unmeasured for 50 min at 1.00 USD an hour"
    host_alone = replace(UNSEEN, measured_until=NOW, sees_gpus=False)
    assert decided(case(host_alone)).why[0] == "unmeasured for 2.0 d at 1.00 USD an hour"
    unknown = machine(started_at=None, price=replace(machine().price, hourly_usd=None))
    assert decided(case(never, machine=unknown)).why[0] == (
        "unmeasured at a price that nobody knows"
    )


def test_what_a_pause_has_cost_stands_in_why() -> None:
    assert "this pause has cost 1.00 USD so far" in decided(case(IDLE)).why
    assert not any("this pause" in why for why in decided(case(BUSY)).why)
