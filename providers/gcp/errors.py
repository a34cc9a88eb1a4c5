"""What went wrong at GCP, as one plain sentence that says what to do. The one place that knows."""

from __future__ import annotations

import requests
from google.api_core.exceptions import (
    BadRequest,
    Forbidden,
    GatewayTimeout,
    GoogleAPICallError,
    NotFound,
    RetryError,
    ServerError,
    TooManyRequests,
    Unauthorized,
)
from google.auth.exceptions import GoogleAuthError, RefreshError, TransportError
from google.protobuf.json_format import ParseError

from policies.facts import Gap, Scope
from providers.errors import NO_ANSWER_OF_THEIRS, AnswerCut, DeadlinePassed, gap_of

GCP_ERRORS = (
    GoogleAPICallError,
    GoogleAuthError,
    RetryError,
    requests.RequestException,
    ParseError,
    *NO_ANSWER_OF_THEIRS,
)
"""Everything that one call can raise and that is told as a gap."""

RATE_LIMITS = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED"})
DISABLED = frozenset({"accessNotConfigured", "SERVICE_DISABLED"})

_AGAIN = "the next patrol tries again"
_SIGN_IN = (
    "sign in again (`gcloud auth application-default login`), renew the key, or set this"
    " machine's clock right"
)
_PROXY = "is a proxy or another server in between (gcp.endpoint, HTTPS_PROXY)?"
_THROTTLED = "Google throttled {needs}: patrol less often or raise the quota"


def gap_from(error: BaseException, scope: Scope, what: str, needs: str) -> Gap:
    """The gap that this error leaves. `needs` is the permission that the call takes."""
    return gap_of(scope, what, _why(root(error), scope, needs))


def likeness(error: BaseException) -> str:
    """The same for errors of one cause, in whichever words each service puts it."""
    return _told(root(error))


def root(error: BaseException) -> BaseException:
    """What kept happening, where it was tried until time was up."""
    if isinstance(error, RetryError) and isinstance(error.cause, BaseException):
        return error.cause
    return error


def reasons(error: BaseException) -> frozenset[str]:
    """The reasons that Google's answer gives: `rateLimitExceeded`, `SERVICE_DISABLED`."""
    if not isinstance(error, GoogleAPICallError):
        return frozenset()
    listed = {str(each.get("reason")) for each in error.errors or () if isinstance(each, dict)}
    return frozenset({*listed, str(error.reason)})


def is_throttling(error: BaseException) -> bool:
    return isinstance(error, TooManyRequests) or (
        isinstance(error, Forbidden) and bool(reasons(error) & RATE_LIMITS)
    )


def is_disabled(error: BaseException) -> bool:
    """Whether the service is not switched on in this project, so that nothing of it can run."""
    return isinstance(error, Forbidden) and bool(reasons(error) & DISABLED)


def is_denied(error: BaseException) -> bool:
    return isinstance(error, Forbidden) and not is_throttling(error)


def is_missing(error: BaseException) -> bool:
    return isinstance(error, NotFound)


def is_passing(error: BaseException) -> bool:
    """Whether the same call may well work in a moment."""
    return isinstance(error, ServerError | requests.ConnectionError) or is_throttling(error)


def is_unusable_credentials(error: BaseException) -> bool:
    """Whether no call at all can work with these credentials."""
    return isinstance(error, GoogleAuthError | Unauthorized)


_BY_KIND: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((DeadlinePassed,), "{needs} took too long and was given up: {error}"),
    ((AnswerCut,), f"the answer to {{needs}} was incomplete ({{error}}): {_AGAIN}"),
    ((TransportError,), f"Google's token service could not be reached ({{error}}): {_AGAIN}"),
    (
        (RefreshError, GoogleAuthError, Unauthorized),
        f"Google does not accept these credentials, or they have expired ({{error}}): {_SIGN_IN}",
    ),
    ((TooManyRequests,), _THROTTLED),
    ((GatewayTimeout, RetryError), f"{{needs}} did not answer in time: {_AGAIN}"),
    ((ServerError,), f"Google answered {{needs}} with HTTP {{code}}: {_AGAIN}"),
    ((NotFound,), "{project} or what was asked of it is not there ({error})"),
    ((BadRequest,), "Google refused {needs}: {error}"),
    ((GoogleAPICallError,), "Google refused {needs}: {error}"),
    ((requests.Timeout,), f"{{needs}} did not answer in time: {_AGAIN}"),
    (
        (requests.RequestException,),
        "{needs} could not be reached ({error}): check network, proxy and gcp.endpoint",
    ),
    ((Exception,), f"the answer to {{needs}} was not Google's ({{kind}}: {{error}}); {_PROXY}"),
)
"""The first row that fits decides: special before general."""


def _told(error: BaseException) -> str:
    if is_throttling(error):
        return _THROTTLED
    if is_disabled(error):
        return "the API of {needs} is not enabled in {project}: enable it, or leave it out"
    if is_denied(error):
        return "not allowed: grant {needs} in {project} to the identity that patrols"
    return next(text for kinds, text in _BY_KIND if isinstance(error, kinds))


def _why(error: BaseException, scope: Scope, needs: str) -> str:
    told = {
        "needs": needs,
        "project": f"project {scope.account}" if scope.account else "the project",
        "error": error.message if isinstance(error, GoogleAPICallError) else error,
        "kind": type(error).__name__,
        "code": error.code if isinstance(error, GoogleAPICallError) else None,
    }
    return _told(error).format_map(told)
