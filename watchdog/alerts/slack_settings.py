"""Settings of Slack: what is plainly wrong is said before a message is tried."""

from urllib.parse import urlsplit, urlunsplit

from watchdog.alerts.slack_answers import API_URL, CHANNEL, TOKEN

SLACK_API = "https://slack.com/api/"


class AlertSettingsError(Exception):
    """A setting of a channel is wrong. Says which one and how to mend it."""

    exit_code = 2


def api_base(url: str) -> str:
    """The Web API's base address; without a path it is `/api/`."""
    parts = urlsplit(address_of(url, API_URL))
    path = parts.path.rstrip("/") or "/api"
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/", "", ""))


def token_of(token: str) -> str:
    bare = token.strip()
    if not bare or not bare.isascii() or not bare.isprintable() or " " in bare:
        raise AlertSettingsError(
            f"{TOKEN}: not a token: it is empty or has characters that no token has; copy it again"
        )
    return bare


def channel_of(channel: str | None) -> str:
    if not channel or not channel.strip():
        raise AlertSettingsError(
            f"{CHANNEL}: not set, and a token alone tells nobody; name the channel"
        )
    return channel.strip()


def address_of(url: str, setting: str) -> str:
    """Quotes nothing of it: a webhook's address is a secret."""
    try:
        parts = urlsplit(url.strip())
        usable = (
            parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
        )
    except ValueError:
        usable = False
    if not usable or not url.strip().isprintable() or " " in url.strip():
        raise AlertSettingsError(f"{setting}: not an address of the form https://host/path")
    return url.strip()
