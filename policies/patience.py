"""When stopping a quiet machine is cheaper than waiting for its next activity.

Waiting costs the machine's price by the minute; a stop costs a restart. From the survival curve of
pauses (`policies/habits.py`) follows at which moment a pause that still lasts is better ended: the
first one from which no later stop, and no return, is expected to be cheaper than a restart now.
A score never stands for idleness; a verdict makes a restart count for more, and patience longer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache
from math import ceil, exp, log
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from policies.habits import EDGES_MIN, Before, Factors, Habits
from policies.verdicts import Verdict

Floats = NDArray[np.float64]

STEP_MIN = 5.0
"""Nothing is stopped earlier, and stops are weighed five minutes apart."""
FINE_MIN, HOURLY_MIN, LONGEST_MIN = 240.0, 1440.0, 20160.0
"""Stops are weighed every five minutes for four hours, every quarter for a day, then hourly for
two weeks: patience never lasts longer than that."""
RESTART_COUNTS: Mapping[Verdict, float] = MappingProxyType(
    {Verdict.EXPLORATORY: 1.0, Verdict.UNKNOWN: 2.0, Verdict.MATURE: 4.0}
)
"""How many restarts one counts for. Mature work is stopped by no rule of ours; its patience says
when its owner is told of an empty machine."""
HOUR_S = 3600
LOG_EDGES = np.log1p(np.minimum(EDGES_MIN, LONGEST_MIN))
"""Survival falls evenly between these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for the next activity, and what that rests on."""

    quiet: timedelta
    """How long the pause has lasted."""
    stop_after: timedelta
    """Quiet from which a stop is cheaper than waiting, counted from the pause's start."""
    lasts_more: timedelta | None
    """The median of what is left of pauses that lasted so long; None: over two weeks."""
    waste: timedelta
    """Machine time that waiting on is expected to cost, a later restart included where it comes
    to one."""
    restart: timedelta
    """Machine time that a restart counts for."""
    waste_usd: Decimal | None
    restart_usd: Decimal | None
    """The same in dollars; None where the machine has no price."""
    why: str

    @property
    def exhausted(self) -> bool:
        return self.quiet >= self.stop_after


def patience(
    habits: Habits,
    before: Before,
    *,
    quiet: timedelta,
    restart_cost: timedelta | Decimal,
    hourly_usd: Decimal | None,
    verdict: Verdict = Verdict.EXPLORATORY,
    not_before: datetime | None = None,
) -> Patience | None:
    """None where a restart has a price in dollars and the machine has none: they do not compare.

    `not_before`: the moment that the last pause of this resource was to be stopped at, where
    activity came first: activity never brings a stop nearer.
    """
    restart = machine_time(restart_cost, hourly_usd)
    if restart is None:
        return None
    counts = RESTART_COUNTS[verdict] * habits.dearer(before.key)
    restart_min = restart.total_seconds() / 60 * counts
    curve = Curve(habits.strengths(before))
    stop_min = curve.stop_after(restart_min)
    if not_before is not None:
        planned_min = (not_before - before.began_at).total_seconds() / 60
        stop_min = max(stop_min, planned_min)
    quiet_min = max(0.0, quiet.total_seconds() / 60)
    waste_min = curve.waiting_costs(quiet_min, restart_min)
    lasts_min = curve.lasts_more(quiet_min)
    restart = timedelta(minutes=restart_min)
    waste = timedelta(minutes=waste_min)
    return Patience(
        quiet=quiet,
        stop_after=timedelta(minutes=stop_min),
        lasts_more=None if lasts_min is None else timedelta(minutes=lasts_min),
        waste=waste,
        restart=restart,
        waste_usd=_usd(waste, hourly_usd),
        restart_usd=_usd(restart, hourly_usd),
        why=_why(quiet_min, lasts_min, _cost(waste, hourly_usd), _cost(restart, hourly_usd)),
    )


def patience_names(told: Patience, quiet: timedelta) -> dict[str, object]:
    """What conditions may ask of it (`policies/names.py`). What has no price is left out."""
    stop_after = told.stop_after.total_seconds() / 60
    minutes = quiet.total_seconds() / 60
    names: dict[str, object] = {
        "patience.minutes": stop_after,
        "patience.left_minutes": stop_after - minutes,
        "patience.exhausted": minutes >= stop_after,
    }
    if told.waste_usd is not None and told.restart_usd is not None:
        names["patience.waste_usd"] = float(told.waste_usd)
        names["patience.restart_usd"] = float(told.restart_usd)
    return names


def machine_time(cost: timedelta | Decimal, hourly_usd: Decimal | None) -> timedelta | None:
    """What a restart costs, as time of the machine; None where dollars meet an unknown price."""
    if isinstance(cost, timedelta):
        return cost
    if hourly_usd is None:
        return None
    if hourly_usd <= 0:
        return timedelta(minutes=LONGEST_MIN)
    hours = min(float(cost / hourly_usd), LONGEST_MIN / 60)
    return timedelta(hours=hours)


class Curve:
    """The survival of one pause: which share of pauses like it lasts longer than t minutes."""

    __slots__ = ("_lasting", "_spent", "_strengths")

    def __init__(self, strengths: Factors) -> None:
        self._strengths = np.array(strengths)
        self._lasting: Floats = np.exp(-(_log_minutes() @ self._strengths))
        self._spent = _integral(self._lasting)

    def lasting(self, minutes: float) -> float:
        logged = np.diff(np.log1p(np.minimum(EDGES_MIN, minutes)))
        return float(exp(-float(logged @ self._strengths)))

    def stop_after(self, restart_min: float) -> float:
        """Minutes of quiet from which no later stop is expected to be cheaper than one now."""
        costs = self._spent + restart_min * self._lasting
        cheapest_later = np.minimum.accumulate(costs[::-1])[::-1]
        settled = costs <= cheapest_later + 1e-9
        settled[_grid() < STEP_MIN] = False
        return float(_grid()[int(np.argmax(settled))])

    def waiting_costs(self, quiet_min: float, restart_min: float) -> float:
        """Minutes of machine time that the best plan costs which waits for one more step."""
        grid = _grid()
        at = min(quiet_min, LONGEST_MIN)
        still = max(self.lasting(at), 1e-12)
        spent = float(np.interp(at, grid, self._spent))
        later = grid >= at + STEP_MIN
        if not later.any():
            return restart_min + STEP_MIN
        costs = self._spent[later] - spent + restart_min * self._lasting[later]
        return float(costs.min()) / still

    def lasts_more(self, quiet_min: float) -> float | None:
        """The median of what is left, in minutes; None beyond the grid."""
        hazard = np.concatenate(([0.0], np.cumsum(np.diff(LOG_EDGES) * self._strengths)))
        half_left = log(2) - log(max(self.lasting(quiet_min), 1e-300))
        if half_left > hazard[-1]:
            return None
        return float(np.expm1(np.interp(half_left, hazard, LOG_EDGES))) - quiet_min


@cache
def _grid() -> Floats:
    return np.concatenate(
        (
            np.arange(0.0, FINE_MIN, STEP_MIN),
            np.arange(FINE_MIN, HOURLY_MIN, 3 * STEP_MIN),
            np.arange(HOURLY_MIN, LONGEST_MIN + 1, 60.0),
        )
    )


@cache
def _log_minutes() -> Floats:
    """For each moment of the grid, the log-minutes spent in each segment until then."""
    edges = np.minimum(np.array(EDGES_MIN)[None, :], _grid()[:, None])
    return np.diff(np.log1p(edges), axis=1)


def _integral(lasting: Floats) -> Floats:
    """Expected minutes of pause up to each moment of the grid; survival falls geometrically."""
    width = np.diff(_grid())
    fall = np.log(lasting[:-1] / lasting[1:])
    flat = fall < 1e-9  # noqa: PLR2004 - as good as nothing
    mean = np.where(flat, lasting[:-1], (lasting[:-1] - lasting[1:]) / np.where(flat, 1.0, fall))
    return np.concatenate(([0.0], np.cumsum(mean * width)))


def patrols_until(moment_min: float, every: timedelta) -> int:
    """The number of the first patrol, one each `every` from zero on, at or after this minute."""
    return ceil(moment_min / (every.total_seconds() / 60) - 1e-9)


def _usd(time: timedelta, hourly_usd: Decimal | None) -> Decimal | None:
    if hourly_usd is None:
        return None
    hours = Decimal(str(time.total_seconds())) / HOUR_S
    return (hours * hourly_usd).quantize(Decimal("0.01"))


def _cost(time: timedelta, hourly_usd: Decimal | None) -> str:
    usd = _usd(time, hourly_usd)
    return f"{span(time.total_seconds() / 60)} at its price" if usd is None else f"{usd} USD"


def _why(quiet_min: float, lasts_min: float | None, waste: str, restart: str) -> str:
    more = "over two weeks" if lasts_min is None else f"another {span(lasts_min)}"
    return (
        f"after {span(quiet_min)} quiet, pauses like this last {more} on the median;"
        f" waiting is expected to cost {waste}, a restart {restart}"
    )


def span(minutes: float) -> str:
    """`41 min`, `3.2 h`, `2.5 d`."""
    if minutes < 120:  # noqa: PLR2004 - two hours
        return f"{minutes:.0f} min"
    if minutes < 2880:  # noqa: PLR2004 - two days
        return f"{minutes / 60:.1f} h"
    return f"{minutes / 1440:.1f} d"
