"""Runs of one workload that have something in common, and what is found in them."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from policies.facts import Run, WorkloadKey


class ConfusionKind(StrEnum):
    SAME_ERROR = "same_error"
    BIGGER_MACHINE = "bigger_machine"
    """The same error on more or bigger GPUs: a larger version of the same uncertainty."""
    SAME_RESULT = "same_result"
    """The same inputs with the same result."""
    SETUP_AGAIN = "setup_again"
    TRANSFER_AGAIN = "transfer_again"
    RETRY_STORM = "retry_storm"
    CAPACITY_STORM = "capacity_storm"
    """A retry storm that is not the work's fault: nobody had a machine to give."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Lead:
    """What was metered on a run's machines for getting ready for it. None: not known."""

    setup_s: float | None = None
    setup_usd: Decimal | None = None
    transfer_s: float | None = None
    """Seconds in which the machine moved data while its GPUs waited."""
    transfer_usd: Decimal | None = None
    gpus: int | None = None
    """Of the machines that were metered, all together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """The part of a run's time that bought nothing new."""

    run: Run
    started_at: datetime
    ended_at: datetime
    metered: bool = False
    """Its seconds are those of a meter, which tells their cost, and not their place."""
    usd: Decimal | None = None
    """What the meter says; None: not metered, or unpriced."""
    gpus: int | None = None
    """GPUs of the metered machines; None: those of the run."""

    @property
    def hours(self) -> float:
        return (self.ended_at - self.started_at).total_seconds() / 3600


Size: TypeAlias = tuple[int, int | None]
"""Number of GPUs, and the memory of one in MiB."""


@dataclass(slots=True)
class Streak:
    """Runs of one workload that have `what` in common, in the order in which they ended."""

    kind: ConfusionKind
    what: str
    since: datetime
    """Start of the first of them."""
    until: datetime
    """The latest end."""
    runs: list[Run] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    """What of each is looked at: its set-up, its wait for data. Empty: the whole of each."""
    seconds: list[float] = field(default_factory=list)
    """How long each was set up, or waited for data."""
    warned: int = 0
    """Repeats that were started when the first had ended: its lesson was there to be learnt."""
    ended: tuple[int, int] = (0, 0)
    """How many runs of the workload had ended at the first of these, and at the newest."""
    won: tuple[int, int] = (0, 0)
    """How many had succeeded."""
    sizes: dict[Size, Run] = field(default_factory=dict)
    """Of an error: the first run of each size that met it."""

    @property
    def span(self) -> timedelta:
        return self.until - self.since


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """One finding: what a workload did again, when, and in which runs."""

    key: WorkloadKey
    kind: ConfusionKind
    what: str
    """Names what its runs have in common, shortly: the same for the same thing, always."""
    since: datetime
    until: datetime
    runs: tuple[str, ...]
    """Ids, in the order in which the runs ended."""
    repeats: tuple[Piece, ...]
    """What it cost is the cost of these: the first time taught something."""
    why: str
    """One sentence with figures that a person can check."""
    overlaps: tuple[str, ...] = ()
    """Names of findings that share repeated runs with this one: their costs do not add up."""

    @property
    def count(self) -> int:
        return len(self.runs)

    @property
    def name(self) -> str:
        """Names the finding within its workload, and stays as it grows."""
        return f"{self.kind.value}/{self.what}/{self.since:%Y%m%dT%H%M%SZ}"
