"""What an hour of an EC2 machine costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Machine, Price, Purchase, unpriced
from providers.catalog import offers
from providers.machine_prices import from_list, with_saving
from providers.price_facts import ListPrice

LINUX = "Linux/UNIX"
COVERED_BY_LIST = "without discounts, disks, addresses and traffic"

PriceList: TypeAlias = Mapping[tuple[str, str, str], ListPrice]
"""By region, machine type and operating system."""
NOTHING_LISTED: PriceList = MappingProxyType({})
ManagedPrices: TypeAlias = Mapping[tuple[str, str], Sequence[ListPrice]]
"""By region and machine type, the prices of SageMaker's components."""
NOTHING_MANAGED: ManagedPrices = MappingProxyType({})


def price_list(prices: Iterable[ListPrice]) -> PriceList:
    """Those of plain machines at AWS."""
    return {
        (each.region, each.machine_type, each.operating_system): each
        for each in prices
        if each.provider == "aws" and each.component is None
    }


def managed_prices(prices: Iterable[ListPrice]) -> ManagedPrices:
    """Those of SageMaker's machines."""
    found: dict[tuple[str, str], list[ListPrice]] = defaultdict(list)
    for each in prices:
        if each.provider == "aws" and each.component is not None:
            found[each.region, each.machine_type].append(each)
    return found


def managed_price_of(machine: Machine, component: str, listed: ManagedPrices) -> Price:
    """The price of one of SageMaker's machines; `component`: how the price list's word begins.

    The list writes its words with hyphens, blanks and capitals of its own; several of one
    beginning (Studio has one an application) are a price only where they are one price.
    """
    return with_saving(machine, _managed(machine, component, listed))


def _managed(machine: Machine, component: str, listed: ManagedPrices) -> Price:
    why = _no_list_price(machine, "default")
    if why is not None:
        return unpriced(why)
    if machine.purchase is Purchase.SPOT:
        return unpriced("nobody publishes the prices of SageMaker's spot machines")
    what = f"{machine.machine_type} for {component} in {machine.region}"
    told = [
        each
        for each in listed.get((machine.region, machine.machine_type), ())
        if _letters(each.component).startswith(component)
    ]
    if not told:
        return unpriced(f"no list price of {what}: `spend-watchdog prices refresh` asks AWS for it")
    first, *others = told
    if any(each.hourly_usd != first.hourly_usd for each in others):
        return unpriced(f"AWS lists {what} at several prices")
    return from_list(first, COVERED_BY_LIST)


def _letters(text: str | None) -> str:
    return "".join(filter(str.isalpha, text or "")).lower()


def price_of(
    machine: Machine, tenancy: str = "default", listed: PriceList = NOTHING_LISTED
) -> Price:
    """The price by the way it was bought. A reserved hour is paid anyway: its stop saves nothing.

    `listed`: prices that AWS told; they go before those of the offline catalogue, which knows Linux
    only. Both are of shared hardware; anything else is not guessed from them.
    """
    return with_saving(machine, _found(machine, tenancy, listed))


def _found(machine: Machine, tenancy: str, listed: PriceList) -> Price:
    why = _no_list_price(machine, tenancy)
    if why is not None:
        return unpriced(why)
    if machine.purchase is Purchase.SPOT:
        return unpriced(f"no spot price is known of {machine.machine_type} in {machine.zone}")
    system = machine.operating_system or LINUX
    told = listed.get((machine.region, machine.machine_type, system))
    if told is not None:
        return from_list(told, COVERED_BY_LIST)
    if system != LINUX:
        return unpriced(f"{system} costs more than the Linux list price, which is known")
    # A capacity reservation is billed at the on-demand rate, used or not.
    return offers.hourly_price("aws", machine.region, machine.machine_type, Purchase.ON_DEMAND)


def _no_list_price(machine: Machine, tenancy: str) -> str | None:
    if machine.purchase is Purchase.CAPACITY_BLOCK:
        return "prepaid: the price of a capacity block stands in its offering"
    if machine.purchase is Purchase.SCHEDULED:
        return "prepaid: the price of a scheduled instance stands in its reservation"
    if machine.purchase is Purchase.UNKNOWN:
        return "how it was bought is not known"
    if tenancy != "default":
        return f"tenancy {tenancy!r} is not billed at the list price of shared hardware"
    return None
