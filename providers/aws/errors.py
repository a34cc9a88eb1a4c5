"""What went wrong at AWS, as one plain sentence that says what to do. The one place that knows."""

from __future__ import annotations

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    CredentialRetrievalError,
    EndpointConnectionError,
    HTTPClientError,
    InvalidRegionError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    ReadTimeoutError,
    SSOError,
    TokenRetrievalError,
)
from botocore.parsers import ResponseParserError

from policies.facts import Gap, Scope
from providers.errors import NO_ANSWER_OF_THEIRS, AnswerCut, DeadlinePassed, gap_of

AWS_ERRORS = (
    BotoCoreError,
    ClientError,
    ResponseParserError,
    *NO_ANSWER_OF_THEIRS,
)
"""Everything that one call can raise and that is told as a gap."""

DENIED = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "Client.UnauthorizedOperation",
        "UnauthorizedOperation",
    }
)
EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
REFUSED_KEYS = frozenset(
    {
        "AuthFailure",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
NOT_ENABLED = frozenset({"OptInRequired", "RegionDisabledException", "SubscriptionRequired"})
THROTTLED = frozenset(
    {
        "BandwidthLimitExceeded",
        "PriorRequestNotComplete",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
    }
)

_CREDENTIALS = (
    CredentialRetrievalError,
    LoginError,
    NoCredentialsError,
    PartialCredentialsError,
    SSOError,
    TokenRetrievalError,
)
_FORBIDDEN = 403
_TOO_MANY = 429
_SERVER_FAULT = 500
_SIGN_IN = "sign in again (`aws sso login`), renew the keys, or set this machine's clock right"
_AGAIN = "the next patrol tries again"
_PROXY = "is a proxy or another server in between (AWS_ENDPOINT_URL, HTTPS_PROXY)?"
_NOT_ALLOWED = "not allowed ({code}): grant {needs} to the identity that patrols"
_THROTTLED = "AWS throttled {needs}{tries} ({code}): patrol less often or raise the quota"


def gap_from(error: BaseException, scope: Scope, what: str, needs: str) -> Gap:
    """The gap that this error leaves. `needs` is the permission that the call takes."""
    return gap_of(scope, what, _why(error, scope, needs))


def likeness(error: BaseException, scope: Scope) -> str:
    """The same for errors of one cause, in whichever words each service puts it."""
    return _refusal(error, scope) if isinstance(error, ClientError) else type(error).__name__


def is_unusable_credentials(error: BaseException) -> bool:
    """Whether no call at all can work with these credentials."""
    if isinstance(error, ClientError):
        return _code(error) in EXPIRED | REFUSED_KEYS
    return isinstance(error, _CREDENTIALS)


_BY_CODE = (
    (EXPIRED, f"the AWS session has expired ({{code}}): {_SIGN_IN}"),
    (REFUSED_KEYS, f"AWS does not accept these credentials ({{code}}): {_SIGN_IN}"),
    (DENIED, _NOT_ALLOWED),
    (NOT_ENABLED, "{region} is not enabled for this account ({code}): enable it or leave it out"),
    (THROTTLED, _THROTTLED),
)
_BY_KIND: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((DeadlinePassed,), "{needs} took too long and was given up: {error}"),
    ((AnswerCut,), f"the answer to {{needs}} was incomplete ({{error}}): {_AGAIN}"),
    ((ResponseParserError,), f"the answer to {{needs}} could not be read as AWS's; {_PROXY}"),
    (_CREDENTIALS, f"the AWS credentials cannot be used ({{error}}): {_SIGN_IN}"),
    ((InvalidRegionError,), "{region} is no region's name: {error}"),
    (
        (ConnectTimeoutError, ReadTimeoutError),
        f"{{needs}} did not answer in time in {{region}}: {_AGAIN}",
    ),
    (
        (EndpointConnectionError, HTTPClientError),
        "{needs} could not be reached in {region} ({error}): check network, proxy and region",
    ),
    ((BotoCoreError,), "{needs} failed: {kind}: {error}"),
    ((Exception,), f"the answer to {{needs}} was not AWS's ({{kind}}: {{error}}); {_PROXY}"),
)
"""The first row that fits decides: special before general."""

_NO_REGION = "the home region"
"""Where a question is asked that concerns the whole account."""
_NO_OPT_IN = (
    "AWS does not accept these credentials in {region} ({code}): if other regions work, this one "
    "is not enabled for the account; enable it or leave it out"
)


def _why(error: BaseException, scope: Scope, needs: str) -> str:
    region = scope.region or _NO_REGION
    told = {"needs": needs, "region": region, "error": error, "kind": type(error).__name__}
    if isinstance(error, ClientError):
        told |= {"code": _code(error), "tries": _tries(error)}
        return _refusal(error, scope).format_map(told)
    return next(text for kinds, text in _BY_KIND if isinstance(error, kinds)).format_map(told)


def _refusal(error: ClientError, scope: Scope) -> str:
    """What to tell of an error that AWS, or something in its place, answered with."""
    code, status = _code(error), _status(error) or 0
    if code == "AuthFailure" and scope.region is not None:
        return _NO_OPT_IN  # EC2 says so both for wrong keys and for a region not opted in to
    for codes, text in _BY_CODE:
        if code in codes:
            return text
    if status == _FORBIDDEN:
        return _NOT_ALLOWED
    if status == _TOO_MANY:
        return _THROTTLED
    if status >= _SERVER_FAULT:
        return f"AWS answered {{needs}} with HTTP {status}{{tries}}: {_AGAIN}"
    return "AWS refused {needs}: {error}"


def _code(error: ClientError) -> str:
    return str(error.response.get("Error", {}).get("Code", "no code"))


def _status(error: ClientError) -> int | None:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")


def _tries(error: ClientError) -> str:
    retries = error.response.get("ResponseMetadata", {}).get("RetryAttempts", 0)
    return f", {retries + 1} times in a row" if retries else ""
