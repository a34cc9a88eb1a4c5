"""Frames on terminals of every width: nothing squeezed, nothing lost without a word."""

import io
from datetime import UTC, datetime

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from watchdog.frame_table import as_table

ID = "7b0e4c1e-93a3-4c6b-9d1e-0123456789ab"
FRAME = pd.DataFrame(
    {
        "run_id": [ID, "b"],
        "workload": ["llama-70b-pretraining-run-of-november", "bert"],
        "started_at": [datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)] * 2,
        "outcome": ["succeeded", None],
        "gpus": [8, 16],
        "source": ["file", "mlflow http://mlflow.example.com:5000"],
    }
)


def shown(width: int | None, **options: tuple[str, ...]) -> list[str]:
    out = io.StringIO()
    told = as_table(FRAME, title="Runs of the last week, all of them", width=width, **options)
    Console(file=out, width=width or 1000).print(told)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def test_in_a_pipe_a_row_is_a_line_and_nothing_is_left_out() -> None:
    lines = shown(None)
    assert lines[1].split() == [*FRAME.columns]
    assert [line.split()[0] for line in lines[3:]] == [ID, "b"]
    assert "2026-01-02T03:04:05.000678Z" in lines[3]


def test_on_eighty_columns_the_first_named_stay_and_ids_are_folded() -> None:
    lines = shown(80, first=("workload", "run_id", "started_at", "outcome"))
    assert max(map(len, lines)) <= 80
    assert "2026-01-02 03:04Z" in lines[4]
    joined = "".join(line[:16] for line in lines[4:])
    assert ID[:16] in joined
    assert lines[-1] == "No room for source: --json has all."


def test_what_stays_keeps_the_frames_order() -> None:
    lines = shown(40, first=("workload", "run_id"))
    assert lines[2].split() == ["id", "workload", "gpus"]
    assert "No room for started_at, outcome, source" in " ".join(lines)


@given(st.integers(20, 200))
def test_at_every_width_it_fits_and_names_what_it_leaves_out(width: int) -> None:
    lines = shown(width, first=("run_id",))
    title = 1
    assert max(map(len, lines[title:])) <= width
    text = " ".join(lines)
    for name in FRAME.columns:
        assert name in text or name.split("_", maxsplit=1)[0] in text


def test_names_are_neither_markup_nor_steering() -> None:
    out = io.StringIO()
    evil = pd.DataFrame({"workload": ["[red]x[/red]", "a\x1b[31mb\nc"]})
    Console(file=out, width=80).print(as_table(evil, title="[b]\x1b[2J", width=80))
    assert "[red]x[/red]" in out.getvalue()
    assert "ab c" in out.getvalue()
    assert "\x1b" not in out.getvalue()
