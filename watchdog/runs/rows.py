"""From a row of cells to a `Run`, or to everything that is wrong with it. Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from sys import intern
from types import MappingProxyType
from typing import Any

from policies.facts import Run, RunOutcome
from watchdog.runs.cells import (
    READERS,
    UnreadableCellError,
    close_to,
    shown_time,
)
from watchdog.runs.columns import COLUMN, COLUMNS, REQUIRED, Cell

CLOCKS_MAY_DIFFER = timedelta(minutes=5)
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
"""Before it lie only the zero times that programs write for unknown: 0001-01-01, 1970-01-01."""

_READERS = {intern(name): (intern(name), read) for name, read in READERS.items()}
"""A value is kept under the interned name: `Run(**values)` is then more than twice as fast."""

NO_DEFAULTS: Mapping[str, object] = MappingProxyType({})
TIMES = tuple(column.name for column in COLUMNS if column.cell is Cell.TIME)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one field of a row."""

    field: str
    why: str
    no_zone: bool = False
    """The only fault is that a time names no zone."""


def run_from(
    row: Mapping[str, object],
    *,
    now: datetime,
    defaults: Mapping[str, object] = NO_DEFAULTS,
    naive_zone: tzinfo | None = None,
) -> Run | list[Fault]:
    """The run that a row tells of, or everything that is wrong with it.

    `row` holds cells as text or JSON values; None, empty and missing are unknown, other names are
    passed over. `defaults` are values of `Run` for cells that are unknown. A time without a zone is
    a fault unless `naive_zone` says in which zone such times are meant.
    """
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for name, raw in row.items():
        if raw is None or raw == "":
            continue
        known = _READERS.get(name)
        if known is None:
            continue
        column, read = known
        try:
            value = read(raw)
        except UnreadableCellError as error:
            faults.append(Fault(column, str(error)))
            continue
        if value is not None:
            values[column] = value
    faults += _zone_faults(values, naive_zone)
    faults += _missing(row, values, faults)
    faults += _faults_of_times(values, now)
    if faults:
        return faults
    return Run(**{**defaults, **values} if defaults else values)


def _zone_faults(values: dict[str, Any], zone: tzinfo | None) -> list[Fault]:
    """Puts naive times into their zone; where that is not known they are taken out as faults."""
    naive = [name for name in TIMES if name in values and values[name].tzinfo is None]
    faults = []
    for name in naive:
        moment = values.pop(name)
        if zone is not None:
            values[name] = moment.replace(tzinfo=zone).astimezone(UTC)
            continue
        why = f"{moment.isoformat()} has no time zone; write Z behind it if it is in UTC"
        faults.append(Fault(name, why, no_zone=True))
    return faults


def _missing(
    row: Mapping[str, object], values: Mapping[str, object], faults: list[Fault]
) -> list[Fault]:
    absent = [name for name in REQUIRED if name not in values]
    if not absent:
        return []
    told = {fault.field for fault in faults}
    return [Fault(name, _why_missing(name, row)) for name in absent if name not in told]


def _why_missing(name: str, row: Mapping[str, object]) -> str:
    if name in row:
        return "empty; every run needs one"
    others = tuple(str(each) for each in row if each not in COLUMN)
    near = close_to(name, others)
    return "missing; every run needs one" + (f" (is it the one called {near}?)" if near else "")


def _faults_of_times(values: Mapping[str, Any], now: datetime) -> Iterator[Fault]:
    latest = now + CLOCKS_MAY_DIFFER
    for name in TIMES:
        moment = values.get(name)
        if moment is None:
            continue
        if moment > latest:
            yield Fault(name, _why_future(moment, now))
        elif moment < EARLIEST:
            yield Fault(
                name, f"{shown_time(moment)} is before 2000; leave it empty where it is unknown"
            )
    ended = values.get("ended_at")
    if ended is None:
        return
    started = values.get("started_at")
    if started is not None and ended < started:
        yield Fault("ended_at", f"{shown_time(ended)} is before started_at {shown_time(started)}")
    if values.get("outcome") is RunOutcome.RUNNING:
        yield Fault(
            "ended_at", "given, but the outcome is running; leave it empty or say how the run ended"
        )


def _why_future(moment: datetime, now: datetime) -> str:
    return (
        f"{shown_time(moment)} lies in the future (it is {shown_time(now)}); "
        "check the clock and the time zone"
    )
