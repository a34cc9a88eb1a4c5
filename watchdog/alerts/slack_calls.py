"""One call to Slack: the clients, and a sentence for whatever goes wrong.

The SDK is imported inside the functions that need it.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from watchdog.alerts.slack_answers import (
    API_URL,
    OK,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    answered_badly,
    code_in,
    refused,
    unreachable,
)
from watchdog.alerts.slack_settings import AlertSettingsError

if TYPE_CHECKING:
    from slack_sdk import WebClient, WebhookClient
    from slack_sdk.errors import SlackApiError

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long one message may take, and the clock by which that is measured."""

    total_s: float = 60.0
    """No wait begins that would end later."""
    retries: int = 4
    call_s: int = 10
    """A single call is given up after this silence."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True, slots=True)
class Failure:
    why: str


def web_client(token: str, base: str, patience: Patience) -> WebClient:
    from slack_sdk import WebClient  # noqa: PLC0415 - heavy, and not for --help

    from watchdog.alerts.slack_retries import retry_handlers  # noqa: PLC0415

    client = WebClient(
        token=token,
        base_url=base,
        timeout=patience.call_s,
        logger=silent_logger(),
        retry_handlers=retry_handlers(patience),
    )
    _past_the_proxy(client, base)
    return client


def webhook_client(url: str, patience: Patience) -> WebhookClient:
    from slack_sdk import WebhookClient  # noqa: PLC0415 - heavy, and not for --help

    from watchdog.alerts.slack_retries import retry_handlers  # noqa: PLC0415

    client = WebhookClient(
        url,
        timeout=patience.call_s,
        logger=silent_logger(),
        retry_handlers=retry_handlers(patience),
    )
    _past_the_proxy(client, url)
    return client


def _past_the_proxy(client: WebClient | WebhookClient, url: str) -> None:
    """The SDK takes HTTPS_PROXY from the environment and does not know NO_PROXY."""
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK or proxy_bypass(host):
        client.proxy = None


def silent_logger() -> logging.Logger:
    """The SDK's log would quote addresses and tokens; what matters stands in the `Delivery`."""
    logger = logging.getLogger("watchdog.alerts.slack.sdk")
    logger.setLevel(logging.CRITICAL + 1)
    return logger


def tried(call: Callable[[], T]) -> T | Failure:
    """The only place where the SDK may fail; everything it raises becomes a sentence."""
    from slack_sdk.errors import SlackApiError  # noqa: PLC0415 - heavy, and not for --help

    try:
        return call()
    except AlertSettingsError as error:
        return Failure(str(error))
    except SlackApiError as error:
        return Failure(_api_failure(error))
    except (OSError, HTTPException) as error:
        return Failure(unreachable(error))
    except (json.JSONDecodeError, UnicodeDecodeError):
        return Failure(answered_badly(OK, API_URL))
    except Exception as error:  # noqa: BLE001 - nothing that a message does may end a patrol
        return Failure(f"the message could not be sent ({type(error).__name__})")


def _api_failure(error: SlackApiError) -> str:
    response = error.response
    told = as_mapping(response.data)
    code = code_in(told.get("error"))
    status = int(response.status_code)
    if code is not None and status < SERVER_ERROR and status != TOO_MANY_REQUESTS:
        return refused(code, needed=as_text(told.get("needed")))
    return answered_badly(status, API_URL, retry_after_s=retry_after_s(response.headers))


def retry_after_s(headers: Mapping[str, Any]) -> float | None:
    """What the answer asks to wait; None where it asks for nothing that can be read."""
    asked = header_of(headers, "retry-after")
    return float(asked) if asked is not None and asked.strip().isdecimal() else None


def header_of(headers: Mapping[str, Any], name: str) -> str | None:
    for key, value in headers.items():
        if key.lower() == name:
            return str(value[0] if isinstance(value, list) else value)
    return None


def as_mapping(data: object) -> Mapping[str, Any]:
    return data if isinstance(data, dict) else {}


def as_text(value: object) -> str | None:
    return value if isinstance(value, str) else None
