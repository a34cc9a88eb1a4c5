"""Several sources may measure the GPUs of one machine: one of them is believed, as a whole."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from policies.facts import Machine, Reading

AGENT = "agent"
"""The source that our own agent names; the view `readings_of_agents` says the same."""
TRUSTED_FIRST = (AGENT, "prometheus")
"""Kinds of sources, most trusted first; all others come after. Our agent asks the driver on the
machine itself and knows by the metadata service which machine that is. DCGM samples the driver
every few seconds and the maximum survives, but a label must name the machine. An agent in the
cloud's own service averages over its minute."""
FORGIVEN_COVERAGE = 0.10
"""A more trusted source is passed over only where it saw less of the time by more than this."""

_Stretch: TypeAlias = tuple[str, datetime, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The readings to believe."""

    readings: tuple[Reading, ...]
    told: Mapping[str, str]
    """By machine, one sentence on who measured its newest hours, where several could have."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What one kind of source says of one machine's GPUs in one stretch of time."""

    kind: str
    readings: Sequence[Reading]
    coverage: float

    def __str__(self) -> str:
        return f"{self.readings[0].source} ({self.coverage:.0%} of the time)"


def most_trusted(readings: Iterable[Reading], machines: Iterable[Machine]) -> Chosen:
    """One kind of source for each machine's GPUs in each stretch, and likewise for its host."""
    gpus = {machine.id: machine.gpus or 0 for machine in machines}
    kept: list[Reading] = []
    hosts: dict[_Stretch, list[Reading]] = defaultdict(list)
    stretches: dict[_Stretch, list[Reading]] = defaultdict(list)
    for reading in readings:
        (hosts if reading.gpu is None else stretches)[_stretch(reading)].append(reading)
    for several in hosts.values():
        kept.extend(_ranked(several, gpus=0)[0].readings)
    told = {}
    for stretch, several in sorted(stretches.items(), key=lambda item: item[0]):
        machine = stretch[0]
        first, *others = _ranked(several, gpus.get(machine, 0))
        kept.extend(first.readings)
        if others or first.kind in TRUSTED_FIRST:
            told[machine] = _sentence(first, others)
    return Chosen(readings=tuple(kept), told=told)


def _stretch(reading: Reading) -> _Stretch:
    return (reading.resource, reading.started_at, reading.period_s, reading.intervals)


def _ranked(readings: Sequence[Reading], gpus: int) -> list[_Told]:
    """The kind of source to believe, then the others."""
    kinds: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        kinds[reading.source.split(":")[0]].append(reading)
    found = [
        _Told(kind=kind, readings=several, coverage=_coverage(several, gpus))
        for kind, several in kinds.items()
    ]
    best = max(each.coverage for each in found)
    return sorted(
        found, key=lambda each: (best - each.coverage > FORGIVEN_COVERAGE, _distrust(each.kind))
    )


def _coverage(readings: Sequence[Reading], gpus: int) -> float:
    """A GPU that reports nothing covers nothing."""
    return sum(reading.coverage for reading in readings) / max(len(readings), gpus)


def _distrust(kind: str) -> int:
    return TRUSTED_FIRST.index(kind) if kind in TRUSTED_FIRST else len(TRUSTED_FIRST)


def _sentence(first: _Told, others: Sequence[_Told]) -> str:
    passed_over = f", not {', '.join(map(str, others))}" if others else ""
    return f"measured by {first}{passed_over}"
