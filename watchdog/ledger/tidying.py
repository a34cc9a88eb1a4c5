"""How a ledger is to be cared for. Values alone: nothing heavy is imported to set them."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from policies.grids import DEFAULT_LIMITS, PhaseLimits

WEEK = timedelta(days=7)
QUARTER = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tidying:
    """What a compaction does beyond making files large."""

    thin_before: date | None = None
    """Readings of days before it become stretches of at most an hour; None: none do."""
    limits: PhaseLimits = DEFAULT_LIMITS
    """When a GPU works, by which a stretch begins and ends."""
    vacuum_after: timedelta = WEEK
    """How long a file that was replaced stays for those who still read it."""
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LedgerCare:
    """How often patrols care for their ledger, and what of it is kept how long."""

    every: int = 24
    """Patrols from one time to the next; 0: never."""
    thin_after: timedelta = QUARTER
    """Readings older than this become stretches of at most an hour."""
    vacuum_after: timedelta = WEEK
    """How long a file that was replaced stays for those who still read it."""

    def tidying(self, now: datetime, *, dry_run: bool = False) -> Tidying:
        return Tidying(
            thin_before=(now - self.thin_after).date(),
            vacuum_after=self.vacuum_after,
            dry_run=dry_run,
        )
