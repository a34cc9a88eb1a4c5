"""The report of a policy's backtest: for people, for programs, and as a drawing."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

from policies.verdicts import Verdict
from watchdog.backtest.policy import PolicyReport, Totals
from watchdog.json_values import money
from watchdog.whole_file import whole_file

if TYPE_CHECKING:
    from rich.console import RenderableType

SCHEMA = "spend-watchdog/backtest-policy/1"


def policy_json(report: PolicyReport) -> dict[str, object]:
    return {
        "schema": SCHEMA,
        "resources": report.resources,
        "pauses": {verdict.value: count for verdict, count in report.pauses.items()},
        "open_pauses": report.open,
        "restart_cost_hours": _hours(report.restart_cost),
        "patrol_every_hours": _hours(report.patrol_every),
        "best_in_hindsight_hours": _hours(_best(report)),
        "policies": [_totals_json(each) for each in report.policies],
        "baselines": [_totals_json(each) for each in report.baselines],
    }


def _totals_json(each: Totals) -> dict[str, object]:
    ratio = each.times_best
    return {
        "policy": each.policy,
        "stops": each.stops,
        "mature_stops": each.mature_stops,
        "regrets": each.regrets,
        "saved_hours": _hours(each.saved),
        "saved_usd": None if each.saved_usd is None else money(each.saved_usd),
        "burnt_before_action_hours": _hours(each.burnt),
        "cost_hours": _hours(each.cost),
        "times_best": None if ratio is None else round(ratio, 4),
    }


def _hours(time: timedelta) -> float:
    return round(time.total_seconds() / 3600, 3)


def _best(report: PolicyReport) -> timedelta:
    return report.baselines[0].best


def render(report: PolicyReport) -> Iterator[RenderableType]:
    """A table and sentences for a terminal."""
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON

    counts = ", ".join(f"{count:,} {verdict.value}" for verdict, count in report.pauses.items())
    yield f"{sum(report.pauses.values()):,} pauses of {report.resources:,} resources: {counts}"
    table = Table(
        title=(
            f"exploratory pauses, a restart costs {_told(report.restart_cost)},"
            f" a patrol every {_told(report.patrol_every)}"
        ),
        title_justify="left",
    )
    table.add_column("policy")
    for head in ("stops", "saved", "regrets", "burnt before action", "total cost", "× best"):
        table.add_column(head, justify="right")
    for each in (*report.policies, *report.baselines):
        table.add_row(*_cells(each))
    table.add_row("best in hindsight", "", "", "", "", _told(_best(report)), "1.00")
    yield table
    yield (
        "Total cost: machine time until the stop or the pause's end, and a restart for each stop"
        " before it. Best: of each pause the shorter of itself and a restart."
    )
    if report.open:
        yield f"{report.open:,} pauses were not seen to end: decided, and left out of the sums."
    stopped = [each.policy for each in report.policies if each.mature_stops]
    if stopped:
        yield f"Mature work was stopped by {', '.join(stopped)}."
    unknown = report.pauses[Verdict.UNKNOWN]
    if unknown:
        yield f"{unknown:,} pauses followed work that nothing was known of: not exploratory."


def _cells(each: Totals) -> Iterator[str]:
    saved = _told(each.saved) if each.saved_usd is None else f"{each.saved_usd} USD"
    ratio = each.times_best
    yield escape_markup(each.policy)
    yield f"{each.stops:,}"
    yield saved
    yield f"{each.regrets:,}"
    yield _told(each.burnt)
    yield _told(each.cost)
    yield "–" if ratio is None else f"{ratio:.2f}"


def escape_markup(text: str) -> str:
    """A policy is called as its file is, and brackets would be read as colours."""
    from rich.markup import escape as escaped  # noqa: PLC0415 - not needed for JSON

    return escaped(text)


def _told(time: timedelta) -> str:
    hours = time.total_seconds() / 3600
    return f"{hours * 60:.0f} min" if hours < 2 else f"{hours:,.1f} h"  # noqa: PLR2004 - two hours


BAR, GAP, LEFT, WIDE = 22, 10, 190, 520


def draw(report: PolicyReport, path: Path) -> None:
    """Each policy's cost as a bar, waiting and restarts apart, beside the best in hindsight."""
    rows = (*report.policies, *report.baselines)
    best = _best(report)
    longest = max((each.cost for each in rows), default=best) or timedelta(hours=1)
    title = (
        "machine hours of exploratory pauses: waiting (dark) and restarts (light);"
        " the line is the best in hindsight"
    )
    parts = [f'<text x="{LEFT}" y="16">{title}</text>']
    for number, each in enumerate(rows):
        parts += _bar(each, 30 + number * (BAR + GAP), report.restart_cost, longest)
    height = 30 + len(rows) * (BAR + GAP)
    x = LEFT + WIDE * (best / longest)
    parts.append(f'<path d="M{x:.1f} 24V{height}" stroke="#c33" stroke-width="2"/>')
    with whole_file(path) as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDE + 150}"'
            f' height="{height + 8}" font-family="sans-serif" font-size="12">'
            f"{''.join(parts)}</svg>\n"
        )


def _bar(each: Totals, y: int, restart_cost: timedelta, longest: timedelta) -> Iterator[str]:
    restarts = min(each.cost, each.summed_stops * restart_cost)
    waited = WIDE * ((each.cost - restarts) / longest)
    again = WIDE * (restarts / longest)
    base = y + BAR - 6
    ratio = "" if each.times_best is None else f"{each.times_best:.2f} × best"
    yield f'<text x="{LEFT - 8}" y="{base}" text-anchor="end">{escape(each.policy)}</text>'
    yield f'<rect x="{LEFT}" y="{y}" width="{waited:.1f}" height="{BAR}" fill="#246"/>'
    yield (
        f'<rect x="{LEFT + waited:.1f}" y="{y}" width="{again:.1f}" height="{BAR}" fill="#8ad"/>'
    )
    yield f'<text x="{LEFT + waited + again + 6:.1f}" y="{base}">{ratio}</text>'
