"""What an hour of a GCE machine costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Machine, Price, Purchase, Storage
from providers.catalog import offers
from providers.price_facts import ListPrice

LINUX = "Linux/UNIX"
HOURS_A_MONTH = 730
COVERED_BY_LIST = "without discounts, disks, addresses and traffic"

PriceList: TypeAlias = Mapping[tuple[str, str, str], ListPrice]
"""By region, machine type and operating system."""
NOTHING_LISTED: PriceList = MappingProxyType({})


def price_list(prices: Iterable[ListPrice]) -> PriceList:
    """Those of plain machines at GCP."""
    return {
        (each.region, each.machine_type, each.operating_system): each
        for each in prices
        if each.provider == "gcp" and each.component is None
    }


def price_of(
    machine: Machine, listed: PriceList = NOTHING_LISTED, *, extra_ssd_gib: float | None = 0
) -> Price:
    """The price by the way it was bought. A reserved hour is paid anyway: its stop saves nothing.

    `extra_ssd_gib`: local SSD beyond what the type brings; None where that is not known.
    """
    found = _found(machine, listed)
    paid_anyway = machine.stop_terms.prepaid is not None
    return replace(found, saves_usd=Decimal(0) if paid_anyway else found.hourly_usd)


def stopped_hourly_usd(machine: Machine, storage: Sequence[Storage]) -> Decimal | None:
    """An hour of its disks, a month being 730 hours; None where one of them has no price."""
    months = [each.monthly_cost_usd for each in storage if each.attached_to == machine.id]
    known = [usd for usd in months if usd is not None]
    return sum(known, Decimal(0)) / HOURS_A_MONTH if len(known) == len(months) else None


def _found(machine: Machine, listed: PriceList) -> Price:
    if machine.purchase is Purchase.UNKNOWN:
        return _unknown("flex-start and other ways of provisioning have prices of their own")
    system = machine.operating_system or LINUX
    if system != LINUX:
        return _unknown(f"{system} costs more than the Linux list price, which is known")
    # A reservation is billed at the on-demand rate, used or not.
    purchase = Purchase.SPOT if machine.purchase is Purchase.SPOT else Purchase.ON_DEMAND
    return _of_type(machine, listed, purchase)


def _of_type(machine: Machine, listed: PriceList, purchase: Purchase) -> Price:
    told = listed.get((machine.region, machine.machine_type, LINUX))
    if told is not None and purchase is Purchase.ON_DEMAND:
        return Price(
            hourly_usd=told.hourly_usd,
            basis="unknown" if told.hourly_usd is None else "list",
            source=told.source,
            as_of=told.as_of,
            why=told.why or COVERED_BY_LIST,
        )
    return offers.hourly_price("gcp", machine.region, machine.machine_type, purchase)


def _unknown(why: str) -> Price:
    return Price(hourly_usd=None, basis="unknown", source=None, as_of=None, why=why)
