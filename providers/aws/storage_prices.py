"""What is billed about AWS storage, at list price. An item without a price stays unpriced."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from policies.facts import StorageMeter
from providers.catalog import storage_offers

GIB = 2**30
UNLISTED = "unlisted"

GP3_FREE_IOPS = 3000
GP3_FREE_THROUGHPUT = 125
IO2_FIRST_TIER = 32_000
"""Provisioned IOPS above it cost less, how much less is not in the list."""
MAGNETIC = "standard"

STANDARD = "s3 standard"
ITEM_OF_CLASS = {
    "StandardStorage": STANDARD,
    "IntelligentTieringFAStorage": "s3 intelligent frequent",
    "IntelligentTieringIAStorage": "s3 intelligent infrequent",
    "IntelligentTieringAAStorage": "s3 intelligent archive",
    "IntelligentTieringAIAStorage": "s3 intelligent archive instant",
    "IntelligentTieringDAAStorage": "s3 intelligent deep archive",
    "IntAAObjectOverhead": "s3 intelligent archive",
    "IntAAS3ObjectOverhead": STANDARD,
    "IntDAAObjectOverhead": "s3 intelligent deep archive",
    "IntDAAS3ObjectOverhead": STANDARD,
    "StandardIAStorage": "s3 standard infrequent",
    "StandardIASizeOverhead": "s3 standard infrequent",
    "StandardIAObjectOverhead": "s3 standard infrequent",
    "OneZoneIAStorage": "s3 one zone infrequent",
    "OneZoneIASizeOverhead": "s3 one zone infrequent",
    "ReducedRedundancyStorage": "s3 reduced redundancy",
    "GlacierInstantRetrievalStorage": "s3 glacier instant",
    "GlacierInstantRetrievalSizeOverhead": "s3 glacier instant",
    "GlacierIRStorage": "s3 glacier instant",
    "GlacierIRSizeOverhead": "s3 glacier instant",
    "GlacierStorage": "s3 glacier",
    "GlacierObjectOverhead": "s3 glacier",
    "GlacierS3ObjectOverhead": STANDARD,
    "GlacierStagingStorage": STANDARD,
    "DeepArchiveStorage": "s3 deep archive",
    "DeepArchiveObjectOverhead": "s3 deep archive",
    "DeepArchiveS3ObjectOverhead": STANDARD,
    "DeepArchiveStagingStorage": STANDARD,
    "ExpressOneZone": "s3 express one zone",
    "ExpressOneZoneStorage": "s3 express one zone",
}
"""By storage type of the metric, what it is billed as.

Archive classes bill 8 KB of each object at the rate of S3 Standard (`…S3ObjectOverhead`) and 32 KB
at their own; parts of unfinished uploads to them wait at the Standard rate (`…StagingStorage`).
"""


def volume_meters(region: str, raw: Mapping[str, Any]) -> tuple[StorageMeter, ...]:
    """What is billed of a volume: capacity, and what is provisioned beyond what is included."""
    kind = str(raw.get("VolumeType") or "unknown")
    meters = [_meter(region, f"ebs {kind}", f"{kind} capacity", "GB", _decimal(raw.get("Size")))]
    iops, throughput = _decimal(raw.get("Iops")), _decimal(raw.get("Throughput"))
    if kind == "gp3":
        # Volumes that were made before a figure was shown have what is included.
        extra_iops = max(Decimal(0), (iops or Decimal(0)) - GP3_FREE_IOPS)
        extra_throughput = max(Decimal(0), (throughput or Decimal(0)) - GP3_FREE_THROUGHPUT)
        meters.append(_meter(region, "ebs gp3 iops", "gp3 IOPS", "IOPS", extra_iops))
        meters.append(
            _meter(region, "ebs gp3 throughput", "gp3 throughput", "MiB/s", extra_throughput)
        )
    if kind == "io1":
        meters.append(_meter(region, "ebs io1 iops", "io1 IOPS", "IOPS", iops))
    if kind == "io2":
        meters += _io2(region, iops)
    return tuple(meter for meter in meters if meter.quantity != 0)


def _io2(region: str, iops: Decimal | None) -> list[StorageMeter]:
    first = None if iops is None else min(iops, Decimal(IO2_FIRST_TIER))
    meters = [_meter(region, "ebs io2 iops", "io2 IOPS", "IOPS", first)]
    if iops is not None and iops > IO2_FIRST_TIER:
        rest = iops - IO2_FIRST_TIER
        name = f"io2 IOPS above {IO2_FIRST_TIER:,}"
        meters.append(_meter(region, "ebs io2 iops above", name, "IOPS", rest))
    return meters


def snapshot_meter(region: str, size_bytes: int | None, tier: str) -> StorageMeter:
    item = "ebs snapshot" if tier == "standard" else f"ebs snapshot {tier}"
    size = None if size_bytes is None else Decimal(size_bytes) / GIB
    return _meter(region, item, f"{tier} snapshot", "GB", size)


def address_meter(region: str) -> StorageMeter:
    return _meter(region, "address", "public IPv4 address", "address", Decimal(1))


def bucket_meters(
    region: str, bytes_by_class: Mapping[str, float], region_totals: Mapping[str, Decimal]
) -> tuple[StorageMeter, ...]:
    """One meter a class and price tier. `region_totals`: GB by item, over all buckets at the time.

    Tiers apply to the total of an account in a region; each bucket has its share of each tier.
    """
    meters = []
    for name, size in sorted(bytes_by_class.items()):
        quantity = Decimal(size) / GIB
        item = ITEM_OF_CLASS.get(name, UNLISTED)
        steps = storage_offers.tiers("aws", region, item)
        if not steps or not quantity:
            meters.append(_meter(region, item, name, "GB", quantity))
            continue
        total = max(region_totals.get(item, quantity), quantity)
        meters += [
            StorageMeter(
                name=name, unit="GB", quantity=part.quantity, unit_month_usd=part.month_usd
            )
            for part in storage_offers.parts(steps, quantity, total)
        ]
    return tuple(meters)


def totals_by_item(buckets: Mapping[str, Mapping[str, float]]) -> Mapping[str, Decimal]:
    """GB by what they are billed as, over all buckets of a region."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for bytes_by_class in buckets.values():
        for name, size in bytes_by_class.items():
            totals[ITEM_OF_CLASS.get(name, UNLISTED)] += Decimal(size) / GIB
    return totals


def unpriced_sentence(region: str, meters: tuple[StorageMeter, ...]) -> str | None:
    """Which meters have no price; None where all have one."""
    names = sorted({meter.name for meter in meters if meter.month_usd is None})
    if not names:
        return None
    return f"no offline price in {region} for {', '.join(names)}"


def _meter(region: str, item: str, name: str, unit: str, quantity: Decimal | None) -> StorageMeter:
    steps = storage_offers.tiers("aws", region, item)
    usd = steps[0].month_usd if steps else None
    return StorageMeter(name=name, unit=unit, quantity=quantity, unit_month_usd=usd)


def _decimal(value: object) -> Decimal | None:
    return None if value is None else Decimal(str(value))
