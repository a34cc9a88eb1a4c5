"""What loads and is doubtful, and what is not."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.conditions import Known, compiled
from policies.pack_names import PACKS
from policies.policy_check import checked_policy
from policies.rules import pack_text
from policies.shadowing import never_holds, shadowed_by
from tests.builders import NOW
from tests.policies.test_rules import HEAD


def warned(text: str) -> list[str]:
    _, doubts = checked_policy(HEAD + text, "p.yaml", NOW)
    return [f"{each.place.line}:{each.place.column} {each.message}" for each in doubts]


def rules(*several: tuple[str, str]) -> str:
    lines = [
        f"  - {{name: r{n}, because: b, then: {then}, when: '{when}'}}"
        for n, (when, then) in enumerate(several, 1)
    ]
    return "mode: act\nrules:\n" + "\n".join(lines)


@pytest.mark.parametrize("pack", PACKS)
def test_nothing_is_doubtful_about_the_packs(pack: str) -> None:
    text, origin = pack_text(pack)
    assert checked_policy(text, origin, NOW)[1] == ()


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("true", "idle.minutes > 3"),
        ("idle.minutes >= 30", "idle.minutes>=30"),
        ("idle.minutes >= 30", "idle.minutes >= 30.0 && tags.size() == 1"),
        ("idle.minutes >= 30", "idle.minutes > 30"),
        ("idle.minutes > 30", "idle.minutes >= 30.5 && true"),
        ("idle.minutes < 30", "idle.minutes <= 5"),
        ('phase in ["idle", "parked"]', 'phase == "idle" && idle.minutes > 3'),
        ('phase in ["idle", "parked"]', 'phase in ["parked"]'),
        ('phase == "idle" || phase == "hung"', 'phase == "idle" || phase == "hung"'),
    ],
)
def test_a_rule_that_an_earlier_one_takes_everything_from(above: str, below: str) -> None:
    (said,) = warned(rules((above, "stop"), (below, "leave")))
    how = "always holds" if above == "true" else "holds wherever it does"
    assert said.endswith(f"rule r2 is never reached: rule r1 above it {how}")


@pytest.mark.parametrize(
    ("above", "below"),
    [
        ("idle.minutes > 30", "idle.minutes >= 30"),
        ("idle.minutes >= 30 && idle.confidence >= 0.9", "idle.minutes >= 60"),
        ("idle.minutes >= 30", "idle.minutes <= 60"),
        ('phase == "idle"', 'phase in ["idle", "parked"]'),
        ("idle.minutes >= 30", "idle.minutes >= 60 || idle.confidence > 0.5"),
        ("idle.minutes >= 30", "!(idle.minutes >= 30)"),
        ("false", "idle.minutes >= 60"),
        ("cost.day_usd > 3", "cost.week_usd > 3"),
    ],
)
def test_a_rule_that_may_be_reached_is_not_warned_of(above: str, below: str) -> None:
    assert not any(
        "never reached" in said for said in warned(rules((above, "stop"), (below, "leave")))
    )


@pytest.mark.parametrize(
    "condition",
    [
        "false",
        "1 > 2",
        'phase == "idle" && phase == "parked"',
        "idle.minutes > 60 && idle.minutes < 30",
        "idle.minutes > 30 && idle.minutes <= 30",
        'phase in ["idle"] && idle.minutes > 3 && phase in ["hung", "parked"]',
    ],
)
def test_a_rule_that_never_holds(condition: str) -> None:
    said = warned(rules(("idle.minutes > 3", "stop"), (condition, "stop")))
    assert said[0].endswith("rule r2 never holds")


def test_a_stop_that_the_vetoes_never_allow() -> None:
    said = warned(rules(('workload.verdict == "mature" && idle.minutes > 600', "stop")))
    assert said == ["4:34 rule r1 would stop mature work, which the vetoes never allow"]
    said = warned(rules(('workload.kind == "service"', "stop")))
    assert said == ["4:34 rule r1 would stop a service, which the vetoes never allow"]


def test_a_rule_that_stops_where_nothing_is_stopped() -> None:
    stop = rules(("idle.minutes > 30", "stop")).replace("mode: act", "mode: observe")
    assert warned(stop) == ["2:7 rule r1 wants to warn or stop, but in mode observe nobody does"]
    assert warned(rules(("idle.minutes > 30", "notify"))) == [
        "2:7 mode is act, but no rule warns or stops"
    ]
    nothing = "limits: {stops_per_patrol: 0}\n" + rules(("idle.minutes > 30", "stop"))
    assert warned(nothing) == ["2:28 no patrol may stop anything"]


def test_a_stop_without_time_to_object() -> None:
    text = rules(("idle.minutes > 30", "stop")).replace("because: b", "because: b, grace: 0s")
    assert warned(text) == ["4:35 rule r1 gives no time between the warning and the stop"]


def test_exemptions_that_ended_or_end_soon() -> None:
    days = [NOW + timedelta(days=n) for n in (-1, 2, 4)]
    entries = [f"  - {{owner: o{day:%d}, until: {day:%Y-%m-%d}, because: b}}" for day in days]
    text = rules(("idle.minutes > 30", "stop")) + "\nexemptions:\n" + "\n".join(entries)
    assert warned(text) == [
        "6:25 the exemption of owner o22 ended at 2026-11-23 00:00 UTC",
        "7:25 the exemption of owner o25 ends at 2026-11-26 00:00 UTC",
    ]


PARTS = st.lists(
    st.sampled_from(
        [
            "idle.minutes > 30",
            "idle.minutes >= 30",
            "idle.minutes < 30",
            "idle.minutes <= 60",
            'phase == "idle"',
            'phase in ["idle", "parked"]',
            'phase in ["hung"]',
            "idle.confidence > 0.5 || idle.minutes > 45",
            "true",
        ]
    ),
    min_size=1,
    max_size=3,
).map(" && ".join)
KNOWN = st.fixed_dictionaries(
    {
        "idle.minutes": st.sampled_from([29.0, 30.0, 31.0, 60.0, 61.0]),
        "idle.confidence": st.sampled_from([0.4, 0.9]),
        "phase": st.sampled_from(["idle", "parked", "hung", "active"]),
    }
)


@given(PARTS, PARTS, KNOWN)
def test_what_is_said_never_to_hold_or_be_reached_never_is(
    above: str, below: str, known: dict[str, object]
) -> None:
    def holds(text: str) -> bool | None:
        return Known(known, [compiled(text)]).evaluate(compiled(text)).holds

    if shadowed_by([above, below], 1) == 0 and holds(below):
        assert holds(above)
    if never_holds(below):
        assert not holds(below)
