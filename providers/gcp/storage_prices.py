"""What GCP storage is billed as: capacity by kind and place, addresses by the month."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal

from policies.facts import StorageMeter
from providers.catalog.storage_offers import tiers

GIB = 2**30
SNAPSHOT_PLACES = {"us": "us-multi", "eu": "europe-multi", "asia": "asia-multi"}
"""The catalogue's names of places that are no region."""
PROVISIONED = ("hyperdisk-", "pd-extreme")
"""Kinds whose performance is billed besides their capacity."""


def disk_meters(region: str, kind: str, gib: int, *, replicated: bool) -> tuple[StorageMeter, ...]:
    """Capacity; what a kind bills besides is a meter without a price, and so the whole has none."""
    item = f"{kind} replicated" if replicated else kind
    meters = [_meter(region, item, Decimal(gib))]
    if kind.startswith(PROVISIONED):
        unknown = StorageMeter(
            name=f"{kind} performance", unit="IOPS", quantity=None, unit_month_usd=None
        )
        meters.append(unknown)
    return tuple(meters)


def snapshot_meter(place: str, size_bytes: int | None) -> StorageMeter:
    quantity = None if size_bytes is None else Decimal(size_bytes) / GIB
    return _meter(SNAPSHOT_PLACES.get(place, place), "snapshot", quantity)


def address_meter(region: str) -> StorageMeter:
    found = tiers("gcp", region, "address")
    return StorageMeter(
        name="address",
        unit="address",
        quantity=Decimal(1),
        unit_month_usd=found[0].month_usd if found else None,
    )


def bucket_meters(place: str, held: Mapping[tuple[str, str], float]) -> tuple[StorageMeter, ...]:
    """`held`: bytes by storage class and kind of object; each kind is billed as its class."""
    return tuple(
        StorageMeter(
            name=f"{storage_class} {kind}",
            unit="GB",
            quantity=Decimal(str(size)) / GIB,
            unit_month_usd=_unit(place, f"gcs {storage_class}"),
        )
        for (storage_class, kind), size in sorted(held.items())
    )


def unpriced_sentence(place: str, meters: Iterable[StorageMeter]) -> str | None:
    names = sorted({meter.name for meter in meters if meter.unit_month_usd is None})
    if not names:
        return None
    return f"no offline price of {', '.join(names)} in {place}"


def _meter(region: str, item: str, quantity: Decimal | None) -> StorageMeter:
    return StorageMeter(name=item, unit="GB", quantity=quantity, unit_month_usd=_unit(region, item))


def _unit(region: str, item: str) -> Decimal | None:
    found = tiers("gcp", region, item)
    return found[0].month_usd if found else None
