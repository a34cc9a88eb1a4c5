"""What launchers leave on machines, by tags or labels: who lives and dies together."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

Tags = Mapping[str, str]
_NUMBERS = re.compile(r"(-\d+)+$")


@dataclass(frozen=True, slots=True)
class Together:
    """Machines that share the values of these tags live and die together."""

    kind: str
    names: tuple[tuple[str, ...], ...]
    """Parts of the name, each by the first of its tags that is there. The last part must be."""
    whole: bool = False
    """Whether every part must be there."""
    numbered: bool = False
    """Whether the last part ends in the machine's own number."""


DSTACK = Together("dstack", (("dstack_project",), ("dstack_name",)), whole=True, numbered=True)
"""dstack numbers the machines of one fleet or run: train-0, train-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """Whoever replaces a machine that stops, or must be asked to end it."""

    name: str
    advice: str


def group_named(groups: Iterable[Together], tags: Tags) -> str | None:
    """`skypilot/train`, by the first row that fits; None: none does."""
    for row in groups:
        name = _name(row, tags)
        if name is not None:
            return f"{row.kind}/{name}"
    return None


def first_of(keys: Iterable[str], tags: Tags) -> str | None:
    """The value of the first of these tags that says anything."""
    return next((tags[key] for key in keys if tags.get(key)), None)


def _name(row: Together, tags: Tags) -> str | None:
    values = [first_of(keys, tags) for keys in row.names]
    last = values[-1]
    if last is None or (row.whole and None in values):
        return None
    if row.numbered:
        values[-1] = _NUMBERS.sub("", last)
    return "/".join(value for value in values if value)
