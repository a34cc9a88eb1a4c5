"""CSV for spreadsheets: no cell may be a formula, and no figure needs an exponent."""

from datetime import UTC, datetime
from decimal import Decimal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchdog.csv_values import FORMULA, for_csv


def cell(value: object) -> str:
    frame = pd.DataFrame([[value, "end"]], columns=["a", "b"], dtype=object)
    return for_csv(frame).to_csv(index=False).split("\n", 1)[1].removesuffix(",end\n")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=1+1", "'=1+1"),
        ("+1", "'+1"),
        ("-x", "'-x"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1+1", "'=1+1"),
        ("\r=1+1", "'=1+1"),
        ("\x1b[0m=1+1", "'=1+1"),
        ("\u200b=1+1", "'=1+1"),
        ("＝1+1", "'＝1+1"),
        ("a=1", "a=1"),
        ("llama", "llama"),
        (Decimal("-1.5"), "-1.5"),
        (Decimal("0E-9"), "0.000000000"),
        (-3, "-3"),
        (-0.5, "-0.5"),
        (None, ""),
        (pd.NaT, ""),
        (float("nan"), ""),
        (datetime(2026, 1, 2, 3, 4, tzinfo=UTC), "2026-01-02T03:04:00Z"),
    ],
)
def test_a_cell(value: object, shown: str) -> None:
    assert cell(value) == shown


def test_a_column_of_times_with_one_missing() -> None:
    frame = pd.DataFrame({"at": [pd.Timestamp("2026-01-02T03:04:00Z"), pd.NaT]})
    assert for_csv(frame).to_csv(index=False) == 'at\n2026-01-02T03:04:00Z\n""\n'


@given(st.text(max_size=30))
def test_no_text_begins_like_a_formula(text: str) -> None:
    (shown,) = for_csv(pd.DataFrame({"a": [text]}))["a"]
    assert not shown.startswith(FORMULA)
