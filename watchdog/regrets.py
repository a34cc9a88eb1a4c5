"""Stops that were undone within two hours, and whether so many are that acting must rest."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import sqrt
from typing import TYPE_CHECKING

from policies.facts import Attribution, WorkloadKey
from policies.policy_replay import REGRET
from watchdog import rows
from watchdog.attribution import attribution_at

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

REGRETS_OF = timedelta(days=30)
REGRETS_FROM = 5
"""So many stops it takes before the share of undone ones says anything."""
SURE = 1.645
"""Standard deviations: 95 % on one side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop of ours whose two hours are over, or that was undone before."""

    machine: str
    at: datetime
    undone: bool


def stops_of(ledger: Ledger, now: datetime) -> list[Stop]:
    """Those of the last month. What may still be undone says nothing yet, and is left out."""
    found = []
    for row in ledger.rows("stops", since=now - REGRETS_OF):
        at, undone = rows.moment_of(row["at"]), row["restarted_at"] is not None
        if undone or now - at > REGRET:
            found.append(Stop(machine=str(row["machine"]), at=at, undone=undone))
    return found


def too_many(stops: Sequence[Stop], limit: float) -> str | None:
    """One sentence where the share of undone stops is above the limit, beyond chance."""
    undone = sum(stop.undone for stop in stops)
    if len(stops) < REGRETS_FROM or at_least(undone, len(stops)) <= limit:
        return None
    return (
        f"{undone} of the {len(stops)} stops of the last {REGRETS_OF.days} days were undone within"
        f" two hours, surely more than the policy's {limit:.0%}: this patrol only observes"
    )


def at_least(undone: int, of: int) -> float:
    """The lower end of Wilson's interval: the true share is above it with 95 %.

    Two undone stops of five are no proof that more than a fifth are; twenty of fifty are.
    """
    share, square = undone / of, SURE**2
    middle = share + square / (2 * of)
    half = SURE * sqrt(share * (1 - share) / of + square / (4 * of**2))
    return (middle - half) / (1 + square / of)


def of_workloads(
    stops: Sequence[Stop], attributions: Mapping[str, Sequence[Attribution]]
) -> list[tuple[WorkloadKey | None, bool]]:
    """Whose stops they were, and whether each was undone; by machine, what it was attributed to."""
    return [
        (attribution_at(attributions[stop.machine], stop.at).key, stop.undone)
        for stop in stops
        if stop.machine in attributions
    ]
