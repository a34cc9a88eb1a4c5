"""GPU, CPU, network and disk metrics from CloudWatch: listed once, read five hundred at a time."""

from __future__ import annotations

import struct
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from policies.facts import Gap, Machine, Reading, Scope, Window
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.series import (
    FAILED,
    GPU_METRIC,
    WHOLE_HOST,
    Ask,
    Laying,
    Row,
    Source,
    empty_rows,
    first_asks,
    host_source,
    later_asks,
    queries,
    readings_from,
    sources_of,
)
from providers.aws.session import AwsSession
from providers.errors import AnswerCut

QUERIES_PER_CALL = 500
POINTS_PER_CALL = 100_800
"""What one GetMetricData call may return."""
RECENT = timedelta(hours=4)
"""CloudWatch can list only the series that were active in the last three hours; a window that
starts at a full hour within them needs no others."""
PAGES_AT_MOST = 1000

HOW_TO_MEASURE = (
    'run the CloudWatch agent on it with {"metrics": {"append_dimensions": {"InstanceId": '
    '"${aws:InstanceId}"}, "metrics_collected": {"nvidia_gpu": {"measurement": '
    '["utilization_gpu", "memory_used", "memory_total", "power_draw"]}}}}'
)


@dataclass(slots=True)
class RegionUsage:
    """The readings of one region, and what could not be read there."""

    readings: list[Reading] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The columns of one region, filled call by call."""

    region: str
    scope: Scope
    sources: Sequence[Source]
    rows: Sequence[Row]
    window: Window


Listing = list[Mapping[str, Any]]


@dataclass(slots=True)
class UsageReader:
    """Reads metrics; the listing of series is kept until `forget`, for several windows use it."""

    session: AwsSession
    agent_namespaces: Sequence[str]
    clock: Callable[[], datetime]
    _listed: dict[tuple[str, bool], Listing] = field(default_factory=dict)

    def forget(self) -> None:
        self._listed.clear()

    def read(self, machines: Sequence[Machine], window: Window) -> tuple[list[Reading], list[Gap]]:
        by_region: dict[str, list[Machine]] = defaultdict(list)
        for machine in machines:
            if machine.may_have_run_since(window.started_at):
                by_region[machine.region].append(machine)
        answers = self.session.side_by_side(
            sorted(by_region), lambda region: self._region(region, by_region[region], window)
        )
        readings, gaps = [], []
        for region, answer in answers.items():
            if isinstance(answer, RegionUsage):
                readings.extend(answer.readings)
                gaps.extend(answer.gaps)
            else:
                scope = _scope(by_region[region])
                needs = "cloudwatch:ListMetrics and cloudwatch:GetMetricData"
                gaps.append(gap_from(answer, scope, "GPU metrics", needs))
        return readings, gaps

    def host(self, machine: Machine, window: Window) -> Reading | None:
        """What one machine's CPU, network and disk did; None: it could not be read whole."""
        source = host_source(machine)
        table = Table(
            region=machine.region,
            scope=_scope([machine]),
            sources=[source],
            rows=empty_rows([source]),
            window=window,
        )
        if self.fill(table, [(0, column) for column in WHOLE_HOST]):
            return None
        return next(iter(readings_from(table.sources, table.rows, window)), None)

    def _region(self, region: str, machines: Sequence[Machine], window: Window) -> RegionUsage:
        """Without the listing nobody knows which GPUs report, so the host must not stand in."""
        scope = _scope(machines)
        try:
            listed = self._series(region, window)
        except AWS_ERRORS as error:
            return RegionUsage(
                gaps=[gap_from(error, scope, "GPU metrics", "cloudwatch:ListMetrics")]
            )
        sources, gaps = sources_of(listed, machines)
        rows = empty_rows(sources)
        table = Table(region=region, scope=scope, sources=sources, rows=rows, window=window)
        gaps.extend(self.fill(table, first_asks(sources)))
        gaps.extend(self.fill(table, later_asks(sources, rows)))
        return RegionUsage(
            readings=readings_from(sources, rows, window), gaps=list(dict.fromkeys(gaps))
        )

    def _series(self, region: str, window: Window) -> Listing:
        """The agent's utilisation series; its other metrics have the same dimensions."""
        recent = window.started_at >= self.clock() - RECENT
        for key in ((region, False), (region, recent)):
            if key in self._listed:
                return self._listed[key]
        listed: Listing = []
        for namespace in self.agent_namespaces:
            listed.extend(self._list(region, namespace, recent=recent))
        self._listed[region, recent] = listed
        return listed

    def _list(self, region: str, namespace: str, *, recent: bool) -> Iterator[Mapping[str, Any]]:
        pages = self.session.client("cloudwatch", region).get_paginator("list_metrics")
        narrowed = {"RecentlyActive": "PT3H"} if recent else {}
        for page in pages.paginate(Namespace=namespace, MetricName=GPU_METRIC, **narrowed):
            if "Metrics" not in page:
                raise AnswerCut("no Metrics in it")
            yield from page["Metrics"]

    def fill(self, table: Table, asks: Sequence[Ask]) -> list[Gap]:
        """All these columns of the table, by as few calls as may be."""
        jobs = [partial(self._fill_some, table, batch) for batch in _batches(asks, table.window)]
        return [gap for found in self.session.within_region(jobs) for gap in found]

    def _fill_some(self, table: Table, asks: Sequence[Ask]) -> list[Gap]:
        """One call's columns into the table; what did not come whole is marked and told."""
        asked = queries(table.sources, asks, table.window.period_s)
        try:
            answers = self._ask(table.region, asked, table.window)
        except AWS_ERRORS as error:
            for source, column in asks:
                table.rows[source][column] = FAILED
            return [gap_from(error, table.scope, "GPU metrics", "cloudwatch:GetMetricData")]
        laying = Laying(table.window)
        troubles: Counter[str] = Counter()
        for number, (source, column) in enumerate(asks):
            trouble = _lay(answers.get(f"q{number}"), laying, table.rows[source], column)
            if trouble:
                table.rows[source][column] = FAILED
                troubles[trouble] += 1
        return [_incomplete(troubles, len(asks), table.scope)] if troubles else []

    def _ask(
        self, region: str, asked: list[dict[str, Any]], window: Window
    ) -> Mapping[str, Mapping[str, Any]]:
        """By query id, the times and values of all pages together."""
        client = self.session.client("cloudwatch", region)
        span = {"StartTime": window.started_at, "EndTime": window.ended_at}
        answers: dict[str, Mapping[str, Any]] = {}
        token: dict[str, str] = {}
        for _ in range(PAGES_AT_MOST):
            page = client.get_metric_data(
                MetricDataQueries=asked, ScanBy="TimestampAscending", **span, **token
            )
            self.session.meter.count_metrics(len(asked))
            if "MetricDataResults" not in page:
                raise AnswerCut("no MetricDataResults in it")
            for result in page["MetricDataResults"]:
                answers[result["Id"]] = _continued(answers.get(result["Id"]), result)
            if not page.get("NextToken"):
                return answers
            if page["NextToken"] == token.get("NextToken"):
                break
            token = {"NextToken": page["NextToken"]}
        raise AnswerCut("its pages do not end")


def _batches(asks: Sequence[Ask], window: Window) -> list[Sequence[Ask]]:
    """What goes into one call each."""
    points = max(1, window.intervals)
    size = max(1, min(QUERIES_PER_CALL, POINTS_PER_CALL // points))
    return [asks[begin : begin + size] for begin in range(0, len(asks), size)]


def _continued(before: Mapping[str, Any] | None, result: Mapping[str, Any]) -> Mapping[str, Any]:
    """A page's part of a series behind the earlier ones; the last page tells how it ended."""
    if before is None:
        return result
    return {
        **result,
        "Timestamps": [*before.get("Timestamps", ()), *result.get("Timestamps", ())],
        "Values": [*before.get("Values", ()), *result.get("Values", ())],
    }


def _lay(answer: Mapping[str, Any] | None, laying: Laying, row: Row, column: int) -> str | None:
    """The answer as a column of its row, or what is wrong with it.

    A series that stays partial is not used: a maximum over a part may hide the busy minute.
    """
    if answer is None:
        return "no answer"
    status = answer.get("StatusCode")
    if status != "Complete":
        return str(status or "no status")
    try:
        row[column] = laying.column(answer["Timestamps"], answer["Values"])
    except (KeyError, TypeError, ValueError, struct.error):
        return "not understood"
    return None


def _incomplete(troubles: Counter[str], asked: int, scope: Scope) -> Gap:
    told = ", ".join(f"{count} {trouble}" for trouble, count in sorted(troubles.items()))
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what="GPU metrics",
        why=f"{troubles.total()} of {asked} series did not come whole ({told}) and count as not "
        "measured: the next patrol reads them again",
    )


def _scope(machines: Sequence[Machine]) -> Scope:
    return Scope(provider="aws", account=machines[0].account, region=machines[0].region)
