"""Care of the ledger every so many patrols: files made large, old readings thinned, waste deleted.

A patrol whose turn it is claims the turn by an object that is created once, so that of two patrols
at once only one does the work. A claim whose work failed is given back, and the next patrol tries.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from watchdog.ledger.failures import LedgerBusyError, LedgerError
from watchdog.ledger.tidying import LedgerCare, Tidying

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

CLAIMS = "care"
DIGITS = 12


def tend(ledger: Ledger, care: LedgerCare, *, now: datetime) -> str | None:
    """Care for the ledger if it is time; what went wrong, in one line, or None.

    Another process that does the same is no failure: the work is done by it.
    """
    try:
        claims = ledger.objects(CLAIMS)
        claim = _due(ledger.patrols_told(), claims, care.every)
        if claim is None or not ledger.put_once(claim, f"{now.isoformat()}\n".encode()):
            return None
        return _done(ledger, care.tidying(now), claim, claims)
    except LedgerError as error:
        return str(error)


def _due(patrols: int, claims: Sequence[str], every: int) -> str | None:
    """The claim to make, named by the patrols until then; None: it is not time.

    The number is rounded down, so that two patrols at once claim the same one. A ledger that was
    put back to an older state has fewer patrols than its newest claim says.
    """
    newest = max((_patrols_of(claim) for claim in claims), default=0)
    if not every or abs(patrols - newest) < every:
        return None
    return f"{CLAIMS}/{patrols // every * every:0{DIGITS}}"


def _patrols_of(claim: str) -> int:
    number = claim.rpartition("/")[2]
    return int(number) if number.isdecimal() else 0


def _done(ledger: Ledger, tidying: Tidying, claim: str, older: Sequence[str]) -> str | None:
    try:
        ledger.compact(tidying)
    except LedgerBusyError:
        return None
    except Exception as error:  # noqa: BLE001 - whatever it was, the patrol stands and tells it
        ledger.remove_objects([claim])
        return str(error) if isinstance(error, LedgerError) else f"{type(error).__name__}: {error}"
    ledger.remove_objects([each for each in older if each != claim])
    return None
