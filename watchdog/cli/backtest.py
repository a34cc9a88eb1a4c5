"""`spend-watchdog backtest`: judgement replayed over histories."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output

if TYPE_CHECKING:
    from policies.facts import Run

app = typer.Typer(no_args_is_help=True, help="Replay judgement over a history.")

FINE, UNSEEN = 0, 4


@app.callback()
def backtest() -> None:
    """Replay judgement over a history."""


@app.command()
def score(
    *,
    runs: Annotated[
        Path, typer.Option("--runs", metavar="FILE", help="Run history: CSV, JSONL or Parquet.")
    ],
    predictions: Annotated[
        Path | None,
        typer.Option(
            "--predictions",
            metavar="OUT.csv",
            help="Write run_id,score,verdict of every run.",
            show_default=False,
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Replay the score and the verdict over a history, each run from what was known before it.

    Beside them stand two baselines: the success rate of all earlier runs, and of the workload's.
    Intervals (90 %) come from drawing whole groups. Exit code 4: bad rows were left out.
    """
    from watchdog.backtest.score_report import render, score_json  # noqa: PLC0415 - heavy
    from watchdog.backtest.scores import backtest_score, write_predictions  # noqa: PLC0415

    history, bad = _read(runs)
    with output.progress() as progress:
        progress(f"replaying {len(history):,} runs")
        judged, report = backtest_score(history)
    if predictions is not None:
        write_predictions(judged, predictions)
    if json:
        output.print_json(score_json(report))
    else:
        output.show(*render(report))
    raise typer.Exit(UNSEEN if bad else FINE)


def _read(path: Path) -> tuple[list[Run], int]:
    """The good rows; each bad one is told."""
    from watchdog.runs.reading import Problem, read_runs  # noqa: PLC0415 - heavy, not for --help

    file = read_runs(path, now=datetime.now(UTC))
    found: list[Run] = []
    bad = 0
    for _, each in file:
        if isinstance(each, Problem):
            output.notice(str(each))
            bad += 1
        else:
            found.append(each)
    for notice in file.notices:
        output.notice(notice)
    return found, bad
