"""What an hour of a GCE machine costs at list price. Unknown stays unknown, and says why."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from types import MappingProxyType
from typing import TypeAlias

from policies.facts import Machine, Price, Purchase, unpriced
from providers.catalog import offers
from providers.catalog.gcp_parts import part_price
from providers.catalog.offers import Source
from providers.machine_prices import from_list, with_saving
from providers.price_facts import ListPrice

LINUX = "Linux/UNIX"
COVERED_BY_LIST = "without discounts, disks, addresses and traffic"
COMPOSED = ("n1-", "custom-")
"""Types to which GPUs are attached."""
LOCAL_SSD = "local-ssd"
GIB_A_CORE = {"standard": Decimal("3.75"), "highmem": Decimal("6.5"), "highcpu": Decimal("0.9")}
"""Of N1: Google's page on its general-purpose machines."""
GPU_ITEMS = {
    "T4": "nvidia-tesla-t4",
    "V100": "nvidia-tesla-v100",
    "P100": "nvidia-tesla-p100",
    "P4": "nvidia-tesla-p4",
    "K80": "nvidia-tesla-k80",
}
_N1 = re.compile(r"n1-(standard|highmem|highcpu)-(\d+)")
_CUSTOM = re.compile(r"(?:n1-)?custom-(\d+)-(\d+)")

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
    return with_saving(machine, _found(machine, listed, extra_ssd_gib))


def tpu_price(region: str, accelerator_type: str, purchase: Purchase) -> Price:
    """An hour of a whole TPU node."""
    bought = Purchase.SPOT if purchase is Purchase.SPOT else Purchase.ON_DEMAND
    part = part_price(region, accelerator_type, bought)
    if part is None:
        return unpriced(f"no offline price for {accelerator_type} in {region}")
    found = _composed([part.hourly_usd], [part.source], bought)
    return replace(found, saves_usd=found.hourly_usd)


def _found(machine: Machine, listed: PriceList, extra_ssd_gib: float | None) -> Price:
    if machine.purchase is Purchase.UNKNOWN:
        return unpriced("flex-start and other ways of provisioning have prices of their own")
    system = machine.operating_system or LINUX
    if system != LINUX:
        return unpriced(f"{system} costs more than the Linux list price, which is known")
    # A reservation is billed at the on-demand rate, used or not.
    purchase = Purchase.SPOT if machine.purchase is Purchase.SPOT else Purchase.ON_DEMAND
    bare = _of_type(machine, listed, purchase)
    if bare.hourly_usd is None or not extra_ssd_gib:
        return bare
    ssd = part_price(machine.region, LOCAL_SSD, purchase)
    if ssd is None:
        return unpriced(f"no offline price for its {extra_ssd_gib:g} GiB of local SSD")
    usd = bare.hourly_usd + ssd.hourly_usd * Decimal(str(extra_ssd_gib))
    return replace(bare, hourly_usd=usd)


def _of_type(machine: Machine, listed: PriceList, purchase: Purchase) -> Price:
    told = listed.get((machine.region, machine.machine_type, LINUX))
    if told is not None and purchase is Purchase.ON_DEMAND and not is_composed(machine):
        return from_list(told, COVERED_BY_LIST)
    if is_composed(machine):
        return _of_parts(machine, purchase)
    return offers.hourly_price("gcp", machine.region, machine.machine_type, purchase)


def is_composed(machine: Machine) -> bool:
    """Whether its GPUs are attached to it and billed besides; other families include theirs."""
    return machine.machine_type.startswith(COMPOSED)


def shape_of(machine_type: str) -> tuple[int, Decimal] | None:
    """Cores and GiB of an N1 type; None for a name that does not tell."""
    custom = _CUSTOM.fullmatch(machine_type)
    if custom is not None:
        return int(custom[1]), Decimal(custom[2]) / 1024
    match = _N1.fullmatch(machine_type)
    if match is None:
        return None
    return int(match[2]), int(match[2]) * GIB_A_CORE[match[1]]


def _of_parts(machine: Machine, purchase: Purchase) -> Price:
    """Core + memory + GPUs. One part without a price leaves the whole without one."""
    shape = shape_of(machine.machine_type)
    if shape is None:
        return unpriced(f"what {machine.machine_type} is made of is not known")
    cores, gib = shape
    wanted = [("n1-core", Decimal(cores)), ("n1-ram", gib)]
    wanted += [
        (GPU_ITEMS.get(each.model, each.model), Decimal(str(each.count)))
        for each in machine.accelerators
    ]
    amounts, sources = [], []
    for item, quantity in wanted:
        part = part_price(machine.region, item, purchase)
        if part is None:
            how = str(purchase).replace("_", " ")
            return unpriced(f"no offline price for {item} in {machine.region} ({how})")
        amounts.append(part.hourly_usd * quantity)
        sources.append(part.source)
    return _composed(amounts, sources, purchase)


def _composed(amounts: Sequence[Decimal], sources: Sequence[Source], purchase: Purchase) -> Price:
    """As old as its oldest part."""
    names = dict.fromkeys(source.name for source in sources)
    return Price(
        hourly_usd=sum(amounts, Decimal(0)),
        basis="spot" if purchase is Purchase.SPOT else "list",
        source="; ".join(names),
        as_of=min(source.as_of or "" for source in sources) or None,
        why=COVERED_BY_LIST,
    )
