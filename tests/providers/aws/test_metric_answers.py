"""Metric answers are taken as botocore would have read them, or left to it."""

import json
from typing import Any

import botocore.session
import pytest
from botocore.parsers import JSONParser

from providers.aws import metric_answers
from providers.aws.times import moment

MODEL = botocore.session.get_session().get_service_model("cloudwatch")
ANSWER = {
    "MetricDataResults": [
        {
            "Id": "q0",
            "Label": "CPUUtilization",
            "Timestamps": [1760000000, 1760000300.0],
            "Values": [1.5, 0.0],
            "StatusCode": "Complete",
        },
        {"Id": "q1", "Timestamps": [], "Values": [], "StatusCode": "InternalError"},
        {"Id": "q2", "StatusCode": "Complete"},
    ],
    "NextToken": "more",
    "Messages": [{"Code": "MaxMetricsExceeded", "Value": "2"}],
}


def raw(
    body: object, status: int = 200, kind: str = "application/x-amz-json-1.0"
) -> dict[str, Any]:
    text = body if isinstance(body, str) else json.dumps(body)
    return {"status_code": status, "headers": {"content-type": kind}, "body": text.encode()}


def read(response: dict[str, Any]) -> dict[str, Any]:
    """As botocore goes on after the event."""
    taken: dict[str, Any] = {}
    metric_answers.take(response_dict=response, customized_response_dict=taken)
    return {**plainly(response), **taken}


def plainly(response: dict[str, Any]) -> dict[str, Any]:
    parser: Any = JSONParser(timestamp_parser=moment)
    shape = MODEL.operation_model("GetMetricData").output_shape
    parsed: dict[str, Any] = parser.parse(response, shape)
    return parsed


def test_an_answer_reads_as_botocore_reads_it() -> None:
    told, expected = read(raw(ANSWER)), plainly(raw(ANSWER))
    assert told == expected


def test_most_of_the_walk_is_saved() -> None:
    response = raw(ANSWER)
    taken: dict[str, Any] = {}
    metric_answers.take(response_dict=response, customized_response_dict=taken)
    assert set(taken) == {"MetricDataResults"}
    assert b"Timestamps" not in response["body"]


@pytest.mark.parametrize(
    "response",
    [
        raw({"__type": "Throttling"}, status=400),
        raw("<GetMetricDataResponse/>", kind="text/xml"),
        raw('{"MetricDataResults": [{"Id": "q0", "Timest'),
        raw({"Messages": []}),
        raw({"MetricDataResults": None}),
        raw({"MetricDataResults": [{"Id": "q0", "Timestamps": ["soon"], "Values": [1]}]}),
        raw({"MetricDataResults": [{"Id": "q0", "Timestamps": [1e300], "Values": [1]}]}),
        raw({"MetricDataResults": [{"Id": "q0", "Timestamps": [[]], "Values": [1]}]}),
        raw({"MetricDataResults": ["q0"]}),
        raw([1]),
    ],
)
def test_anything_else_is_left_to_botocore(response: dict[str, Any]) -> None:
    taken: dict[str, Any] = {}
    body = response["body"]
    metric_answers.take(response_dict=response, customized_response_dict=taken)
    assert not taken
    assert response["body"] == body
