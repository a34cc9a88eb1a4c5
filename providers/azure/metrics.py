"""Azure Monitor's batches: fifty machines of one subscription, region and kind in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from policies.facts import Window
from providers.azure.session import AzureSession
from providers.errors import AnswerCut

RESOURCES = 50
"""Resources that one batch may name."""
NEEDS = "Microsoft.Insights/metrics/read"

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricAsked:
    """What one batch asks of each resource."""

    namespace: str
    names: tuple[str, ...]
    aggregations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Batch:
    subscription: str
    region: str
    resources: tuple[str, ...]
    """Their paths at Azure Resource Manager."""


Points = Mapping[str, Sequence[Raw]]
"""By metric's name, its points in Azure's words: `timeStamp`, and a value by aggregation."""


def read_batch(
    session: AzureSession, batch: Batch, asked: MetricAsked, window: Window
) -> dict[str, Points]:
    """By resource's path in lower case. Raises one of `AZURE_ERRORS`; what is missing is absent."""
    told: list[Any] = []

    def keep(_: object, body: Any, __: object) -> Any:
        """The SDK's own values do not tell which resource they are of."""
        told.append(body)
        return {"values": []}

    session.metrics(batch.region).query_resources(
        resource_ids=list(batch.resources),
        metric_namespace=asked.namespace,
        metric_names=list(asked.names),
        timespan=(window.started_at, window.ended_at),
        granularity=timedelta(seconds=window.period_s),
        aggregations=list(asked.aggregations),
        cls=keep,
    )
    (body,) = told
    if not isinstance(body, Mapping) or not isinstance(body.get("values"), list):
        raise AnswerCut("no values in it")
    return {_resource(value).lower(): _points(value) for value in body["values"]}


def moment_of_point(point: Raw) -> datetime:
    return datetime.fromisoformat(str(point["timeStamp"]))


def _resource(value: Raw) -> str:
    return str(value["resourceid"])


def _points(value: Raw) -> Points:
    """Metrics that came whole. Without dimensions a metric has one series, or none."""
    found: dict[str, Sequence[Raw]] = {}
    for metric in value["value"]:
        if str(metric.get("errorCode") or "Success") == "Success":
            series = metric.get("timeseries") or ()
            found[str(metric["name"]["value"])] = [
                point for each in series for point in each.get("data") or ()
            ]
    return found
