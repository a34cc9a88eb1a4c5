"""`spend-watchdog backtest`: judgement replayed over histories."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output

if TYPE_CHECKING:
    from policies.facts import Run
    from policies.pauses import Pause

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


@app.command()
def policy(
    *,
    runs: Annotated[
        Path | None,
        typer.Option(
            "--runs",
            metavar="FILE",
            help="Run history: CSV, JSONL or Parquet. Alone, pauses lie between a host's runs.",
            show_default=False,
        ),
    ] = None,
    readings: Annotated[
        Path | None,
        typer.Option(
            "--readings",
            metavar="FILE",
            help="Recorded readings: CSV, JSONL or Parquet. Pauses are found in them.",
            show_default=False,
        ),
    ] = None,
    restart_cost: Annotated[
        timedelta,
        typer.Option(
            "--restart-cost",
            metavar="D",
            parser=options.duration,
            help="Price of a restart, as time of the machine.",
        ),
    ] = "15m",  # type: ignore[assignment]
    patrol_every: Annotated[
        timedelta,
        typer.Option(
            "--patrol-every",
            metavar="D",
            parser=options.duration,
            help="Time between patrols, from a pause's start on; the grace is one patrol.",
        ),
    ] = "5m",  # type: ignore[assignment]
    policies: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="A policy file or pack; several side by side. Without: the engine's patience.",
            show_default=False,
        ),
    ] = None,
    decisions: Annotated[
        Path | None,
        typer.Option(
            "--decisions",
            metavar="OUT.csv",
            help="Write what was decided about every pause.",
            show_default=False,
        ),
    ] = None,
    plot: Annotated[
        Path | None,
        typer.Option(
            "--plot", metavar="OUT.svg", help="Draw the costs as bars.", show_default=False
        ),
    ] = None,
    json: options.Json = False,
) -> None:
    """Replay policies over recorded pauses: stops, savings, regrets, and cost against the best.

    Every decision uses only what was known when it was made. Exit code 4: bad rows, or runs that
    name no host, were left out.
    """
    if runs is None and readings is None:
        raise typer.BadParameter("--runs FILE, --readings FILE or both must be given")
    for name, length in (("--restart-cost", restart_cost), ("--patrol-every", patrol_every)):
        if not length:
            raise typer.BadParameter(f"{name} must be longer than nothing")
    from policies.pauses import resource_of  # noqa: PLC0415 - heavy, not for --help
    from watchdog.backtest.policy import backtest_policy, write_decisions  # noqa: PLC0415
    from watchdog.backtest.policy_report import draw, policy_json, render  # noqa: PLC0415
    from watchdog.composition import policy_named  # noqa: PLC0415

    chosen = [policy_named(name) for name in policies or ()]
    history, bad = ([], 0) if runs is None else _read(runs)
    pauses = None
    if readings is not None:
        pauses, left_out = _read_pauses(readings)
        bad += left_out
    else:
        nowhere = sum(resource_of(run) is None for run in history)
        bad += nowhere
        if nowhere:
            output.notice(f"{nowhere:,} runs name no host: no pause is found at them")
    with output.progress() as progress:
        progress("replaying policies")
        found = backtest_policy(
            history, pauses, chosen, restart_cost=restart_cost, patrol_every=patrol_every
        )
    if decisions is not None:
        write_decisions(found.decisions, decisions)
    if plot is not None:
        draw(found.report, plot)
    if json:
        output.print_json(policy_json(found.report))
    else:
        output.show(*render(found.report))
    raise typer.Exit(UNSEEN if bad else FINE)


def _read_pauses(path: Path) -> tuple[list[Pause], int]:
    """The pauses in the good rows, and how many rows are bad."""
    from watchdog.backtest.reading_files import read_readings  # noqa: PLC0415 - heavy
    from watchdog.backtest.reading_pauses import pauses_of_readings  # noqa: PLC0415

    with output.progress() as progress:
        progress(f"reading {path}")
        file = read_readings(path)
        if file.notice is not None:
            output.notice(file.notice)
        return pauses_of_readings(file.samples), file.bad


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
