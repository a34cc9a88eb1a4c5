"""What no stop helps, on a terminal: what cannot be stopped, and what was stopped and forgotten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from policies.leftovers import FORGOTTEN, cannot_be_stopped
from policies.verdicts import QUIET
from watchdog.alerts.message import dearest_first, label
from watchdog.alerts.wording import counted, hourly, money
from watchdog.cleaning import clean
from watchdog.notice import Notice
from watchdog.patrol_report import JudgedMachine, PatrolReport

ROWS = 10
"""Machines named in each table; the others are counted."""
NAME_LIMIT = 40


def leftovers_section(report: PatrolReport) -> Iterator[RenderableType]:
    stuck = [each for each in report.machines if is_stuck(each)]
    stuck.sort(key=lambda each: dearest_first(each.machine))
    yield from _table(
        f"{counted(len(stuck), 'machine')} quiet, and not to be stopped from here",
        [_stuck(each) for each in stuck],
    )
    forgotten = [each for each in report.notices if each.kind == FORGOTTEN]
    yield from _table(
        f"{counted(len(forgotten), 'machine')} stopped and forgotten, {_sum(forgotten)} a month",
        [_forgotten(each) for each in forgotten],
    )
    others = [each for each in report.notices if each.kind != FORGOTTEN]
    if others:
        yield Text("\nAlso to know", style="bold")
    for each in others:
        yield Padding(Text(clean(each.text)), (0, 0, 0, 2), expand=False)


def is_stuck(each: JudgedMachine) -> bool:
    """Whether it burns money, and a stop is impossible, or would not help."""
    quiet = each.machine.running and each.phase.phase in QUIET
    return quiet and bool(each.decision.findings) and bool(cannot_be_stopped(each.machine))


def _table(title: str, rows: Sequence[tuple[str, str, str]]) -> Iterator[RenderableType]:
    if not rows:
        return
    yield Text(f"\n{title}", style="bold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for row in rows[:ROWS]:
        grid.add_row(*(Text(cell) for cell in row))
    yield Padding(grid, (0, 0, 0, 2), expand=False)
    if len(rows) > ROWS:
        rest = f"and {counted(len(rows) - ROWS, 'more machine')}; --json lists all of them"
        yield Padding(Text(rest), (0, 0, 0, 2), expand=False)


def _stuck(each: JudgedMachine) -> tuple[str, str, str]:
    why = "; ".join(cannot_be_stopped(each.machine))
    price = hourly(each.machine.price.hourly_usd)
    return price, clean(label(each.machine), NAME_LIMIT) or "–", clean(why)


def _forgotten(each: Notice) -> tuple[str, str, str]:
    cost = "?" if each.month_usd is None else money(each.month_usd)
    return f"{cost}/month", clean(each.name, NAME_LIMIT) or "–", clean(each.text)


def _sum(notices: Sequence[Notice]) -> str:
    known = [each.month_usd for each in notices if each.month_usd is not None]
    least = " at least" if len(known) < len(notices) else ""
    return f"{money(sum(known, Decimal(0)))}{least}"
