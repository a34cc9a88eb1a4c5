"""The storage of a patrol on a terminal: what it costs altogether, and what costs most."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from watchdog.alerts.wording import counted, money
from watchdog.cleaning import clean
from watchdog.patrol_report import AttributedStorage, PatrolReport

ROWS = 5
"""Storage named on its own; the rest is in the sum, and in --json."""
GIB = 2**30
NAME_LIMIT = 40


def storage_section(report: PatrolReport) -> Iterator[RenderableType]:
    if not report.storage:
        return
    yield Text(f"\n{_headline(report)}", style="bold")
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(justify="right", no_wrap=True)
    grid.add_column(overflow="fold")
    grid.add_column(overflow="fold")
    for each in _dearest(report)[:ROWS]:
        grid.add_row(*(Text(cell) for cell in _cells(each)))
    yield Padding(grid, (0, 0, 0, 2), expand=False)


def _headline(report: PatrolReport) -> str:
    costs = [each.storage.monthly_cost_usd for each in report.storage]
    known = [cost for cost in costs if cost is not None]
    unknown = len(costs) - len(known)
    least = " at least" if unknown else ""
    rest = f"; {unknown} of them without a cost" if unknown else ""
    total = money(sum(known, Decimal(0)))
    things = counted(len(costs), "piece of storage", "pieces of storage")
    return f"{things}, {total} a month{least}{rest}"


def _dearest(report: PatrolReport) -> list[AttributedStorage]:
    return sorted(
        report.storage,
        key=lambda each: (-(each.storage.monthly_cost_usd or Decimal(0)), each.storage.id),
    )


def _cells(each: AttributedStorage) -> tuple[str, str, str]:
    storage = each.storage
    cost = "?" if storage.monthly_cost_usd is None else money(storage.monthly_cost_usd)
    size = "" if storage.size_bytes is None else f", {storage.size_bytes / GIB:,.0f} GB"
    name = clean(storage.name or storage.native_id, NAME_LIMIT)
    workload = clean(each.attribution.workload or "no workload", NAME_LIMIT)
    loose = ", attached to nothing" if storage.unattached_since is not None else ""
    return f"{cost}/month", f"{storage.kind} {name}{size}{loose}", workload
