"""What projects pay for while it exists: disks, snapshots, idle addresses and buckets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC
from functools import partial
from typing import Any, TypeVar

from policies.facts import Gap, Scope, Storage
from providers.base import Seen, StorageAsked
from providers.errors import AnswerCut
from providers.gcp import buckets, disks
from providers.gcp.errors import GCP_ERRORS, gap_from, is_disabled, likeness
from providers.gcp.inventory import InventoryReader
from providers.gcp.listing import PAGE, Listing, aggregated, as_json
from providers.gcp.session import PAGES_AT_MOST, GcpSession

T = TypeVar("T")
UNSIZED = "its size could not be read in this pass"


@dataclass(slots=True)
class ProjectStorage:
    """What was seen in one project, and what could not be."""

    storage: list[Storage] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    """The machine of each external address that has one."""


@dataclass(slots=True)
class StorageReader:
    """Reads all projects side by side; nothing is asked for one resource alone."""

    session: GcpSession
    inventory: InventoryReader
    addresses_of: Counter[str] = field(default_factory=Counter)
    """By machine, the reserved addresses that it held in the last reading."""
    tags_of: dict[str, Mapping[str, str]] = field(default_factory=dict)
    """By bucket, its labels in the last reading."""

    def read(self, asked: StorageAsked) -> Seen[Storage]:
        """In the projects of the last listing of machines."""
        answers = self.session.side_by_side(
            self.inventory.projects, lambda project: self._project(project, asked)
        )
        self.addresses_of.clear()
        found: list[Storage] = []
        gaps: list[Gap] = []
        sound = set()
        for project, answer in answers.items():
            if isinstance(answer, ProjectStorage):
                found += answer.storage
                gaps += answer.gaps
                self.addresses_of.update(answer.holders)
                self.tags_of |= {each.id: each.tags for each in answer.storage}
                if not answer.gaps:
                    sound.add(project)
            else:
                scope = Scope(provider="gcp", account=project, region=None)
                gaps.append(gap_from(answer, scope, "storage", "compute.disks.list"))
        return Seen(
            values=tuple(sorted(filter(self._wanted, found), key=lambda each: each.id)),
            gaps=tuple(dict.fromkeys(gaps)),
            scopes=tuple(each for each in self.inventory.looked_at if each.account in sound),
        )

    def _wanted(self, storage: Storage) -> bool:
        """Where regions are named, what lies in several of them is left out."""
        regions = self.inventory.regions
        return regions is None or storage.region in regions

    def _project(self, project: str, asked: StorageAsked) -> ProjectStorage:
        looked = _Look(self.session, self.inventory, project, asked)
        self.session.within_project(
            [looked.disks, looked.snapshots, looked.addresses, looked.buckets]
        )
        return ProjectStorage(storage=looked.found, gaps=looked.gaps(), holders=looked.holders)


@dataclass(slots=True)
class _Look:
    """One look at one project. Its parts fail one by one; appending is safe between threads."""

    session: GcpSession
    inventory: InventoryReader
    project: str
    asked: StorageAsked
    found: list[Storage] = field(default_factory=list)
    troubles: list[tuple[str, str, BaseException]] = field(default_factory=list)
    places: list[Gap] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)

    def gaps(self) -> list[Gap]:
        """One gap for all that failed alike: a denied project is told once, not once a call."""
        scope = Scope(provider="gcp", account=self.project, region=None)
        alike: dict[str, list[tuple[str, str, BaseException]]] = defaultdict(list)
        for each in self.troubles:
            alike[likeness(each[2])].append(each)
        gaps = list(self.places)
        for several in alike.values():
            whats = list(dict.fromkeys(what for what, _, _ in several))
            needs = ", ".join(dict.fromkeys(need for _, need, _ in several))
            what = whats[0] if len(whats) == 1 else "storage"
            gaps.append(gap_from(several[0][2], scope, what, needs))
        return gaps

    def disks(self) -> None:
        from google.cloud.compute_v1 import AggregatedListDisksRequest  # noqa: PLC0415

        request = AggregatedListDisksRequest(project=self.project, max_results=PAGE)
        listing = self._listing("DisksClient", request, "disks", "compute.disks.list")
        for _, raw in listing.raws():
            self._add(disks.disk_from(raw, project=self.project, ids=self.inventory.ids))

    def addresses(self) -> None:
        from google.cloud.compute_v1 import AggregatedListAddressesRequest  # noqa: PLC0415

        request = AggregatedListAddressesRequest(project=self.project, max_results=PAGE)
        listing = self._listing("AddressesClient", request, "addresses", "compute.addresses.list")
        for _, raw in listing.raws():
            holder = disks.holder_of(raw, self.inventory.ids)
            self.holders += [holder] if holder else []
            self._add(
                disks.address_from(
                    raw,
                    project=self.project,
                    ids=self.inventory.ids,
                    stopped=self.inventory.stopped,
                    now=self.asked.now,
                )
            )

    def snapshots(self) -> None:
        for raw in self._tolerated(self._snapshots, "snapshots", "compute.snapshots.list") or ():
            self._add(disks.snapshot_from(raw, project=self.project))

    def _snapshots(self) -> list[Mapping[str, Any]]:
        from google.cloud.compute_v1 import ListSnapshotsRequest  # noqa: PLC0415

        pager = self.session.compute("SnapshotsClient").list(
            request=ListSnapshotsRequest(project=self.project, max_results=PAGE),
            retry=self.session.retry,
            timeout=self.session.timeout,
        )
        found: list[Mapping[str, Any]] = []
        for number, page in enumerate(pager.pages):
            found += [as_json(each) for each in type(page).pb(page).items]
            if number + 1 >= PAGES_AT_MOST:
                raise AnswerCut("its pages do not end")
        return found

    def buckets(self) -> None:
        raws = self._tolerated(
            lambda: buckets.fetch_buckets(self.session, self.project),
            "buckets",
            "storage.buckets.list",
        )
        told = [buckets.bucket_from(raw, project=self.project) for raw in raws or ()]
        today = self.asked.now.astimezone(UTC).date()
        stale = [each for each in told if not self._read_on(each, today)]
        self.found += [each for each in told if each not in stale]
        self.found += self._sized(stale) if stale else []

    def _read_on(self, bucket: Storage, today: object) -> bool:
        read = self.asked.sized_at.get(bucket.id)
        return read is not None and read.astimezone(UTC).date() == today

    def _sized(self, stale: Sequence[Storage]) -> list[Storage]:
        """Sizes of these buckets; where they cannot be read, the buckets say so."""
        needs = "monitoring.timeSeries.list"
        sizes = self._tolerated(
            lambda: buckets.fetch_sizes(self.session, self.project, self.asked.now),
            "bucket sizes",
            needs,
        )
        if sizes is None:
            return [replace(each, asides=(*each.asides, UNSIZED)) for each in stale]
        return buckets.sized(stale, sizes, self.asked.now)

    def _listing(self, client: str, request: Any, items: str, needs: str) -> Listing:
        ask = partial(aggregated, self.session, client, request, items)
        listing = self._tolerated(ask, items, needs) or Listing()
        if listing.cut is not None:
            self.troubles.append((items, needs, listing.cut))
        for place, why in listing.troubles.items():
            told = f"{items} of {place or 'some places'} could not be seen ({why})"
            gap = Gap(provider="gcp", account=self.project, what="storage", why=told)
            self.places.append(gap)
        return listing

    def _add(self, storage: Storage | None) -> None:
        if storage is not None:
            self.found.append(storage)

    def _tolerated(self, ask: Callable[[], T], what: str, needs: str) -> T | None:
        """What it answers; None, with a gap, where it cannot be seen.

        A service that is not switched on in the project holds nothing there.
        """
        try:
            return ask()
        except GCP_ERRORS as error:
            if not is_disabled(error):
                self.troubles.append((what, needs, error))
            return None
