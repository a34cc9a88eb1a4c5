"""Which machine type of the offline catalogue is large enough, and what an hour of it costs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from difflib import get_close_matches
from functools import cache, partial

from policies.facts import Accelerator, Price, Purchase
from providers.catalog.offers import hourly_price, machine_types, rows

HOME_REGIONS = {"aws": "us-east-1", "gcp": "us-central1", "azure": "eastus"}
"""Where a price is looked up first unless regions are named: the largest of each cloud."""
APART = ("us-gov", "cn-", "usgov", "china")
"""Regions that an ordinary account cannot rent in: only where they are named."""
ARM = ("T4g", "GH200", "GB200", "GB300")
"""GPUs whose hosts are ARM: an image from an ordinary workstation does not start there."""
DEAREST = Decimal("Infinity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rentable:
    """A machine type with the price of an hour on demand."""

    provider: str
    machine_type: str
    accelerators: tuple[Accelerator, ...]
    region: str | None
    """Where the price holds; None: no price is known in the regions that were asked about."""
    price: Price

    @property
    def gpus(self) -> int:
        """A slice counts as one, and its memory is the slice's."""
        return sum(max(1, int(each.count)) for each in self.accelerators)

    @property
    def gpu_memory_mib(self) -> int | None:
        """Of the smallest GPU; None: unknown."""
        sizes = [each.memory_mib for each in self.accelerators]
        known = [size for size in sizes if size is not None]
        return min(known) if len(known) == len(sizes) else None

    @property
    def gpu_model(self) -> str:
        return " + ".join(each.model for each in self.accelerators)


def rentable(machine_type: str, regions: Sequence[str] | None) -> Rentable | None:
    """The type by its name, on whatever cloud has it; None: the catalogue does not know it."""
    for provider, name, carried in machine_types():
        if name == machine_type:
            return _priced(provider, name, carried, regions)
    return None


def near_types(machine_type: str) -> list[str]:
    return get_close_matches(machine_type, [name for _, name, _ in machine_types()], n=3)


def smallest(
    *, gpus: int, memory_mib: float, maker: str, regions: Sequence[str] | None
) -> tuple[Rentable, ...]:
    """One type a cloud with so many GPUs of so much memory each, the smallest cloud's first.

    Small is what has the least GPU memory in all; of equals the cheapest. Slices of a GPU are left
    out, since runs on whole ones tell nothing of their speed, and so are hosts that are ARM.
    """
    best: dict[str, Rentable] = {}
    for provider, name, carried in machine_types():
        if not all(map(partial(_is_ordinary, maker), carried)):
            continue
        found = _priced(provider, name, carried, regions)
        if found.gpus < gpus or (found.gpu_memory_mib or 0) < memory_mib:
            continue
        if provider not in best or _size(found) < _size(best[provider]):
            best[provider] = found
    return tuple(sorted(best.values(), key=_size))


def maker_of(model: str | None) -> str | None:
    """Who makes a GPU of this name, where the catalogue knows."""
    if model is None:
        return None
    told = model.lower()
    for maker in _makers():
        if maker.lower() in told:
            return maker
    return next((m for m, names in _makers().items() if told in names), None)


def _is_ordinary(maker: str, each: Accelerator) -> bool:
    whole = each.kind == "gpu" and each.count >= 1
    return whole and each.manufacturer == maker and each.model not in ARM


def _size(each: Rentable) -> tuple[int, Decimal, str]:
    price = each.price.hourly_usd
    total = each.gpus * (each.gpu_memory_mib or 0)
    return total, DEAREST if price is None else price, each.machine_type


def _priced(
    provider: str, name: str, carried: tuple[Accelerator, ...], regions: Sequence[str] | None
) -> Rentable:
    region = _region(provider, name, regions)
    asked = region or ", ".join(regions or [HOME_REGIONS[provider]])
    return Rentable(
        provider=provider,
        machine_type=name,
        accelerators=carried,
        region=region,
        price=hourly_price(provider, asked, name, Purchase.ON_DEMAND),
    )


def _region(provider: str, name: str, regions: Sequence[str] | None) -> str | None:
    """The home region, else the cheapest; among those named where some are."""
    priced = _on_demand().get((provider, name), {})
    if regions is not None:
        return _cheapest(priced, regions)
    if HOME_REGIONS[provider] in priced:
        return HOME_REGIONS[provider]
    return _cheapest(priced, (each for each in priced if not each.startswith(APART)))


def _cheapest(priced: dict[str, Decimal], among: Iterable[str]) -> str | None:
    return min(
        (each for each in among if each in priced),
        key=lambda each: (priced[each], each),
        default=None,
    )


@cache
def _on_demand() -> dict[tuple[str, str], dict[str, Decimal]]:
    found: dict[tuple[str, str], dict[str, Decimal]] = {}
    for each in rows():
        if each.purchase is Purchase.ON_DEMAND:
            regions = found.setdefault((each.provider, each.machine_type), {})
            regions[each.region] = each.hourly_usd
    return found


@cache
def _makers() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for _, _, carried in machine_types():
        for each in carried:
            if each.manufacturer is not None:
                found.setdefault(each.manufacturer, set()).add(each.model.lower())
    return {maker: frozenset(names) for maker, names in found.items()}
