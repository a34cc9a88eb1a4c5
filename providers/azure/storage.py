"""What subscriptions pay for while it exists: disks, snapshots, addresses and storage accounts.

One question to Resource Graph tells of all of them; the sizes of accounts are read once a day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from policies.facts import Gap, Machine, Scope, Storage, StorageEra, StorageMeter, Window
from providers.azure import resource_graph
from providers.azure.controllers import tags_of
from providers.azure.errors import gap_from
from providers.azure.inventory import COLUMNS
from providers.azure.machines import moment_of, region_of, resource_id_of, subscription_of
from providers.azure.metrics import (
    NEEDS,
    RESOURCES,
    Batch,
    MetricAsked,
    Points,
    moment_of_point,
    read_batch,
)
from providers.azure.session import AzureSession
from providers.azure.storage_prices import (
    GIB,
    account_meters,
    address_meter,
    disk_meters,
    snapshot_meter,
    unpriced_sentence,
)
from providers.base import Seen, StorageAsked
from providers.chunks import chunks

DISK = "microsoft.compute/disks"
SNAPSHOT = "microsoft.compute/snapshots"
ADDRESS = "microsoft.network/publicipaddresses"
ACCOUNT = "microsoft.storage/storageaccounts"
QUERY = f"""resources
| where type in~ ('{DISK}', '{SNAPSHOT}', '{ADDRESS}', '{ACCOUNT}')
| project {COLUMNS}, properties
| order by id asc"""
GRAPH = "Microsoft.ResourceGraph/resources/read"
USED = "UsedCapacity"
HOUR_S = 3600
"""The only period of the metric."""
DAYS = 14
"""No point within two weeks: the size is not known."""
UNATTACHED = "unattached"
CHANGES_ONLY = (
    "only what changed since the snapshot before it is billed, and Azure does not tell how much"
    " that is"
)
ALL_OF_IT = (
    "blobs, files, queues and tables of the account together, priced as if all of it lay at the"
    " account's own access tier"
)

Raw = Mapping[str, Any]


@dataclass(slots=True)
class StorageReader:
    session: AzureSession

    def read(
        self,
        subscriptions: Sequence[str],
        regions: Sequence[str] | None,
        machines: Sequence[Machine],
        asked: StorageAsked,
    ) -> Seen[Storage]:
        """`subscriptions`, `regions` and `machines`: those of the machines' listing."""
        if not subscriptions:
            return Seen()
        answers = resource_graph.ask(self.session, subscriptions, QUERY)
        gaps = [
            gap_from(
                error,
                Scope(provider="azure", account=subscription, region=None),
                "storage",
                GRAPH,
            )
            for subscription, error in answers.failed.items()
        ]
        wanted = None if regions is None else {each.lower() for each in regions}
        rows = [row for row in answers.rows if wanted is None or region_of(row) in wanted]
        names = {resource_id_of(each).lower(): each.id for each in machines}
        found: list[Storage] = []
        accounts: dict[str, Raw] = {}
        for row in rows:
            try:
                found += _plain(row, names, asked.now)
                if _type(row) == ACCOUNT:
                    accounts[account_id(row)] = row
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                gaps.append(_not_understood(row, error))
        sized, trouble = self._sized(accounts, asked)
        torn = {(gap.account, gap.region) for gap in trouble}
        places = {(subscription_of(row), region_of(row)) for row in rows} - torn
        return Seen(
            values=tuple(sorted((*found, *sized), key=lambda each: each.id)),
            gaps=(*gaps, *trouble),
            scopes=tuple(
                Scope(provider="azure", account=account, region=region)
                for account, region in sorted(places)
                if not gaps
            ),
        )

    def _sized(
        self, accounts: Mapping[str, Raw], asked: StorageAsked
    ) -> tuple[list[Storage], list[Gap]]:
        """All accounts; with a size those that were not sized today."""
        due = {
            name: row
            for name, row in accounts.items()
            if name not in asked.sized_at or asked.sized_at[name].date() < asked.now.date()
        }
        window = _days(asked.now)
        answers = self.session.side_by_side(
            list(_batches(due.values())),
            lambda batch: read_batch(self.session, batch, _USED_ASKED, window),
        )
        points: dict[str, Points] = {}
        gaps = []
        for batch, answer in answers.items():
            if isinstance(answer, Exception):
                scope = Scope(provider="azure", account=batch.subscription, region=batch.region)
                gaps.append(gap_from(answer, scope, "sizes of storage accounts", NEEDS))
            else:
                points |= answer
        return [
            _account(name, row, points.get(str(row["id"]).lower()), asked.now)
            for name, row in accounts.items()
        ], gaps


_USED_ASKED = MetricAsked(
    namespace="Microsoft.Storage/storageAccounts", names=(USED,), aggregations=("Average",)
)


def account_id(row: Raw) -> str:
    """An account's name is its own in the whole world."""
    return f"azure:{subscription_of(row)}:{region_of(row)}:{row['name']}"


def _plain(row: Raw, machines: Mapping[str, str], now: datetime) -> Iterator[Storage]:
    match _type(row):
        case "microsoft.compute/disks":
            yield _disk(row, machines)
        case "microsoft.compute/snapshots":
            yield _snapshot(row)
        case "microsoft.network/publicipaddresses":
            if _is_idle(row):
                yield _address(row, now)


def _disk(row: Raw, machines: Mapping[str, str]) -> Storage:
    properties, region = row["properties"], region_of(row)
    holder = row.get("managedBy") or None
    state = str(properties.get("diskState") or "").lower()
    meters = disk_meters(region, row)
    why = [] if holder else ["attached to no machine"]
    if len(row.get("managedByExtended") or ()) > 1:
        why.append("attached to several machines, and counted with the first")
    since = moment_of(
        properties.get("LastOwnershipUpdateTime") or properties.get("lastOwnershipUpdateTime")
    )
    created = moment_of(properties.get("timeCreated"))
    return _storage(
        row,
        "volume",
        str(properties["uniqueId"]).lower(),
        meters,
        created,
        why,
    )(
        size_bytes=None if properties.get("diskSizeGB") is None else properties["diskSizeGB"] * GIB,
        attached_to=None if holder is None else _holder(str(holder), row, machines),
        unattached_since=since if not holder and state == UNATTACHED else None,
        attached_at=since if holder else None,
    )


def _holder(path: str, row: Raw, machines: Mapping[str, str]) -> str:
    """The machine's id; of one without accelerators its name stands for it."""
    name = path.rsplit("/", 1)[-1]
    scope = f"azure:{subscription_of(row)}:{region_of(row)}"
    return machines.get(path.lower(), f"{scope}:{name}")


def _snapshot(row: Raw) -> Storage:
    properties, region = row["properties"], region_of(row)
    meter = snapshot_meter(region, row)
    size = properties.get("diskSizeGB")
    why = ["at most: counted as the whole disk, but only what is used of it is billed"]
    if properties.get("incremental"):
        why = [CHANGES_ONLY]
    created = moment_of(properties.get("timeCreated"))
    native = str(properties["uniqueId"]).lower()
    return _storage(row, "snapshot", native, (meter,), created, why)(
        size_bytes=None if size is None else size * GIB
    )


def _address(row: Raw, now: datetime) -> Storage:
    properties = row["properties"]
    told = properties.get("ipAddress") or row["name"]
    why = [f"{told} is associated with nothing, and billed all the same"]
    native = str(properties.get("resourceGuid") or row["name"]).lower()
    return _storage(row, "address", native, (address_meter(region_of(row)),), now, why)(
        created_at=None
    )


def _is_idle(row: Raw) -> bool:
    """A dynamic address that serves nothing is given back, and not billed."""
    properties = row["properties"]
    serves = any(properties.get(name) for name in ("ipConfiguration", "natGateway"))
    return not serves and str(properties.get("publicIPAllocationMethod")).lower() == "static"


def _account(name: str, row: Raw, points: Points | None, now: datetime) -> Storage:
    storage = Storage(
        id=name,
        kind="bucket",
        name=str(row["name"]),
        size_bytes=None,
        monthly_cost_usd=None,
        tags=tags_of(row),
        created_at=moment_of((row.get("properties") or {}).get("creationTime")),
    )
    if points is None:
        return storage
    daily = {
        moment_of_point(point).replace(hour=0, minute=0): float(point["average"])
        for point in points.get(USED, ())
        if point.get("average") is not None
    }
    if not daily:
        why = f"Azure Monitor has no size of it within {DAYS} days"
        return replace(storage, sized_at=now, why=(why,))
    region = region_of(row)
    eras = tuple(
        StorageEra(started_at=day, meters=account_meters(region, row, used))
        for day, used in sorted(daily.items())
    )
    unpriced = unpriced_sentence(region, eras[-1].meters)
    return replace(
        storage,
        size_bytes=round(daily[max(daily)]),
        monthly_cost_usd=eras[-1].month_usd,
        sized_at=now,
        eras=eras,
        why=(ALL_OF_IT, *([unpriced] if unpriced else [])),
    )


def _storage(
    row: Raw,
    kind: str,
    native: str,
    meters: tuple[StorageMeter, ...],
    since: datetime | None,
    why: Sequence[str],
) -> Callable[..., Storage]:
    """What disks, snapshots and addresses have alike; called with what they have not."""
    region = region_of(row)
    eras = () if since is None else (StorageEra(started_at=since, meters=meters),)
    unpriced = unpriced_sentence(region, meters)
    month = [meter.month_usd for meter in meters]
    known = [usd for usd in month if usd is not None]

    def made(**further: Any) -> Storage:
        values: dict[str, Any] = {
            "id": f"azure:{subscription_of(row)}:{region}:{native}",
            "kind": kind,
            "name": str(row["name"]),
            "size_bytes": None,
            "monthly_cost_usd": sum(known, Decimal(0)) if len(known) == len(month) else None,
            "tags": tags_of(row),
            "why": (*why, *([unpriced] if unpriced else [])),
            "created_at": since,
            "eras": eras,
        }
        return Storage(**(values | further))

    return made


def _batches(rows: Iterable[Raw]) -> Iterator[Batch]:
    groups: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        groups[subscription_of(row), region_of(row)].append(str(row["id"]))
    for (subscription, region), paths in sorted(groups.items()):
        for several in chunks(paths, RESOURCES):
            yield Batch(subscription, region, tuple(several))


def _days(now: datetime) -> Window:
    """Two weeks of days, today's part included."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end = midnight + timedelta(days=1)
    return Window(started_at=end - timedelta(days=DAYS + 1), ended_at=end, period_s=HOUR_S)


def _type(row: Raw) -> str:
    return str(row.get("type")).lower()


def _not_understood(row: Raw, error: Exception) -> Gap:
    name = str(row.get("id") or row.get("name") or "a resource")
    return Gap(
        provider="azure",
        account=subscription_of(row),
        region=region_of(row),
        what="storage",
        why=f"what Azure tells of {name} could not be understood ({type(error).__name__}: {error})",
    )
