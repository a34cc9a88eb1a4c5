"""What left, on a terminal: the dearest meters of the hours that this patrol read."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from providers.egress import BYTES_A_GB
from watchdog.alerts.wording import counted, money
from watchdog.cleaning import clean
from watchdog.patrol_report import MeteredEgress, PatrolReport

ROWS = 5
"""Meters in the table; the others are counted."""
NAME_LIMIT = 40


def egress_section(report: PatrolReport) -> Iterator[RenderableType]:
    """Nothing where nothing left; `at most` where the meter cannot tell where the bytes went."""
    told = [each for each in report.egress if each.meter.bytes]
    if not told:
        return
    yield Text("\nWhat left", style="bold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    for each in told[:ROWS]:
        grid.add_row(*map(Text, _cells(each)))
    yield Padding(grid, (0, 0, 0, 2), expand=False)
    if len(told) > ROWS:
        more = counted(len(told) - ROWS, "more meter")
        yield Padding(Text(f"and {more}: --json lists all of them"), (0, 0, 0, 2), expand=False)


def _cells(each: MeteredEgress) -> tuple[str, str, str, str]:
    meter = each.meter
    name = clean(each.name or meter.id.rsplit(":", 1)[-1], NAME_LIMIT)
    volume = f"{(meter.bytes or 0) / BYTES_A_GB:,.1f} GB"
    return name, volume, _price(each), f"since {meter.started_at:%m-%d %H:%M}"


def _price(each: MeteredEgress) -> str:
    usd = each.meter.cost_usd
    return f"at most {money(usd)}" if usd and each.upper_bound else money(usd)
