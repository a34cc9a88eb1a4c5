"""How money, times and texts are written where others read them by program."""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

from watchdog.cleaning import steers

_MAY_STEER = re.compile(r"[^\x20-\x7e\n]")


def money(amount: Decimal | None) -> str | None:
    """Plain digits, never an exponent."""
    return None if amount is None else f"{amount:f}"


def moment(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def json_text(payload: Mapping[str, object] | str, *, indent: int | None = None) -> str:
    """JSON with letters of every language as they are, and whatever steers a terminal escaped.

    The values stay what they were: an escape reads back as the character.
    """
    told = json.dumps(payload, indent=indent, ensure_ascii=False)
    return _MAY_STEER.sub(_escaped, told)


def _escaped(found: re.Match[str]) -> str:
    character = found.group()
    if not steers(character):
        return character
    # json.dumps leaves DEL, the only such character within ASCII, as it is.
    return "\\u007f" if character == "\x7f" else json.dumps(character)[1:-1]
