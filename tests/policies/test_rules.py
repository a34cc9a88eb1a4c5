"""Policies decide: order, doubt, and what the packs want of whom."""

import json
import pickle
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from policies.pack_names import PACKS
from policies.policy_schema import json_schema
from policies.rules import (
    Budget,
    Exemption,
    GpuClass,
    Limits,
    Policy,
    PolicyError,
    Rule,
    decide,
    load_pack,
    load_policy,
)
from policies.verdicts import Wanted

HEAD = "schema: spend-watchdog/policy/1\n"
LIMITS = Limits(
    stops_per_patrol=10, stop_share=0.5, stop_usd_per_hour=Decimal(200), regret_rate=0.2
)


def rule(when: str, then: Wanted, name: str | None = None) -> Rule:
    return Rule(
        name=name or f"{then.value}-if-{when}",
        when=when,
        because="a test wants it",
        then=then,
        grace=timedelta(minutes=30),
    )


def policy(*rules: Rule) -> Policy:
    return Policy(
        name="test",
        origin="test.yaml",
        mode="act",
        restart_cost=timedelta(minutes=15),
        limits=LIMITS,
        rules=rules,
    )


IDLE = rule("idle.minutes >= 30", Wanted.STOP, "idle")
SCORED = rule("workload.score > 0.9", Wanted.LEAVE, "scored")


def test_the_first_rule_whose_condition_holds_decides() -> None:
    both = {"idle.minutes": 40.0, "workload.score": 0.95}
    decided = decide(policy(SCORED, IDLE), both)
    assert (decided.rule, decided.wanted) == (SCORED, Wanted.LEAVE)
    assert decided.why == ("rule scored: a test wants it",)
    decided = decide(policy(IDLE, SCORED), both)
    assert (decided.rule, decided.wanted, decided.missing) == (IDLE, Wanted.STOP, ())


def test_no_rule_that_holds_leaves() -> None:
    decided = decide(policy(SCORED, IDLE), {"idle.minutes": 3.0, "workload.score": 0.1})
    assert (decided.rule, decided.wanted) == (None, Wanted.LEAVE)
    assert decided.why == ("no rule of policy test holds",)


def test_doubt_above_the_deciding_rule_caps_it_at_notify_and_names_what_is_missing() -> None:
    decided = decide(policy(SCORED, IDLE), {"idle.minutes": 40.0})
    assert (decided.rule, decided.wanted) == (IDLE, Wanted.NOTIFY)
    assert decided.missing == ("workload.score",)
    assert decided.why == (
        "rule idle: a test wants it",
        "rule scored could not be evaluated: workload.score is unknown",
        "so it is only notified, where rule idle would stop",
    )


@pytest.mark.parametrize("then", [Wanted.LEAVE, Wanted.NOTIFY])
def test_doubt_never_raises_the_deciding_rule(then: Wanted) -> None:
    softer = rule("idle.minutes >= 30", then)
    decided = decide(policy(SCORED, softer), {"idle.minutes": 40.0})
    assert decided.wanted is then
    assert decided.missing == ("workload.score",)


def test_doubt_below_the_deciding_rule_does_not_matter() -> None:
    decided = decide(policy(IDLE, SCORED), {"idle.minutes": 40.0})
    assert (decided.wanted, decided.missing) == (Wanted.STOP, ())


def test_doubt_where_no_rule_holds_is_unknown() -> None:
    decided = decide(policy(SCORED, IDLE), {"idle.minutes": 3.0})
    assert (decided.rule, decided.wanted) == (None, Wanted.UNKNOWN)
    assert decided.missing == ("workload.score",)
    assert decide(policy(SCORED, IDLE), {}).missing == ("workload.score", "idle.minutes")


def test_values_that_are_none_count_as_left_out() -> None:
    assert decide(policy(IDLE), {"idle.minutes": None}).wanted is Wanted.UNKNOWN


def test_decimals_and_whole_numbers_are_numbers() -> None:
    costly = policy(rule("cost.idle_usd > 30", Wanted.WARN))
    assert decide(costly, {"cost.idle_usd": Decimal("30.01")}).wanted is Wanted.WARN
    assert decide(costly, {"cost.idle_usd": 30}).wanted is Wanted.LEAVE


def test_a_policy_is_plain_data() -> None:
    loaded = load_pack("default")
    assert pickle.loads(pickle.dumps(loaded)) == loaded
    assert hash(loaded) == hash(load_pack("default"))


def test_packs_act_only_where_they_say_so_and_give_a_reason_for_each_rule() -> None:
    assert [load_pack(pack).mode for pack in PACKS] == ["observe", "act", "act"]
    assert [load_pack(pack).name for pack in PACKS] == list(PACKS)
    reasons = [each.because for pack in PACKS for each in load_pack(pack).rules]
    assert all(reason.endswith(".") for reason in reasons)


def test_an_unknown_pack_is_refused_with_the_packs_there_are() -> None:
    with pytest.raises(PolicyError) as caught:
        load_pack("defualt")
    assert str(caught.value) == (
        "no policy pack is called defualt; did you mean default? There are observe, default, strict"
    )
    with pytest.raises(PolicyError, match=r"called \.\./x; there are observe, default, strict"):
        load_pack("../x")
    assert PolicyError.exit_code == 2


# --- Loading.


def test_all_of_a_policy_file_is_read() -> None:
    text = """# ours
schema: spend-watchdog/policy/1
mode: act
restart_cost: 4.50 USD
time_zone: Europe/Berlin
setup_limit: 90m
forgotten_after: 3d
limits:
  stops_per_patrol: 3
  stop_share: 0.25
  stop_usd_per_hour: 99.5
  regret_rate: 0
  gpu_classes:
    H100: {min_idle: 10m, max_idle: 1h, grace: 15m, stops_per_patrol: 1}
    A100*: {}
exemptions:
  - {machine: "demo-*", until: 2026-12-20, because: A demo.}
  - {owner: ana, tag: team=nlp, until: "2026-12-20T18:00:00+01:00", because: A paper.}
budgets:
  - {name: all, usd_per_week: 500, then: stop, grace: 1h}
  - {name: ana's, owner: ana, usd_per_week: 99.5}
rules:
  - name: nights
    when: >-
      time.hour < 6 &&
      idle.minutes >= 30
    because: >
      Nobody is there
      at night.
    then: stop
    grace: 90s
  - {name: rest, when: true, because: All else., then: notify}
"""
    loaded = load_policy(text, "team\\policies/gpu.v2.yaml")
    assert loaded == Policy(
        name="gpu.v2",
        origin="team\\policies/gpu.v2.yaml",
        mode="act",
        restart_cost=Decimal("4.50"),
        limits=Limits(
            stops_per_patrol=3,
            stop_share=0.25,
            stop_usd_per_hour=Decimal("99.5"),
            regret_rate=0.0,
            gpu_classes=(
                GpuClass(
                    model="H100",
                    min_idle=timedelta(minutes=10),
                    max_idle=timedelta(hours=1),
                    grace=timedelta(minutes=15),
                    stops_per_patrol=1,
                ),
                GpuClass(model="A100*"),
            ),
        ),
        time_zone="Europe/Berlin",
        setup_limit=timedelta(minutes=90),
        forgotten_after=timedelta(days=3),
        exemptions=(
            Exemption(
                machine="demo-*",
                workload=None,
                owner=None,
                tag=None,
                until=datetime(2026, 12, 20, 23, tzinfo=UTC),
                because="A demo.",
            ),
            Exemption(
                machine=None,
                workload=None,
                owner="ana",
                tag="team=nlp",
                until=datetime(2026, 12, 20, 17, tzinfo=UTC),
                because="A paper.",
            ),
        ),
        budgets=(
            Budget(
                name="all",
                workload=None,
                owner=None,
                usd_per_week=Decimal(500),
                then=Wanted.STOP,
                grace=timedelta(hours=1),
            ),
            Budget(
                name="ana's",
                workload=None,
                owner="ana",
                usd_per_week=Decimal("99.5"),
                then=Wanted.NOTIFY,
                grace=timedelta(minutes=30),
            ),
        ),
        rules=(
            Rule(
                name="nights",
                when="time.hour < 6 && idle.minutes >= 30",
                because="Nobody is there at night.",
                then=Wanted.STOP,
                grace=timedelta(seconds=90),
            ),
            Rule(
                name="rest",
                when="true",
                because="All else.",
                then=Wanted.NOTIFY,
                grace=timedelta(minutes=30),
            ),
        ),
    )


def test_what_a_file_leaves_out_has_the_documented_defaults() -> None:
    loaded = load_policy(HEAD + "rules: [{name: a, when: true, because: b, then: leave}]", "p")
    assert (loaded.name, loaded.mode, loaded.restart_cost) == (
        "p",
        "observe",
        timedelta(minutes=15),
    )
    assert loaded.limits == LIMITS
    assert (loaded.time_zone, loaded.setup_limit) == ("UTC", timedelta(hours=2))
    assert loaded.forgotten_after == timedelta(days=7)
    assert (loaded.exemptions, loaded.budgets) == ((), ())


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("6h", timedelta(hours=6)),
        ("3d", timedelta(days=3)),
        ("0s", timedelta(0)),
        ('"4 USD"', Decimal(4)),
        ("0.75 USD", Decimal("0.75")),
    ],
)
def test_restart_costs(written: str, meant: timedelta | Decimal) -> None:
    rules = "rules: [{name: a, when: true, because: b, then: leave}]\n"
    assert load_policy(f"{HEAD}{rules}restart_cost: {written}", "p").restart_cost == meant


def test_anchors_may_be_used() -> None:
    text = HEAD + (
        "rules:\n"
        "  - &common {name: a, when: idle.minutes > 5, because: b, then: leave}\n"
        "  - {<<: *common, name: c, then: notify}\n"
    )
    assert [(each.name, each.then) for each in load_policy(text, "p").rules] == [
        ("a", Wanted.LEAVE),
        ("c", Wanted.NOTIFY),
    ]


def test_the_json_schema_has_the_keys_and_defaults_of_the_file() -> None:
    schema = json.loads(json.dumps(json_schema()))
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert list(schema["properties"]) == [
        "schema",
        "mode",
        "restart_cost",
        "time_zone",
        "setup_limit",
        "forgotten_after",
        "limits",
        "exemptions",
        "budgets",
        "rules",
    ]
    assert schema["properties"]["schema"]["const"] == "spend-watchdog/policy/1"
    assert schema["additionalProperties"] is False
    assert schema["required"] == ["schema", "rules"]
    rule_schema = schema["$defs"]["RuleEntry"]
    assert rule_schema["required"] == ["name", "when", "because", "then"]
    assert rule_schema["properties"]["then"]["enum"] == ["leave", "notify", "warn", "stop"]
    assert rule_schema["properties"]["grace"]["default"] == "30m"
    assert schema["$defs"]["LimitsEntry"]["properties"]["stop_usd_per_hour"]["default"] == 200
