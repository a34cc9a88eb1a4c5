"""What goes to standard output, and what to standard error."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from watchdog.cleaning import clean_line, clean_lines
from watchdog.json_values import json_text

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console, RenderableType

    from watchdog.gather import Progress


UNBOUNDED = 100_000
"""Columns of what is no terminal."""


def print_json(payload: Mapping[str, object]) -> None:
    """JSON alone on standard output."""
    typer.echo(json_text(payload, indent=2))


def print_csv(frame: pd.DataFrame) -> None:
    """No cell of it is a formula to a spreadsheet."""
    from watchdog.csv_values import for_csv  # noqa: PLC0415 - not for --help

    for_csv(frame).to_csv(sys.stdout, index=False)


def console() -> Console:
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON

    return Console(highlight=False, soft_wrap=False)


def unbounded_console() -> Console:
    """The terminal, or a pipe that takes lines of any length."""
    from rich.console import Console  # noqa: PLC0415 - not needed for JSON

    found = console()
    return found if found.is_terminal else Console(highlight=False, width=UNBOUNDED)


def error_console() -> Console:
    from rich.console import Console  # noqa: PLC0415 - not needed in a pipe

    return Console(stderr=True)


def show(*renderables: RenderableType) -> None:
    target = console()
    for each in renderables:
        target.print(each)


def show_frame(frame: pd.DataFrame, *, title: str, first: Sequence[str]) -> None:
    """A table that fits the terminal; in a pipe all of it, a row a line. `first`: as `as_table`."""
    from watchdog.frame_table import as_table  # noqa: PLC0415 - heavy, and not for --help

    target = unbounded_console()
    width = target.width if target.is_terminal else None
    target.print(as_table(frame, title=title, width=width, first=first))


def show_tables(made: Callable[[int | None], Iterable[RenderableType]]) -> None:
    """Tables that are told how wide they may be; None, in a pipe: as wide as they need."""
    target = unbounded_console()
    for each in made(target.width if target.is_terminal else None):
        target.print(each)


def clear() -> None:
    """An empty screen for the next look; nothing where no person looks."""
    target = console()
    if target.is_terminal:
        target.clear()


def say(line: str) -> None:
    """One line of a report: what it holds from outside can neither steer nor break it."""
    typer.echo(clean_line(line))


def say_wrapped(sentences: Iterable[str]) -> None:
    """Sentences that a terminal breaks between words; in a pipe each is a line."""
    from rich.text import Text  # noqa: PLC0415 - not needed for JSON

    target = unbounded_console()
    for each in sentences:
        target.print(Text(clean_line(each)))


def notice(text: str) -> None:
    typer.echo(clean_lines(text), err=True)


@contextmanager
def progress() -> Iterator[Progress]:
    """Steps of long work, on standard error and only where a person looks."""
    if not sys.stderr.isatty():
        yield lambda step: None  # noqa: ARG005 - nobody watches
        return
    with error_console().status("starting") as status:
        yield status.update
