"""Bytes that leave: machines, buckets with request metrics and NAT gateways, by the clock hour.

The series of a region are listed by namespace and read together, five hundred a call.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from policies.facts import Gap, Machine, Scope, Window
from providers.aws import bucket_downloads, bucket_tags, nat_gateways
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.hourly_sums import LISTS, READS, WHAT, Hours, Metric, listed, sums
from providers.aws.nat_gateways import fetch_gateways
from providers.aws.session import AwsSession
from providers.base import Seen
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, EgressCounter

RECENT = timedelta(hours=4)
"""As for other metrics: a window that starts at a full hour within it needs recent series only."""
MACHINE = "machine"
CANNOT_TELL = (
    "everything that the machine sent, also within its zone, region and to S3:"
    " the cost is what it would be if all of it went to the internet"
)


@dataclass(slots=True)
class RegionEgress:
    """The counters of one region, and what could not be read there."""

    counters: list[EgressCounter] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressReader:
    session: AwsSession
    clock: Callable[[], datetime]

    def read(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        by_region: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            if machine.may_have_run_since(window.started_at):
                by_region[machine.region].append(machine)
        places = {str(scope.region): scope for scope in scopes}
        answers = self.session.side_by_side(
            sorted(places), lambda region: self._region(places[region], by_region[region], window)
        )
        found = RegionEgress()
        for region, answer in answers.items():
            if isinstance(answer, RegionEgress):
                found.counters += answer.counters
                found.gaps += answer.gaps
            else:
                found.gaps.append(gap_from(answer, places[region], WHAT, f"{LISTS} and {READS}"))
        return Seen(values=tuple(found.counters), gaps=tuple(dict.fromkeys(found.gaps)))

    def _region(self, scope: Scope, machines: Sequence[Machine], window: Window) -> RegionEgress:
        region = str(scope.region)
        gaps: list[Gap] = []

        def listing(namespace: str, **narrowed: object) -> list[Metric]:
            recent = window.started_at >= self.clock() - RECENT
            try:
                return list(listed(self.session, region, namespace, recent=recent, **narrowed))
            except AWS_ERRORS as error:
                gaps.append(gap_from(error, scope, WHAT, LISTS))
                return []

        sent = []
        if machines:
            wanted = {machine.native_id for machine in machines}
            sent = [
                metric
                for metric in listing(
                    "AWS/EC2", MetricName="NetworkOut", Dimensions=[{"Name": "InstanceId"}]
                )
                if len(metric.dimensions) == 1 and metric.dimension("InstanceId") in wanted
            ]
        gateways = self._gateways(scope, gaps)
        processed = listing(nat_gateways.NAMESPACE)
        downloads = listing(bucket_downloads.NAMESPACE, MetricName=bucket_downloads.DOWNLOADED)
        asked = [*sent, *nat_gateways.wanted(processed), *downloads]
        tags = self._bucket_tags(scope, gaps) if downloads else {}
        read, trouble = sums(self.session, scope, asked, window)
        return RegionEgress(
            counters=[
                *_of_machines(machines, sent, read, scope),
                *nat_gateways.counters(processed, read, gateways, scope),
                *bucket_downloads.counters(downloads, read, tags, scope),
            ],
            gaps=[*dict.fromkeys(gaps), *trouble],
        )

    def _gateways(self, scope: Scope, gaps: list[Gap]) -> nat_gateways.Tags | None:
        """None where they could not be listed: their metrics may still tell of them."""
        try:
            return fetch_gateways(self.session.client("ec2", str(scope.region)))
        except AWS_ERRORS as error:
            gaps.append(gap_from(error, scope, "NAT gateways", "ec2:DescribeNatGateways"))
            return None

    def _bucket_tags(self, scope: Scope, gaps: list[Gap]) -> bucket_tags.Tags | None:
        """None where they could not be read."""
        try:
            tagging = self.session.client(bucket_tags.SERVICE, str(scope.region))
            return bucket_tags.fetch_bucket_tags(tagging)
        except AWS_ERRORS as error:
            gaps.append(gap_from(error, scope, "tags of buckets", bucket_tags.NEEDS))
            return None


def _of_machines(
    machines: Sequence[Machine],
    sent: Sequence[Metric],
    read: Mapping[Metric, Hours],
    scope: Scope,
) -> list[EgressCounter]:
    by_machine = {metric.dimension("InstanceId"): metric for metric in sent}
    found = []
    for machine in machines:
        metric = by_machine.get(machine.native_id)
        hours = None if metric is None else read.get(metric)
        if hours is None:
            continue
        found.append(
            EgressCounter(
                id=machine.id,
                kind=MACHINE,
                scope=scope,
                name=machine.name,
                hours=hours,
                reach="all",
                tariff=egress_tariff("aws", machine.region, INTERNET),
                tags=machine.tags,
                why=(CANNOT_TELL,),
            )
        )
    return found
