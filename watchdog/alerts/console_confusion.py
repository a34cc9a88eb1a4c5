"""What exploratory work on running machines does again and again, on a terminal."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import RenderableType
from rich.padding import Padding
from rich.text import Text

from watchdog.cleaning import clean
from watchdog.confusion_shown import confusion_told
from watchdog.patrol_report import PatrolReport, found_in

ROWS = 8
"""Findings that are told, the dearest first; the others are counted."""
NAME_LIMIT = 40


def confusion_section(report: PatrolReport) -> Iterator[RenderableType]:
    found = found_in(report.machines)
    if not found:
        return
    yield Text("\nConfusion in exploratory work that runs now", style="bold")
    for each in found[:ROWS]:
        name = clean(str(each.finding.key), NAME_LIMIT)
        yield _indented(f"{name}: {clean(confusion_told(each))}")
    if len(found) > ROWS:
        yield _indented(f"and {len(found) - ROWS} more; --json lists all of them")


def _indented(told: str) -> RenderableType:
    return Padding(Text(told), (0, 0, 0, 2), expand=False)
