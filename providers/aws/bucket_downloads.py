"""Buckets whose request metrics are on: what was downloaded from each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from policies.facts import Scope
from providers.aws.bucket_tags import Tags
from providers.aws.hourly_sums import Hours, Metric
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, EgressCounter

NAMESPACE = "AWS/S3"
DOWNLOADED = "BytesDownloaded"
KIND = "bucket"
WHOLE = "EntireBucket"
"""The filter's name that the console gives to metrics of the whole bucket."""
CANNOT_TELL = (
    "everything that was downloaded, also within the region, where it is free:"
    " the cost is what it would be if all of it went to the internet"
)


def counters(
    metrics: Sequence[Metric],
    read: Mapping[Metric, Hours],
    tags: Tags | None,
    scope: Scope,
) -> list[EgressCounter]:
    """One counter a bucket. Filters of one bucket may overlap, so only one of them counts.

    `tags` None: they could not be read.
    """
    by_bucket: dict[str, dict[str, Metric]] = defaultdict(dict)
    for metric in metrics:
        bucket, rule = metric.dimension("BucketName"), metric.dimension("FilterId")
        if bucket is not None and rule is not None:
            by_bucket[bucket][rule] = metric
    found = []
    for bucket, rules in sorted(by_bucket.items()):
        told = {rule: read[metric] for rule, metric in rules.items() if metric in read}
        if len(told) < len(rules):
            continue
        rule = max(sorted(told), key=lambda each: (each == WHOLE, sum(told[each].values())))
        found.append(
            EgressCounter(
                id=f"aws:{scope.account or 'unknown'}:{scope.region}:{bucket}",
                kind=KIND,
                scope=scope,
                name=bucket,
                hours=told[rule],
                reach="all",
                tariff=egress_tariff("aws", str(scope.region), INTERNET),
                tags=None if tags is None else tags.get(bucket, {}),
                why=(*_parts(rule, len(rules)), CANNOT_TELL),
            )
        )
    return found


def _parts(rule: str, rules: int) -> tuple[str, ...]:
    if rule == WHOLE:
        return ()
    if rules == 1:
        return (f"what the request metrics' filter {rule} lets through: maybe not all",)
    return (f"of {rules} filters, which may overlap, the largest ({rule}): at least this much",)
