"""What people press under an incident's message, as values. Pure; needs no SDK and asks nobody.

Slack tells of a press as an *interaction payload* (`block_actions`), over Socket Mode or as a
signed request; https://docs.slack.dev/reference/interaction-payloads/block_actions-payload
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from typing import Any

from watchdog.alerts.slack_text import literal
from watchdog.cleaning import clean

STATUS = "spend-watchdog-answer"
"""Names the block that says what was answered."""
NAME_LIMIT = 60
STATUS_LIMIT = 1900
"""Slack takes 2000 characters; an escaped one counts as the five that it is written with."""
ACTIONS = "actions"
INCIDENT = re.compile(r"incidents/[^/:.]+:[^/:]*:[^/:]*:[^/]+/\w+/\d{8}T\d{6}Z")
"""The key of an incident: machine, boot, and when it was opened."""


class Button(StrEnum):
    KEEP_2H = "keep_2h"
    KEEP_UNTIL_TOMORROW = "keep_until_tomorrow"
    STOP_NOW = "stop_now"
    NOT_MINE = "not_mine"


LASTING: Mapping[Button, timedelta] = {
    Button.KEEP_2H: timedelta(hours=2),
    Button.KEEP_UNTIL_TOMORROW: timedelta(hours=24),
}
"""From the press on. Slack does not say in which time zone its user's tomorrow begins, so tomorrow
is the same time of day.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Press:
    """One press of one button. Slack tells it again where it heard no answer: as the same one."""

    button: Button
    incident: str
    """The key of the incident in the ledger, which the button carries."""
    at: datetime
    name: str
    """The same for the same press alone: Slack's `action_ts`, who pressed, and what."""
    user: str
    """Slack's id of who pressed."""
    user_name: str
    channel: str
    message: str
    """The message's name, `ts`."""
    blocks: tuple[Mapping[str, Any], ...]
    """The message as it stands."""
    text: str
    response_url: str | None

    @property
    def machine(self) -> str:
        """The machine's id, which the incident's key holds."""
        return self.incident.split("/")[1]

    @property
    def by(self) -> str:
        return f"{self.user_name} (Slack {self.user})"

    @property
    def keeps_until(self) -> datetime | None:
        """None: it is no keep."""
        lasting = LASTING.get(self.button)
        return None if lasting is None else self.at + lasting


def press_from(payload: Mapping[str, Any]) -> Press | None:
    """The press that a payload tells of; None: it is none of an incident's buttons."""
    try:
        if payload["type"] != "block_actions":
            return None
        (action,) = payload["actions"]
        message = payload["message"]
        user = payload["user"]
        key = str(action["value"])
        if not INCIDENT.fullmatch(key):
            return None
        return Press(
            button=Button(action["action_id"]),
            incident=key,
            at=datetime.fromtimestamp(float(Decimal(str(action["action_ts"]))), tz=UTC),
            name=f"{action['action_ts']}-{user['id']}-{action['action_id']}",
            user=str(user["id"]),
            user_name=_name(user),
            channel=str(payload["channel"]["id"]),
            message=str(message["ts"]),
            blocks=tuple(dict(block) for block in message.get("blocks", ())),
            text=str(message.get("text") or ""),
            response_url=_text(payload.get("response_url")),
        )
    except (
        AttributeError,
        InvalidOperation,
        KeyError,
        OSError,
        OverflowError,
        TypeError,
        ValueError,
    ):
        return None


def _name(user: Mapping[str, Any]) -> str:
    told = user.get("name") or user.get("username") or user["id"]
    return clean(str(told), NAME_LIMIT) or str(user["id"])


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def refusal(press: Press, allowed: Sequence[str]) -> str | None:
    """Why this person may not press this button; None: they may.

    `allowed`: Slack's ids. Where none is set, everyone who sees the message may keep a machine and
    say that it is not theirs, for that loses no work; nobody may stop one.
    """
    if press.user in allowed:
        return None
    if allowed:
        return "you are not among those who may answer here (setting slack.allowed_users)"
    if press.button is Button.STOP_NOW:
        return (
            "nobody may stop machines from here yet: an operator names who may in the setting"
            f" slack.allowed_users; your id is {press.user}"
        )
    return None


def answered_blocks(
    blocks: Sequence[Mapping[str, Any]], status: str, *, buttons: bool
) -> list[dict[str, Any]]:
    """The message with a line that says what was answered; `buttons` False: with none any more."""
    old = [dict(block) for block in blocks if block.get("block_id") != STATUS]
    pressable = [block for block in old if block.get("type") == ACTIONS]
    rest = [block for block in old if block.get("type") != ACTIONS]
    line = {
        "type": "context",
        "block_id": STATUS,
        "elements": [{"type": "plain_text", "text": _fitting(status), "emoji": False}],
    }
    return [*rest, line, *(pressable if buttons else [])]


def _fitting(status: str) -> str:
    whole = literal(status, STATUS_LIMIT)
    return whole if len(whole) <= STATUS_LIMIT else literal(status, STATUS_LIMIT // 5)
