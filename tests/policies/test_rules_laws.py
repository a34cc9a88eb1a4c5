"""Laws of decisions, over policies and knowledge of every kind, and what the packs want of whom."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.names import BY_NAME, NAMES, NameType
from policies.pack_names import PACKS
from policies.policy_types import LADDER
from policies.rules import Policy, decide, load_pack
from policies.verdicts import Phase, Verdict, Wanted
from tests.policies.test_rules import policy, rule

CONDITIONS = st.sampled_from(
    [
        'workload.verdict == "exploratory"',
        "idle.minutes >= 30",
        "idle.minutes >= 30 && idle.confidence >= 0.9",
        "idle.confidence < 0.9 || cost.idle_usd > 10",
        "!(workload.score > 0.5)",
        'phase == "idle" ? idle.minutes > 15 : idle.minutes > 60',
        'workload.kind == "service" && workload.attributed',
        '"team" in tags && tags["team"] == "research"',
        'tags["team"] != "research"',
        'workload.owner.startsWith("a")',
        "true",
        "false && idle.minutes > 1",
    ]
)
POLICIES = st.lists(st.tuples(CONDITIONS, st.sampled_from(LADDER)), min_size=1, max_size=6).map(
    lambda pairs: policy(*[rule(when, then, f"r{n}") for n, (when, then) in enumerate(pairs)])
)


def values_of(name: str) -> st.SearchStrategy[object]:
    each = BY_NAME[name]
    if each.values:
        return st.sampled_from(each.values)
    if name == "tags":
        return st.dictionaries(st.just("team"), st.sampled_from(["research", "web"]))
    if each.type is NameType.TRUTH:
        return st.booleans()
    if each.type is NameType.TEXT:
        return st.sampled_from(["alice", "bob"])
    return st.sampled_from([0.0, 0.5, 0.95, 10.0, 29.0, 30.0, 100.0, 300.0])


EVERYTHING = st.fixed_dictionaries({each.name: values_of(each.name) for each in NAMES})


@given(POLICIES, EVERYTHING, st.sets(st.sampled_from(sorted(BY_NAME))))
def test_knowing_less_warns_or_stops_only_where_the_same_rule_did_before(
    any_policy: Policy, everything: dict[str, object], removed: set[str]
) -> None:
    """The law: a decision beyond notify on less knowledge is the decision on all of it."""
    full = decide(any_policy, everything)
    less = decide(any_policy, without(everything, removed))
    if less.wanted in {Wanted.WARN, Wanted.STOP}:
        assert (less.rule, less.wanted) == (full.rule, full.wanted)
    if full.wanted in {Wanted.WARN, Wanted.STOP} and less.wanted in LADDER:
        assert LADDER.index(less.wanted) <= LADDER.index(full.wanted)
    assert set(less.missing) - {'tags["team"]'} <= removed


@given(POLICIES, EVERYTHING)
def test_a_missing_tag_is_a_missing_name(any_policy: Policy, everything: dict[str, object]) -> None:
    """What a policy asks of tags with `in` is known either way, so such rules are left out."""
    asking = [each for each in any_policy.rules if '"team" in' not in each.when]
    less = decide(policy(*asking), {**everything, "tags": {}})
    full = decide(policy(*asking), everything)
    if less.wanted in {Wanted.WARN, Wanted.STOP}:
        assert (less.rule, less.wanted) == (full.rule, full.wanted)


@given(POLICIES, EVERYTHING)
def test_a_rule_that_is_certain_decides_as_written(
    any_policy: Policy, everything: dict[str, object]
) -> None:
    everything = {**everything, "tags": {"team": "research"}}
    decided = decide(any_policy, everything)
    assert decided.missing == ()
    assert decided.wanted is (Wanted.LEAVE if decided.rule is None else decided.rule.then)
    assert decided.why


def without(known: Mapping[str, object], removed: set[str]) -> dict[str, object]:
    return {name: value for name, value in known.items() if name not in removed}


# --- The packs.


def quiet(verdict: Verdict, phase: Phase, minutes: float, **more: object) -> dict[str, object]:
    return {
        "workload.kind": "training",
        "workload.verdict": verdict.value,
        "phase": phase.value,
        "idle.minutes": minutes,
        "idle.confidence": 0.95,
        "patience.left_minutes": 25 - minutes,
        **{name.replace("__", "."): value for name, value in more.items()},
    }


EXPLORATORY, MATURE, UNKNOWN = Verdict.EXPLORATORY, Verdict.MATURE, Verdict.UNKNOWN


@pytest.mark.parametrize(
    ("known", "wanted"),
    [
        (quiet(EXPLORATORY, Phase.IDLE, 45), ("notify", "stop", "stop")),
        (quiet(EXPLORATORY, Phase.IDLE, 20), ("leave", "stop", "stop")),
        (quiet(EXPLORATORY, Phase.IDLE, 12), ("leave", "stop", "stop")),
        (quiet(EXPLORATORY, Phase.IDLE, 9), ("leave", "leave", "leave")),
        (
            quiet(EXPLORATORY, Phase.IDLE, 25, patience__left_minutes=31),
            ("leave", "leave", "notify"),
        ),
        (quiet(EXPLORATORY, Phase.IDLE, 45, idle__confidence=0.5), ("notify",) * 3),
        (quiet(EXPLORATORY, Phase.PARKED, 90), ("notify", "warn", "warn")),
        (quiet(EXPLORATORY, Phase.PARKED, 45), ("notify", "notify", "warn")),
        (quiet(EXPLORATORY, Phase.HUNG, 500), ("notify",) * 3),
        (quiet(EXPLORATORY, Phase.ACTIVE, 0), ("leave",) * 3),
        (quiet(EXPLORATORY, Phase.SETUP, 0), ("leave",) * 3),
        (quiet(EXPLORATORY, Phase.TRANSFER, 0), ("leave",) * 3),
        (quiet(UNKNOWN, Phase.IDLE, 45), ("notify",) * 3),
        (quiet(UNKNOWN, Phase.PARKED, 45), ("notify",) * 3),
        (quiet(UNKNOWN, Phase.IDLE, 20), ("leave", "leave", "notify")),
        (quiet(MATURE, Phase.ACTIVE, 0), ("leave",) * 3),
        (quiet(MATURE, Phase.IDLE, 90), ("leave",) * 3),
        (quiet(MATURE, Phase.IDLE, 180), ("leave", "leave", "notify")),
        (quiet(MATURE, Phase.IDLE, 240), ("notify",) * 3),
        (quiet(MATURE, Phase.PARKED, 900), ("notify",) * 3),
        (quiet(EXPLORATORY, Phase.IDLE, 900, workload__kind="service"), ("leave",) * 3),
    ],
)
def test_what_the_packs_want(known: dict[str, object], wanted: tuple[str, ...]) -> None:
    assert tuple(decide(load_pack(pack), known).wanted.value for pack in PACKS) == wanted


@given(EVERYTHING, st.sets(st.sampled_from(sorted(BY_NAME))), st.sampled_from(PACKS))
def test_packs_stop_only_idle_exploratory_work_that_was_well_measured(
    everything: dict[str, object], removed: set[str], pack: str
) -> None:
    known = without(everything, removed)
    wanted = decide(load_pack(pack), known).wanted
    if pack == "observe":
        assert wanted not in {Wanted.WARN, Wanted.STOP}
    if wanted is Wanted.STOP:
        assert known["workload.kind"] != "service"
        assert known["workload.verdict"] == "exploratory"
        assert known["phase"] == "idle"
        assert float(str(known["idle.confidence"])) >= 0.9
    if wanted is Wanted.WARN:
        assert known["workload.verdict"] == "exploratory"
