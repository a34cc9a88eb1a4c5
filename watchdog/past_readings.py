"""Time that is metered again long after it was read: its readings lie in the ledger."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from math import nan
from typing import TYPE_CHECKING, Any

from policies.facts import READING_COLUMNS, Reading
from watchdog.choosing_sources import most_trusted
from watchdog.gather import Gathered, Watched

if TYPE_CHECKING:
    import pandas as pd

    from policies.facts import Machine
    from watchdog.ledger.store import Ledger

HOUR_S = 3600


def with_past_readings(ledger: Ledger, gathered: Gathered) -> Gathered:
    """The same, with the ledger's readings of the time that is metered again beside this pass's.

    They are as fine as they were read then. Asking the provider anew would cost its calls, and
    would put hourly values in the place of finer ones.
    """
    past = [
        reading
        for each in gathered.watched
        if each.windows.remetered_from is not None
        for reading in _past(ledger, each, each.windows.remetered_from, gathered.machines)
    ]
    return replace(gathered, readings=(*past, *gathered.readings)) if past else gathered


def _past(
    ledger: Ledger, watched: Watched, since: datetime, machines: tuple[Machine, ...]
) -> tuple[Reading, ...]:
    place = (watched.scope.account, watched.scope.region)
    here = [each for each in machines if (each.account, each.region) == place]
    windows = watched.windows
    until = windows.fine.started_at if windows.coarse is None else windows.coarse.started_at
    rows = ledger.query("readings_of", since=since, resources=sorted(each.id for each in here))
    rows = rows[rows["ended_at"] <= until]
    return most_trusted(_readings(rows, since, until), here).readings


def _readings(rows: pd.DataFrame, since: datetime, until: datetime) -> Iterator[Reading]:
    """All on grids that begin at `since`, so that a machine's GPUs lie on one grid."""
    periods = (rows["ended_at"] - rows["started_at"]).dt.total_seconds().astype(int)
    offsets = (rows["started_at"] - since).dt.total_seconds().astype(int)
    length_s = int((until - since).total_seconds())
    fitting = (periods > 0) & (periods <= HOUR_S) & (HOUR_S % periods == 0)
    fitting &= offsets % periods == 0
    rows = rows.assign(period=periods, place=offsets // periods)[fitting]
    key: Any
    for key, several in rows.groupby(["resource", "gpu", "source", "period"], dropna=False):
        resource, gpu, source, period = key
        columns: dict[str, Any] = {
            name: _column(several["place"], several[name], length_s // period)
            for name in READING_COLUMNS
            if name == "utilisation_max_pct" or several[name].notna().any()
        }
        yield Reading(
            resource=resource,
            gpu=gpu if isinstance(gpu, str) else None,
            source=source,
            started_at=since,
            period_s=int(period),
            **columns,
        )


def _column(places: pd.Series[int], told: pd.Series[float], intervals: int) -> array[float]:
    column = array("d", [nan]) * intervals
    for place, value in zip(places.tolist(), told.astype(float).tolist(), strict=True):
        column[place] = value
    return column
