"""Rent the burst: mature work that queues at home, with what renting for it would have cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from policies.burst import WINDOW, Burst, burst_of
from policies.facts import Run
from policies.next_run import next_run
from policies.verdicts import Maturity, Verdict
from providers.catalog.fitting import Rentable
from watchdog.json_values import money
from watchdog.machine_choice import fitting_machines, rent_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class RentedBurst:
    """The queue, and the machine that would have taken it over."""

    burst: Burst
    machine: Rentable | None
    """The smallest that fits; None: its memory or its number of GPUs is unknown, or none fits."""
    usd: Decimal | None
    """What the runs that waited would have cost there. None: no machine, price or duration."""


def rented_burst(
    runs: Sequence[Run], maturity: Maturity, *, regions: Sequence[str] | None, now: datetime
) -> RentedBurst | None:
    """None for work that is not mature: renting would only move the confusion."""
    found = burst_of(runs, as_of=now) if maturity.verdict is Verdict.MATURE else None
    if found is None:
        return None
    need = next_run(runs, as_of=now)
    machine = next(iter(fitting_machines(need, regions=regions)), None)
    hours = found.waited_run_hours
    usd = None
    if machine is not None and hours is not None:
        usd = rent_usd(machine, hours=hours, nodes=need.nodes)
    return RentedBurst(burst=found, machine=machine, usd=usd)


def burst_json(rented: RentedBurst | None) -> dict[str, object] | None:
    if rented is None:
        return None
    burst, machine = rented.burst, rented.machine
    return {
        "days": WINDOW.days,
        "runs": burst.runs,
        "waits": burst.waits,
        "median_wait_minutes": round(burst.median_wait_s / 60, 1),
        "queued_hours": round(burst.queued_hours, 3),
        "utilisation_mean_pct": round(burst.utilisation_mean_pct, 1),
        "waited_runs": burst.waited,
        "rent_hours": None if burst.waited_run_hours is None else round(burst.waited_run_hours, 3),
        "provider": None if machine is None else machine.provider,
        "region": None if machine is None else machine.region,
        "machine_type": None if machine is None else machine.machine_type,
        "rent_usd": money(rented.usd),
    }


def burst_told(rented: RentedBurst) -> str:
    """One sentence with its figures."""
    burst = rented.burst
    queue = (
        f"Rent the burst: it keeps its cards at home {burst.utilisation_mean_pct:.0f} % busy, and"
        f" half of its runs wait {burst.median_wait_s / 60:.0f} min or longer;"
        f" {burst.queued_hours:.1f} h queued in {WINDOW.days} days ({burst.waits} runs)."
    )
    if rented.machine is None:
        return f"{queue} Which machine would do is unknown: see `preflight`."
    where = f"on {rented.machine.machine_type} ({rented.machine.provider})"
    if rented.usd is None:
        return f"{queue} What {where} would have cost is unknown."
    return f"{queue} The {burst.waited} that waited would have cost {rented.usd:.2f} USD {where}."
