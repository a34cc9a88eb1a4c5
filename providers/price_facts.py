"""What a provider tells of prices: list prices, spot prices over time, and what is paid anyway.

Money is US dollars; None always means unknown, never free.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

Progress: TypeAlias = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceQuestion:
    """A machine type in a region, of which the list price is wanted."""

    region: str
    machine_type: str
    operating_system: str
    """As the provider names it on the machine: `Linux/UNIX`, `Windows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ListPrice:
    """The price of an hour on demand, as the provider's own price list gives it."""

    provider: str
    region: str
    machine_type: str
    operating_system: str
    component: str | None
    """What of a managed service it is of: `Notebook`, `Training`; None: a plain machine."""
    hourly_usd: Decimal | None
    source: str
    as_of: str | None
    """When the list was published, ISO 8601 to the day; None: it does not say."""
    why: str | None = None
    """Why there is no price."""

    @property
    def key(self) -> tuple[str, str, str, str, str | None]:
        return (
            self.provider,
            self.region,
            self.machine_type,
            self.operating_system,
            self.component,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotMarket:
    """Machines of one market pay the same spot price at any moment."""

    provider: str
    account: str
    """Zones have names of the account's own."""
    region: str
    zone: str
    machine_type: str
    product: str
    """The operating system in the words of the spot market: `Linux/UNIX`, `Windows`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpotPrice:
    """From a moment on, until the market's next price begins."""

    market: SpotMarket
    started_at: datetime
    hourly_usd: Decimal


class CommitmentKind(StrEnum):
    CAPACITY_RESERVATION = "capacity_reservation"
    CAPACITY_BLOCK = "capacity_block"
    RESERVED_INSTANCES = "reserved_instances"
    SAVINGS_PLAN = "savings_plan"


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """Something that is paid whether or not the machines that it covers run."""

    kind: CommitmentKind
    id: str
    machine_type: str | None = None
    """None: it covers any type, or any size of its family."""
    family: str | None = None
    """The part of a machine type before its size: `g5`; None: it covers any family."""
    zone: str | None = None
    """None: it covers the whole of its region, or every one."""
    region: str | None = None
    """None: it covers every region."""
    operating_system: str | None = None
    """None: it covers any."""
    machines: int | None = None
    """How many machines it covers; None: it is a sum of money."""
    hourly_usd: Decimal | None = None
    """How much an hour is committed to; None: it is a number of machines."""
    ends_at: datetime | None = None
    """None: it has no end, or nobody tells."""
    every_size: bool = False
    """Whether it may also cover other sizes of its family, in part."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentQuestion:
    """Which commitments there are, of what one call tells. Answers may be kept for a day."""

    provider: str
    account: str
    region: str | None
    """None: those that belong to no region."""
    what: str
    """In the provider's words, for people: `reserved instances`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitmentAnswer:
    question: CommitmentQuestion
    commitments: tuple[Commitment, ...]


def family_of(machine_type: str) -> str:
    """The part of a machine type before its size: `g5` of `g5.xlarge`."""
    return machine_type.split(".", 1)[0]
