"""Socket Mode: Slack tells of presses over a WebSocket that we open, so nothing need be reachable.

Each press is acknowledged at once and answered afterwards, one after the other. The SDK opens a
new connection where one ends; https://docs.slack.dev/apis/events-api/using-socket-mode
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Queue
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from watchdog.alerts.slack_answers import APP_TOKEN, NEW_APP_TOKEN, code_in
from watchdog.alerts.slack_calls import (
    LOOPBACK,
    Failure,
    Patience,
    as_mapping,
    silent_logger,
    tried,
    web_client,
)
from watchdog.alerts.slack_settings import SLACK_API, AlertSettingsError, api_base

if TYPE_CHECKING:
    from slack_sdk.socket_mode import SocketModeClient
    from slack_sdk.socket_mode.client import BaseSocketModeClient
    from slack_sdk.socket_mode.request import SocketModeRequest

INTERACTIVE = "interactive"
PREFIX = "xapp-"
WAIT_S = 0.5
"""How long one wait for a press lasts, so that an interruption is heard."""
SHORT = Patience(total_s=15, retries=2)

Payload: TypeAlias = Mapping[str, Any]


class SocketModeError(Exception):
    """Slack cannot be listened to. Says how to mend it."""

    exit_code = 1


def app_token_of(token: str | None) -> str:
    bare = (token or "").strip()
    if not bare:
        raise AlertSettingsError(f"{APP_TOKEN}: not set; {NEW_APP_TOKEN}")
    if not bare.startswith(PREFIX) or not bare.isascii() or not bare.isprintable() or " " in bare:
        raise AlertSettingsError(f"{APP_TOKEN}: no app-level token; {NEW_APP_TOKEN}")
    return bare


@dataclass(slots=True)
class SocketListener:
    """One connection to Slack, which is opened again whenever it ends."""

    app_token: str = field(repr=False)
    notice: Callable[[str], None]
    """Takes a line on what happens to the connection."""
    api_url: str = SLACK_API
    ping_interval_s: float = 5.0
    """How often the connection is looked after; a lost one is opened again within as long."""
    _heard: Queue[Payload] = field(default_factory=Queue, repr=False)

    def run(self, answer: Callable[[Payload], None], *, ended: Callable[[], bool]) -> None:
        """Answer presses until `ended`, and those that were acknowledged by then.

        Raises `SocketModeError` where Slack refuses the token.
        """
        client = self._client()
        try:
            _connect(client)
            self.notice("listening to Slack; Ctrl-C ends it")
            while not ended() or not self._heard.empty():
                with suppress(Empty):
                    answer(self._heard.get(timeout=WAIT_S))
        finally:
            client.close()

    def _client(self) -> SocketModeClient:
        from slack_sdk.socket_mode import SocketModeClient  # noqa: PLC0415 - the SDK is heavy

        base = api_base(self.api_url)
        client = SocketModeClient(
            app_token=self.app_token,
            logger=silent_logger(),
            web_client=web_client(self.app_token, base, SHORT),
            ping_interval=self.ping_interval_s,
            on_close_listeners=[self._closed],
            on_error_listeners=[self._broken],
        )
        host = urlsplit(base).hostname or ""
        if host in LOOPBACK or proxy_bypass(host):
            client.proxy = None  # the SDK takes HTTPS_PROXY and does not know NO_PROXY
        client.socket_mode_request_listeners.append(self._take)
        return client

    def _take(self, client: BaseSocketModeClient, request: SocketModeRequest) -> None:
        """Acknowledged first: Slack waits three seconds, and tells of the press again elsewhere."""
        from slack_sdk.socket_mode.response import SocketModeResponse  # noqa: PLC0415

        client.send_socket_mode_response(SocketModeResponse(envelope_id=request.envelope_id))
        if request.type == INTERACTIVE:
            self._heard.put(request.payload)

    def _closed(self, code: int, reason: str | None) -> None:
        del reason
        self.notice(f"Slack closed the connection ({code}); it is opened again")

    def _broken(self, error: Exception) -> None:
        self.notice(f"the connection to Slack broke ({type(error).__name__}); it is opened again")


def _connect(client: SocketModeClient) -> None:
    """Raises `SocketModeError` where Slack refuses it, or cannot be asked."""
    from slack_sdk.errors import SlackApiError  # noqa: PLC0415 - the SDK is heavy

    refused: list[str] = []

    def connect() -> None:
        try:
            client.connect()
        except SlackApiError as error:
            code = code_in(as_mapping(error.response.data).get("error"))
            refused.extend([] if code is None else [code])
            raise

    opened = tried(connect)
    if isinstance(opened, Failure):
        why = f"Slack answered {refused[0]}: {NEW_APP_TOKEN}" if refused else opened.why
        raise SocketModeError(f"{APP_TOKEN}: {why}")
