"""How the price of a machine's hour is put together, whatever the cloud."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from policies.facts import Machine, Price, Storage
from providers.price_facts import ListPrice

HOURS_A_MONTH = 730


def from_list(told: ListPrice, covered: str, basis: str = "list") -> Price:
    """`covered`: what such a price leaves out."""
    return Price(
        hourly_usd=told.hourly_usd,
        basis="unknown" if told.hourly_usd is None else basis,
        source=told.source,
        as_of=told.as_of,
        why=told.why or covered,
    )


def with_saving(machine: Machine, price: Price) -> Price:
    """A stop saves the price of the hour, and nothing of an hour that is paid anyway."""
    paid_anyway = machine.stop_terms.prepaid is not None
    return replace(price, saves_usd=Decimal(0) if paid_anyway else price.hourly_usd)


def stopped_hourly_usd(
    machine: Machine, storage: Sequence[Storage], addresses_month_usd: Sequence[Decimal | None]
) -> Decimal | None:
    """An hour of its disks and of addresses that stay; None where a part of it is unknown."""
    months = [
        each.monthly_cost_usd
        for each in storage
        if each.kind == "volume" and each.attached_to == machine.id
    ]
    months += addresses_month_usd
    known = [usd for usd in months if usd is not None]
    return sum(known, Decimal(0)) / HOURS_A_MONTH if len(known) == len(months) else None
