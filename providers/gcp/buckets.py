"""Buckets of Cloud Storage: listed at once, sized by the daily points of Cloud Monitoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from policies.facts import Storage, StorageEra, Window
from providers.errors import AnswerCut
from providers.gcp.machines import moment
from providers.gcp.series import value_of
from providers.gcp.session import PAGES_AT_MOST, GcpSession
from providers.gcp.storage_prices import GIB, bucket_meters, unpriced_sentence
from providers.gcp.usage import fetch_series

METRIC = "storage.googleapis.com/storage/v2/total_bytes"
OLD_METRIC = "storage.googleapis.com/storage/total_bytes"
"""Does not tell kinds of objects apart."""
DAYS = 14
DAY_S = 86_400
LATE = timedelta(hours=50)
"""A daily point comes up to a day late."""
LIVE = "live-object"
EVERYTHING = "all objects"
PAGE = 1000

Sizes = Mapping[str, Mapping[datetime, Mapping[tuple[str, str], float]]]
"""By bucket and UTC day, bytes by storage class and kind of object."""


def fetch_buckets(session: GcpSession, project: str) -> list[Mapping[str, Any]]:
    """Every bucket of the project, wherever it lies. Raises one of `GCP_ERRORS`."""
    pager = session.buckets(project).list_buckets(
        page_size=PAGE, retry=session.retry, timeout=session.timeout
    )
    found: list[Mapping[str, Any]] = []
    before = None
    for number, page in enumerate(pager.pages):
        found += [bucket._properties for bucket in page]  # noqa: SLF001 - as Google told it
        token = pager.next_page_token
        if token and (token == before or number + 1 >= PAGES_AT_MOST):
            raise AnswerCut("its pages do not end")
        before = token
    return found


def fetch_sizes(session: GcpSession, project: str, now: datetime) -> Sizes:
    """Two weeks of daily points; where no kinds are told, all objects together."""
    end = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    end += timedelta(days=1)
    window = Window(started_at=end - timedelta(days=DAYS + 1), ended_at=end, period_s=DAY_S)
    for metric in (METRIC, OLD_METRIC):
        text = f'metric.type="{metric}" AND resource.type="gcs_bucket"'
        series = fetch_series(session, project, text, window, aligner="ALIGN_MAX")
        if series:
            return _sizes(series, window)
    return {}


def bucket_from(raw: Mapping[str, Any], *, project: str) -> Storage:
    """The bucket without its size, which is read once a day."""
    place = str(raw.get("location", "unknown")).lower()
    return Storage(
        id=f"gcp:{project}:{place}:{raw['name']}",
        kind="bucket",
        name=raw["name"],
        size_bytes=None,
        monthly_cost_usd=None,
        tags=dict(raw.get("labels") or {}),
        created_at=moment(raw.get("timeCreated")),
    )


def sized(buckets: Sequence[Storage], sizes: Sizes, now: datetime) -> list[Storage]:
    """With an era for each day of which there is a point."""
    return [_sized(each, sizes.get(each.native_id, {}), now) for each in buckets]


def _sizes(series: Sequence[Any], window: Window) -> Sizes:
    found: dict[str, dict[datetime, dict[tuple[str, str], float]]] = defaultdict(dict)
    for each in series:
        labels = each.metric.labels
        key = (labels.get("storage_class") or "STANDARD", labels.get("type") or EVERYTHING)
        key = (_class_of(key[0]), key[1])
        name = each.resource.labels.get("bucket_name", "")
        for point in each.points:
            value = value_of(point)
            end = point.interval.end_time
            seconds = end.seconds + end.nanos / 1e9
            # A point at midnight closes the day before it.
            day = int((seconds - window.started_at.timestamp() - 1e-6) // DAY_S)
            if value is None or not 0 <= day < window.intervals:
                continue
            held = found[name].setdefault(window.started_at + timedelta(days=day), {})
            held[key] = max(value, held.get(key, 0.0))
    return found


def _class_of(told: str) -> str:
    """Buckets of before 2019 have classes that are billed as STANDARD today."""
    return "STANDARD" if told in {"REGIONAL", "MULTI_REGIONAL"} else told


def _sized(bucket: Storage, by_day: Mapping[datetime, Any], now: datetime) -> Storage:
    if not by_day:
        return replace(bucket, sized_at=now, why=(*bucket.why, _silent(bucket, now)))
    eras = tuple(
        StorageEra(started_at=day, meters=bucket_meters(bucket.region, held))
        for day, held in sorted(by_day.items())
    )
    newest = by_day[max(by_day)]
    unpriced = unpriced_sentence(bucket.region, eras[-1].meters)
    return replace(
        bucket,
        size_bytes=round(sum(newest.values())),
        monthly_cost_usd=eras[-1].month_usd,
        sized_at=now,
        eras=eras,
        why=(
            *bucket.why,
            *_apart(newest),
            *_stale(max(by_day), now),
            *([unpriced] if unpriced else []),
        ),
    )


def _apart(held: Mapping[tuple[str, str], float]) -> Iterator[str]:
    """What nobody sees in a listing of the bucket, and pays for all the same."""
    totals: dict[str, float] = defaultdict(float)
    for (_, kind), size in held.items():
        totals[kind] += size
    for kind, size in sorted(totals.items()):
        if kind == EVERYTHING:
            yield "live, noncurrent and deleted objects are not told apart here"
        elif kind != LIVE and size:
            yield f"{size / GIB:.1f} GiB of it are {kind}s".replace("-", " ")


def _stale(newest: datetime, now: datetime) -> Iterator[str]:
    if now - newest > LATE:
        yield f"the newest daily size is of {newest:%Y-%m-%d}"


def _silent(bucket: Storage, now: datetime) -> str:
    fresh = bucket.created_at is not None and now - bucket.created_at < LATE
    hint = "it is new: the first point comes within two days" if fresh else "an empty one has none"
    return f"Cloud Monitoring has no daily size of it within {DAYS} days ({hint})"
