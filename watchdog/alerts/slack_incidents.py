"""Incidents in Slack: one message each, updated in place, with its history in the thread.

The SDK is imported when a message is sent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import IncidentNews, Message
from watchdog.alerts.slack import AS_WRITTEN, DEFAULT_PATIENCE, UNFURLED
from watchdog.alerts.slack_answers import OK, WEBHOOK, answered_badly
from watchdog.alerts.slack_calls import (
    Failure,
    Patience,
    as_mapping,
    as_text,
    tried,
    web_client,
    webhook_client,
)
from watchdog.alerts.slack_settings import SLACK_API, address_of, api_base, token_of


@dataclass(frozen=True, slots=True)
class SlackIncidents:
    """By a bot's token. A channel that cannot be reached is a failed delivery, never an error."""

    token: str = field(repr=False)
    channel: str
    api_url: str = SLACK_API
    patience: Patience = DEFAULT_PATIENCE
    buttons: bool = False
    """Whether anything answers them: a button that does nothing is worse than none."""

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        shown = tried(lambda: self._shown(news, known))
        if isinstance(shown, Failure):
            return Delivery(channel=self.channel, delivered=False, why=shown.why)
        return Delivery(
            channel=str(shown.get("channel") or self.channel),
            delivered=True,
            why=f"posted to {self.channel}",
            ts=as_text(shown.get("ts")),
        )

    def _shown(self, news: IncidentNews, known: Sequence[Message]) -> Mapping[str, Any]:
        from watchdog.alerts.slack_incident_blocks import blocks  # noqa: PLC0415 - the SDK

        client = web_client(token_of(self.token), api_base(self.api_url), self.patience)
        built = blocks(news, buttons=self.buttons)
        message = {"text": news.headline, "blocks": built, **AS_WRITTEN}
        if not known:
            posted = client.chat_postMessage(channel=self.channel, **message, **UNFURLED)
            return as_mapping(posted.data)
        channel, ts = known[-1]
        updated = client.chat_update(channel=channel, ts=ts, **message)
        client.chat_postMessage(channel=channel, thread_ts=ts, text=news.history, **AS_WRITTEN)
        return as_mapping(updated.data)


@dataclass(frozen=True, slots=True)
class WebhookIncidents:
    """By an incoming webhook: it cannot update, so each state is a message of its own."""

    url: str = field(repr=False)
    patience: Patience = DEFAULT_PATIENCE

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        del known
        failed = tried(lambda: self._post(news))
        name = "Slack webhook"
        if isinstance(failed, Failure):
            return Delivery(channel=name, delivered=False, why=failed.why)
        return Delivery(channel=name, delivered=True, why=f"posted by the {name}")

    def _post(self, news: IncidentNews) -> Failure | None:
        from watchdog.alerts.slack_incident_blocks import blocks  # noqa: PLC0415 - the SDK

        message = {
            "text": news.headline,
            "blocks": blocks(news, buttons=False),
            **UNFURLED,
            **AS_WRITTEN,
        }
        answer = webhook_client(address_of(self.url, WEBHOOK), self.patience).send_dict(message)
        if answer.status_code == OK and (answer.body or "").strip() == "ok":
            return None
        return Failure(answered_badly(answer.status_code, WEBHOOK))
