"""Bytes that leave machines and buckets, by the clock hour, from Cloud Monitoring."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from policies.facts import Gap, Machine, Scope, Window
from providers.base import Seen
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, EgressCounter
from providers.gcp.errors import GCP_ERRORS, gap_from
from providers.gcp.series import place_of, value_of
from providers.gcp.session import GcpSession
from providers.gcp.tpus import is_tpu
from providers.gcp.usage import READS, UsageReader, fetch_series

WHAT = "egress metrics"
SENT = "compute.googleapis.com/instance/network/sent_bytes_count"
FLOW = "networking.googleapis.com/vm_flow/egress_bytes_count"
DOWNLOADED = "storage.googleapis.com/network/sent_bytes_count"
OUTSIDE = ' AND metric.labels.remote_location_type="EXTERNAL"'
FROM_FLOWS = "what VPC flow metrics saw leave for the internet: they sample, so it is an estimate"
CANNOT_TELL = (
    "everything that the machine sent, also within its zone and region and to Google's services:"
    " the cost is what it would be if all of it went to the internet"
)
BUCKET_CANNOT_TELL = (
    "everything that was read from it, also within its region, where it is free:"
    " the cost is what it would be if all of it went to the internet"
)

Hours = Mapping[datetime, int]
Tags = Mapping[str, Mapping[str, str]]
"""By a bucket's id, its labels."""


@dataclass(slots=True)
class ProjectEgress:
    """The counters of one project, and what could not be read there."""

    counters: list[EgressCounter] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressReader:
    session: GcpSession
    usage: UsageReader
    """Has what machines sent, where their readings were asked for just now."""
    bucket_tags: Callable[[], Tags]
    """Labels of the buckets that were listed last; of others they are not known."""

    def read(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        by_project: dict[str, list[Scope]] = defaultdict(list)
        for scope in scopes:
            by_project[str(scope.account)].append(scope)
        answers = self.session.side_by_side(
            sorted(by_project),
            lambda project: self._project(
                project, by_project[project], _that_ran(machines, project, window), window
            ),
        )
        found = ProjectEgress()
        for project, answer in answers.items():
            if isinstance(answer, ProjectEgress):
                found.counters += answer.counters
                found.gaps += answer.gaps
            else:
                found.gaps += _gaps(answer, by_project[project])
        return Seen(values=tuple(found.counters), gaps=tuple(dict.fromkeys(found.gaps)))

    def _project(
        self,
        project: str,
        scopes: Sequence[Scope],
        machines: Sequence[Machine],
        window: Window,
    ) -> ProjectEgress:
        """Three questions at most. A metric that nobody writes has no series, and is no gap."""
        found = ProjectEgress()
        names = frozenset(machine.native_id for machine in machines)
        known = self.usage.kept(project, SENT, window, names)
        questions = [(DOWNLOADED, "")]
        if machines:
            questions += [(FLOW, OUTSIDE)] if known else [(SENT, ""), (FLOW, OUTSIDE)]

        def ask(metric: str, more: str) -> list[Any] | Exception:
            try:
                text = f'metric.type="{metric}"{more}'
                return fetch_series(self.session, project, text, window, aligner="ALIGN_SUM")
            except GCP_ERRORS as error:
                return error

        jobs = [partial(ask, *question) for question in questions]
        told: dict[str, list[Any]] = {SENT: known.series} if known else {}
        for (metric, _), answer in zip(questions, self.session.within_project(jobs), strict=True):
            if isinstance(answer, Exception):
                found.gaps += _gaps(answer, scopes)
            else:
                told[metric] = answer
        # Where one of the two could not be read, the other might be the wrong one to believe.
        if SENT in told and FLOW in told:
            found.counters += _of_machines(machines, told[SENT], told[FLOW], window)
        found.counters += _of_buckets(
            told.get(DOWNLOADED, ()), project, scopes, self.bucket_tags(), window
        )
        return found


def _that_ran(machines: Sequence[Machine], project: str, window: Window) -> list[Machine]:
    return [
        machine
        for machine in machines
        if machine.account == project
        and machine.may_have_run_since(window.started_at)
        and not is_tpu(machine)
    ]


def _of_machines(
    machines: Sequence[Machine], sent: Sequence[Any], flows: Sequence[Any], window: Window
) -> list[EgressCounter]:
    """By flows to the outside where a machine has any; else by all that it sent."""
    totals, outside = _by("instance_id", sent, window), _by("instance_id", flows, window)
    found = []
    for machine in machines:
        native = machine.native_id
        hours = outside.get(native) or totals.get(native)
        if not hours:
            continue
        is_outside = native in outside and bool(outside[native])
        found.append(
            EgressCounter(
                id=machine.id,
                kind="machine",
                scope=Scope(provider="gcp", account=machine.account, region=machine.region),
                name=machine.name,
                hours=hours,
                reach="internet" if is_outside else "all",
                tariff=egress_tariff("gcp", machine.region, INTERNET),
                tags=machine.tags,
                why=(FROM_FLOWS if is_outside else CANNOT_TELL,),
            )
        )
    return found


def _of_buckets(
    series: Sequence[Any],
    project: str,
    scopes: Sequence[Scope],
    tags: Tags,
    window: Window,
) -> list[EgressCounter]:
    """Of the regions that are asked about; one that lies in several regions is in none of them."""
    places = {
        each.resource.labels.get("bucket_name", ""): each.resource.labels.get("location", "")
        for each in series
    }
    asked = {scope.region for scope in scopes}
    found = []
    for name, hours in sorted(_by("bucket_name", series, window).items()):
        place = places[name].lower()
        if not name or not hours or place not in asked:
            continue
        native = f"gcp:{project}:{place}:{name}"
        found.append(
            EgressCounter(
                id=native,
                kind="bucket",
                scope=Scope(provider="gcp", account=project, region=place),
                name=name,
                hours=hours,
                reach="all",
                tariff=egress_tariff("gcp", place, INTERNET),
                tags=tags.get(native),
                why=(BUCKET_CANNOT_TELL,),
            )
        )
    return found


def _by(label: str, series: Sequence[Any], window: Window) -> dict[str, dict[datetime, int]]:
    """By a label of the resource, the sums of clock hours; several series of one are added."""
    sums: dict[str, dict[datetime, int]] = defaultdict(dict)
    for each in series:
        hours = sums[each.resource.labels.get(label, "")]
        for point in each.points:
            value = value_of(point)
            end = point.interval.end_time
            place = place_of(end.seconds + end.nanos / 1e9, window)
            if value is not None and 0 <= place < window.intervals:
                hour = window.started_at + timedelta(seconds=place * window.period_s)
                hours[hour] = hours.get(hour, 0) + round(value)
    return sums


def _gaps(error: BaseException, scopes: Sequence[Scope]) -> list[Gap]:
    return [gap_from(error, scope, WHAT, READS) for scope in scopes]
