"""What agents on the machines themselves measured comes out of the ledger, into this patrol."""

from __future__ import annotations

import json
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import nan
from typing import TYPE_CHECKING, Any

from policies.facts import READING_COLUMNS, Machine, Reading, Window
from watchdog.choosing_sources import AGENT, most_trusted
from watchdog.gather import Gathered
from watchdog.remember import scope_of

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Row = Mapping[str, object]


def with_agents(ledger: Ledger, gathered: Gathered, *, now: datetime) -> Gathered:
    """The same, with the readings of agents where they are to be trusted more, and with their news.

    A reading whose interval has not ended yet, by this clock, is left out: it cannot be true.
    """
    told = [
        reading
        for window, machines in _asked(gathered).items()
        for reading in _readings(ledger, window, machines, now)
    ]
    machines = _with_news(ledger, gathered.machines, now)
    heard = {reading.resource for reading in told}
    if not heard:
        return replace(gathered, machines=machines)
    others = [each for each in gathered.readings if each.resource not in heard]
    contested = [each for each in gathered.readings if each.resource in heard]
    chosen = most_trusted([*contested, *told], gathered.machines)
    return replace(
        gathered,
        machines=machines,
        readings=(*others, *chosen.readings),
        measured_by={**gathered.measured_by, **chosen.told},
    )


def _with_news(ledger: Ledger, machines: Sequence[Machine], now: datetime) -> tuple[Machine, ...]:
    """The machines with their last inputs and the processes on their GPUs, where agents told."""
    typed = {row["machine"]: row["typed_at"] for row in ledger.rows("last_inputs", until=now)}
    holders = {
        row["machine"]: json.loads(str(row["detail_json"])).get("held_by")
        for row in ledger.rows("gpu_holders", until=now)
    }
    return tuple(
        replace(
            machine,
            last_input_at=_later(machine.last_input_at, typed.get(machine.id)),
            held_by=machine.held_by or holders.get(machine.id),
        )
        for machine in machines
    )


def _later(known: datetime | None, told: object) -> datetime | None:
    times = [each for each in (known, told) if isinstance(each, datetime)]
    return max(times, default=None)


def _asked(gathered: Gathered) -> dict[Window, set[str]]:
    """The machines of each window, by id. A stop does not hide what was measured before it."""
    windows = {each.scope: each.windows for each in gathered.watched}
    asked: dict[Window, set[str]] = defaultdict(set)
    for machine in gathered.machines:
        found = windows.get(scope_of(machine))
        for window in () if found is None else (found.coarse, found.fine):
            if window is not None and window.intervals:
                asked[window].add(machine.id)
    return asked


def _readings(
    ledger: Ledger, window: Window, machines: set[str], now: datetime
) -> Iterator[Reading]:
    rows = ledger.rows(
        "readings_of_agents",
        since=window.started_at,
        until=min(window.ended_at, now),
        period_s=window.period_s,
    )
    by_gpu: dict[tuple[str, str | None], list[Row]] = defaultdict(list)
    for row in rows:
        if row["resource"] in machines:
            gpu = None if row["gpu"] is None else str(row["gpu"])
            by_gpu[str(row["resource"]), gpu].append(row)
    for resource, gpu in sorted(by_gpu, key=lambda key: (key[0], len(key[1] or ""), key[1] or "")):
        yield _reading(resource, gpu, window, by_gpu[resource, gpu])


def _reading(resource: str, gpu: str | None, window: Window, rows: Sequence[Row]) -> Reading:
    columns: dict[str, Any] = {name: _column(window, rows, name) for name in READING_COLUMNS}
    return Reading(
        resource=resource,
        gpu=gpu,
        source=AGENT,
        started_at=window.started_at,
        period_s=window.period_s,
        **columns,
    )


def _column(window: Window, rows: Iterable[Row], name: str) -> array[float]:
    column = array("d", [nan]) * window.intervals
    begin = int(window.started_at.timestamp())
    for row in rows:
        place = (int(str(row["started_s"])) - begin) // window.period_s
        value = row[name]
        if value is not None and 0 <= place < window.intervals:
            column[place] = float(str(value))
    return column
