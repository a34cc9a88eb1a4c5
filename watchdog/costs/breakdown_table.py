"""The breakdown for people, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

    from watchdog.costs.breakdown import Breakdown
    from watchdog.costs.lines import Line, Unpriced

KEY_WIDTH = 24
"""Longer names are folded."""
GUTTER = 2
VIEWS = {"total": "total", "failed_runs": "failed runs", "not_productive": "not productive"}
"""Columns that are always there, and their headings."""
REST = "rest"
UNPRICED_SHOWN = 5


def table(told: Breakdown, *, width: int = 80) -> Table:
    """Without empty columns. Where it is too wide cents go first, then the smallest columns."""
    from rich import box  # noqa: PLC0415 - not needed for JSON
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    lines = (*told.rows, told.totals)
    judged = any(line.verdict for line in lines)
    labels = [line.label for line in lines]
    taken = min(KEY_WIDTH, max(len(told.by), *map(len, labels))) + GUTTER
    taken += len("exploratory") + GUTTER if judged else 0
    columns, cents = _fitting(lines, width - taken)
    shown = Table(
        title=escape(_title(told)),
        title_justify="left",
        caption=escape("\n".join(_footnotes(told))) or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_footer=False,
    )
    shown.add_column(told.by, max_width=KEY_WIDTH, overflow="fold")
    if judged:
        shown.add_column("verdict", no_wrap=True)
    for name in columns:
        shown.add_column(VIEWS.get(name, name), justify="right")
    for line in lines:
        if line is lines[-1]:
            shown.add_section()
        cells = [_cell(line, name, columns, cents=cents) for name in columns]
        verdict = [line.verdict or "–"] if judged else []
        shown.add_row(escape(line.label), *verdict, *cells)
    return shown


def _fitting(lines: Sequence[Line], width: int) -> tuple[list[str], bool]:
    """Which columns are shown, and whether with cents."""
    totals = lines[-1].amounts()
    buckets = [name for name in lines[-1].spent if name not in VIEWS]
    sizes = {name: totals[name] or Decimal(0) for name in buckets}
    rest: list[str] = []
    while True:
        columns = [*buckets, *rest, *VIEWS]
        for cents in (True, False):
            if _width(lines, columns, cents=cents) <= width or len(buckets) <= 1:
                return columns, cents
        buckets.remove(min(buckets, key=lambda name: sizes[name]))
        rest = [REST]


def _width(lines: Sequence[Line], columns: Sequence[str], *, cents: bool) -> int:
    widths = []
    for name in columns:
        cells = [len(_cell(line, name, columns, cents=cents)) for line in lines]
        heading = max(map(len, VIEWS.get(name, name).split()))
        widths.append(max(heading, *cells) + GUTTER)
    return sum(widths)


def _cell(line: Line, name: str, columns: Sequence[str], *, cents: bool) -> str:
    """`≥` marks a total that leaves out unpriced time; `?` is all unpriced."""
    amount = _rest(line, columns) if name == REST else line.amounts()[name]
    if amount is None:
        return "?"
    mark = "≥" if name == "total" and line.unpriced_hours else ""
    return f"{mark}{amount:,.2f}" if cents else f"{mark}{amount:,.0f}"


def _rest(line: Line, columns: Sequence[str]) -> Decimal | None:
    amounts = [usd for bucket, usd in line.spent.items() if bucket not in columns]
    known = [usd for usd in amounts if usd is not None]
    return None if amounts and not known else sum(known, Decimal(0))


def _title(told: Breakdown) -> str:
    span = f"{told.since:%Y-%m-%d %H:%M} to {told.until:%Y-%m-%d %H:%M} UTC"
    return f"Costs by {told.by}, {span}, {told.currency}, {told.basis}"


def _footnotes(told: Breakdown) -> list[str]:
    notes = list(told.notes)
    if told.unpriced:
        shown = ", ".join(_unpriced(each) for each in told.unpriced[:UNPRICED_SHOWN])
        more = len(told.unpriced) - UNPRICED_SHOWN
        tail = f" and {more} more" if more > 0 else ""
        notes.append(f"No price, so in no figure (≥): {shown}{tail}")
    return notes


def _unpriced(each: Unpriced) -> str:
    name = each.name or each.id
    return name if each.hours is None else f"{name} {each.hours:,.1f} h"
