"""What Slack answers, in sentences that say what to do. Pure; needs no SDK."""

import re
from collections.abc import Mapping

from watchdog.cleaning import clean

TOKEN = "SPEND_WATCHDOG_SLACK__TOKEN"  # noqa: S105 - the name of a setting
CHANNEL = "SPEND_WATCHDOG_SLACK__CHANNEL"
API_URL = "SPEND_WATCHDOG_SLACK__API_URL"
APP_TOKEN = "SPEND_WATCHDOG_SLACK__APP_TOKEN"  # noqa: S105 - the name of a setting
WEBHOOK = "SPEND_WATCHDOG_SLACK__WEBHOOK_URL"

NEW_TOKEN = f"copy the bot token (xoxb-…) from the app's page OAuth & Permissions into {TOKEN}"
NEW_APP_TOKEN = (
    "make an app-level token (xapp-…) with the scope connections:write on the app's page Basic"
    f" Information, and put it into {APP_TOKEN}"
)
NEW_WEBHOOK = f"make a new incoming webhook in the app's settings and put it into {WEBHOOK}"
REMEDIES: Mapping[str, str] = {
    "invalid_auth": f"the token is not valid; {NEW_TOKEN}",
    "not_authed": f"no token arrived; {NEW_TOKEN}",
    "token_revoked": f"the token was revoked; {NEW_TOKEN}",
    "token_expired": f"the token has expired; {NEW_TOKEN}",
    "account_inactive": "the token's app or user was removed; install the app again, then"
    f" {NEW_TOKEN}",
    "not_allowed_token_type": f"this kind of token may not post; {NEW_TOKEN}",
    "channel_not_found": "there is no such channel, or it is private and the app is not in it;"
    f" check {CHANNEL}, and type /invite @ with the app's name in the channel",
    "not_in_channel": "the app is not a member; type /invite @ with the app's name in the channel",
    "is_archived": f"the channel is archived; name another one in {CHANNEL}",
    "restricted_action": "a workspace setting forbids posting there; ask a workspace admin, or"
    f" name another channel in {CHANNEL}",
    "ratelimited": "too many messages at the moment; the next patrol tells again",
}
WEBHOOK_REMEDIES: Mapping[str, str] = {
    "no_service": f"the webhook was removed; {NEW_WEBHOOK}",
    "no_active_hooks": f"the webhook was switched off; {NEW_WEBHOOK}",
    "invalid_token": f"the webhook's address is wrong; {NEW_WEBHOOK}",
    "no_team": f"the webhook's workspace is gone; {NEW_WEBHOOK}",
    "channel_is_archived": f"the webhook's channel is archived; {NEW_WEBHOOK}",
    "action_prohibited": "a workspace setting forbids this webhook; ask a workspace admin",
    "channel_not_found": f"the webhook's channel is gone; {NEW_WEBHOOK}",
}
CODE = re.compile(r"[a-z][a-z0-9_]{2,60}")
"""How Slack names an error. Anything else in its place is not from Slack."""
TOO_MANY_REQUESTS = 429
SERVER_ERROR = 500
OK = 200


def refused(code: str, remedies: Mapping[str, str] = REMEDIES, *, needed: str | None = None) -> str:
    """One sentence for an error code. `needed`: the scope that is missing, where Slack says."""
    if code == "missing_scope":
        scope = clean(needed or "chat:write", 80)
        return (
            f"Slack answered missing_scope: the app may not do this; add the scope {scope} under"
            f" OAuth & Permissions, install the app again, then {NEW_TOKEN}"
        )
    return f"Slack answered {code}: {remedies.get(code, 'the message was refused')}"


def answered_badly(status: int, setting: str, *, retry_after_s: float | None = None) -> str:
    """One sentence for an answer in which Slack names no error. `setting`: where its address is."""
    if status == TOO_MANY_REQUESTS:
        asked = "" if retry_after_s is None else f" and asks to wait {retry_after_s:.0f} s"
        return f"Slack limits the rate{asked}, longer than a patrol waits; the next one tells again"
    if status >= SERVER_ERROR:
        return f"Slack answered HTTP {status}, also when asked again; the next patrol tells again"
    if status == OK:
        return f"the answer did not come from Slack: is a proxy in between, or {setting} wrong?"
    return f"the answer was HTTP {status}: is a proxy in between, or {setting} wrong?"


def unreachable(error: BaseException) -> str:
    """One sentence for a call that got no answer. Quotes no address: a webhook's is a secret."""
    reason = getattr(error, "reason", None)
    cause = reason if isinstance(reason, BaseException) else error
    if isinstance(cause, TimeoutError):
        return "Slack did not answer in time; the next patrol tells again"
    told = cause.strerror if isinstance(cause, OSError) else None
    return f"Slack could not be reached ({told or type(cause).__name__}): check network and proxy"


def code_in(text: object) -> str | None:
    """The error code, where this is one."""
    return text if isinstance(text, str) and CODE.fullmatch(text) else None
