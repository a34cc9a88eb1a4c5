"""Presses of buttons as Slack tells of them, and its signature."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from tests.fake_slack import CHANNEL_ID, TS

SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
"""The one of Slack's own documentation."""


def press(
    button: str,
    incident: str,
    *,
    at: datetime,
    user: str = "U0ANA",
    name: str = "ana",
    blocks: Sequence[Mapping[str, Any]] = (),
    response_url: str | None = None,
    ts: str = TS,
) -> dict[str, Any]:
    """The payload of a press; https://docs.slack.dev/reference/interaction-payloads."""
    action = {
        "action_id": button,
        "block_id": "b1",
        "type": "button",
        "value": incident,
        "text": {"type": "plain_text", "text": button},
        "action_ts": f"{at.timestamp():.6f}",
    }
    return {
        "type": "block_actions",
        "team": {"id": "T1", "domain": "acme"},
        "user": {"id": user, "username": name, "name": name, "team_id": "T1"},
        "channel": {"id": CHANNEL_ID, "name": "gpu-costs"},
        "container": {"type": "message", "message_ts": ts, "channel_id": CHANNEL_ID},
        "trigger_id": f"1.{at.timestamp():.6f}",
        "message": {
            "type": "message",
            "ts": ts,
            "text": "trainer-1 is idle",
            "blocks": list(blocks),
        },
        "actions": [action],
        **({} if response_url is None else {"response_url": response_url}),
    }


def request(
    payload: Mapping[str, Any], signed_at: datetime, *, secret: str = SECRET
) -> tuple[dict[str, str], str]:
    """Headers and body of the signed request that tells of it."""
    body = urlencode({"payload": json.dumps(payload)})
    stamp = str(int(signed_at.timestamp()))
    digest = hmac.new(secret.encode(), f"v0:{stamp}:{body}".encode(), hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/x-www-form-urlencoded",
        "X-Slack-Request-Timestamp": stamp,
        "X-Slack-Signature": f"v0={digest}",
    }
    return headers, body
