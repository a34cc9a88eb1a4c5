"""What a provider that sees only now told earlier comes back from the ledger."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from math import isnan, nan
from typing import TYPE_CHECKING, Any, TypeAlias

from policies.facts import READING_COLUMNS, Reading, Series
from providers.base import Inventory, SeesOnlyNow
from watchdog.gather import Gathered

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Row: TypeAlias = Mapping[str, object]
Key: TypeAlias = tuple[object, object, object, datetime, datetime]
"""Resource, GPU, source, start and end of one interval."""


def recalled(ledger: Ledger, gathered: Gathered, providers: Sequence[Inventory]) -> Gathered:
    """The same, with the intervals that earlier patrols measured in the readings of this one.

    Only for providers that see no more than the present; a cloud tells its past again itself.
    """
    names = {each.name for each in providers if isinstance(each, SeesOnlyNow)}
    ids = {machine.id for machine in gathered.machines if machine.provider in names}
    short = [reading for reading in gathered.readings if reading.resource in ids]
    if not short:
        return gathered
    rows = ledger.rows(
        "readings_of", since=min(each.started_at for each in short), resources=sorted(ids)
    )
    known = {_key(row): row for row in rows}
    return replace(
        gathered,
        readings=tuple(
            _filled(reading, known) if reading.resource in ids else reading
            for reading in gathered.readings
        ),
    )


def _filled(reading: Reading, known: Mapping[Key, Row]) -> Reading:
    period = timedelta(seconds=reading.period_s)
    starts = [reading.started_at + index * period for index in range(reading.intervals)]
    rows = [
        known.get((reading.resource, reading.gpu, reading.source, start, start + period))
        for start in starts
    ]
    columns: dict[str, Any] = {
        name: _column(getattr(reading, name), rows, name) for name in READING_COLUMNS
    }
    return replace(reading, **columns)


def _column(column: Series | None, rows: Sequence[Row | None], name: str) -> Series | None:
    """What was measured now stands; only what is missing is taken from the rows."""
    if column is None:
        return None
    told = [nan if row is None or row[name] is None else float(str(row[name])) for row in rows]
    return array("d", [old if isnan(new) else new for new, old in zip(column, told, strict=True)])


def _key(row: Row) -> Key:
    started_at, ended_at = row["started_at"], row["ended_at"]
    if not isinstance(started_at, datetime) or not isinstance(ended_at, datetime):
        raise TypeError(f"{started_at!r} to {ended_at!r} is no interval")
    return row["resource"], row["gpu"], row["source"], started_at, ended_at
