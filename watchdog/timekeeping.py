"""Step three of a patrol: each machine's time gets an owner, a phase and a price."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import isnan

from policies.episodes import is_episode
from policies.facts import Attribution, Machine, Reading, Transition
from policies.grids import PhaseLimits
from policies.phases import NOTHING_EARLIER, Span, Timeline, timeline
from providers.catalog.offers import board_power_w
from watchdog.attribution import attributions_of, runs_by_machine
from watchdog.costs.metering import charges_for
from watchdog.costs.prices_over_time import prices_of
from watchdog.costs.running_time import spans_of
from watchdog.gather import Gathered, Windows
from watchdog.mapping import WorkloadMapping
from watchdog.remember import Memory, scope_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounted:
    """One machine with its phases, its charges and the workloads that they belong to."""

    machine: Machine
    attributions: tuple[Attribution, ...]
    timeline: Timeline
    charges: tuple[Mapping[str, object], ...]
    gpus_seen: bool
    """Whether anything measured a GPU of it in the time that was read."""


def account(
    gathered: Gathered,
    memory: Memory,
    *,
    mapping: WorkloadMapping,
    limits: PhaseLimits,
    now: datetime,
) -> tuple[Accounted, ...]:
    """Every machine's time since its scope's window began."""
    windows = {each.scope: each.windows for each in gathered.watched}
    readings = _by_resource(gathered.readings)
    transitions = _by_machine(gathered.transitions)
    recorded = [run for run in memory.runs if not is_episode(run)]
    runs = runs_by_machine(gathered.machines, recorded)
    found = []
    for machine in gathered.machines:
        spans = _spans(machine, windows.get(scope_of(machine)), transitions, memory, now)
        prices = prices_of(
            machine,
            transitions[machine.id],
            memory.observations.get(machine.id, ()),
            gathered.market_prices.get(machine.id, ()),
        )
        line = timeline(
            readings[machine.id],
            spans=spans,
            until=now,
            gpus=machine.gpus,
            board_power_w=board_power_w(machine.gpu_model or ""),
            limits=limits,
            earlier=memory.earlier.get(machine.id, NOTHING_EARLIER),
        )
        found.append(
            Accounted(
                machine=machine,
                attributions=attributions_of(
                    machine, mapping=mapping, runs=runs.get(machine.id, []), now=now
                ),
                timeline=line,
                charges=tuple(charges_for(machine, line.stretches, observed_at=now, priced=prices)),
                gpus_seen=any(map(_measures_a_gpu, readings[machine.id])),
            )
        )
    return tuple(found)


def _measures_a_gpu(reading: Reading) -> bool:
    return reading.gpu is not None and not all(map(isnan, reading.utilisation_max_pct))


def _spans(
    machine: Machine,
    windows: Windows | None,
    transitions: dict[str, list[Transition]],
    memory: Memory,
    now: datetime,
) -> tuple[Span, ...]:
    """When the machine ran inside the windows. A scope that was not seen whole has no spans."""
    if windows is None:
        return ()
    spans = spans_of(
        machine,
        transitions[machine.id],
        memory.observations.get(machine.id, ()),
        windows.started_at,
        now,
    )
    return tuple(replace(span, booted_at=_boot(machine, span, windows)) for span in spans)


def _boot(machine: Machine, span: Span, windows: Windows) -> datetime | None:
    """A span that begins with the window began before it, nobody knows when, unless it runs on.

    None, too, for a machine that needs no set-up.
    """
    if not machine.needs_setup:
        return None
    if span.ended_at is None:
        return machine.started_at
    return span.started_at if span.started_at > windows.started_at else None


def _by_resource(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    found: dict[str, list[Reading]] = defaultdict(list)
    for reading in readings:
        found[reading.resource].append(reading)
    return found


def _by_machine(transitions: Sequence[Transition]) -> dict[str, list[Transition]]:
    found: dict[str, list[Transition]] = defaultdict(list)
    for transition in transitions:
        found[transition.machine].append(transition)
    return found
