"""One machine and its group, looked at and judged this moment, as a patrol would judge them.

For what a person orders: nothing else is listed twice, measured or remembered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.facts import Gap, Machine, Price, Reading, Window
from policies.maturity import assess
from providers.base import Inventory, Prices, ReadsUsage, Seen
from watchdog import rows
from watchdog.agent_readings import with_agents
from watchdog.conclude import Beside, conclude
from watchdog.gather import LOOK_BACK, Gathered, gather
from watchdog.keeps import keeps_of
from watchdog.patrol_report import JudgedMachine
from watchdog.pricing import use_price_list
from watchdog.remember import Memory, earlier_of, observations_of, watermarks
from watchdog.timekeeping import account
from watchdog.waiting import Waiting

if TYPE_CHECKING:
    from watchdog.patrol import Parts


@dataclass(frozen=True, slots=True, kw_only=True)
class Sighting:
    """What one look at a group saw."""

    machine: JudgedMachine | None
    """None: it was not seen."""
    company: tuple[JudgedMachine, ...]
    """The other machines of its group that run."""
    gaps: tuple[Gap, ...]


def judged_now(parts: Parts, machine: str, *, now: datetime) -> Sighting:
    """`machine`: its id. Listed and measured are only what `parts.providers` look at.

    The inbox is folded in, so that every keep counts.
    """
    ledger = parts.ledger
    problems = ledger.fold_inbox().problems
    watched = watermarks(ledger)
    use_price_list(ledger, parts.providers)
    gathered = gather(
        [GroupOf(each, machine) for each in parts.providers],
        now=now,
        watched_until=lambda scope: watched.get(scope, now - LOOK_BACK),
        backfill=LOOK_BACK,
        progress=parts.progress,
        monitoring=parts.monitoring,
    )
    observations = observations_of(ledger)
    gathered = with_agents(ledger, _priced_as_before(gathered, observations), now=now)
    memory = Memory(
        runs=tuple(rows.run_from(row) for row in ledger.rows("runs")),
        episodes=(),
        episodes_observed={},
        observations=observations,
        earlier=earlier_of(ledger, gathered, parts.limits),
        gaps=tuple(Gap(provider="ledger", what="inbox", why=problem) for problem in problems),
    )
    judged = conclude(
        account(gathered, memory, mapping=parts.mapping, limits=parts.limits, now=now),
        maturities=assess(memory.runs, as_of=now),
        waiting=Waiting(memory.runs, parts.policy.restart_cost, now),
        policy=parts.policy,
        beside=Beside(
            advice=gathered.advice, measured_by=gathered.measured_by, keeps=keeps_of(ledger)
        ),
        now=now,
    )
    return Sighting(
        machine=next((each for each in judged if each.machine.id == machine), None),
        company=tuple(
            each for each in judged if each.machine.id != machine and each.machine.running
        ),
        gaps=(*parts.unavailable, *gathered.gaps, *memory.gaps),
    )


def _priced_as_before(
    gathered: Gathered, observations: Mapping[str, Sequence[rows.Row]]
) -> Gathered:
    """With the price that the last patrol worked out: it saw the whole fleet, what is committed to,
    and the spot market. A machine that was started again is priced anew.
    """
    return replace(
        gathered,
        machines=tuple(_priced(each, observations.get(each.id, ())) for each in gathered.machines),
    )


def _priced(machine: Machine, told: Sequence[rows.Row]) -> Machine:
    if not told or told[-1]["boot"] != machine.boot or told[-1]["hourly_usd"] is None:
        return machine
    row = told[-1]
    price = Price(
        hourly_usd=_money(row["hourly_usd"]),
        basis=str(row["price_basis"]),
        source=_text(row["price_source"]),
        as_of=_text(row["price_as_of"]),
        why=_text(row["price_why"]),
        saves_usd=_money(row["saves_usd"]),
        stopped_hourly_usd=_money(row["stopped_hourly_usd"]),
    )
    return replace(machine, price=price)


def _money(value: object) -> Decimal | None:
    return value if isinstance(value, Decimal) else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


class GroupOf:
    """A provider that shows nothing but one machine's group, and has no past."""

    def __init__(self, provider: Inventory, machine: str) -> None:
        self._provider = provider
        self._machine = machine

    @property
    def name(self) -> str:
        return self._provider.name

    @property
    def how_to_measure(self) -> str:
        measuring = self._provider
        return measuring.how_to_measure if isinstance(measuring, ReadsUsage) else ""

    def machines(self) -> Seen[Machine]:
        seen = self._provider.machines()
        groups = {each.group for each in seen.values if each.id == self._machine}
        return replace(seen, values=tuple(each for each in seen.values if each.group in groups))

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        if isinstance(self._provider, ReadsUsage):
            return self._provider.readings(machines, window)
        return Seen()

    def price(self, machine: Machine) -> Price:
        if isinstance(self._provider, Prices):
            return self._provider.price(machine)
        return machine.price

    def api_calls(self) -> Mapping[str, int]:
        return self._provider.api_calls()

    def role_text(self) -> str:
        return self._provider.role_text()

    def watching_usd(self) -> Decimal | None:
        return self._provider.watching_usd()
