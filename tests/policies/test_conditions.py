"""Conditions: what compiles, what it means, and what is said where it does not."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.condition_errors import ConditionError
from policies.condition_text import references, tokens_of, with_doubles
from policies.conditions import Evaluation, Known, checked, compiled
from policies.names import NAMES, NameType

SAMPLE: dict[str, object] = {each.name: each.example for each in NAMES}


def evaluated(text: str, **known: object) -> Evaluation:
    """Names are written with `__` for the dot."""
    condition = compiled(text)
    values = {name.replace("__", "."): value for name, value in known.items()}
    return Known(values, [condition]).evaluate(condition)


def holds(text: str, **known: object) -> bool | None:
    return evaluated(text, **known).holds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("idle.minutes >= 500", True),
        ("idle.minutes >= 500.5", False),
        ("500 <= idle.minutes", True),
        ("idle.minutes == 500", True),
        ("idle.minutes >= 0x1F4", True),
        ("idle.minutes >= 0x1F5", False),
        ("idle.minutes >= 5e2", True),
        ("idle.minutes > -5", True),
        ("idle.minutes > - 5", True),
        ("-idle.minutes < -499", True),
        ("idle.minutes-1>=499", True),
        ("idle.minutes / 60 > 8", True),
        ("idle.minutes > 1 / 2", True),
        ("idle.minutes > 99999999999999999999", False),
        ("idle.minutes in [30, 500]", True),
        ("idle.minutes in [30, 500.5]", False),
        ("idle.minutes > 007", True),
        ("size(tags) == 1", True),
        ("1 == size(tags)", True),
        ("tags.size() > 0 && idle.minutes > 0", True),
        ("size(tags) > (1 + 2)", False),
        ("size(tags) in [1, 2]", True),
        ("size('12345') == 5", True),
        ("int(time.hour) % 2 == 0", True),
        ("[10, 20, 30][1] == 20", True),
        ("[10, 20, 30][   1] == 20", True),
        ("['a', 'b'][0] == 'a' && idle.minutes >= 500", True),
        ("'k8s.io/team-1' in tags", True),
        ("tags['k8s.io/team-1'] == '12 34'", True),
        ("tags['k8s.io/team-1'] == '''12 34'''", True),
        ('tags["k8s.io/team-1"] == r"12 34"', True),
        ("tags['k8s.io/team-1'].matches(r'^\\d+ 34$')", True),
        ('tags["k8s.io/team-1"] == "\\x312 34"', True),
        ("idle.minutes >= 500 // and 3 more 4\n && true", True),
        ("tags.exists(key, key.startsWith('k8s')) && size(tags) == 1", True),
        ("idle.minutes >= 500 ? size(tags) == 1 : idle.minutes == 3", True),
    ],
)
def test_numbers_compare_whichever_way_they_are_written(text: str, expected: bool) -> None:  # noqa: FBT001
    known = {"idle__minutes": 500.0, "time__hour": 14.0, "tags": {"k8s.io/team-1": "12 34"}}
    assert holds(text, **known) is expected
    checked(text)


@given(st.integers(0, 2**53), st.floats(0, 1e9))
def test_a_whole_number_means_the_same_as_its_double(number: int, minutes: float) -> None:
    for sign in (">=", "<", "==", "!="):
        whole = holds(f"idle.minutes {sign} {number}", idle__minutes=minutes)
        assert whole is holds(f"idle.minutes {sign} {number}.0", idle__minutes=minutes)
    assert holds(f"idle.minutes >= {number}", idle__minutes=minutes) is (minutes >= number)


@given(st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30))
def test_digits_in_text_stay_as_they_are(told: str) -> None:
    quoted = json.dumps(f"7 {told} 8", ensure_ascii=False)
    assert holds(f"workload.name == {quoted} && idle.minutes > 3", **named(f"7 {told} 8"))


def named(name: str) -> dict[str, object]:
    return {"workload__name": name, "idle__minutes": 4.0}


@given(st.text())
def test_every_character_belongs_to_one_token(text: str) -> None:
    tokens = tokens_of(text)
    assert "".join(token.text for token in tokens) == text
    assert all(text[token.start : token.end] == token.text for token in tokens)


WORDS = "idle.minutes phase tags 30 'idle' 'x 0x1F 3.5 5u in size( has(tags.a) true and not é"
PIECES = st.sampled_from([*WORDS.split(), *"[](){}.,:?!%-=`\\\n\ud800\x00", ">=", "==", "&&", "//"])


@given(st.lists(PIECES, max_size=12).map(" ".join) | st.text(max_size=20))
def test_any_text_is_a_condition_or_a_condition_error(text: str) -> None:
    error = mistake_in(text)
    if error is not None:
        assert 0 <= error.offset <= len(text)
        assert str(error)
        assert "\n" not in str(error)


def mistake_in(text: str) -> ConditionError | None:
    try:
        checked(text)
    except ConditionError as error:
        return error
    return None


def test_places_survive_the_rewriting_of_numbers() -> None:
    text = 'idle.minutes >= 30 && group.size > 0x10\n  || phase == "é" && idle.minutes < 5'
    rewritten = with_doubles(tokens_of(text), ())
    for word in ("group.size", "||", "idle.minutes < 5"):
        before = rewritten.text[: rewritten.text.index(word.removesuffix(" 5"))]
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        assert rewritten.original_offset(line, column) == text.index(word)


@pytest.mark.parametrize(
    ("text", "offset", "message"),
    [
        ("", 0, "the condition ends too early"),
        ("idle.minutes >", 14, "the condition ends too early"),
        ("idle.minute >= 30", 0, "unknown name `idle.minute`; did you mean `idle.minutes`?"),
        ("true && idel.minutes > 3", 8, "unknown name `idel.minutes`; did you mean"),
        ("cost.foo > 3", 0, "unknown name `cost.foo`; there are cost.idle_usd, cost.day_usd"),
        ("phase == idle", 9, 'unknown name `idle`; write text in quotes, as in "idle"; there are'),
        ("idle.minutes > 3 && foo(3)", 20, "CEL has no function `foo`"),
        ("phase.foo()", 6, "CEL has no function `foo`"),
        ("phase", 0, "it gives text, not true or false; compare it with something"),
        ("idle.minutes + 1", 0, "it gives a number, not true or false"),
        ("has(idle.minutes)", 0, "it gives a number, not true or false"),
        ("phase = 'idle'", 6, "`=`: write `==` instead"),
        ("true and true", 5, "`and`: write `&&` instead"),
        ("not workload.attributed", 0, "`not`: write `!` instead"),
        ("idle.minutes >= 30m", 18, "`m` is not expected here"),
        ("phase == 'idle", 9, "the quote is never closed"),
        ("phase >= 3", 6, "`>=` cannot compare text with a number"),
        ("30 > 3 && idle.minutes >= '30'", 23, "`>=` cannot compare a number with text"),
        ("1 < 2 && 3 <= idle.minutes <= 5", 27, "`<=` cannot compare true or false with a number"),
        ("idle.minutes == null", 13, "`==` cannot compare a number with null"),
        ("phase && true", 6, "`&&` needs true or false, not text and true or false"),
        ("tags[1] == 'x'", 4, "`[]` cannot be used with a map and a number"),
        ("idle.minutes.foo > 1", 12, "a number has no parts"),
        ("phase.matches('[')", 0, "it cannot be evaluated, even on a full sample: invalid regular"),
        ("tags[workload.name] == 'x'", 0, "it cannot be evaluated, even on a full sample: Key not"),
        ("workload.verdict == 'matur'", 20, '`workload.verdict` is never "matur"; did you mean'),
        ("'idel' != phase", 0, '`phase` is never "idel"; did you mean "idle"? It is one of setup'),
        ("phase in ['idle', 'off']", 18, '`phase` is never "off"; it is one of setup, transfer'),
        ("(" * 40 + "true" + ")" * 40, 0, "Expression recursion limit exceeded"),
        ("true" + " " * 2000, 0, "it is longer than 2000 characters; make it several rules"),
    ],
)
def test_each_mistake_is_named_at_its_place(text: str, offset: int, message: str) -> None:
    with pytest.raises(ConditionError) as caught:
        checked(text)
    assert str(caught.value).startswith(message)
    assert caught.value.offset == offset


def test_what_is_unknown_is_neither_true_nor_false() -> None:
    evaluation = evaluated("idle.minutes >= 30 && workload.score < 0.5", idle__minutes=40.0)
    assert evaluation == Evaluation(None, ("workload.score",), "workload.score is unknown")
    both = evaluated("idle.minutes >= 30 && workload.score < 0.5")
    assert both.missing == ("idle.minutes", "workload.score")
    assert both.why == "idle.minutes and workload.score are unknown"


@pytest.mark.parametrize("unknown", [None, float("nan")])
@pytest.mark.parametrize("text", ["idle.minutes != 3", "!(idle.minutes < 30)", "idle.minutes >= 0"])
def test_none_and_nan_are_unknown(text: str, unknown: float | None) -> None:
    assert holds(text, idle__minutes=unknown) is None
    assert holds(text, idle__minutes=40.0) is True


def test_a_part_that_settles_the_matter_is_enough() -> None:
    assert holds("phase == 'idle' && idle.minutes >= 30", phase="active") is False
    assert holds("idle.minutes >= 30 && phase == 'idle'", phase="active") is False
    assert holds("idle.minutes >= 30 || phase == 'idle'", phase="idle") is True
    assert holds("idle.minutes >= 30 || phase == 'idle'", phase="active") is None


@pytest.mark.parametrize("value", ["40", object(), [40.0], {}])
def test_a_value_of_the_wrong_type_is_never_true(value: object) -> None:
    assert holds("idle.minutes >= 30", idle__minutes=value) is None
    assert holds("!(idle.minutes >= 30)", idle__minutes=value) is None


@pytest.mark.parametrize(
    "text", ["tags['team'] == 'x'", "tags.team == 'x'", "!(tags['team'] == 'x')"]
)
def test_a_tag_that_is_not_set_has_no_value(text: str) -> None:
    evaluation = evaluated(text, tags={"other": "x"})
    assert evaluation == Evaluation(None, ('tags["team"]',), 'tags["team"] is not set')


def test_a_tag_can_be_asked_for_first() -> None:
    text = "'team' in tags && tags['team'] == 'research'"
    assert holds(text, tags={}) is False
    assert holds(text, tags={"team": "research"}) is True
    assert holds("has(tags.team) && tags.team == 'x'", tags={}) is False


def test_a_tag_that_is_no_unicode_makes_tags_unknown_and_breaks_nothing() -> None:
    broken = {"idle__minutes": 4.0, "tags": {"a": "\ud800", "b": "x"}}
    assert holds("tags['b'] == 'x'", **broken) is None
    assert holds("idle.minutes > 3 || tags['b'] == 'x'", **broken) is not False
    assert holds("idle.minutes > 3", **broken) is True


def test_an_error_says_what_it_was() -> None:
    text = "int(tags['limit']) > 3"
    assert holds(text, tags={"limit": "4"}) is True
    evaluation = evaluated(text, tags={"limit": "many"})
    assert evaluation.holds is None
    assert evaluation.missing == ()
    assert evaluation.why


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("workload.name.startsWith('idle.minutes') // phase", ["workload.name"]),
        ("idle . minutes > 3 && tags.phase == 'x'", ["idle.minutes", "tags"]),
        ("tags['phase'] == machine.name", ["tags", "machine.name"]),
        ("size(tags) == 1 || !workload.attributed", ["tags", "workload.attributed"]),
    ],
)
def test_the_names_in_use_are_found(text: str, names: list[str]) -> None:
    assert [each.name for each in references(tokens_of(text))] == names
    assert list(compiled(text).names) == names


@pytest.mark.parametrize("name", [each.name for each in NAMES])
def test_every_name_compiles_with_its_type_and_has_an_example(name: str) -> None:
    by_type = {
        NameType.NUMBER: f"{name} >= 0 && {name} >= 0.5 || true",
        NameType.TEXT: f"size({name}) > 0",
        NameType.TRUTH: f"{name}",
        NameType.TAGS: f"size({name}) >= 0",
    }
    each = next(each for each in NAMES if each.name == name)
    condition = checked(by_type[each.type])
    assert Known(SAMPLE, [condition]).evaluate(condition).holds is True
    assert not each.values or each.example in each.values


def test_each_name_is_there_once_and_has_a_meaning() -> None:
    assert len({each.name for each in NAMES}) == len(NAMES)
    assert all(each.meaning for each in NAMES)


def test_importing_the_rules_does_not_load_cel() -> None:
    code = "import sys, policies.rules; print('cel_expr_python' in sys.modules)"
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "False"
