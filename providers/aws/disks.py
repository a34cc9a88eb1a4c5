"""EBS volumes, own snapshots and idle addresses: listed by the page, turned into facts purely."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from policies.facts import Storage, StorageEra, StorageMeter, utc
from providers.aws.storage_prices import (
    GIB,
    MAGNETIC,
    address_meter,
    snapshot_meter,
    unpriced_sentence,
    volume_meters,
)
from providers.errors import AnswerCut

PAGE = 500
SNAPSHOT_PAGE = 1000
GONE = frozenset({"deleting", "deleted"})
OURS = "amazon"
"""The pool of addresses that AWS rents out; a company's own addresses cost nothing."""

Raw = Mapping[str, Any]


def fetch_volumes(ec2: Any) -> list[Raw]:
    return _pages(ec2, "describe_volumes", "Volumes", PAGE)


def fetch_modifications(ec2: Any) -> dict[str, Raw]:
    """By volume, its latest change of size, type, IOPS or throughput."""
    found = _pages(ec2, "describe_volumes_modifications", "VolumesModifications", PAGE)
    newest: dict[str, Raw] = {}
    for raw in sorted(found, key=lambda raw: raw["StartTime"]):
        newest[raw["VolumeId"]] = raw
    return newest


def fetch_snapshots(ec2: Any, account: str | None) -> list[Raw]:
    """Own ones only: without an owner, every public snapshot of the region would be listed."""
    narrowed = {"Filters": [{"Name": "owner-id", "Values": [account]}]} if account else {}
    found = _pages(
        ec2, "describe_snapshots", "Snapshots", SNAPSHOT_PAGE, OwnerIds=["self"], **narrowed
    )
    return [raw for raw in found if account is None or raw.get("OwnerId") == account]


def fetch_addresses(ec2: Any) -> list[Raw]:
    """EC2 answers with all of them at once."""
    answer = ec2.describe_addresses()
    if "Addresses" not in answer:
        raise AnswerCut("no Addresses in it")
    return list(answer["Addresses"])


def volume_from(raw: Raw, *, scope: str, region: str, modification: Raw | None) -> Storage | None:
    """One volume; None while it is being deleted, which is not billed."""
    if raw.get("State") in GONE:
        return None
    tags = _tags(raw)
    created = utc(raw["CreateTime"])
    eras = _eras(raw, region, created, modification)
    attachments = [each for each in raw.get("Attachments", ()) if _holds(each)]
    attachment = attachments[0] if attachments else None
    why = [] if attachment else ["attached to no machine"]
    if len(attachments) > 1:
        why.append(f"attached to {len(attachments)} machines, and counted with the first")
    return Storage(
        id=f"{scope}:{raw['VolumeId']}",
        kind="volume",
        name=tags.get("Name") or None,
        size_bytes=int(raw["Size"]) * GIB,
        monthly_cost_usd=_month(eras),
        attached_to=None if attachment is None else f"{scope}:{attachment['InstanceId']}",
        attached_at=_utc(attachment.get("AttachTime")) if attachment else None,
        tags=tags,
        why=(*why, *_doubts(region, raw, eras[-1].meters)),
        created_at=created,
        eras=eras,
    )


def snapshots_from(raws: Iterable[Raw], *, scope: str, region: str) -> list[Storage]:
    """Of one volume's snapshots the oldest holds all its data; the others what changed since."""
    by_volume: dict[str, list[Raw]] = defaultdict(list)
    for raw in raws:
        by_volume[str(raw.get("VolumeId"))].append(raw)
    found = []
    for several in by_volume.values():
        first, *later = sorted(several, key=lambda raw: (raw["StartTime"], raw["SnapshotId"]))
        found.append(_snapshot(first, scope, region, increment=False))
        found += [_snapshot(raw, scope, region, increment=True) for raw in later]
    return found


def holders_of(raws: Iterable[Raw], scope: str) -> list[str]:
    """The machine of each address that is billed and has one."""
    return [
        f"{scope}:{raw['InstanceId']}"
        for raw in raws
        if raw.get("InstanceId") and raw.get("PublicIpv4Pool", OURS) == OURS
    ]


def addresses_from(
    raws: Iterable[Raw], *, scope: str, region: str, stopped: Collection[str], now: datetime
) -> list[Storage]:
    """Addresses that serve nothing. EC2 does not tell since when: they count from now on.

    `stopped`: instances that are stopped, whose addresses are billed all the same.
    """
    meter = address_meter(region)
    eras = (StorageEra(started_at=now, meters=(meter,)),)
    found = []
    for raw in raws:
        holder = raw.get("InstanceId")
        resting = holder in stopped
        if raw.get("PublicIpv4Pool", OURS) != OURS or (_serves(raw) and not resting):
            continue
        tags = _tags(raw)
        sentence = unpriced_sentence(region, (meter,))
        use = f"of {holder}, which is stopped" if resting else "associated with nothing"
        idle = f"{raw.get('PublicIp')} is {use}, and billed all the same"
        found.append(
            Storage(
                id=f"{scope}:{raw.get('AllocationId') or raw['PublicIp']}",
                kind="address",
                name=tags.get("Name") or raw.get("PublicIp"),
                size_bytes=None,
                monthly_cost_usd=_month(eras),
                attached_to=f"{scope}:{holder}" if resting else None,
                tags=tags,
                why=(idle, *([sentence] if sentence else [])),
                eras=eras,
            )
        )
    return found


def _serves(raw: Raw) -> bool:
    return any(raw.get(name) for name in ("AssociationId", "InstanceId", "NetworkInterfaceId"))


def _pages(ec2: Any, operation: str, key: str, size: int, **options: Any) -> list[Raw]:
    pages = ec2.get_paginator(operation).paginate(PaginationConfig={"PageSize": size}, **options)
    found: list[Raw] = []
    for page in pages:
        if key not in page:
            raise AnswerCut(f"no {key} in it")
        found.extend(page[key])
    return found


def _holds(attachment: Raw) -> bool:
    """While it detaches it is attached still."""
    return bool(attachment.get("InstanceId")) and attachment.get("State") != "detached"


def _eras(
    raw: Raw, region: str, created: datetime, modification: Raw | None
) -> tuple[StorageEra, ...]:
    """What it is now, and before its latest change what it was. Billed anew from its start on."""
    now = volume_meters(region, raw)
    if modification is None or modification.get("ModificationState") == "failed":
        return (StorageEra(started_at=created, meters=now),)
    changed_at = utc(modification["StartTime"])
    before = volume_meters(region, {**raw, **_original(modification)})
    if before == now or changed_at <= created:
        return (StorageEra(started_at=created, meters=now),)
    return (
        StorageEra(started_at=created, meters=before),
        StorageEra(started_at=changed_at, meters=now),
    )


def _original(modification: Raw) -> dict[str, Any]:
    names = {
        "Size": "OriginalSize",
        "VolumeType": "OriginalVolumeType",
        "Iops": "OriginalIops",
        "Throughput": "OriginalThroughput",
    }
    return {
        ours: modification[theirs]
        for ours, theirs in names.items()
        if modification.get(theirs) is not None
    }


def _doubts(region: str, raw: Raw, meters: Sequence[StorageMeter]) -> list[str]:
    found = []
    if raw.get("VolumeType") == MAGNETIC:
        found.append("requests to magnetic volumes cost extra and are not counted")
    unpriced = unpriced_sentence(region, tuple(meters))
    return [*found, unpriced] if unpriced else found


def _snapshot(raw: Raw, scope: str, region: str, *, increment: bool) -> Storage:
    tags = _tags(raw)
    full = raw.get("FullSnapshotSizeInBytes")
    size = int(full) if full else int(raw["VolumeSize"]) * GIB
    tier = str(raw.get("StorageTier") or "standard")
    meter = snapshot_meter(region, size, tier)
    why = []
    if increment and tier == "standard":
        most = meter.month_usd
        at_most = "" if most is None else f", at most {most:.2f} USD a month"
        why.append(
            "only what changed since the snapshot before it is billed, and EC2 does not tell how"
            f" much that is{at_most}"
        )
        meter = StorageMeter(
            name=meter.name, unit="GB", quantity=None, unit_month_usd=meter.unit_month_usd
        )
    elif not full:
        why.append(
            "at most: counted as the whole volume, but only the blocks that were written are billed"
        )
    eras = (StorageEra(started_at=utc(raw["StartTime"]), meters=(meter,)),)
    if meter.unit_month_usd is None:
        why.append(f"no offline price in {region} for {meter.name}")
    return Storage(
        id=f"{scope}:{raw['SnapshotId']}",
        kind="snapshot",
        name=tags.get("Name") or None,
        size_bytes=size,
        monthly_cost_usd=_month(eras),
        tags=tags,
        why=tuple(why),
        created_at=eras[0].started_at,
        made_from=f"{scope}:{raw['VolumeId']}" if raw.get("VolumeId") else None,
        eras=eras,
    )


def _month(eras: Sequence[StorageEra]) -> Decimal | None:
    return eras[-1].month_usd


def _tags(raw: Raw) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)
