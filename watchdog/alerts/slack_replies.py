"""Answers to who pressed a button: in the message itself, in its thread, or to that person alone.

The SDK is imported when something is sent. What cannot be sent is a sentence, never an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from watchdog.alerts.answers import Press, answered_blocks
from watchdog.alerts.slack import AS_WRITTEN, DEFAULT_PATIENCE, UNFURLED
from watchdog.alerts.slack_answers import OK
from watchdog.alerts.slack_calls import Failure, Patience, tried, web_client, webhook_client
from watchdog.alerts.slack_settings import SLACK_API
from watchdog.alerts.slack_text import neutral

LIMIT = 2900


@dataclass(frozen=True, slots=True)
class SlackReplies:
    """By the bot's token. Each method gives None, or why it failed."""

    token: str = field(repr=False)
    api_url: str = SLACK_API
    patience: Patience = DEFAULT_PATIENCE

    def update(self, press: Press, status: str, *, buttons: bool) -> str | None:
        """The message says it from now on, and so does its thread."""
        blocks = answered_blocks(press.blocks, status, buttons=buttons)
        client = web_client(self.token, self.api_url, self.patience)
        return _failure(
            lambda: client.chat_update(
                channel=press.channel,
                ts=press.message,
                text=press.text or neutral(status, LIMIT),
                blocks=blocks,
                **AS_WRITTEN,
            )
        ) or self.thread(press, status)

    def thread(self, press: Press, text: str) -> str | None:
        client = web_client(self.token, self.api_url, self.patience)
        return _failure(
            lambda: client.chat_postMessage(
                channel=press.channel,
                thread_ts=press.message,
                text=neutral(text, LIMIT),
                **UNFURLED,
                **AS_WRITTEN,
            )
        )

    def whisper(self, press: Press, text: str) -> str | None:
        """To nobody but who pressed, by the address that Slack sent (good for 30 minutes)."""
        if press.response_url is not None and self._responded(press.response_url, text):
            return None
        client = web_client(self.token, self.api_url, self.patience)
        return _failure(
            lambda: client.chat_postEphemeral(
                channel=press.channel, user=press.user, text=neutral(text, LIMIT), **AS_WRITTEN
            )
        )

    def _responded(self, url: str, text: str) -> bool:
        message = {
            "response_type": "ephemeral",
            "replace_original": False,
            "text": neutral(text, LIMIT),
        }
        answer = tried(lambda: webhook_client(url, self.patience).send_dict(message))
        return not isinstance(answer, Failure) and answer.status_code == OK


def _failure(call: Callable[[], object]) -> str | None:
    done = tried(call)
    return done.why if isinstance(done, Failure) else None
