"""Slack's signed requests, as a function URL or any HTTP server gets them.

`handle` is all that a server needs: it checks the signature, answers at once, as Slack wants
within three seconds, and hands the payload on to be answered afterwards.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs

OK, BAD_REQUEST, UNSIGNED = 200, 400, 401

Later = Callable[[Mapping[str, Any]], None]
"""Takes a payload to be answered once the request was; it must not take long itself."""


def handle(
    headers: Mapping[str, str], body: str, now: datetime, *, secret: str, later: Later
) -> tuple[int, str]:
    """Status and text of the answer to one request. `body`: as it came, undecoded by anybody.

    A signature that is missing, wrong or more than five minutes off is 401, and nothing is done.
    """
    if not signed(headers, body, now, secret):
        return UNSIGNED, "the signature is missing, wrong or too old"
    form = parse_qs(body)
    if "ssl_check" in form:
        return OK, ""
    payload = _payload(form)
    if payload is None:
        return BAD_REQUEST, "there is no payload that can be read"
    later(payload)
    return OK, ""


def signed(headers: Mapping[str, str], body: str, now: datetime, secret: str) -> bool:
    """Whether Slack signed this with the app's signing secret, at most five minutes ago."""
    from slack_sdk.signature import Clock, SignatureVerifier  # noqa: PLC0415 - the SDK is heavy

    class Now(Clock):
        def now(self) -> float:
            return now.timestamp()

    try:
        return SignatureVerifier(secret, Now()).is_valid_request(body, dict(headers))
    except (TypeError, ValueError):  # a time that is no number, a signature that is no text
        return False


def _payload(form: Mapping[str, list[str]]) -> Mapping[str, Any] | None:
    try:
        payload = json.loads(form["payload"][0])
    except (KeyError, ValueError):
        return None
    return payload if isinstance(payload, dict) else None
