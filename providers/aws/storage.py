"""What an account pays for while it exists: disks, snapshots, idle addresses and buckets."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TypeVar

from policies.facts import Gap, Scope, Storage
from providers.aws import bucket_tags, buckets, disks
from providers.aws.bucket_tags import fetch_bucket_tags
from providers.aws.buckets import Bucket
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.session import AwsSession
from providers.aws.troubles import Trouble, gaps_of
from providers.aws.uploads import unfinished_uploads
from providers.base import Seen, StorageAsked

T = TypeVar("T")
UNSIZED = "its size could not be read in this pass"
LOCATIONS_AT_MOST = 10
"""Buckets whose region is asked for one by one, where a listing does not tell it. AWS's does."""


@dataclass(slots=True)
class RegionStorage:
    """What was seen in one region, and what could not be."""

    storage: list[Storage] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)
    """The machine of each elastic address that has one."""


@dataclass(slots=True)
class StorageReader:
    """Reads all regions side by side; nothing is asked for one resource alone."""

    session: AwsSession
    addresses_of: Counter[str] = field(default_factory=Counter)
    """By machine, the elastic addresses that it held in the last reading."""
    _located: dict[str, str] = field(default_factory=dict)

    def read(
        self,
        account: str | None,
        regions: Sequence[str],
        asked: StorageAsked,
        stopped: frozenset[str] = frozenset(),
    ) -> Seen[Storage]:
        """`regions`, `account` and `stopped` instances: those of the machines' listing."""
        if not regions:
            return Seen()
        trouble: list[Gap] = []
        self.addresses_of.clear()
        listed = self._buckets(regions, asked, trouble)
        ask = partial(self._region, account=account, listed=listed, asked=asked, stopped=stopped)
        answers = self.session.side_by_side(regions, ask)
        found: list[Storage] = []
        gaps = list(trouble)
        whole = []
        for region, answer in answers.items():
            if not isinstance(answer, RegionStorage):
                scope = Scope(provider="aws", account=account, region=region)
                gaps.append(gap_from(answer, scope, "storage", "ec2:DescribeVolumes"))
                found += _unseen(account, region, listed)
                continue
            found += answer.storage
            gaps += answer.gaps
            self.addresses_of.update(answer.holders)
            if not answer.gaps and not trouble:
                whole.append(Scope(provider="aws", account=account, region=region))
        return Seen(
            values=tuple(sorted(found, key=lambda each: each.id)),
            gaps=tuple(replace(gap, account=account) for gap in gaps),
            scopes=tuple(whole),
        )

    def _buckets(
        self, regions: Sequence[str], asked: StorageAsked, gaps: list[Gap]
    ) -> Mapping[str, Sequence[Bucket]]:
        """General purpose buckets by region; those of regions that nobody asked for are left out.

        Where a bucket of an earlier pass lies is known.
        """
        home = self.session.home
        scope = Scope(provider="aws", account=None, region=None)
        try:
            listed = buckets.fetch_buckets(self.session.client("s3", home))
        except AWS_ERRORS as error:
            gaps.append(gap_from(error, scope, "buckets", "s3:ListAllMyBuckets"))
            return {}
        for each in asked.sized_at:
            _, _, region, name = each.split(":", 3)
            self._located.setdefault(name, region)
        found = defaultdict(list)
        unlocated = 0
        for bucket in listed:
            known = bucket.region or self._located.get(bucket.name)
            if known is None:
                unlocated += 1
                known = (
                    self._location(bucket.name, gaps) if unlocated <= LOCATIONS_AT_MOST else home
                )
                self._located[bucket.name] = known
            if known in regions:
                found[known].append(bucket)
        return found

    def _location(self, name: str, gaps: list[Gap]) -> str:
        home = self.session.home
        try:
            return buckets.fetch_location(self.session.client("s3", home), name)
        except AWS_ERRORS as error:
            scope = Scope(provider="aws", account=None, region=home)
            gaps.append(gap_from(error, scope, "regions of buckets", "s3:GetBucketLocation"))
            return home

    def _region(
        self,
        region: str,
        *,
        account: str | None,
        listed: Mapping[str, Sequence[Bucket]],
        asked: StorageAsked,
        stopped: frozenset[str],
    ) -> RegionStorage:
        looked = _Look(self.session, account, region, asked, stopped)
        jobs: list[Callable[[], None]] = [
            looked.volumes,
            looked.snapshots,
            looked.addresses,
            partial(looked.buckets, listed.get(region, ())),
        ]
        self.session.within_region(jobs)
        scope = Scope(provider="aws", account=account, region=region)
        gaps = gaps_of(looked.troubles, scope, "storage")
        return RegionStorage(storage=looked.found, gaps=gaps, holders=looked.holders)


@dataclass(slots=True)
class _Look:
    """One look at one region. Its parts fail one by one; appending is safe between threads."""

    session: AwsSession
    account: str | None
    region: str
    asked: StorageAsked
    stopped: frozenset[str]
    found: list[Storage] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    holders: list[str] = field(default_factory=list)

    @property
    def scope(self) -> str:
        return scope_id(self.account, self.region)

    def volumes(self) -> None:
        self.found += self._tolerated(self._volumes, "volumes", "ec2:DescribeVolumes") or []

    def _volumes(self) -> list[Storage]:
        ec2 = self.session.client("ec2", self.region)
        raws = disks.fetch_volumes(ec2)
        if not raws:
            return []
        changes = self._tolerated(
            lambda: disks.fetch_modifications(ec2),
            "changes of volumes",
            "ec2:DescribeVolumesModifications",
        )
        read = partial(disks.volume_from, scope=self.scope, region=self.region)
        volumes = [read(raw, modification=(changes or {}).get(raw["VolumeId"])) for raw in raws]
        return [volume for volume in volumes if volume is not None]

    def snapshots(self) -> None:
        ec2 = self.session.client("ec2", self.region)

        def read() -> list[Storage]:
            raws = disks.fetch_snapshots(ec2, self.account)
            return disks.snapshots_from(raws, scope=self.scope, region=self.region)

        self.found += self._tolerated(read, "snapshots", "ec2:DescribeSnapshots") or []

    def addresses(self) -> None:
        ec2 = self.session.client("ec2", self.region)

        def read() -> list[Storage]:
            raws = disks.fetch_addresses(ec2)
            self.holders += disks.holders_of(raws, self.scope)
            return disks.addresses_from(
                raws,
                scope=self.scope,
                region=self.region,
                stopped=self.stopped,
                now=self.asked.now,
            )

        self.found += self._tolerated(read, "addresses", "ec2:DescribeAddresses") or []

    def buckets(self, listed: Sequence[Bucket]) -> None:
        everything = [*listed, *self._directory_buckets()]
        if not everything:
            return
        tags = self._tolerated(
            lambda: fetch_bucket_tags(self.session.client(bucket_tags.SERVICE, self.region)),
            "tags of buckets",
            bucket_tags.NEEDS,
        )
        plain = [
            buckets.bucket_from(each, scope=self.scope, tags=(tags or {}).get(each.name, {}))
            for each in everything
        ]
        told = [self._with_uploads(each) for each in plain]
        today = self.asked.now.astimezone(UTC).date()
        stale = [each for each in told if not self._read_on(each, today)]
        self.found += [each for each in told if each not in stale]
        self.found += self._sized(stale)

    def _read_on(self, bucket: Storage, today: object) -> bool:
        read = self.asked.sized_at.get(bucket.id)
        return read is not None and read.astimezone(UTC).date() == today

    def _sized(self, stale: Sequence[Storage]) -> list[Storage]:
        """Sizes of these buckets; where they cannot be read, the buckets say so."""
        if not stale:
            return []
        try:
            return self._read_sizes(stale, self.asked.now)
        except AWS_ERRORS as error:
            scope = Scope(provider="aws", account=self.account, region=self.region)
            needs = "cloudwatch:ListMetrics, cloudwatch:GetMetricData"
            self.troubles.append(Trouble(what="bucket sizes", needs=needs, error=error))
            gap = gap_from(error, scope, "bucket sizes", needs)
            return [replace(each, asides=(*each.asides, f"{UNSIZED}: {gap.why}")) for each in stale]

    def _read_sizes(self, stale: Sequence[Storage], now: datetime) -> list[Storage]:
        names = {each.native_id for each in stale}
        listed = buckets.fetch_series(self.session.client("cloudwatch", self.region))
        series = [each for each in listed if buckets.bucket_of(each) in names]
        sizes = buckets.fetch_sizes(self.session, self.region, series, now)
        return buckets.sized(stale, sizes, now)

    def _directory_buckets(self) -> list[Bucket]:
        if self.region not in buckets.EXPRESS_REGIONS:
            return []
        s3 = self.session.client("s3", self.region)
        found = self._tolerated(
            lambda: buckets.fetch_directory_buckets(s3, self.region),
            "directory buckets",
            "s3express:ListAllMyDirectoryBuckets",
        )
        return found or []

    def _with_uploads(self, bucket: Storage) -> Storage:
        """Only of buckets that somebody named: each takes a call of its own."""
        if bucket.kind != "bucket" or not self.asked.named(bucket):
            return bucket
        s3 = self.session.client("s3", self.region)
        sentence = self._tolerated(
            lambda: unfinished_uploads(s3, bucket.native_id, self.asked.now),
            f"unfinished uploads to {bucket.native_id}",
            "s3:ListBucketMultipartUploads",
        )
        return bucket if sentence is None else replace(bucket, asides=(*bucket.asides, sentence))

    def _tolerated(self, ask: Callable[[], T], what: str, needs: str) -> T | None:
        """What it answers; None, with a gap, where it cannot be seen."""
        try:
            return ask()
        except AWS_ERRORS as error:
            self.troubles.append(Trouble(what=what, needs=needs, error=error))
            return None


def scope_id(account: str | None, region: str) -> str:
    """What the ids of a region begin with."""
    return f"aws:{account or 'unknown'}:{region}"


def _unseen(
    account: str | None, region: str, listed: Mapping[str, Iterable[Bucket]]
) -> list[Storage]:
    """The buckets of a region that did not answer: they are there, and that is all."""
    found = []
    for bucket in listed.get(region, ()):
        plain = buckets.bucket_from(bucket, scope=scope_id(account, region), tags={})
        found.append(replace(plain, asides=(f"{UNSIZED}: {region} did not answer",)))
    return found
