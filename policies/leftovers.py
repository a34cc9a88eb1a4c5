"""Machines that no stop helps: those that were stopped and forgotten, and those that cannot be."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from policies.facts import Machine, MachineState

FORGOTTEN = "forgotten"
"""The name of the finding for a machine that was stopped long ago and goes on costing."""
BECAUSE_FORGOTTEN = "It was stopped and forgotten: its disks and addresses go on billing."
HOURS_A_MONTH = 730
CENT = Decimal("0.01")


def month_usd(machine: Machine) -> Decimal | None:
    """What it costs in a month of 730 hours while it is stopped; None: unknown."""
    hourly = machine.price.stopped_hourly_usd
    return None if hourly is None else (hourly * HOURS_A_MONTH).quantize(CENT)


def forgotten(
    machine: Machine, since: datetime | None, after: timedelta, now: datetime
) -> str | None:
    """For how long it is stopped and what it costs, in one sentence; None: it is not forgotten.

    `since`: when it stopped, or was first seen so. One that costs nothing any more is not meant.
    """
    if machine.state is not MachineState.STOPPED or since is None or now - since < after:
        return None
    month = month_usd(machine)
    if month == 0:
        return None
    cost = "cost an unknown amount" if month is None else f"cost {month:,} USD a month"
    days = (now - since).days
    return f"stopped for {days} days, since {since:%Y-%m-%d}: its disks and addresses {cost}"


def cannot_be_stopped(machine: Machine) -> tuple[str, ...]:
    """Why a stop of this machine does not help, and who can do what; empty: it may be stopped."""
    terms, found = machine.stop_terms, []
    if terms.controller is not None:
        advice = f": {terms.controller_advice}" if terms.controller_advice else ""
        found.append(f"{terms.controller} owns it and would replace it{advice}")
    elif terms.can_stop is not True:
        found.append(terms.why)
    if terms.protected is not None:
        found.append(f"it is protected by {terms.protected}: whoever set that can take it away")
    if terms.loses:
        lost = " and ".join(terms.loses)
        found.append(f"a stop would destroy {lost}: whoever works on it can save that and stop it")
    if terms.prepaid is not None:
        found.append(f"{terms.prepaid} is paid for already: give it to work that waits")
    return tuple(found)
