"""What an hour of an EC2 machine costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from policies.facts import Machine, Price, Purchase
from providers.catalog import offers

LINUX = "Linux/UNIX"


def price_of(machine: Machine, tenancy: str = "default") -> Price:
    """The price by the way it was bought. A reserved hour is paid anyway: its stop saves nothing.

    The catalogue lists Linux on shared hardware; anything else is not guessed from it.
    """
    paid_anyway = machine.stop_terms.prepaid is not None
    why = _no_list_price(machine, tenancy)
    if why is not None:
        return Price(
            hourly_usd=None,
            basis="unknown",
            source=None,
            as_of=None,
            why=why,
            saves_usd=Decimal(0) if paid_anyway else None,
        )
    listed = offers.hourly_price("aws", machine.region, machine.machine_type, _bought(machine))
    return replace(listed, saves_usd=Decimal(0) if paid_anyway else listed.hourly_usd)


def _bought(machine: Machine) -> Purchase:
    """A capacity reservation is billed at the on-demand rate, used or not."""
    reserved = machine.purchase is Purchase.RESERVED
    return Purchase.ON_DEMAND if reserved else machine.purchase


def _no_list_price(machine: Machine, tenancy: str) -> str | None:
    if machine.purchase is Purchase.CAPACITY_BLOCK:
        return "prepaid: the price of a capacity block stands in its offering"
    if machine.purchase is Purchase.SCHEDULED:
        return "prepaid: the price of a scheduled instance stands in its reservation"
    if machine.purchase is Purchase.UNKNOWN:
        return "how it was bought is not known"
    if machine.operating_system not in {None, LINUX}:
        return f"{machine.operating_system} costs more than the Linux list price, which is known"
    if tenancy != "default":
        return f"tenancy {tenancy!r} is not billed at the list price of shared hardware"
    return None
