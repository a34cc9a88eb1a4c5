"""What was metered for getting ready for a run: set-up of its machine, and data on its way. Pure.

Charges tell the clock hour and not the minute. So the hours from the end of the run before, on the
same machine, until this one computes are looked through, and each takes at most the part of an hour
that lies in that time; what one run took, no other gets.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from policies.confusion_cost import Rented
from policies.facts import Run
from policies.streaks import Lead
from watchdog.costs.running_time import hour_of
from watchdog.rows import Row, moment_of

HOUR = timedelta(hours=1)
LOOKED_BACK = timedelta(hours=24)
"""What a machine did longer before a run was for something else."""
NANO = Decimal("0.000000001")


@dataclass(slots=True)
class _Phase:
    """What is left of one phase in one hour of a machine, and what an hour of it costs."""

    hours: float
    hourly_usd: Decimal | None

    def take(self, at_most: float) -> float:
        taken = min(self.hours, at_most)
        self.hours -= taken
        return taken


@dataclass(slots=True)
class _Hour:
    start: datetime
    setup: _Phase
    transfer: _Phase


def leads_of(
    runs: Iterable[Run], hours: Iterable[Row], machines: Mapping[str, Rented]
) -> dict[str, Lead]:
    """By run. `hours`: rows of the view `machine_hours`; without any, nothing is known."""
    metered: dict[str, list[_Hour]] = defaultdict(list)
    for row in hours:
        metered[str(row["ResourceId"])].append(_hour(row))
    found: dict[str, list[Lead]] = defaultdict(list)
    for resource, several in _by_machine(runs, machines).items():
        if resource not in metered:
            continue
        by_time = sorted(metered[resource], key=lambda each: each.start)
        busy_until: datetime | None = None
        for run in sorted(several, key=lambda each: (each.started_at, each.run_id)):
            lead = _lead(run, busy_until, by_time, machines[resource].gpus)
            found[run.run_id].append(lead)
            end = run.ended_at or run.started_at
            busy_until = end if busy_until is None else max(busy_until, end)
    return {run_id: _together(several) for run_id, several in found.items()}


def _hour(row: Row) -> _Hour:
    return _Hour(
        start=moment_of(row["hour"]),
        setup=_phase(row["setup_hours"], row["setup_usd"]),
        transfer=_phase(row["transfer_hours"], row["transfer_usd"]),
    )


def _phase(hours: object, usd: object) -> _Phase:
    length = float(str(hours))
    if not isinstance(usd, Decimal) or not length:
        return _Phase(length, None)
    return _Phase(length, usd / Decimal(str(length)))


def _by_machine(runs: Iterable[Run], machines: Mapping[str, Rented]) -> Mapping[str, Sequence[Run]]:
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        ids = {machines[name].id for name in run.machine_ids if name in machines}
        for resource in ids:
            found[resource].append(run)
    return found


def _lead(run: Run, busy_until: datetime | None, hours: Sequence[_Hour], gpus: int | None) -> Lead:
    """Until it computes, where it tells; else until it ends."""
    begin = run.started_at - LOOKED_BACK
    if busy_until is not None:
        begin = max(begin, min(busy_until, run.started_at))
    end = run.ended_at or run.started_at
    if run.setup_seconds is not None:
        end = run.started_at + timedelta(seconds=run.setup_seconds)
    first = bisect_left(hours, hour_of(begin), key=lambda each: each.start)
    setup, transfer = _Sum(), _Sum()
    for hour in hours[first:]:
        if hour.start >= end:
            break
        overlap = (min(end, hour.start + HOUR) - max(begin, hour.start)) / HOUR
        setup.add(hour.setup, overlap)
        transfer.add(hour.transfer, overlap)
    return Lead(
        setup_s=setup.seconds,
        setup_usd=setup.dollars,
        transfer_s=transfer.seconds,
        transfer_usd=transfer.dollars,
        gpus=gpus,
    )


@dataclass(slots=True)
class _Sum:
    hours: float = 0.0
    usd: Decimal = Decimal(0)
    priced: bool = True

    def add(self, phase: _Phase, at_most: float) -> None:
        taken = phase.take(at_most)
        self.hours += taken
        if taken and phase.hourly_usd is None:
            self.priced = False
        self.usd += (phase.hourly_usd or Decimal(0)) * Decimal(str(taken))

    @property
    def seconds(self) -> float | None:
        """None: the meter saw none, and the run may tell more."""
        return self.hours * 3600 or None

    @property
    def dollars(self) -> Decimal | None:
        return self.usd.quantize(NANO) if self.priced and self.hours else None


def _together(leads: Sequence[Lead]) -> Lead:
    """Of a run on several machines: as long as the longest, and the dollars of all."""
    if len(leads) == 1:
        return leads[0]
    counts = [lead.gpus for lead in leads if lead.gpus is not None]
    return Lead(
        setup_s=max((lead.setup_s for lead in leads if lead.setup_s), default=None),
        setup_usd=_sum([lead.setup_usd for lead in leads if lead.setup_s]),
        transfer_s=max((lead.transfer_s for lead in leads if lead.transfer_s), default=None),
        transfer_usd=_sum([lead.transfer_usd for lead in leads if lead.transfer_s]),
        gpus=sum(counts) if len(counts) == len(leads) else None,
    )


def _sum(parts: Sequence[Decimal | None]) -> Decimal | None:
    known = [part for part in parts if part is not None]
    return sum(known, Decimal(0)) if known and len(known) == len(parts) else None
