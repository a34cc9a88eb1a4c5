"""Look-ups in the offline catalogue: what an hour costs, what a machine type carries.

The files beside this module are read once, when first needed. What they do not hold is unknown:
never zero, never free.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from pathlib import Path

from policies.facts import Accelerator, Price, Purchase, unpriced

FOLDER = Path(__file__).parent
NOTES = {
    "dedicated": (
        "probably the price of dedicated tenancy, 6 to 10 % above the shared one: "
        "other sizes of this family cost less in this region"
    ),
    "changed": (
        "probably out of date: where a newer price is known, "
        "the price of this type has changed by more than a tenth"
    ),
}
"""What the codes in the column `note` of `prices.csv` mean."""

_BASIS = {Purchase.ON_DEMAND: "list", Purchase.SPOT: "spot"}
_MAKERS = ("nvidia ", "amd ", "tesla ", "instinct ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Where figures of the catalogue come from."""

    id: str
    name: str
    origin: str
    licence: str
    as_of: str | None
    """ISO 8601, to the day or the month; None: the source does not say."""
    covers: str
    leaves_out: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """One price of one machine type in one region."""

    provider: str
    region: str
    machine_type: str
    purchase: Purchase
    hourly_usd: Decimal
    source: Source
    note: str | None
    """Why this price may be wrong; None: no sign of it."""


@dataclass(frozen=True, slots=True)
class _Size:
    accelerators: tuple[Accelerator, ...]
    local_disk_gib: float | None
    vcpus: int | None


def hourly_price(provider: str, region: str, machine_type: str, purchase: Purchase) -> Price:
    """The whole machine for an hour, Linux, list price; accelerators are included."""
    found = _prices().get((provider, region, machine_type, str(purchase)))
    if found is None:
        how = str(purchase).replace("_", " ")
        why = f"no offline price for {machine_type} in {region} ({how})"
        return unpriced(why)
    usd, source_id, note = found
    source = _sources()[source_id]
    return Price(
        hourly_usd=Decimal(usd),
        basis=_BASIS[purchase],
        source=source.name,
        as_of=source.as_of,
        why="; ".join(filter(None, (NOTES.get(note), f"without {source.leaves_out}"))),
    )


def accelerators(provider: str, machine_type: str) -> tuple[Accelerator, ...] | None:
    """What the type carries; None: the catalogue does not know."""
    size = _sizes().get((provider, machine_type))
    return None if size is None else size.accelerators


def machine_types() -> Iterator[tuple[str, str, tuple[Accelerator, ...]]]:
    """Every type that the catalogue knows: provider, name, and what it carries."""
    for (provider, machine_type), size in _sizes().items():
        yield provider, machine_type, size.accelerators


def local_disk_gib(provider: str, machine_type: str) -> float | None:
    """Local disk that a stop erases, in GiB; 0 where the type has none, None where unknown."""
    size = _sizes().get((provider, machine_type))
    return None if size is None else size.local_disk_gib


def vcpus(provider: str, machine_type: str) -> int | None:
    """Cores of the type, each of which may be a thread; None: the catalogue does not know."""
    size = _sizes().get((provider, machine_type))
    return None if size is None else size.vcpus


def board_power_w(model: str) -> float | None:
    """The power limit of one board in watts, from its maker; None where unknown."""
    return _board_power().get(_bare(model))


def sources() -> tuple[Source, ...]:
    return tuple(_sources().values())


def rows() -> Iterator[Offer]:
    """Every priced offer, by provider, region, type and purchase."""
    known = _sources()
    for (provider, region, machine_type, purchase), (usd, source, note) in _prices().items():
        yield Offer(
            provider=provider,
            region=region,
            machine_type=machine_type,
            purchase=Purchase(purchase),
            hourly_usd=Decimal(usd),
            source=known[source],
            note=NOTES.get(note),
        )


def _bare(model: str) -> str:
    """A model's name without its maker: `NVIDIA A100-SXM4-80GB` and `A100-SXM4-80GB` are one."""
    name = model.strip().lower()
    for maker in _MAKERS:
        name = name.removeprefix(maker)
    return name


def _table(name: str) -> Iterator[list[str]]:
    with (FOLDER / name).open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        next(reader)
        yield from reader


@cache
def _prices() -> dict[tuple[str, str, str, str], tuple[str, str, str]]:
    """Key: provider, region, type, purchase. Value: dollars as text, source id, note code."""
    return {
        (provider, region, machine_type, purchase): (usd, source, note)
        for provider, region, machine_type, purchase, usd, source, note in _table("prices.csv")
    }


@cache
def _sources() -> dict[str, Source]:
    return {
        row[0]: Source(
            id=row[0],
            name=row[1],
            origin=row[2],
            licence=row[3],
            as_of=row[4] or None,
            covers=row[5],
            leaves_out=row[6],
        )
        for row in _table("sources.csv")
    }


@cache
def _sizes() -> dict[tuple[str, str], _Size]:
    found: dict[tuple[str, str], _Size] = {}
    for provider, machine_type, maker, model, kind, count, memory, cores, disk, _ in _table(
        "accelerators.csv"
    ):
        accelerator = Accelerator(
            model=model,
            count=float(count),
            kind=kind,
            manufacturer=maker or None,
            memory_mib=int(memory) if memory else None,
        )
        before = found.get((provider, machine_type))
        found[provider, machine_type] = _Size(
            (*(before.accelerators if before else ()), accelerator),
            float(disk) if disk else None,
            int(cores) if cores else None,
        )
    return found


@cache
def _board_power() -> dict[str, float]:
    return {_bare(model): float(watts) for model, watts, _ in _table("board_power.csv")}
