"""The breakdown for people, on a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from watchdog.cleaning import clean
from watchdog.costs.lines import UNKNOWN

if TYPE_CHECKING:
    from rich.table import Table

    from watchdog.costs.breakdown import Breakdown
    from watchdog.costs.lines import Line, Unpriced

KEY_WIDTH, NARROW_KEY_WIDTH = 24, 16
"""Longer names are folded where nothing else gives them room."""
GUTTER = 2
VERDICT_WIDTH = len("exploratory")
VIEWS = {"total": "total", "failed_runs": "failed\nruns", "not_productive": "not pro-\nductive"}
"""Columns that are always there, and their headings."""
REST = "rest"
UNPRICED_SHOWN = 5


_WIDEST_FIRST = ((KEY_WIDTH, True), (KEY_WIDTH, False), (NARROW_KEY_WIDTH, False))
"""Width of the key, and whether cents are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Layout:
    columns: Sequence[str]
    cents: bool
    key_width: int


def table(told: Breakdown, *, width: int = 80) -> Table:
    """Without empty columns. Where it is too wide, cents go first, then long names are folded, then
    the smallest columns become one, and the unmeasured one the last of them.
    """
    from rich import box  # noqa: PLC0415 - not needed for JSON
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    lines = (*told.rows, told.totals)
    judged = any(line.verdict for line in lines)
    layout = _layout(told, lines, width - (VERDICT_WIDTH + GUTTER if judged else 0))
    shown = Table(
        title=Text(_title(told), no_wrap=True, overflow="ignore"),
        title_justify="left",
        caption=escape("\n".join(_footnotes(told))) or None,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GUTTER - 1),
    )
    shown.add_column(told.by, width=layout.key_width, overflow="fold")
    if judged:
        shown.add_column("verdict", no_wrap=True)
    for name in layout.columns:
        shown.add_column(VIEWS.get(name, name), justify="right", no_wrap=True)
    for line in lines:
        if line is lines[-1]:
            shown.add_section()
        verdict = [line.verdict or "–"] if judged else []
        shown.add_row(escape(clean(line.label)), *verdict, *_cells(line, layout))
    return shown


def _layout(told: Breakdown, lines: Sequence[Line], width: int) -> _Layout:
    """The fullest layout that fits. By phase the buckets are the rows already."""
    totals = {} if told.by == "phase" else lines[-1].spent
    buckets = list(totals)
    longest = max(len(told.by), *(len(clean(line.label)) for line in lines))
    while True:
        rest = [REST] if len(buckets) < len(totals) else []
        for key_width, cents in _WIDEST_FIRST:
            layout = _Layout(
                columns=[*buckets, *rest, *VIEWS], cents=cents, key_width=min(longest, key_width)
            )
            spare = width - _width(lines, layout)
            if spare >= 0:
                return replace(layout, key_width=min(longest, layout.key_width + spare))
        if not buckets:
            return layout
        buckets.remove(min(buckets, key=lambda name: _worth(name, totals[name])))


def _worth(name: str, usd: Decimal | None) -> tuple[bool, Decimal]:
    """How late a column is given up: what nobody could measure must not hide in a sum."""
    return name == UNKNOWN and usd != 0, usd or Decimal(0)


def _width(lines: Sequence[Line], layout: _Layout) -> int:
    rows = [_cells(line, layout) for line in lines]
    headings = [max(map(len, VIEWS.get(name, name).split("\n"))) for name in layout.columns]
    cells = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths = [max(pair) + GUTTER for pair in zip(headings, cells, strict=True)]
    return layout.key_width + sum(widths)


def _cells(line: Line, layout: _Layout) -> list[str]:
    return [_cell(line, name, layout) for name in layout.columns]


def _cell(line: Line, name: str, layout: _Layout) -> str:
    """`≥` marks a total that leaves out what has no price; `?`: nothing of it has one."""
    amount = _rest(line, layout.columns) if name == REST else line.amounts()[name]
    if amount is None:
        return "?"
    mark = "" if name != "total" or line.complete else "≥"
    return f"{mark}{amount:,.2f}" if layout.cents else f"{mark}{amount:,.0f}"


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
    name = clean(each.name or "") or each.id
    return name if each.hours is None else f"{name} {each.hours:,.1f} h"
