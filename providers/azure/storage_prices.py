"""What is billed about Azure storage, at list price. An item without a price stays unpriced.

Premium and standard disks are billed by the smallest tier that holds their size, used or not
("Understand Azure Disk Storage billing").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from policies.facts import StorageMeter
from providers.catalog import storage_offers

GIB = 2**30
TIERS_GIB = {
    1: 4,
    2: 8,
    3: 16,
    4: 32,
    6: 64,
    10: 128,
    15: 256,
    20: 512,
    30: 1024,
    40: 2048,
    50: 4096,
    60: 8192,
    70: 16384,
    80: 32767,
}
"""By number of the tier, what a disk of it holds (azure-compute-docs, disks-types.md)."""
LETTERS = {"premium": "P", "standardssd": "E", "standard": "S"}
LEAST_STANDARD = 4
"""Standard hard disks begin at S4."""

Raw = Mapping[str, Any]


def disk_meters(region: str, raw: Raw) -> tuple[StorageMeter, ...]:
    """A tier of its size, or gigabytes and what is provisioned beside them."""
    sku = str((raw.get("sku") or {}).get("name") or "unknown")
    properties = raw.get("properties") or {}
    size = properties.get("diskSizeGB")
    kind, _, redundancy = sku.lower().partition("_")
    if kind in LETTERS and size is not None:
        tier = tier_of(kind, int(size), properties.get("tier"))
        item = f"disk {tier.lower()} {redundancy}"
        return (_meter(region, item, f"{tier} disk, {redundancy.upper()}", "disk", Decimal(1)),)
    quantity = None if size is None else Decimal(str(size))
    meters = [_meter(region, f"disk {sku.lower()}", f"{sku} capacity", "GB", quantity)]
    for name, unit in (("diskIOPSReadWrite", "IOPS"), ("diskMBpsReadWrite", "MB/s")):
        if properties.get(name):
            told = Decimal(str(properties[name]))
            item = f"disk {sku.lower()} {unit.lower()}"
            meters.append(_meter(region, item, f"{sku} {unit}", unit, told))
    return tuple(meters)


def tier_of(kind: str, size_gib: int, chosen: object = None) -> str:
    """`P30` of a premium disk of a terabyte; one that was chosen is paid whatever the size."""
    if isinstance(chosen, str) and chosen[:1].upper() == LETTERS[kind]:
        return chosen.upper()
    fitting = [
        number
        for number, holds in TIERS_GIB.items()
        if holds >= size_gib and (kind != "standard" or number >= LEAST_STANDARD)
    ]
    return f"{LETTERS[kind]}{fitting[0] if fitting else max(TIERS_GIB)}"


def snapshot_meter(region: str, raw: Raw) -> StorageMeter:
    """Full snapshots bill what is used of the disk, which Azure does not tell: at most its size."""
    properties = raw.get("properties") or {}
    sku = str((raw.get("sku") or {}).get("name") or "Standard_LRS").lower()
    size = properties.get("diskSizeGB")
    quantity = None if size is None or properties.get("incremental") else Decimal(str(size))
    return _meter(region, f"snapshot {sku}", "snapshot", "GB", quantity)


def address_meter(region: str) -> StorageMeter:
    return _meter(region, "address", "static public IPv4 address", "address", Decimal(1))


def account_meters(region: str, raw: Raw, used_bytes: float) -> tuple[StorageMeter, ...]:
    """As if all of it lay at the account's own access tier."""
    sku = str((raw.get("sku") or {}).get("name") or "unknown").lower()
    tier = str((raw.get("properties") or {}).get("accessTier") or "hot").lower()
    item, quantity = f"blob {sku} {tier}", Decimal(used_bytes) / GIB
    steps = storage_offers.tiers("azure", region, item)
    name = f"{sku} {tier} capacity"
    if not steps or not quantity:
        return (_meter(region, item, name, "GB", quantity),)
    return tuple(
        StorageMeter(name=name, unit="GB", quantity=part.quantity, unit_month_usd=part.month_usd)
        for part in storage_offers.parts(steps, quantity, quantity)
    )


def unpriced_sentence(region: str, meters: Sequence[StorageMeter]) -> str | None:
    """Which meters have no price; None where all have one."""
    names = sorted({meter.name for meter in meters if meter.unit_month_usd is None})
    return f"no offline price in {region} for {', '.join(names)}" if names else None


def _meter(region: str, item: str, name: str, unit: str, quantity: Decimal | None) -> StorageMeter:
    steps = storage_offers.tiers("azure", region, item)
    usd = steps[0].month_usd if steps else None
    return StorageMeter(name=name, unit=unit, quantity=quantity, unit_month_usd=usd)
