"""CloudWatch's three reading operations, answered from an index.

moto looks at every point for every query, and at every period for every point: even with an index
of series a third of a millisecond a query, so that the server would be measured, not its clients.
"""

import json
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

from tests.bench.gpu_fleet import Metric
from tests.moto_aws import Call

STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "Average": lambda values: sum(values) / len(values),
    "Maximum": max,
    "Minimum": min,
    "SampleCount": lambda values: float(len(values)),
    "Sum": sum,
}
SERIES_PER_PAGE = 500
QUERIES_PER_CALL = 500

Key = tuple[str, str, str, frozenset[tuple[str, str]]]
"""Region, namespace, name and dimensions."""
Rows = list[Mapping[str, Any]]


class QuickCloudWatch:
    """Series of constant values that all have points at the same times."""

    def __init__(self, times: Sequence[int]) -> None:
        """`times`: seconds since 1970, ascending."""
        self._times = times
        self._values: dict[Key, float] = {}
        self._listed: dict[tuple[str, str, str], Rows] = {}
        self._by_part: dict[tuple[str, str, str, str, str], list[float]] = {}
        self._periods = lru_cache(maxsize=64)(self._periods_between)
        self._operations: Mapping[str, Callable[[Call], Mapping[str, Any]]] = {
            "cloudwatch:GetMetricData": self._metric_data,
            "cloudwatch:GetMetricStatistics": self._metric_statistics,
            "cloudwatch:ListMetrics": self._list_metrics,
        }

    def add(self, region: str, series: Iterable[tuple[Metric, float]]) -> None:
        for (namespace, name, dimensions), value in series:
            self._values[region, namespace, name, frozenset(dimensions.items())] = value
            told = [{"Name": key, "Value": part} for key, part in dimensions.items()]
            row = {"Namespace": namespace, "MetricName": name, "Dimensions": told}
            self._listed.setdefault((region, namespace, name), []).append(row)
            for part in dimensions.items():
                self._by_part.setdefault((region, namespace, name, *part), []).append(value)

    def answer(self, call: Call) -> bytes | None:
        """None for every other operation."""
        operation = self._operations.get(call.operation)
        return None if operation is None else json.dumps(operation(call)).encode()

    def _list_metrics(self, call: Call) -> Mapping[str, Any]:
        asked = call.parameters
        rows = self._rows(call.region, asked["Namespace"], asked.get("MetricName"))
        begin = int(asked.get("NextToken") or 0)
        end = begin + SERIES_PER_PAGE
        more = {"NextToken": str(end)} if end < len(rows) else {}
        return {"Metrics": rows[begin:end], **more}

    def _rows(self, region: str, namespace: str, name: str | None) -> Rows:
        """Without a name, all metrics of the namespace."""
        if name is not None:
            return self._listed.get((region, namespace, name), [])
        keys = [key for key in self._listed if key[:2] == (region, namespace)]
        return [row for key in keys for row in self._listed[key]]

    def _metric_data(self, call: Call) -> Mapping[str, Any]:
        asked = call.parameters
        if len(asked["MetricDataQueries"]) > QUERIES_PER_CALL:
            raise ValueError(f"{len(asked['MetricDataQueries'])} queries in one call")
        descending = asked.get("ScanBy", "TimestampDescending") == "TimestampDescending"
        results = [self._result(call.region, query, asked) for query in asked["MetricDataQueries"]]
        if descending:
            for result in results:
                result["Timestamps"] = result["Timestamps"][::-1]
                result["Values"] = result["Values"][::-1]
        return {"MetricDataResults": results, "Messages": []}

    def _result(
        self, region: str, query: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> dict[str, Any]:
        metric = query["MetricStat"]["Metric"]
        dimensions = frozenset((each["Name"], each["Value"]) for each in metric["Dimensions"])
        value = self._values.get((region, metric["Namespace"], metric["MetricName"], dimensions))
        found = [] if value is None else [value]
        times, values = self._statistic(found, asked, query["MetricStat"])
        return {
            "Id": query["Id"],
            "Label": metric["MetricName"],
            "Timestamps": times,
            "Values": values,
            "StatusCode": "Complete",
        }

    def _metric_statistics(self, call: Call) -> Mapping[str, Any]:
        """As moto does, a part of the dimensions is enough: then several series are taken together.

        At the real service the agent must publish such a series (`aggregation_dimensions`).
        """
        asked = call.parameters
        (part,) = asked["Dimensions"]
        (statistic,) = asked["Statistics"]
        key = (call.region, asked["Namespace"], asked["MetricName"], part["Name"], part["Value"])
        found = self._by_part.get(key, [])
        times, values = self._statistic(found, asked, {**asked, "Stat": statistic})
        return {
            "Label": asked["MetricName"],
            "Datapoints": [
                {"Timestamp": time, statistic: value, "Unit": "None"}
                for time, value in zip(times, values, strict=True)
            ],
        }

    def _statistic(
        self, found: Sequence[float], span: Mapping[str, Any], what: Mapping[str, Any]
    ) -> tuple[list[int], list[float]]:
        """By period, the statistic over the points of these series."""
        if not found:
            return [], []
        times, counts = self._periods(span["StartTime"], span["EndTime"], what["Period"])
        statistic = STATISTICS[what["Stat"]]
        by_count = {count: statistic([*found] * count) for count in set(counts)}
        return times, [by_count[count] for count in counts]

    def _periods_between(
        self, start: float, end: float, period_s: int
    ) -> tuple[list[int], list[int]]:
        """Starts of the periods that have points, and how many; a period begins at its multiple."""
        first = bisect_left(self._times, int(start // period_s * period_s))
        counts: dict[int, int] = {}
        for moment in self._times[first : bisect_left(self._times, end)]:
            begin = moment // period_s * period_s
            counts[begin] = counts.get(begin, 0) + 1
        return list(counts), list(counts.values())
