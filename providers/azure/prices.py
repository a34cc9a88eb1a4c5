"""What an hour of an Azure VM costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Machine, Price, Purchase, unpriced
from providers.catalog import offers
from providers.machine_prices import from_list, with_saving
from providers.price_facts import ListPrice

LINUX = "Linux/UNIX"
WINDOWS = "Windows"
SPOT = "Spot"
"""The component of a list price that is the present one of spot machines."""
COVERED_BY_LIST = "without discounts, image licences, disks, addresses and traffic"

PriceList: TypeAlias = Mapping[tuple[str, str, str, str | None], ListPrice]
"""By region, size in lower case, operating system and component: none, or `SPOT`."""
NOTHING_LISTED: PriceList = MappingProxyType({})


def price_list(prices: Iterable[ListPrice]) -> PriceList:
    """Those of VMs at Azure."""
    return {
        (each.region, each.machine_type.lower(), each.operating_system, each.component): each
        for each in prices
        if each.provider == "azure" and each.component in {None, SPOT}
    }


def price_of(machine: Machine, listed: PriceList = NOTHING_LISTED) -> Price:
    """The price by the way it was bought. A reserved hour is paid anyway: its stop saves nothing.

    `listed`: prices that Azure told; they go before those of the offline catalogue, which knows
    Linux only.
    """
    return with_saving(machine, _found(machine, listed))


def _found(machine: Machine, listed: PriceList) -> Price:
    if machine.purchase is Purchase.UNKNOWN:
        return unpriced("how it was bought is not known")
    if (machine.stop_terms.prepaid or "").startswith("dedicated host"):
        return unpriced("it runs on a dedicated host, and the host is what is billed")
    system = machine.operating_system or LINUX
    spot = machine.purchase is Purchase.SPOT
    size = machine.machine_type.lower()
    told = listed.get((machine.region, size, system, SPOT if spot else None))
    if told is not None:
        return from_list(told, COVERED_BY_LIST, "spot" if spot else "list")
    if system != LINUX:
        return unpriced(f"{system} costs more than the Linux list price, which is known")
    # A capacity reservation is billed at the on-demand rate, used or not.
    purchase = Purchase.SPOT if spot else Purchase.ON_DEMAND
    return offers.hourly_price("azure", machine.region, machine.machine_type, purchase)
