"""A frame as a table for people: on a narrow terminal the columns that matter, in a pipe all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from watchdog.cleaning import clean
from watchdog.frames import plain

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

GUTTER = 2
FOLDED_WIDTH = 16
"""Longer texts are folded down to this before a column is left out."""
NOTHING = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Column:
    name: str
    heading: str
    cells: tuple[str, ...]
    text: bool
    """Its cells are words and not figures."""

    @property
    def width(self) -> int:
        return max(map(_span_of, (*self.heading.split("\n"), *self.cells)))

    @property
    def least(self) -> int:
        heading = max(map(_span_of, self.heading.split("\n")))
        return min(self.width, max(FOLDED_WIDTH, heading)) if self.text else self.width


def _span_of(text: str) -> int:
    """Columns on a terminal: some letters take two."""
    from rich.cells import cell_len  # noqa: PLC0415 - not needed for JSON

    return cell_len(text)


def as_table(
    frame: pd.DataFrame, *, title: str, width: int | None, first: Sequence[str] = ()
) -> Table:
    """A table of at most `width` characters; None: as wide as it needs, a row a line.

    `first`: the columns that stay longest where there is no room, the most important first; others
    follow in the frame's order. What is left out is named below.
    """
    columns = _columns(frame, broken=width is not None)
    if width is None:
        return _table(columns, title, {})
    order = [*first, *(each.name for each in columns if each.name not in first)]
    kept = _that_fit(sorted(columns, key=lambda each: order.index(each.name)), width)
    shown = [each for each in columns if each.name in {one.name for one in kept}]
    left_out = [each.name for each in columns if each not in shown]
    caption = f"No room for {', '.join(left_out)}: --json has all." if left_out else None
    return _table(shown, title, _widths(shown, width), caption)


def _columns(frame: pd.DataFrame, *, broken: bool) -> list[_Column]:
    rows = frame.astype(object).where(frame.notna(), None).to_dict(orient="records")
    return [
        _Column(
            name=name,
            heading=name.replace("_", "\n") if broken else name,
            cells=tuple(_cell(row[name], short=broken) for row in rows),
            text=any(isinstance(value, str) for value in frame[name]),
        )
        for name in map(str, frame.columns)
    ]


def _cell(value: object, *, short: bool) -> str:
    if value is None:
        return NOTHING
    if short and isinstance(value, datetime):
        return f"{value.astimezone(UTC):%Y-%m-%d %H:%MZ}"
    return clean(str(plain(value)))


def _that_fit(ranked: Sequence[_Column], width: int) -> list[_Column]:
    """As many of the most important columns as there is room for; at least one."""
    kept: list[_Column] = []
    for column in ranked:
        if not kept or _span([each.least for each in (*kept, column)]) <= width:
            kept.append(column)
    return kept


def _widths(columns: Sequence[_Column], width: int) -> dict[str, int]:
    """Each column's width: what room is left goes to the narrowest of those that are folded."""
    widths = {each.name: each.least for each in columns}
    wanting = {each.name: each.width for each in columns if each.width > each.least}
    for _ in range(width - _span(list(widths.values()))):
        if not wanting:
            break
        name = min(wanting, key=lambda each: widths[each])
        widths[name] += 1
        if widths[name] == wanting[name]:
            del wanting[name]
    return widths


def _span(widths: Sequence[int]) -> int:
    return sum(widths) + GUTTER * (len(widths) - 1)


def _table(
    columns: Sequence[_Column],
    title: str,
    widths: dict[str, int],
    caption: str | None = None,
) -> Table:
    from rich import box  # noqa: PLC0415 - not needed for JSON
    from rich.markup import escape  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    shown = Table(
        title=Text(clean(title), no_wrap=True, overflow="ignore"),
        title_justify="left",
        caption=None if caption is None else Text(caption),
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 0, 0, GUTTER - 1),
    )
    for column in columns:
        shown.add_column(
            column.heading,
            width=widths.get(column.name),
            justify="left" if column.text else "right",
            overflow="fold",
            no_wrap=not widths,
        )
    for cells in zip(*(column.cells for column in columns), strict=True):
        shown.add_row(*map(escape, cells))
    return shown
