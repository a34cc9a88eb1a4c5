"""What is said of a policy file that is wrong: file, line, column and a way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.marked_yaml import Place, read_yaml
from policies.rules import PolicyError, load_policy

HEAD = "schema: spend-watchdog/policy/1\n"
RULES = "rules:\n  - {name: a, when: true, because: b, then: leave}\n"
ACTIONS = "leave, notify, warn, stop"


def complaint(text: str) -> str:
    with pytest.raises(PolicyError) as caught:
        load_policy(text, "p.yaml")
    return str(caught.value)


def rule_with(**values: str) -> str:
    """A file with one rule; its keys stand in lines 3 to 6 and begin in column 5."""
    keys = {"name": "a", "when": "true", "because": "b", "then": "leave"} | values
    lines = [f"{key}: {value}" for key, value in keys.items()]
    return HEAD + "rules:\n  - " + "\n    ".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "p.yaml:1:1: it is empty; begin with `schema: spend-watchdog/policy/1`"),
        ("# only words\n", "p.yaml:1:1: it is empty; begin with `schema: spend-watchdog/policy/1`"),
        (
            "\n- a\n",
            (
                "p.yaml:2:1: a policy is a mapping that begins with"
                " `schema: spend-watchdog/policy/1`, not a list"
            ),
        ),
        (
            "mode: act\n",
            "p.yaml:1:1: `schema` is missing; begin with `schema: spend-watchdog/policy/1`",
        ),
        (
            "rulez: 3\nschema: spend-watchdog/policy/2\n",
            (
                "p.yaml:2:9: `schema` is spend-watchdog/policy/2;"
                " this version reads spend-watchdog/policy/1"
            ),
        ),
        (
            "schema: 1",
            "p.yaml:1:9: `schema` is 1; this version reads spend-watchdog/policy/1",
        ),
        (
            HEAD,
            (
                "p.yaml:1:1: `rules` is missing: at least one rule;"
                " the first whose condition holds decides"
            ),
        ),
        (HEAD + "rules:\n", "p.yaml:2:7: `rules` must be a list, not nothing"),
        (HEAD + "rules: []", "p.yaml:2:8: `rules` is empty; a policy needs at least one rule"),
        (HEAD + "rules: {a: b}", "p.yaml:2:8: `rules` must be a list, not a mapping"),
        (HEAD + "rules: [3]", "p.yaml:2:9: rule 1 must be a mapping, not 3"),
        (HEAD + RULES + "limits: 3", "p.yaml:4:9: `limits` must be a mapping, not 3"),
        (HEAD + RULES + "modes: act", "p.yaml:4:1: unknown key `modes`; did you mean `mode`?"),
        (
            HEAD + RULES + "owner: me",
            (
                "p.yaml:4:1: unknown key `owner`; there are schema, mode, restart_cost, time_zone,"
                " setup_limit, forgotten_after, limits, exemptions, budgets, rules"
            ),
        ),
        (
            HEAD + RULES + "time_zone: Europe/Berln",
            (
                "p.yaml:4:12: `time_zone` must be a time zone such as Europe/Berlin or UTC,"
                " not Europe/Berln; did you mean Europe/Berlin?"
            ),
        ),
        (HEAD + RULES + "setup_limit: 4h", "p.yaml:4:14: `setup_limit` must be at most 3h, not 4h"),
        (HEAD + RULES + "budgets: 3", "p.yaml:4:10: `budgets` must be a list, not 3"),
        (HEAD + RULES + "exemptions: [3]", "p.yaml:4:14: exemption 1 must be a mapping, not 3"),
        (
            HEAD + RULES + "exemptions:\n  - {until: 2026-12-20, because: a}",
            "p.yaml:5:5: an exemption must say whose: machine, workload, owner or tag",
        ),
        (
            HEAD + RULES + "exemptions:\n  - {owner: ana, because: a}",
            (
                "p.yaml:5:5: `until` is missing: when it ends: a date (its last minute counts)"
                " or an RFC 3339 time"
            ),
        ),
        (
            HEAD + RULES + "exemptions:\n  - {owner: ana, until: 2026-02-30, because: a}",
            "p.yaml:5:25: `until` must be a date that exists, not 2026-02-30",
        ),
        (
            HEAD + RULES + "exemptions:\n  - {owner: ana, until: soon, because: a}",
            (
                "p.yaml:5:25: `until` must be a date such as 2026-12-20, or a time such as"
                " 2026-12-20T18:00:00Z, not soon"
            ),
        ),
        (
            HEAD + RULES + "exemptions:\n  - {owner: ana, until: 2026-12-20T18:00:00, because: a}",
            "p.yaml:5:25: `until` must say its time zone, as 2026-12-20T18:00:00Z does",
        ),
        (
            HEAD + RULES + "budgets:\n  - {name: a, usd_per_week: 5, then: leave}",
            "p.yaml:5:38: `then` must be one of notify, warn, stop, not leave",
        ),
        (
            HEAD + RULES + "budgets:\n  - {name: a, usd_per_week: 5, owner: b, workload: c}",
            "p.yaml:5:32: `owner`: a budget is of a workload, of an owner, or of all; not of two",
        ),
        (
            HEAD + RULES + "budgets:\n  - {name: a, usd_per_week: 5}\n"
            "  - {name: a, usd_per_week: 5}",
            "p.yaml:6:12: `name` a is already that of budget 1; names differ",
        ),
        (
            HEAD + RULES + "limits: {gpu_classes: {H100: {gracee: 5m}}}",
            "p.yaml:4:31: unknown key `gracee`; did you mean `grace`?",
        ),
        (
            HEAD + RULES + "limits: {gpu_classes: {H100: {min_idle: 2h, max_idle: 1h}}}",
            "p.yaml:4:41: `min_idle` must not be longer than max_idle",
        ),
        (
            HEAD + RULES + "limits: {gpu_classes: {H100: 3}}",
            "p.yaml:4:30: `H100` must be a mapping, not 3",
        ),
        (
            HEAD + RULES + "mode: acting",
            "p.yaml:4:7: `mode` must be one of observe, act, not acting; did you mean act?",
        ),
        (
            HEAD + RULES + "restart_cost: -5m",
            "p.yaml:4:15: `restart_cost` must not be negative, as -5m is",
        ),
        (
            HEAD + RULES + "restart_cost: $4",
            (
                "p.yaml:4:15: `restart_cost` must be a duration such as 15m,"
                ' or dollars such as "4 USD", not $4'
            ),
        ),
        (HEAD + RULES + HEAD, "p.yaml:4:1: key `schema` stands twice; it is first in line 1"),
        (
            rule_with(then="kill"),
            f"p.yaml:6:11: `then` must be one of {ACTIONS}, not kill",
        ),
        (
            rule_with(then="stopp"),
            f"p.yaml:6:11: `then` must be one of {ACTIONS}, not stopp; did you mean stop?",
        ),
        (
            rule_with(then="off"),
            f"p.yaml:6:11: `then` must be one of {ACTIONS}, not false",
        ),
        (rule_with(grace="-5m"), "p.yaml:7:12: `grace` must not be negative, as -5m is"),
        (
            rule_with(grace="30"),
            "p.yaml:7:12: `grace` must be a duration such as 90s, 15m, 6h or 3d, not 30",
        ),
        (
            rule_with(grace="9999999d"),
            "p.yaml:7:12: `grace` must be a duration such as 90s, 15m, 6h or 3d, not 9999999d",
        ),
        (rule_with(gracee="5m"), "p.yaml:7:5: unknown key `gracee`; did you mean `grace`?"),
        (rule_with(because='" "'), "p.yaml:5:14: `because` must not be empty"),
        (rule_with(name="7"), "p.yaml:3:11: `name` must be text, not 7; put text in quotes"),
        (rule_with(when="30"), "p.yaml:4:11: `when` must be a condition as text, not 30"),
        (
            HEAD + "rules:\n  - name: a\n    when: true\n    then: leave\n",
            "p.yaml:3:5: `because` is missing: one sentence that tells people why",
        ),
        (
            HEAD + RULES + "  - {name: b, when: true, because: b, then: leave}\n"
            "  - name: a\n    when: true\n    because: b\n    then: stop\n",
            "p.yaml:5:11: `name` a is already that of rule 1; names differ",
        ),
        (
            HEAD + RULES + "limits: {stop_share: 1.01}",
            "p.yaml:4:22: `stop_share` must be a number from 0 to 1, not 1.01",
        ),
        (
            HEAD + RULES + "limits: {stop_shar: 0.5}",
            "p.yaml:4:10: unknown key `stop_shar`; did you mean `stop_share`?",
        ),
        (
            HEAD + RULES + "limits:\n  stops_per_patrol: 1.5",
            "p.yaml:5:21: `stops_per_patrol` must be a whole number from 0, not 1.5",
        ),
        (
            HEAD + RULES + "limits:\n  stop_usd_per_hour: .inf",
            "p.yaml:5:22: `stop_usd_per_hour` must be a number from 0, not inf",
        ),
        (
            HEAD + RULES + "limits:\n  regret_rate: yes",
            "p.yaml:5:16: `regret_rate` must be a number, not true",
        ),
    ],
)
def test_each_mistake_has_one_line_with_its_place(text: str, said: str) -> None:
    assert complaint(text) == said


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a:\n\t- b", "p.yaml:2:1: a tab cannot indent YAML; use spaces"),
        (
            "a: b: c",
            (
                "p.yaml:1:5: a colon cannot stand here;"
                " put text that holds one in quotes, or check the indentation"
            ),
        ),
        (
            rule_with(when="!workload.attributed"),
            "p.yaml:4:11: text that begins with ! must stand in quotes",
        ),
        (
            rule_with(when='"team" in tags'),
            (
                "p.yaml:4:18: this does not belong here;"
                " check the indentation, or put the whole text in quotes"
            ),
        ),
        ("--- a\n--- b", "p.yaml:2:1: it holds several documents; a policy is one"),
        ("a: [1, 2", "p.yaml:1:9: it is no YAML: expected ',' or ']', but got '<stream end>'"),
        ("a: *b", "p.yaml:1:4: it is no YAML: found undefined alias 'b'"),
        ("a: &b [*b]", "p.yaml:1:4: an alias stands inside its own anchor"),
        ("[a]: b", "p.yaml:1:1: a key must be plain text"),
        ("b: 1\na: \x01", "p.yaml:2:4: character 1 is not allowed in YAML"),
        ("a: 0x_", "p.yaml:1:4: this is no int; put text in quotes"),
        ("a: !!bool maybe", "p.yaml:1:4: this is no bool; put text in quotes"),
        (
            "a: !!python/object:os.system x",
            "p.yaml:1:4: text that begins with ! must stand in quotes",
        ),
        ("[" * 5000, "p.yaml:1:1: it is nested too deeply"),
    ],
)
def test_text_that_is_no_yaml_is_told_by_its_place(text: str, said: str) -> None:
    assert complaint(text) == said


@pytest.mark.parametrize(
    ("when", "place"),
    [
        ("phase == 'idle' && idel.minutes > 30", "4:30"),
        ('"phase == \\"idle\\" && idel.minutes > 30"', "4:33"),
        ("'phase == ''idle'' && idel.minutes > 30'", "4:33"),
        ("phase == 'idle' &&\n      idel.minutes > 30", "5:7"),
        ("|\n      phase == 'idle'\n        && idel.minutes > 30", "6:12"),
        (">-  # folded\n\n      phase == 'idle' &&\n\n      idel.minutes > 30", "8:7"),
        (">\n      idle.minutes > 1 && group.size > 2 && idel.minutes > 30", "5:45"),
    ],
)
def test_a_mistake_in_a_condition_has_its_own_line_and_column(when: str, place: str) -> None:
    said = "`when`: unknown name `idel.minutes`; did you mean `idle.minutes`?"
    assert complaint(rule_with(when=when)) == f"p.yaml:{place}: {said}"


def test_all_mistakes_are_told_in_the_order_of_the_file() -> None:
    text = HEAD + "mode: acts\nrules:\n  - {name: a, when: phase, because: b, then: halt, why: c}\n"
    assert complaint(text).splitlines() == [
        "p.yaml:2:7: `mode` must be one of observe, act, not acts; did you mean act?",
        "p.yaml:4:21: `when`: it gives text, not true or false; compare it with something",
        f"p.yaml:4:46: `then` must be one of {ACTIONS}, not halt",
        "p.yaml:4:52: unknown key `why`; there are name, when, because, then, grace",
    ]


def test_half_characters_are_refused_wherever_they_stand() -> None:
    assert complaint(rule_with(because='"\\ud800"')) == (
        "p.yaml:5:14: this holds half a character (a lone surrogate)"
    )


def test_a_braced_value_is_told_as_it_is() -> None:
    assert complaint(rule_with(then='"{message}"')) == (
        f"p.yaml:6:11: `then` must be one of {ACTIONS}, not {{message}}"
    )


def test_places_of_what_does_not_exist_fall_back_to_what_does() -> None:
    document = read_yaml("a:\n  b: [1, 2]\n")
    assert document.place_of(("a", "b", 1)) == Place(2, 10)
    assert document.place_of(("a", "c", 1)) == Place(2, 3)
    assert document.place_of_key(("a", "b")) == Place(2, 3)
    assert document.place_of_key(("a", "c")) == Place(2, 3)
    assert document.place_within(("a",), 3) == Place(2, 3)


WHOLE = (
    HEAD + "mode: act\nrestart_cost: 15m\nlimits: {stop_share: 0.5}\n"
    'rules:\n  - name: a\n    when: phase == "idle" && idle.minutes >= 30\n'
    "    because: b\n    then: stop\n    grace: 30m\n"
)
SCRAPS = st.sampled_from(
    [
        "",
        ": ",
        "- ",
        "&a ",
        "*a",
        "-1",
        ".nan",
        "<<: ",
        "!!int ",
        "? ",
        *" \n:!\"'#|>\t{}[]~1\\%@`\x07é\ud800",
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(WHOLE)), st.integers(0, 12), SCRAPS), max_size=3))
def test_a_mangled_policy_is_a_policy_or_a_policy_error(
    changes: list[tuple[int, int, str]],
) -> None:
    text = WHOLE
    for start, length, scrap in changes:
        text = text[:start] + scrap + text[start + length :]
    assert all(line.startswith("p.yaml:") for line in complaints(text))


def complaints(text: str) -> list[str]:
    try:
        load_policy(text, "p.yaml")
    except PolicyError as error:
        return str(error).splitlines()
    return []
