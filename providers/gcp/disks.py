"""Persistent disks, snapshots and idle addresses: turned into facts purely."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Any

from policies.facts import Storage, StorageEra, StorageMeter
from providers.gcp.listing import region_of, tail
from providers.gcp.machines import moment
from providers.gcp.storage_prices import (
    GIB,
    address_meter,
    disk_meters,
    snapshot_meter,
    unpriced_sentence,
)

GONE = frozenset({"DELETING", "FAILED"})
IDLE = "RESERVED"

Raw = Mapping[str, Any]
Ids = Mapping[str, str]
"""By `PROJECT/ZONE/NAME`, the id of an instance."""


def disk_from(raw: Raw, *, project: str, ids: Ids) -> Storage | None:
    """One disk, zonal or replicated in a region; None while it is being deleted."""
    if raw.get("status") in GONE:
        return None
    replicated = "zone" not in raw
    region = tail(raw["region"]) if replicated else region_of(tail(raw["zone"]))
    kind = tail(str(raw.get("type", "unknown")))
    gib = int(raw["sizeGb"])
    meters = disk_meters(region, kind, gib, replicated=replicated)
    created = moment(raw.get("creationTimestamp"))
    users = [_instance(url) for url in raw.get("users", ())]
    why = [] if users else ["attached to no machine"]
    if len(users) > 1:
        why.append(f"attached to {len(users)} machines, and counted with the first")
    return Storage(
        id=f"gcp:{project}:{region}:{raw['id']}",
        kind="volume",
        name=raw.get("name"),
        size_bytes=gib * GIB,
        monthly_cost_usd=_month(created, meters),
        attached_to=ids.get(users[0]) if users else None,
        attached_at=moment(raw.get("lastAttachTimestamp")) if users else None,
        unattached_since=None if users else moment(raw.get("lastDetachTimestamp")) or created,
        tags=dict(raw.get("labels") or {}),
        why=(*why, *_doubt(region, meters)),
        created_at=created,
        eras=_eras(created, meters),
    )


def snapshot_from(raw: Raw, *, project: str) -> Storage | None:
    """What it holds of its own, as Google counts it: the first of a chain holds all."""
    if raw.get("status") in GONE:
        return None
    place = str(next(iter(raw.get("storageLocations", ())), "unknown")).lower()
    size = raw.get("storageBytes")
    meters = (snapshot_meter(place, None if size is None else int(size)),)
    created = moment(raw.get("creationTimestamp"))
    unsized = () if size is not None else ("Google has not counted its size yet",)
    return Storage(
        id=f"gcp:{project}:{place}:{raw['id']}",
        kind="snapshot",
        name=raw.get("name"),
        size_bytes=None if size is None else int(size),
        monthly_cost_usd=_month(created, meters),
        tags=dict(raw.get("labels") or {}),
        why=(*unsized, *_doubt(place, meters)),
        created_at=created,
        made_from=_source(raw, project),
        eras=_eras(created, meters),
    )


def address_from(
    raw: Raw, *, project: str, ids: Ids, stopped: Collection[str], now: datetime
) -> Storage | None:
    """An external address that serves nothing; None for one that does, or is internal.

    `stopped`: instances that rest, whose addresses are billed all the same.
    """
    if raw.get("addressType", "EXTERNAL") != "EXTERNAL":
        return None
    users = [_instance(url) for url in raw.get("users", ())]
    resting = [user for user in users if user in stopped]
    if raw.get("status") != IDLE and not resting:
        return None
    region = tail(str(raw.get("region", "global")))
    meters = (address_meter(region),)
    use = f"of {tail(resting[0])}, which is stopped" if resting else "used by nothing"
    return Storage(
        id=f"gcp:{project}:{region}:{raw['id']}",
        kind="address",
        name=raw.get("name"),
        size_bytes=None,
        monthly_cost_usd=_month(now, meters),
        attached_to=ids.get(resting[0]) if resting else None,
        tags=dict(raw.get("labels") or {}),
        why=(
            f"{raw.get('address')} is {use}, and billed all the same",
            *_doubt(region, meters),
        ),
        created_at=moment(raw.get("creationTimestamp")),
        eras=_eras(now, meters),
    )


def holder_of(raw: Raw, ids: Ids) -> str | None:
    """The machine that an external address belongs to."""
    if raw.get("addressType", "EXTERNAL") != "EXTERNAL":
        return None
    return next(
        (ids[user] for url in raw.get("users", ()) if (user := _instance(url)) in ids), None
    )


def _instance(url: str) -> str:
    """`p/us-central1-a/trainer` of `…/projects/p/zones/us-central1-a/instances/trainer`."""
    parts = url.split("/")
    named = {kind: parts[at + 1] for at, kind in enumerate(parts[:-1])}
    return "/".join(named.get(kind, "") for kind in ("projects", "zones", "instances"))


def _source(raw: Raw, project: str) -> str | None:
    url, native = str(raw.get("sourceDisk") or ""), raw.get("sourceDiskId")
    if not url or not native:
        return None
    parts = url.split("/")
    place = parts[-3]
    region = region_of(place) if "zones" in parts else place
    return f"gcp:{project}:{region}:{native}"


def _eras(since: datetime | None, meters: tuple[StorageMeter, ...]) -> tuple[StorageEra, ...]:
    return () if since is None else (StorageEra(started_at=since, meters=meters),)


def _month(since: datetime | None, meters: tuple[StorageMeter, ...]) -> Any:
    return _eras(since, meters)[0].month_usd if since else None


def _doubt(place: str, meters: tuple[StorageMeter, ...]) -> Iterator[str]:
    sentence = unpriced_sentence(place, meters)
    if sentence is not None:
        yield sentence
