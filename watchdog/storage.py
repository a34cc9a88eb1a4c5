"""What a patrol does with storage: remembers it, completes it from memory, charges and attributes.

What its cloud does not tell, such as since when an address is idle, the ledger does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.facts import Attribution, Gap, Run, Scope, Storage, StorageEra, StorageMeter
from providers.base import StorageAsked
from watchdog import rows
from watchdog.attribution import attribution_at, matches
from watchdog.costs.running_time import hour_of
from watchdog.costs.storage_metering import HOUR, storage_charges
from watchdog.gather import BACKFILL, Gathered
from watchdog.mapping import Entry, WorkloadMapping
from watchdog.patrol_report import AttributedStorage
from watchdog.rows import moment_of
from watchdog.storage_attribution import (
    Stay,
    Surroundings,
    buckets_of_runs,
    storage_attributions,
)
from watchdog.storage_rows import GONE, PRESENT, era_from, rounded, storage_row
from watchdog.timekeeping import Accounted

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Row = Mapping[str, object]
TWO_WEEKS = timedelta(days=14)
"""A daily size that is older is not believed any more."""
CHARGED_LATELY = timedelta(days=2)
MOST_HOURS = 500_000
"""Clock hours of all storage together that one patrol charges back; each is a row."""
LEAST_BACK = timedelta(days=1)
BUCKETS = ("bucket", "directory bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """Storage as it is told, and what the ledger should learn of it."""

    storage: tuple[AttributedStorage, ...]
    charges: tuple[Mapping[str, object], ...]
    attributions: tuple[Attribution, ...]
    gaps: tuple[Gap, ...] = ()


NOTHING_KEPT = Kept(storage=(), charges=(), attributions=())


def storage_asked(ledger: Ledger, mapping: WorkloadMapping, now: datetime) -> StorageAsked:
    """Which daily sizes the ledger has already, and which buckets somebody named."""
    named = {str(row["bucket"]) for row in ledger.rows("buckets_named")}
    entries = [entry for entry in mapping.entries if entry.globs.get("name", "").strip("*?")]

    def is_named(bucket: Storage) -> bool:
        return bucket.native_id in named or any(matches(entry, bucket) for entry in entries)

    read = {
        str(row["id"]): moment_of(row["sized_at"])
        for row in ledger.rows("storage_now")
        if row["sized_at"] is not None
    }
    return StorageAsked(now=now, sized_at=read, named=is_named)


def mapped(entry: Entry, storage: Sequence[Storage]) -> bool:
    """Whether an entry of the mapping file matches any storage."""
    return any(matches(entry, each) for each in storage)


def keep_storage(
    ledger: Ledger,
    gathered: Gathered,
    accounted: Sequence[Accounted],
    *,
    runs: Sequence[Run],
    mapping: WorkloadMapping,
    backfill: timedelta | None,
    now: datetime,
) -> Kept:
    """Appends what changed to the table `storage`; charges and attributions are given back."""
    recent = _by_id(ledger.rows("storage_recent"))
    found = [_completed(each, recent.get(each.id, ()), now) for each in gathered.storage]
    seen = [storage_row(each.storage, now) for each in found]
    before = [several[-1] for several in recent.values()]
    ledger.append("storage", rows.changed([*seen, *_gone(gathered, before, now)], before))
    if not found:
        return NOTHING_KEPT
    charged = {
        str(row["resource"]): moment_of(row["newest_hour"])
        for row in ledger.rows("storage_metered", since=now - CHARGED_LATELY)
    }
    back = _back(len(found), backfill or BACKFILL)
    oldest = hour_of(now - back)
    charges = [
        charge
        for each in found
        for charge in storage_charges(
            each.storage,
            each.eras,
            since=_since(each, charged.get(each.storage.id), oldest),
            until=now,
            observed_at=now,
        )
    ]
    around = Surroundings(
        mapping=mapping,
        runs_by_bucket=buckets_of_runs(runs),
        machines=_machines(ledger, accounted),
        stays=_stays(ledger),
    )
    attributions = storage_attributions([each.storage for each in found], around)
    return Kept(
        storage=tuple(
            AttributedStorage(
                storage=each.storage,
                attribution=attribution_at(attributions[each.storage.id], now),
            )
            for each in found
        ),
        charges=tuple(charges),
        attributions=tuple(one for several in attributions.values() for one in several),
        gaps=_cut_short(found, charged, wanted=backfill or BACKFILL, back=back),
    )


def _cut_short(
    found: Sequence[_Completed],
    charged: Mapping[str, datetime],
    *,
    wanted: timedelta,
    back: timedelta,
) -> tuple[Gap, ...]:
    new = sum(each.storage.id not in charged for each in found)
    if back >= wanted or not new:
        return ()
    why = (
        f"{len(found):,} pieces of storage are too many to charge for {wanted // HOUR:,} hours"
        f" back: {new:,} of them are charged from {back // HOUR:,} hours ago on"
    )
    return (Gap(provider=found[0].storage.provider, what="storage history", why=why),)


def _back(pieces: int, wanted: timedelta) -> timedelta:
    """How far back so many are charged: tens of thousands of snapshots would fill the ledger."""
    affordable = timedelta(hours=MOST_HOURS // max(1, pieces))
    return min(wanted, max(LEAST_BACK, affordable))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Completed:
    storage: Storage
    eras: tuple[StorageEra, ...]
    """With what the ledger knows of its past."""
    news_from: datetime | None
    """From when on the eras say something else than they did; None: only from now on."""


def _completed(storage: Storage, recent: Sequence[Row], now: datetime) -> _Completed:
    """`recent`: its last rows, oldest first."""
    lately = _since_it_came_back(recent)
    known = _distinct([era for row in lately if (era := era_from(row)) is not None])
    before = lately[-1] if lately else None
    if storage.kind == "volume" and storage.attached_to is None:
        storage = _unattached(storage, before, now)
    if storage.kind in BUCKETS and not storage.eras:
        storage = _remembered(storage, before, known, now)
    eras = _merged(known, storage.eras, now, complete=storage.kind in BUCKETS)
    return _Completed(
        storage=replace(
            storage, eras=eras[-1:], monthly_cost_usd=rounded(storage.monthly_cost_usd)
        ),
        eras=eras,
        news_from=_news_from(known, storage, now),
    )


def _since_it_came_back(recent: Sequence[Row]) -> Sequence[Row]:
    """Its last rows, back to when it was not there."""
    absent = [place for place, row in enumerate(recent) if row["state"] != PRESENT]
    return recent[absent[-1] + 1 :] if absent else recent


def _news_from(known: Sequence[StorageEra], storage: Storage, now: datetime) -> datetime | None:
    """A daily size comes days after its day, and changes what those days cost."""
    if storage.kind not in BUCKETS or storage.sized_at != now or not known:
        return None
    first_told = storage.eras[0].started_at
    return first_told if known[-1].month_usd is None else min(known[-1].started_at, now)


def _unattached(storage: Storage, before: Row | None, now: datetime) -> Storage:
    """EC2 does not tell when a disk was detached: the first sight of it counts."""
    told = None if before is None else before["unattached_since"]
    since = told if isinstance(told, datetime) else now
    return replace(storage, unattached_since=since)


def _remembered(
    bucket: Storage, before: Row | None, known: Sequence[StorageEra], now: datetime
) -> Storage:
    """A bucket whose size was not read in this pass, with the one that is remembered."""
    if before is None or not known or before["size_bytes"] is None:
        return _unsized(bucket, before, now)
    if now - known[-1].started_at > TWO_WEEKS + timedelta(days=1):
        why = f"its newest daily size is of {known[-1].started_at:%Y-%m-%d}, too old to believe"
        return _unsized(replace(bucket, why=(why,)), before, now)
    size = before["size_bytes"]
    told = json.loads(str(before["why_json"] or "[]"))
    return replace(
        bucket,
        size_bytes=size if isinstance(size, int) else None,
        monthly_cost_usd=known[-1].month_usd,
        sized_at=_moment(before["sized_at"]),
        eras=tuple(known[-1:]),
        why=tuple(told),
    )


def _unsized(bucket: Storage, before: Row | None, now: datetime) -> Storage:
    """Nothing is known of its size, ever since it was made: it is listed as unpriced."""
    unknown = StorageMeter(name="size", unit="GB", quantity=None, unit_month_usd=None)
    told = [] if before is None else json.loads(str(before["why_json"] or "[]"))
    return replace(
        bucket,
        sized_at=bucket.sized_at or (None if before is None else _moment(before["sized_at"])),
        eras=(StorageEra(started_at=bucket.created_at or hour_of(now), meters=(unknown,)),),
        why=bucket.why or tuple(told),
    )


def _merged(
    known: Sequence[StorageEra], told: Sequence[StorageEra], now: datetime, *, complete: bool
) -> tuple[StorageEra, ...]:
    """What the cloud tells of the past is believed; what it is silent of, the ledger remembers.

    `complete`: from its first era on, what was told holds nothing back.
    """
    if not known or not told:
        return tuple(_distinct([*known, *told]))
    silent = not complete and len(told) == 1 and told[0].started_at <= known[0].started_at
    if silent and told[0].meters != known[-1].meters:
        return tuple(_distinct([*known, replace(told[0], started_at=now)]))
    if silent:
        return tuple(_distinct(known))
    earlier = [era for era in known if era.started_at < told[0].started_at]
    return tuple(_distinct([*earlier, *told]))


def _distinct(eras: Sequence[StorageEra]) -> list[StorageEra]:
    """Neighbours that bill the same are one."""
    found: list[StorageEra] = []
    for era in sorted(eras, key=lambda era: era.started_at):
        if not found or found[-1].meters != era.meters:
            found.append(era)
    return found


def _since(each: _Completed, charged: datetime | None, oldest: datetime) -> datetime:
    """From the last charged hour on; further back where more is known of it now."""
    if charged is None:
        return oldest
    return max(oldest, min(charged, each.news_from or charged))


def _gone(gathered: Gathered, before: Sequence[Row], now: datetime) -> list[dict[str, object]]:
    """Storage that a region, listed whole, no longer has."""
    listed = {each.id for each in gathered.storage}
    whole = set(gathered.storage_whole)
    return [
        {**row, "state": GONE, "observed_at": now}
        for row in before
        if row["id"] not in listed and row["state"] == PRESENT and _scope(row) in whole
    ]


def _scope(row: Row) -> Scope:
    return Scope(
        provider=str(row["provider"]), account=str(row["account"]), region=str(row["region"])
    )


def _by_id(several: Sequence[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in sorted(several, key=lambda row: moment_of(row["observed_at"])):
        found[str(row["id"])].append(row)
    return found


def _machines(ledger: Ledger, accounted: Sequence[Accounted]) -> dict[str, Sequence[Attribution]]:
    """Attributions of machines that are seen now, and of those that are only remembered."""
    found: dict[str, list[Attribution]] = defaultdict(list)
    now = {each.machine.id: each.attributions for each in accounted}
    for row in ledger.rows("attributions"):
        if str(row["resource"]) not in now:
            each = rows.attribution_from(row)
            found[each.resource].append(each)
    for several in found.values():
        several.sort(key=lambda each: each.started_at)
    return {**found, **now}


def _stays(ledger: Ledger) -> dict[str, list[Stay]]:
    found: dict[str, list[Stay]] = defaultdict(list)
    for row in ledger.rows("storage_attachments"):
        machine = row["attached_to"]
        stay = Stay(
            machine=None if machine is None else str(machine),
            started_at=moment_of(row["started_at"]),
        )
        found[str(row["id"])].append(stay)
    for several in found.values():
        several.sort(key=lambda stay: stay.started_at)
    return found


def _moment(value: object) -> datetime | None:
    return value if isinstance(value, datetime) else None
