"""Slack: by a bot's token, or by an incoming webhook. The SDK is imported when a message is sent.

One message a patrol. Whatever Slack does, the patrol goes on: a failure is a `Delivery`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from watchdog.alerts.delivery import Delivery, Notifier
from watchdog.alerts.slack_answers import (
    OK,
    TOO_MANY_REQUESTS,
    WEBHOOK,
    WEBHOOK_REMEDIES,
    answered_badly,
    code_in,
    refused,
)
from watchdog.alerts.slack_calls import (
    Failure,
    Patience,
    as_mapping,
    as_text,
    header_of,
    retry_after_s,
    tried,
    web_client,
    webhook_client,
)
from watchdog.alerts.slack_settings import (
    SLACK_API,
    AlertSettingsError,
    address_of,
    api_base,
    channel_of,
    token_of,
)
from watchdog.cleaning import clean

if TYPE_CHECKING:
    from watchdog.alerts.incident_news import IncidentChannel
    from watchdog.alerts.message import Alert

__all__ = [
    "AlertSettingsError",
    "Delivery",
    "Notifier",
    "SlackBot",
    "SlackWebhook",
    "check_slack",
    "notifiers_from",
]

POSTING = "chat:write"
SCOPES_HEADER = "x-oauth-scopes"
UNFURLED: Mapping[str, Any] = {"unfurl_links": False, "unfurl_media": False}
AS_WRITTEN: Mapping[str, Any] = {"parse": "none", "link_names": False, "mrkdwn": False}
"""The fallback text is shown as it stands: no formatting, no link, no mention."""
DEFAULT_PATIENCE = Patience()
SHORT_PATIENCE = Patience(total_s=15, retries=2)
"""For a check that a person waits for."""


@dataclass(frozen=True, slots=True)
class SlackBot:
    """Posts with a bot's token; the message can be updated later by `ts`."""

    token: str = field(repr=False)
    channel: str
    """Its id or its name."""
    api_url: str = SLACK_API
    patience: Patience = DEFAULT_PATIENCE

    def __call__(self, alert: Alert) -> Delivery:
        def post() -> Mapping[str, Any]:
            from watchdog.alerts.slack_blocks import blocks, fallback  # noqa: PLC0415 - the SDK

            base = api_base(self.api_url)
            client = web_client(token_of(self.token), base, self.patience)
            return as_mapping(
                client.chat_postMessage(
                    channel=self.channel,
                    text=fallback(alert),
                    blocks=blocks(alert),
                    **UNFURLED,
                    **AS_WRITTEN,
                ).data
            )

        posted = tried(post)
        if isinstance(posted, Failure):
            return Delivery(channel=self.channel, delivered=False, why=posted.why)
        return Delivery(
            channel=str(posted.get("channel") or self.channel),
            delivered=True,
            why=f"posted to {self.channel}",
            ts=as_text(posted.get("ts")),
        )


@dataclass(frozen=True, slots=True)
class SlackWebhook:
    """Posts by an incoming webhook, whose address is its secret. It cannot update a message."""

    url: str = field(repr=False)
    patience: Patience = DEFAULT_PATIENCE

    def __call__(self, alert: Alert) -> Delivery:
        failed = tried(lambda: self._post(alert))
        if isinstance(failed, Failure):
            return Delivery(channel=self.name, delivered=False, why=failed.why)
        return Delivery(channel=self.name, delivered=True, why=f"posted by the {self.name}")

    @property
    def name(self) -> str:
        return "Slack webhook"

    def _post(self, alert: Alert) -> Failure | None:
        from watchdog.alerts.slack_blocks import blocks, fallback  # noqa: PLC0415 - the SDK

        message = {"text": fallback(alert), "blocks": blocks(alert), **UNFURLED, **AS_WRITTEN}
        answer = webhook_client(address_of(self.url, WEBHOOK), self.patience).send_dict(message)
        body = (answer.body or "").strip()
        if answer.status_code == OK and body == "ok":
            return None
        code = code_in(body)
        if code is not None and answer.status_code not in {OK, TOO_MANY_REQUESTS}:
            return Failure(refused(code, WEBHOOK_REMEDIES))
        asked = retry_after_s(answer.headers)
        return Failure(answered_badly(answer.status_code, WEBHOOK, retry_after_s=asked))


def notifiers_from(
    *,
    token: str | None = None,
    channel: str | None = None,
    webhook_url: str | None = None,
    api_url: str = SLACK_API,
) -> tuple[Notifier, ...]:
    """The channels that are set, a bot first. Raises `AlertSettingsError` where half is missing."""
    found: list[Notifier] = []
    if token:
        found.append(SlackBot(token_of(token), channel_of(channel), api_base(api_url)))
    if webhook_url:
        found.append(SlackWebhook(address_of(webhook_url, WEBHOOK)))
    return tuple(found)


def incident_channels_from(
    *,
    token: str | None = None,
    channel: str | None = None,
    webhook_url: str | None = None,
    api_url: str = SLACK_API,
    buttons: bool = False,
) -> tuple[IncidentChannel, ...]:
    """The channels that show incidents; `buttons`: whether anything answers them.

    Raises `AlertSettingsError` where half is missing.
    """
    from watchdog.alerts.slack_incidents import (  # noqa: PLC0415 - it imports this module
        SlackIncidents,
        WebhookIncidents,
    )

    found: list[IncidentChannel] = []
    if token:
        base = api_base(api_url)
        found.append(SlackIncidents(token_of(token), channel_of(channel), base, buttons=buttons))
    if webhook_url:
        found.append(WebhookIncidents(address_of(webhook_url, WEBHOOK)))
    return tuple(found)


def check_slack(
    token: str,
    channel: str | None,
    api_url: str = SLACK_API,
    *,
    patience: Patience = SHORT_PATIENCE,
) -> tuple[bool, str]:
    """Whether a bot could post, as far as that shows without posting; and one sentence."""
    try:
        token, base = token_of(token), api_base(api_url)
        named = channel_of(channel)
    except AlertSettingsError as error:
        return False, str(error)
    found = tried(lambda: _signed_in(token, base, patience))
    if isinstance(found, Failure):
        return False, found.why
    who, scopes = found
    if scopes is not None and POSTING not in scopes:
        return False, refused("missing_scope", needed=POSTING)
    return True, f"the token is good: {who}; posts to {named}, which only a message can prove"


def _signed_in(token: str, base: str, patience: Patience) -> tuple[str, frozenset[str] | None]:
    answer = web_client(token, base, patience).auth_test()
    told = as_mapping(answer.data)
    user = told.get("user") or told.get("user_id") or "a bot"
    team = told.get("team") or told.get("team_id") or "an unnamed workspace"
    scopes = header_of(answer.headers, SCOPES_HEADER)
    who = clean(f"{user} in {team}", 120)
    return who, None if scopes is None else frozenset(re.split(r"[,\s]+", scopes))
