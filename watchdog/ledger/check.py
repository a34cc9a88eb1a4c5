"""One thing that was checked of a ledger, and what was found."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    FINE = "fine"
    NOTE = "note"
    """Worth knowing, and no fault."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    what: str
    """The table, or what else was looked at."""
    state: State
    told: str
    """What was found, and where it is broken what to do. One line."""


def fine(what: str, told: str) -> Check:
    return Check(what=what, state=State.FINE, told=told)


def note(what: str, told: str) -> Check:
    return Check(what=what, state=State.NOTE, told=told)


def broken(what: str, told: str) -> Check:
    return Check(what=what, state=State.BROKEN, told=" ".join(told.split()))


def counted(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or f'{one}s'}"
