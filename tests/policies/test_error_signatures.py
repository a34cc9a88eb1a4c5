"""When two errors are the same one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.error_signatures import signature, signature_of
from policies.facts import RunCause
from tests.builders import run


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ValueError: bad shape (3, 7)", "ValueError: bad shape (12, 1, 4)"),
        (
            "CUDA out of memory. Tried to allocate 2.00 GiB",
            "cuda out of memory. tried to allocate 512 GiB",
        ),
        ("<Model at 0x7f3a12>", "<Model at 0x7fffe8>"),
        ("no file '/tmp/a1/x.pt'", "no file 'C:\\Users\\me\\y.pt'"),
        ("cannot reach https://host-1/a?b=1", "cannot reach http://other/c"),
        (
            "job 3f2504e0-4f89-11d3-9a0c-0305e82c3301 died",
            "job 9c858901-8a57-4791-81fe-4c455b099bc9 died",
        ),
        ("commit deadbeef01 is gone", "commit 0123456789abcdef is gone"),
        (
            "Traceback:\n  File a.py\nKeyError: 'x'",
            "Traceback:\n  File b.py, line 9\nKeyError: 'x'\n",
        ),
    ],
)
def test_what_differs_from_run_to_run_is_left_out(one: str, other: str) -> None:
    assert signature(one) is not None
    assert signature(one) == signature(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("KeyError: 'lr'", "KeyError: 'batch'"),
        ("ValueError: bad shape", "TypeError: bad shape"),
        ("a decade of facades", "a facade of decades"),
    ],
)
def test_what_is_another_trouble_stays_another(one: str, other: str) -> None:
    assert signature(one) != signature(other)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  \n ",
        "42",
        "exit code 1",
        "Exit status: -9",
        "Command failed with exit code 1.",
        "/a/b",
    ],
)
def test_a_text_that_says_nothing_is_the_same_as_no_other(text: str) -> None:
    assert signature(text) is None


def test_memory_and_time_that_ran_out_are_one_trouble_however_it_is_worded() -> None:
    one = run(cause=RunCause.OOM, error="CUDA out of memory")
    other = run(cause=RunCause.OOM, error=None)
    assert signature_of(one) == signature_of(other) == "out of memory"
    assert signature_of(run(cause=RunCause.TIMEOUT)) == "time limit"
    assert signature_of(run(cause=RunCause.ERROR, error=None)) is None


@given(st.text(max_size=300))
def test_a_signature_is_short_and_its_own_signature(text: str) -> None:
    found = signature(text)
    assert found is None or 0 < len(found) <= 200
    assert signature(text) == found
