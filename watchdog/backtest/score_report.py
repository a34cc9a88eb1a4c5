"""The report of a score's backtest: for people, and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from math import isnan
from typing import TYPE_CHECKING

from watchdog.backtest.scores import GpuHours, Part, ScoreReport

if TYPE_CHECKING:
    from rich.console import RenderableType

    from watchdog.backtest.figures import Figure

SCHEMA = "spend-watchdog/backtest-score/1"


def score_json(report: ScoreReport) -> dict[str, object]:
    hours = report.gpu_hours
    return {
        "schema": SCHEMA,
        "runs": report.runs,
        "labelled": report.labelled,
        "parts": [_part_json(part) for part in report.parts],
        "calibration": list(_calibration_json(report)),
        "gpu_hours": {
            "succeeded": round(hours.succeeded, 3),
            "failed": round(hours.failed, 3),
            "mature_succeeded": round(hours.mature_succeeded, 3),
            "mature_failed": round(hours.mature_failed, 3),
        },
    }


def _part_json(part: Part) -> dict[str, object]:
    return {
        "name": part.name,
        "runs": part.runs,
        "groups": part.groups,
        "figures": {
            predictor: {name: _figure_json(figure) for name, figure in told.items()}
            for predictor, told in part.figures.items()
        },
    }


def _figure_json(figure: Figure) -> dict[str, float | None]:
    return {
        "value": _number(figure.value),
        "low": _number(figure.low),
        "high": _number(figure.high),
    }


def _number(value: float) -> float | None:
    return None if isnan(value) else round(value, 4)


def _calibration_json(report: ScoreReport) -> Iterator[dict[str, object]]:
    table = report.calibration
    if table is None:
        return
    columns = zip(table.number, table.runs, table.score, table.finished, strict=True)
    for number, runs, score, finished in columns:
        yield {
            "from": int(number) / 10,
            "to": (int(number) + 1) / 10,
            "runs": int(runs),
            "mean_score": round(float(score), 4),
            "finished": round(float(finished), 4),
        }


def render(report: ScoreReport) -> Iterator[RenderableType]:
    """Tables and sentences for a terminal."""
    yield (
        f"{report.runs:,} runs replayed; {report.labelled:,} of them succeeded, or failed by their"
        " own fault, and are measured"
    )
    for part in report.parts:
        if part.runs:
            yield _figures_table(part)
    if report.calibration is not None:
        yield _calibration_table(report)
    yield _hours_sentence(report.gpu_hours)


def _figures_table(part: Part) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON

    table = Table(
        title=f"{part.name}: {part.runs:,} in {part.groups:,} groups", title_justify="left"
    )
    table.add_column("")
    for predictor in part.figures:
        table.add_column(predictor, justify="right")
    for name in next(iter(part.figures.values())):
        table.add_row(name, *[_figure(told[name]) for told in part.figures.values()])
    return table


def _figure(figure: Figure) -> str:
    if isnan(figure.value):
        return "–"
    return f"{figure.value:.3f} ({figure.low:.3f}–{figure.high:.3f})"


def _calibration_table(report: ScoreReport) -> RenderableType:
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON

    table = Table(title="calibration of the score", title_justify="left")
    for head in ("score", "runs", "mean score", "finished"):
        table.add_column(head, justify="right")
    for row in _calibration_json(report):
        table.add_row(
            f"{row['from']:.1f}–{row['to']:.1f}",
            f"{row['runs']:,}",
            f"{row['mean_score']:.3f}",
            f"{row['finished']:.3f}",
        )
    return table


def _hours_sentence(hours: GpuHours) -> str:
    mature = hours.mature_succeeded + hours.mature_failed
    if not hours.succeeded:
        return "no run that succeeded tells its GPU-hours"
    share = hours.mature_succeeded / hours.succeeded
    wrong = f"{hours.mature_failed / mature:.2%}" if mature else "none"
    return (
        f"judged mature: {share:.1%} of the {hours.succeeded:,.1f} GPU-hours of runs that"
        f" succeeded; of the {mature:,.1f} GPU-hours judged mature {wrong} were of runs that failed"
    )
