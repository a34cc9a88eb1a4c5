"""Answers of GetMetricData, taken from their JSON at once.

botocore walks through them value by value, by its description of the operation; with half a million
points a patrol that takes longer than everything that is then done with them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from providers.aws.times import moment

EVENT = "before-parse.cloudwatch.GetMetricData"


def take(
    response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object
) -> None:
    """Called by botocore with the raw answer; leaves it alone unless it is what was expected."""
    if response_dict["status_code"] != 200 or "json" not in _content_type(response_dict):  # noqa: PLR2004
        return
    try:
        answer = json.loads(response_dict["body"])
        results = [_read(each) for each in answer["MetricDataResults"]]
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, OSError):
        return
    customized_response_dict["MetricDataResults"] = results
    rest = {name: told for name, told in answer.items() if name != "MetricDataResults"}
    response_dict["body"] = json.dumps(rest).encode()


def _content_type(response: Mapping[str, Any]) -> str:
    return str(response["headers"].get("content-type", ""))


def _read(result: Mapping[str, Any]) -> dict[str, Any]:
    """Times come as seconds since 1970."""
    if "Timestamps" not in result:
        return {**result}
    return {**result, "Timestamps": [*map(moment, result["Timestamps"])]}
