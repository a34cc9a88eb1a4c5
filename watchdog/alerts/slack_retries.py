"""When a call to Slack is tried again. Imports the SDK: import it only where a message is sent.

The SDK waits as long as it is told to; a patrol cannot. Here no wait begins that would end after
the deadline.
"""

from slack_sdk.http_retry.builtin_handlers import (
    ConnectionErrorRetryHandler,
    RateLimitErrorRetryHandler,
    ServerErrorRetryHandler,
)
from slack_sdk.http_retry.handler import RetryHandler
from slack_sdk.http_retry.request import HttpRequest
from slack_sdk.http_retry.response import HttpResponse
from slack_sdk.http_retry.state import RetryState

from watchdog.alerts.slack_calls import Patience, retry_after_s

FIRST_WAIT_S = 0.5


class _Patient(RetryHandler):
    """Waits as long as the answer asks for, else a little longer each time, up to the deadline."""

    def __init__(self, patience: Patience) -> None:
        super().__init__(max_retry_count=patience.retries)
        self.patience = patience
        self.deadline = patience.clock() + patience.total_s

    def can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        wanted = super().can_retry(state=state, request=request, response=response, error=error)
        return wanted and self.patience.clock() + _wait_s(state, response) <= self.deadline

    def prepare_for_next_attempt(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> None:
        del request, error
        state.next_attempt_requested = True
        self.patience.sleep(_wait_s(state, response))
        state.increment_current_attempt()


class RateLimit(_Patient, RateLimitErrorRetryHandler):
    pass


class ServerError(_Patient, ServerErrorRetryHandler):
    """Every 5xx; the SDK's own knows 500 and 503 only."""

    def _can_retry(
        self,
        *,
        state: RetryState,
        request: HttpRequest,
        response: HttpResponse | None = None,
        error: Exception | None = None,
    ) -> bool:
        del state, request, error
        return response is not None and 500 <= response.status_code < 600  # noqa: PLR2004


class Unreachable(_Patient, ConnectionErrorRetryHandler):
    pass


def retry_handlers(patience: Patience) -> list[RetryHandler]:
    """New ones for each message: the deadline begins now."""
    return [Unreachable(patience), RateLimit(patience), ServerError(patience)]


def _wait_s(state: RetryState, response: HttpResponse | None) -> float:
    asked = None if response is None else retry_after_s(response.headers)
    return FIRST_WAIT_S * 2**state.current_attempt if asked is None else asked
