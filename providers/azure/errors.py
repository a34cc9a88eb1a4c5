"""What went wrong at Azure, as one plain sentence that says what to do. Only this place knows."""

from __future__ import annotations

import json

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    DecodeError,
    HttpResponseError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import CredentialUnavailableError

from policies.facts import Gap, Scope
from providers.errors import NO_ANSWER_OF_THEIRS, AnswerCut, DeadlinePassed, gap_of, one_line

AZURE_ERRORS = (
    AzureError,
    *NO_ANSWER_OF_THEIRS,
)
"""Everything that one call can raise and that is told as a gap."""

BAD_REQUEST, UNAUTHORISED, FORBIDDEN, NOT_FOUND, CONFLICT = 400, 401, 403, 404, 409
TOO_MANY, SERVER_FAULT = 429, 500
_SIGN_IN = "sign in again (`az login`), renew the secret, or set this machine's clock right"
_AGAIN = "the next patrol tries again"
_NO_CREDENTIALS = (
    "no Azure credentials could be used: run `az login`, give the machine a managed identity,"
    " or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
)
_UNREACHABLE = (
    "{needs} could not be reached ({error}): check network, proxy, azure.endpoint and"
    " azure.ca_bundle"
)
_PROXY = "is a proxy or another server in between (azure.endpoint, HTTPS_PROXY)?"
_BY_STATUS = {
    UNAUTHORISED: f"Azure does not accept this token ({{code}}): {_SIGN_IN}",
    FORBIDDEN: "not allowed ({code}): grant {needs} to the identity that patrols",
    TOO_MANY: "Azure throttled {needs} ({code}): patrol less often",
}
_BY_KIND: tuple[tuple[tuple[type[BaseException], ...], str], ...] = (
    ((DeadlinePassed,), "{needs} took too long and was given up: {error}"),
    ((AnswerCut,), f"the answer to {{needs}} was incomplete ({{error}}): {_AGAIN}"),
    ((CredentialUnavailableError,), _NO_CREDENTIALS),
    ((ClientAuthenticationError,), f"the Azure sign-in failed ({{error}}): {_SIGN_IN}"),
    ((DecodeError,), f"the answer to {{needs}} could not be read as Azure's; {_PROXY}"),
    ((ServiceResponseError,), f"{{needs}} did not answer in time or broke off: {_AGAIN}"),
    ((ServiceRequestError,), _UNREACHABLE),
    ((AzureError,), "{needs} failed: {kind}: {error}"),
    ((Exception,), f"the answer to {{needs}} was not Azure's ({{kind}}: {{error}}); {_PROXY}"),
)
"""The first row that fits decides: special before general."""


def gap_from(error: BaseException, scope: Scope, what: str, needs: str) -> Gap:
    """The gap that this error leaves. `needs` is the permission that the call takes."""
    return gap_of(scope, what, why_of(error, needs))


def why_of(error: BaseException, needs: str) -> str:
    """One line for people."""
    told = {"needs": needs, "error": error, "kind": type(error).__name__, "code": code_of(error)}
    return one_line(_template(error).format_map(told))


def status_of(error: BaseException) -> int | None:
    """The HTTP status that it was answered with; None: there was no answer."""
    return error.status_code if isinstance(error, HttpResponseError) else None


def code_of(error: BaseException) -> str:
    """Azure's own word for it: `AuthorizationFailed`, `ScopeLocked`."""
    if not isinstance(error, HttpResponseError):
        return type(error).__name__
    told = getattr(error.error, "code", None)
    return str(told or _code_in_body(error) or f"HTTP {error.status_code}")


def is_unusable_credentials(error: BaseException) -> bool:
    """Whether no call at all can work with these credentials."""
    return isinstance(error, ClientAuthenticationError) or status_of(error) == UNAUTHORISED


def is_of_one_part(error: BaseException) -> bool:
    """Whether a smaller question may be answered: some of several subscriptions spoil it."""
    if isinstance(error, (AnswerCut, DecodeError)):
        return True
    status = status_of(error)
    return status in {BAD_REQUEST, FORBIDDEN, NOT_FOUND}


def _template(error: BaseException) -> str:
    status = status_of(error)
    if status is not None and not isinstance(error, DecodeError):
        if status in _BY_STATUS:
            return _BY_STATUS[status]
        if status >= SERVER_FAULT:
            return f"Azure answered {{needs}} with HTTP {status}: {_AGAIN}"
        return "Azure refused {needs} ({code}): {error}"
    return next(text for kinds, text in _BY_KIND if isinstance(error, kinds))


def _code_in_body(error: HttpResponseError) -> str | None:
    """Where the SDK did not read the error's body, for it expects OData."""
    try:
        body = json.loads(error.response.text()) if error.response is not None else {}
        return str(body["error"]["code"])
    except (AttributeError, KeyError, TypeError, ValueError, AzureError):
        return None
