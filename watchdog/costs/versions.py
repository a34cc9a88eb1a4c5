"""Which of two sets of rows is the newer: `observed_at` is their version, so no two may share one.

An hour's phases, and a machine's attributions, are replaced as a whole by the set with the newest
`observed_at`. Two patrols that judge the same moment would be believed both, and counted twice.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

TICK = timedelta(microseconds=1)
SAME_MOMENT = timedelta(seconds=10)
"""So far behind its patrol's moment a version may lie, and still speak of that moment."""
PLACES = 100_000
"""Versions among which patrols at the very same moment, that cannot see each other, choose."""


def version_of(now: datetime, known: Iterable[object], *, chance: int) -> datetime:
    """When the rows of a patrol at `now` count as observed: up to a tenth of a second later.

    `known`: the versions of the sets that they would replace. Of the same moment the later patrol
    is believed, which is told only what it knows at least as well. `chance`: any number.
    """
    same = [at for at in known if isinstance(at, datetime) and now <= at < now + SAME_MOMENT]
    newest = max(same, default=now - TICK)
    return newest + TICK + chance % PLACES * TICK
