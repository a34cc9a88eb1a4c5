"""What an hour of an EC2 machine costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Machine, Price, Purchase, Storage
from providers.aws.storage_prices import address_meter
from providers.catalog import offers
from providers.price_facts import ListPrice

LINUX = "Linux/UNIX"
HOURS_A_MONTH = 730
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
    return _with_saving(machine, _managed(machine, component, listed))


def _managed(machine: Machine, component: str, listed: ManagedPrices) -> Price:
    why = _no_list_price(machine, "default")
    if why is not None:
        return _unknown(why)
    if machine.purchase is Purchase.SPOT:
        return _unknown("nobody publishes the prices of SageMaker's spot machines")
    what = f"{machine.machine_type} for {component} in {machine.region}"
    told = [
        each
        for each in listed.get((machine.region, machine.machine_type), ())
        if _letters(each.component).startswith(component)
    ]
    if not told:
        return _unknown(f"no list price of {what}: `spend-watchdog prices refresh` asks AWS for it")
    first, *others = told
    if any(each.hourly_usd != first.hourly_usd for each in others):
        return _unknown(f"AWS lists {what} at several prices")
    return _from_list(first)


def _letters(text: str | None) -> str:
    return "".join(filter(str.isalpha, text or "")).lower()


def price_of(
    machine: Machine, tenancy: str = "default", listed: PriceList = NOTHING_LISTED
) -> Price:
    """The price by the way it was bought. A reserved hour is paid anyway: its stop saves nothing.

    `listed`: prices that AWS told; they go before those of the offline catalogue, which knows Linux
    only. Both are of shared hardware; anything else is not guessed from them.
    """
    return _with_saving(machine, _found(machine, tenancy, listed))


def stopped_hourly_usd(
    machine: Machine, storage: Sequence[Storage], addresses: int
) -> Decimal | None:
    """An hour of its disks and elastic addresses, a month being 730 hours; None where unknown.

    `storage`: everything that was seen attached to it. An address that is no elastic one is given
    back when the machine stops.
    """
    months = [each.monthly_cost_usd for each in storage if each.kind == "volume"]
    months += [address_meter(machine.region).month_usd] * addresses
    known = [usd for usd in months if usd is not None]
    return sum(known, Decimal(0)) / HOURS_A_MONTH if len(known) == len(months) else None


def _found(machine: Machine, tenancy: str, listed: PriceList) -> Price:
    why = _no_list_price(machine, tenancy)
    if why is not None:
        return _unknown(why)
    if machine.purchase is Purchase.SPOT:
        return _unknown(f"no spot price is known of {machine.machine_type} in {machine.zone}")
    system = machine.operating_system or LINUX
    told = listed.get((machine.region, machine.machine_type, system))
    if told is not None:
        return _from_list(told)
    if system != LINUX:
        return _unknown(f"{system} costs more than the Linux list price, which is known")
    # A capacity reservation is billed at the on-demand rate, used or not.
    return offers.hourly_price("aws", machine.region, machine.machine_type, Purchase.ON_DEMAND)


def _with_saving(machine: Machine, price: Price) -> Price:
    paid_anyway = machine.stop_terms.prepaid is not None
    return replace(price, saves_usd=Decimal(0) if paid_anyway else price.hourly_usd)


def _from_list(told: ListPrice) -> Price:
    return Price(
        hourly_usd=told.hourly_usd,
        basis="unknown" if told.hourly_usd is None else "list",
        source=told.source,
        as_of=told.as_of,
        why=told.why or COVERED_BY_LIST,
    )


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


def _unknown(why: str) -> Price:
    return Price(hourly_usd=None, basis="unknown", source=None, as_of=None, why=why)
