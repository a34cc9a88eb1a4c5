"""Sums of CloudWatch metrics by the clock hour: series as the listing names them, 500 a call."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from math import isfinite
from typing import Any

from policies.facts import Gap, Scope, Window
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.session import AwsSession
from providers.errors import AnswerCut

QUERIES_PER_CALL = 500
PAGES_AT_MOST = 1000
WHAT = "egress metrics"
LISTS = "cloudwatch:ListMetrics"
READS = "cloudwatch:GetMetricData"

Hours = dict[datetime, int]
"""Bytes by the beginning of a clock hour; an hour without a point is not in it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One series of CloudWatch."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    """In the order of the listing."""

    def dimension(self, name: str) -> str | None:
        return dict(self.dimensions).get(name)


def listed(
    session: AwsSession, region: str, namespace: str, *, recent: bool, **narrowed: object
) -> Iterator[Metric]:
    """The series that there are. Raises one of `AWS_ERRORS`.

    `recent`: only those with a point in the last three hours.
    """
    pages = session.client("cloudwatch", region).get_paginator("list_metrics")
    if recent:
        narrowed["RecentlyActive"] = "PT3H"
    for page in pages.paginate(Namespace=namespace, **narrowed):
        if "Metrics" not in page:
            raise AnswerCut("no Metrics in it")
        for told in page["Metrics"]:
            dimensions = tuple((each["Name"], each["Value"]) for each in told["Dimensions"])
            yield Metric(told["Namespace"], told["MetricName"], dimensions)


def sums(
    session: AwsSession, scope: Scope, metrics: Sequence[Metric], window: Window
) -> tuple[dict[Metric, Hours], list[Gap]]:
    """What each series adds up to in each hour of the window, which lies on clock hours.

    A series that could not be read whole is absent, and the gap tells of it.
    """
    batches = [
        metrics[begin : begin + QUERIES_PER_CALL]
        for begin in range(0, len(metrics), QUERIES_PER_CALL)
    ]
    jobs = [partial(_batch, session, scope, batch, window) for batch in batches]
    found: dict[Metric, Hours] = {}
    gaps: list[Gap] = []
    for values, trouble in session.within_region(jobs) if jobs else ():
        found |= values
        gaps += trouble
    return found, list(dict.fromkeys(gaps))


def _batch(
    session: AwsSession, scope: Scope, metrics: Sequence[Metric], window: Window
) -> tuple[dict[Metric, Hours], list[Gap]]:
    try:
        answers = _asked(session, str(scope.region), metrics, window)
    except AWS_ERRORS as error:
        return {}, [gap_from(error, scope, WHAT, READS)]
    found: dict[Metric, Hours] = {}
    troubles: Counter[str] = Counter()
    for number, metric in enumerate(metrics):
        hours = _hours(answers.get(f"e{number}", []), window)
        if isinstance(hours, str):
            troubles[hours] += 1
        else:
            found[metric] = hours
    return found, [_incomplete(troubles, len(metrics), scope)] if troubles else []


def _asked(
    session: AwsSession, region: str, metrics: Sequence[Metric], window: Window
) -> Mapping[str, list[Mapping[str, Any]]]:
    """By query id, its results page by page; the last one tells how it ended."""
    client = session.client("cloudwatch", region)
    asked = [_query(number, metric, window.period_s) for number, metric in enumerate(metrics)]
    span = {"StartTime": window.started_at, "EndTime": window.ended_at}
    answers: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    token: dict[str, str] = {}
    for _ in range(PAGES_AT_MOST):
        page = client.get_metric_data(
            MetricDataQueries=asked, ScanBy="TimestampAscending", **span, **token
        )
        session.meter.count_metrics(len(asked))
        if "MetricDataResults" not in page:
            raise AnswerCut("no MetricDataResults in it")
        for result in page["MetricDataResults"]:
            answers[result["Id"]].append(result)
        if not page.get("NextToken"):
            return answers
        if page["NextToken"] == token.get("NextToken"):
            break
        token = {"NextToken": page["NextToken"]}
    raise AnswerCut("its pages do not end")


def _query(number: int, metric: Metric, period_s: int) -> dict[str, Any]:
    dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
    named = {
        "Namespace": metric.namespace,
        "MetricName": metric.name,
        "Dimensions": dimensions,
    }
    stat = {"Metric": named, "Period": period_s, "Stat": "Sum"}
    return {"Id": f"e{number}", "MetricStat": stat}


def _hours(results: Sequence[Mapping[str, Any]], window: Window) -> Hours | str:
    """Bytes by hour, or what is wrong with the answer: a part of a series is not its sum."""
    if not results:
        return "no answer"
    status = results[-1].get("StatusCode")
    if status != "Complete":
        return str(status or "no status")
    try:
        pairs = [
            pair
            for result in results
            for pair in zip(result["Timestamps"], result["Values"], strict=True)
        ]
        if not all(isfinite(value) and value >= 0 for _, value in pairs):
            return "not understood"
        return {
            moment: round(value)
            for moment, value in pairs
            if window.started_at <= moment < window.ended_at
        }
    except (KeyError, TypeError, ValueError):
        return "not understood"


def _incomplete(troubles: Counter[str], asked: int, scope: Scope) -> Gap:
    told = ", ".join(f"{count} {trouble}" for trouble, count in sorted(troubles.items()))
    return Gap(
        provider=scope.provider,
        account=scope.account,
        region=scope.region,
        what=WHAT,
        why=f"{troubles.total()} of {asked} series did not come whole ({told}) and count as not "
        "measured: the next patrol reads them again",
    )
