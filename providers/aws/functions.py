"""Lambda functions that go on after they have answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import boto3


def invoke_later(function: str, event: Mapping[str, Any]) -> None:
    """Returns once Lambda has the event in its queue. Raises what AWS answers."""
    client: Any = boto3.Session().client("lambda")
    client.invoke(FunctionName=function, InvocationType="Event", Payload=json.dumps(event).encode())
