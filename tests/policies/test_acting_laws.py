"""Laws of acting, over machines, readings and incidents of every kind.

Those of conditions alone stand in `test_rules_laws`, those of patience in `test_patience`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.engine import Case, judge
from policies.facts import Machine, StopTerms, WorkloadKey, WorkloadKind
from policies.habits import Before, Habits
from policies.ladder import Incident, Move, next_step
from policies.maturity import unknown_maturity
from policies.patience import patience
from policies.phases import Span, timeline
from policies.rules import load_pack, load_policy
from policies.verdicts import QUIET, Decision, Phase, PhaseNow, Verdict, Wanted
from policies.vetoes import LEAST_CONFIDENCE, LEAST_COVERAGE, Look, vetoes_of
from tests.builders import FREE_TO_STOP, NOW, attribution, machine, price, reading

DEFAULT, STRICT = load_pack("default"), load_pack("strict")
GREEDY = load_policy(
    """
schema: spend-watchdog/policy/1
mode: act
rules:
  - {name: all, when: "idle.minutes >= 5", because: Everything quiet goes., then: stop}
""",
    "greedy.yaml",
)
"""Leaves everything to the vetoes."""
PACKS = st.sampled_from([DEFAULT, STRICT, GREEDY])
ORDER = (Wanted.UNKNOWN, Wanted.LEAVE, Wanted.NOTIFY, Wanted.WARN, Wanted.STOP)
"""From the least that is done to the most; what is unknown is at most told."""
LEVELS = [0.0, 0.0, 0.0, 3.0, 40.0, None]
series = st.builds(
    lambda levels, quiet: [*levels[quiet:], *[0.0] * quiet],
    st.lists(st.sampled_from(LEVELS), min_size=36, max_size=36),
    st.integers(0, 36),
)
"""Three hours of which the last part is quiet."""
kinds = st.sampled_from(list(WorkloadKind))
verdicts = st.sampled_from(list(Verdict))
held = st.sampled_from([3.0, 3.0, 3.0, 9000.0, None])
terms = st.sampled_from(
    [
        FREE_TO_STOP,
        StopTerms(can_stop=None, why="nobody knows"),
        StopTerms(can_stop=False, why="it cannot be stopped"),
        replace(FREE_TO_STOP, loses=("a disk",)),
        replace(FREE_TO_STOP, protected="a tag"),
        replace(FREE_TO_STOP, controller="a group"),
        replace(FREE_TO_STOP, prepaid="a reservation"),
    ]
)


mostly_free = st.one_of(st.just(FREE_TO_STOP), terms)
mostly_services = st.sampled_from([WorkloadKind.SERVICE, WorkloadKind.TRAINING])


def seen(
    utilisation: Sequence[float | None], memory: float | None = 3.0, network: float | None = 0.0
) -> PhaseNow:
    """What three hours of readings say of now."""
    count = len(utilisation)
    gpu = reading(utilisation, memory_used_mib=[memory] * count)
    host = reading(
        [1.0] * count,
        gpu=None,
        received_bytes=[network] * count,
        sent_bytes=[network] * count,
        written_bytes=[0.0] * count,
    )
    booted = NOW - timedelta(days=2)
    span = Span(started_at=booted, ended_at=None, booted_at=booted)
    return timeline([gpu, host], spans=[span], until=NOW, gpus=1).now


def case(phase: PhaseNow, **changes: Any) -> Case:
    quiet = phase.idle_minutes()
    hourly: Decimal | None = changes.pop("hourly", Decimal(1))
    verdict = changes.pop("verdict", Verdict.EXPLORATORY)
    kind = changes.pop("kind", WorkloadKind.TRAINING)
    of = changes.pop("machine", machine())
    told = None
    if quiet and phase.phase in QUIET:
        before = Before(
            key=WorkloadKey(group=None, name="llama"),
            began_at=NOW - timedelta(minutes=quiet),
            activity_s=600,
        )
        told = patience(
            Habits(),
            before,
            quiet=timedelta(minutes=quiet),
            restart_cost=timedelta(minutes=15),
            hourly_usd=hourly,
            verdict=verdict,
        )
    values: dict[str, Any] = {
        "machine": replace(of, price=price(None if hourly is None else str(hourly))),
        "attribution": attribution(kind=kind),
        "phase": phase,
        "maturity": replace(unknown_maturity(NOW), verdict=verdict),
        "pause_usd": None,
        "patience": told,
    }
    return Case(**(values | changes))


def may_stop(decision: Decision) -> bool:
    return decision.wanted is Wanted.STOP and not decision.vetoes


def one(each: Case, policy: Any) -> Decision:
    (decision,) = judge([each], policy, NOW)
    return decision


@given(PACKS, st.integers(0, 36), verdicts, kinds, held)
def test_an_unmeasured_machine_is_never_stopped(
    pack: Any, dark: int, verdict: Verdict, kind: WorkloadKind, memory: float | None
) -> None:
    """Neither where nothing was ever measured, nor where measuring ended a while ago."""
    readings = [0.0] * (36 - dark) + [None] * dark
    phase = seen(readings, memory)
    decision = one(case(phase, verdict=verdict, kind=kind), pack)
    if dark >= 4:
        assert decision.wanted not in {Wanted.WARN, Wanted.STOP}
    incident = warned(minutes=60)
    wants = replace(decision, wanted=Wanted.STOP, vetoes=())
    claim = timedelta(minutes=9)
    step = next_step(incident, wants, phase, kept_until=None, claim_lasts=claim, now=NOW)
    if dark >= 4:
        assert step.move not in {Move.WARN, Move.STOP}


def warned(minutes: float) -> Incident:
    at = NOW - timedelta(minutes=minutes)
    return Incident(
        machine="m",
        boot="b",
        opened_at=at,
        n=3,
        notified_at=at,
        warned_at=at,
        stop_at=at + timedelta(minutes=30),
    )


@given(PACKS, series, st.integers(0, 35), held, verdicts)
def test_adding_activity_never_brings_a_stop_nearer(
    pack: Any, values: list[float | None], at: int, memory: float | None, verdict: Verdict
) -> None:
    """Where it may be stopped with more activity, it might have been without it, too.

    Of what was measured whole: a hole in a pause makes it less sure than activity at its place.
    """
    values = [0.0 if value is None else value for value in values]
    more = [*values]
    more[at] = 95.0
    with_it = one(case(seen(more, memory), verdict=verdict), pack)
    without = one(case(seen(values, memory), verdict=verdict), pack)
    if may_stop(with_it):
        assert may_stop(without)


@given(PACKS, series, held, verdicts, mostly_services, mostly_free)
@settings(max_examples=400)
def test_a_service_and_mature_work_are_never_stopped(
    pack: Any,
    values: list[float | None],
    memory: float | None,
    verdict: Verdict,
    kind: WorkloadKind,
    stop_terms: StopTerms,
) -> None:
    of = machine(stop_terms=stop_terms)
    decision = one(case(seen(values, memory), verdict=verdict, kind=kind, machine=of), pack)
    if may_stop(decision):
        assert verdict is not Verdict.MATURE
        assert pack is GREEDY or verdict is Verdict.EXPLORATORY
        assert kind is not WorkloadKind.SERVICE
        assert stop_terms == FREE_TO_STOP
        assert seen(values, memory).confidence >= LEAST_CONFIDENCE
        assert seen(values, memory).coverage >= LEAST_COVERAGE


UNKNOWNS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("price", {"hourly": None}),
    ("patience", {"patience": None}),
    ("stop terms", {"machine": machine(stop_terms=StopTerms(can_stop=None, why="unknown"))}),
    ("kind", {"kind": WorkloadKind.UNKNOWN}),
    ("verdict", {"verdict": Verdict.UNKNOWN}),
)


@given(PACKS, series, held, st.sampled_from(UNKNOWNS), st.booleans())
def test_unknown_anywhere_never_raises_an_action(
    pack: Any,
    values: list[float | None],
    memory: float | None,
    unknown: tuple[str, dict[str, Any]],
    network: bool,  # noqa: FBT001 - hypothesis
) -> None:
    """Of exploratory training, whose kind and verdict protect nobody: knowing less does less."""
    phase = seen(values, memory)
    known = one(case(phase), pack)
    less = one(case(phase, **unknown[1]), pack)
    assert may_stop(less) <= may_stop(known)
    assert ORDER.index(less.wanted) <= max(ORDER.index(known.wanted), ORDER.index(Wanted.NOTIFY))
    unseen = one(case(seen(values, memory, None if network else 0.0)), pack)
    assert may_stop(unseen) <= may_stop(known)


@given(PACKS, series, st.integers(0, 35), held)
def test_a_lost_measurement_of_quiet_never_leads_to_a_stop(
    pack: Any, values: list[float | None], at: int, memory: float | None
) -> None:
    quiet_there = [*values]
    quiet_there[at] = 0.0
    lost = [*values]
    lost[at] = None
    with_it, without = (
        one(case(seen(quiet_there, memory)), pack),
        one(case(seen(lost, memory)), pack),
    )
    assert may_stop(without) <= may_stop(with_it)


fleets = st.lists(
    st.tuples(
        st.sampled_from(["idle", "idle", "idle", "busy", "dark", "parked"]),
        st.sampled_from([Verdict.EXPLORATORY, *Verdict]),
        mostly_services,
        mostly_free,
        st.sampled_from("ab"),
    ),
    min_size=1,
    max_size=5,
)
PHASES = {
    "idle": seen([0.0] * 36),
    "busy": seen([80.0] * 36),
    "dark": seen([None] * 36),
    "parked": seen([0.0] * 36, 9000.0),
}


@given(PACKS, fleets, st.randoms(use_true_random=False))
@settings(deadline=None)
def test_the_order_of_machines_does_not_matter_and_a_group_is_stopped_whole(
    pack: Any, drawn: list[Any], chance: Any
) -> None:
    cases = [
        case(
            PHASES[phase],
            verdict=verdict,
            kind=kind,
            machine=machine(f"m{number}", group=group, stop_terms=stop_terms),
        )
        for number, (phase, verdict, kind, stop_terms, group) in enumerate(drawn)
    ]
    shuffled = [*cases]
    chance.shuffle(shuffled)
    decided = {each.machine: each for each in judge(cases, pack, NOW)}
    assert {each.machine: each for each in judge(shuffled, pack, NOW)} == decided
    groups: dict[str, set[bool]] = {}
    for each in cases:
        groups.setdefault(each.machine.group, set()).add(may_stop(decided[each.machine.id]))
    assert all(len(whether) == 1 for whether in groups.values())


@given(st.sampled_from(sorted(PHASES)), verdicts, kinds, terms)
def test_a_look_that_knows_less_has_no_fewer_vetoes(
    phase: str, verdict: Verdict, kind: WorkloadKind, stop_terms: StopTerms
) -> None:
    of: Machine = machine(stop_terms=stop_terms)
    look = Look(
        machine=of, phase=PHASES[phase], kind=kind, verdict=verdict, now=NOW, host_activity=()
    )
    names = {veto.name for veto in vetoes_of(look)}
    unpriced = replace(look, machine=replace(of, price=price(None)))
    unknown = replace(of, stop_terms=replace(stop_terms, can_stop=None))
    for less in (replace(look, host_activity=None), unpriced, replace(look, machine=unknown)):
        assert {veto.name for veto in vetoes_of(less)} >= names


def test_the_laws_are_about_something() -> None:
    """Each phase is what its name says, and one of them may be stopped."""
    told = {name: phase.phase for name, phase in PHASES.items()}
    assert told == {
        "idle": Phase.IDLE,
        "busy": Phase.ACTIVE,
        "dark": Phase.UNKNOWN,
        "parked": Phase.PARKED,
    }
    assert may_stop(one(case(PHASES["idle"]), DEFAULT))
