import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from watchdog.cleaning import clean, clean_line, clean_lines

ANY = st.text(alphabet=st.characters(codec=None), max_size=200)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("trainer-1", "trainer-1"),
        ("two\nlines\r\n\tand more", "two lines and more"),
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]8;;https://evil.example\x07link\x1b]8;;\x07", "link"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title", "0;title"),
        ("\u202egnp.exe", "gnp.exe"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("line\u2028separator", "line separator"),
        ("Grüße 日本 नमस्ते", "Grüße 日本 नमस्ते"),
        ("\x00", ""),
    ],
)
def test_what_is_left_of_a_name(text: str, shown: str) -> None:
    assert clean(text) == shown


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  ok       ledger: \x1b[31mred", "  ok       ledger: red"),
        (" one\ntwo", " one two"),
        ("a \x07 b", "a b"),
        ("", ""),
    ],
)
def test_a_line_of_a_report_keeps_its_columns(line: str, shown: str) -> None:
    assert clean_line(line) == shown


def test_lines_are_cleaned_one_by_one() -> None:
    assert clean_lines("a\x1b[2J\n  b\u202e") == "a\n  b"


def test_marks_do_not_pile_up() -> None:
    assert clean("a" + "\u0301" * 50) == "a" + "\u0301" * 4


def test_a_long_name_keeps_both_ends() -> None:
    name = "train-" + "x" * 300 + "-node-7"
    assert clean(name, 40).startswith("train-x")
    assert clean(name, 40).endswith("-node-7")
    assert len(clean(name, 40)) == 40


@given(ANY, st.integers(min_value=1, max_value=60))
@example("\x1b[\x1b[31m31m", 60)
def test_one_line_without_anything_that_steers(text: str, limit: int) -> None:
    shown = clean(text, limit)
    assert len(shown) <= limit
    assert shown == clean(shown)
    categories = {unicodedata.category(character) for character in shown}
    assert not categories & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
