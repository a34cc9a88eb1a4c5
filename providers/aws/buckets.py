"""S3 buckets: listed once an account, their sizes from the daily metrics of their regions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from policies.facts import Storage, StorageEra, utc
from providers.aws.session import AwsSession
from providers.aws.storage_prices import bucket_meters, totals_by_item, unpriced_sentence
from providers.errors import AnswerCut

NAMESPACE = "AWS/S3"
METRIC = "BucketSizeBytes"
DAY_S = 86_400
DAYS = 14
"""No point within two weeks: the size is not known."""
LATE = timedelta(days=3)
"""A daily point comes up to two days after its day; one that is older is told."""
QUERIES_PER_CALL = 500
PAGES_AT_MOST = 100
INCLUDED = (
    "noncurrent versions and parts of unfinished uploads are in the size: S3's daily metrics do"
    " not count them apart"
)
DIRECTORY_SUFFIX = "--x-s3"
EXPRESS_REGIONS = frozenset(
    {
        "ap-northeast-1",
        "ap-south-1",
        "eu-north-1",
        "eu-west-1",
        "us-east-1",
        "us-east-2",
        "us-west-2",
    }
)
"""Where S3 Express One Zone answers; elsewhere its endpoint does not exist (AWS, 2026-10)."""

ClassSizes = Mapping[str, Mapping[datetime, float]]
"""By storage class, bytes by the day of the point."""
Sizes = dict[str, dict[str, dict[datetime, float]]]
"""By bucket: `ClassSizes`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One entry of a listing."""

    name: str
    region: str | None
    """None: the listing did not tell."""
    created_at: datetime | None
    directory: bool = False


def fetch_buckets(s3: Any) -> list[Bucket]:
    """Every general purpose bucket of the account, wherever it lies."""
    found = []
    for page in _paged(s3.list_buckets, MaxBuckets=1000):
        found += [
            Bucket(
                name=raw["Name"],
                region=raw.get("BucketRegion"),
                created_at=utc(raw["CreationDate"]) if raw.get("CreationDate") else None,
            )
            for raw in page["Buckets"]
            if not raw["Name"].endswith(DIRECTORY_SUFFIX)
        ]
    return found


def fetch_directory_buckets(s3: Any, region: str) -> list[Bucket]:
    return [
        Bucket(
            name=raw["Name"],
            region=region,
            created_at=utc(raw["CreationDate"]) if raw.get("CreationDate") else None,
            directory=True,
        )
        for page in _paged(s3.list_directory_buckets, MaxDirectoryBuckets=1000)
        for raw in page["Buckets"]
        if raw["Name"].endswith(DIRECTORY_SUFFIX)
    ]


def fetch_location(s3: Any, name: str) -> str:
    """us-east-1 answers with nothing, Ireland by its old name."""
    told = s3.get_bucket_location(Bucket=name).get("LocationConstraint") or "us-east-1"
    return "eu-west-1" if told == "EU" else str(told)


def fetch_series(cloudwatch: Any) -> list[list[dict[str, str]]]:
    """The dimensions of every series that is listed, each once."""
    seen: dict[frozenset[tuple[str, str]], list[dict[str, str]]] = {}
    pages = cloudwatch.get_paginator("list_metrics")
    for page in pages.paginate(Namespace=NAMESPACE, MetricName=METRIC):
        if "Metrics" not in page:
            raise AnswerCut("no Metrics in it")
        for row in page["Metrics"]:
            pairs = {each["Name"]: each["Value"] for each in row["Dimensions"]}
            if pairs.keys() == {"BucketName", "StorageType"}:
                seen.setdefault(frozenset(pairs.items()), row["Dimensions"])
    return list(seen.values())


def bucket_of(dimensions: Iterable[Mapping[str, str]]) -> str:
    return _value(dimensions, "BucketName")


def fetch_sizes(
    session: AwsSession, region: str, series: Sequence[list[dict[str, str]]], now: datetime
) -> Sizes:
    """Two weeks of daily points, five hundred series a call."""
    end = _midnight(now) + timedelta(days=1)
    span = {"StartTime": end - timedelta(days=DAYS + 1), "EndTime": end}
    client = session.client("cloudwatch", region)
    sizes: Sizes = defaultdict(lambda: defaultdict(dict))
    for begin in range(0, len(series), QUERIES_PER_CALL):
        batch = series[begin : begin + QUERIES_PER_CALL]
        for number, moment, value in _points(session, client, batch, span):
            name = bucket_of(batch[number])
            of_class = sizes[name][_value(batch[number], "StorageType")]
            of_class[_midnight(moment)] = value
    return sizes


def _points(
    session: AwsSession, client: Any, batch: Sequence[list[dict[str, str]]], span: dict[str, Any]
) -> Iterator[tuple[int, datetime, float]]:
    asked = [
        {
            "Id": f"q{number}",
            "MetricStat": {
                "Metric": {
                    "Namespace": NAMESPACE,
                    "MetricName": METRIC,
                    "Dimensions": dimensions,
                },
                "Period": DAY_S,
                "Stat": "Average",
            },
        }
        for number, dimensions in enumerate(batch)
    ]
    token: dict[str, str] = {}
    unread = set(range(len(batch)))
    for _ in range(PAGES_AT_MOST):
        page = client.get_metric_data(MetricDataQueries=asked, **span, **token)
        session.meter.count_metrics(len(asked))
        if "MetricDataResults" not in page:
            raise AnswerCut("no MetricDataResults in it")
        for result in page["MetricDataResults"]:
            number = int(str(result["Id"]).removeprefix("q"))
            if result.get("StatusCode") == "Complete":
                unread.discard(number)
            for moment, value in zip(result["Timestamps"], result["Values"], strict=True):
                yield number, utc(moment), float(value)
        if not page.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    else:
        raise AnswerCut("its pages do not end")
    if unread:
        raise AnswerCut(f"{len(unread)} of {len(batch)} series did not come whole")


def bucket_from(bucket: Bucket, *, scope: str, tags: Mapping[str, str]) -> Storage:
    """The bucket without its size, which is read once a day."""
    return Storage(
        id=f"{scope}:{bucket.name}",
        kind="directory bucket" if bucket.directory else "bucket",
        name=bucket.name,
        size_bytes=None,
        monthly_cost_usd=None,
        tags=tags,
        created_at=bucket.created_at,
    )


def sized(buckets: Sequence[Storage], sizes: Sizes, now: datetime) -> list[Storage]:
    """The buckets of one region with an era for each day of which there is a point."""
    by_name = {each.native_id: carried(sizes.get(each.native_id, {})) for each in buckets}
    days = sorted({day for each in by_name.values() for day in each})
    region = buckets[0].region if buckets else ""
    totals = {day: totals_by_item(_at(by_name, day)) for day in days}
    return [
        _with_eras(
            each, by_name[each.native_id], sizes.get(each.native_id, {}), totals, region, now
        )
        for each in buckets
    ]


def carried(classes: ClassSizes) -> dict[datetime, dict[str, float]]:
    """By day, the bytes of each class: a class without a point that day keeps its last one."""
    days = sorted({day for points in classes.values() for day in points})
    found: dict[datetime, dict[str, float]] = {}
    current: dict[str, float] = {}
    for day in days:
        current = {
            **current,
            **{name: points[day] for name, points in classes.items() if day in points},
        }
        found[day] = current
    return found


def _at(
    by_name: Mapping[str, Mapping[datetime, Mapping[str, float]]], day: datetime
) -> dict[str, Mapping[str, float]]:
    """What each bucket held on a day, by its newest point until then."""
    found = {}
    for name, by_day in by_name.items():
        known = [each for each in by_day if each <= day]
        if known:
            found[name] = by_day[max(known)]
    return found


def _with_eras(
    storage: Storage,
    by_day: Mapping[datetime, Mapping[str, float]],
    classes: ClassSizes,
    totals: Mapping[datetime, Mapping[str, Any]],
    region: str,
    now: datetime,
) -> Storage:
    eras = tuple(
        StorageEra(started_at=day, meters=bucket_meters(region, held, totals[day]))
        for day, held in sorted(by_day.items())
    )
    if not eras:
        return replace(storage, sized_at=now, why=(*storage.why, _silent(storage, now)))
    newest = by_day[max(by_day)]
    unpriced = unpriced_sentence(region, eras[-1].meters)
    return replace(
        storage,
        size_bytes=round(sum(newest.values())),
        monthly_cost_usd=eras[-1].month_usd,
        sized_at=now,
        eras=eras,
        why=(
            *storage.why,
            INCLUDED,
            *_stale(classes, now),
            *([unpriced] if unpriced else []),
        ),
    )


def _silent(storage: Storage, now: datetime) -> str:
    fresh = storage.created_at is not None and now - storage.created_at < LATE
    hint = "it is new: the first point comes within two days" if fresh else "an empty one has none"
    return f"CloudWatch has no daily size of it within {DAYS} days ({hint})"


def _stale(classes: ClassSizes, now: datetime) -> Iterator[str]:
    for name, points in sorted(classes.items()):
        last = max(points)
        if now - last > LATE:
            yield f"{name}: the newest daily size is of {last:%Y-%m-%d}"


def _paged(ask: Any, **options: Any) -> Iterator[Mapping[str, Any]]:
    token: dict[str, str] = {}
    for _ in range(PAGES_AT_MOST):
        page = ask(**options, **token)
        if "Buckets" not in page:
            raise AnswerCut("no Buckets in it")
        yield page
        if not page.get("ContinuationToken"):
            return
        token = {"ContinuationToken": page["ContinuationToken"]}
    raise AnswerCut("its pages do not end")


def _value(dimensions: Iterable[Mapping[str, str]], name: str) -> str:
    return next(each["Value"] for each in dimensions if each["Name"] == name)


def _midnight(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
