"""Text for Slack, in which no name can format, link or ping. Pure; needs no SDK.

Slack has no escape character: besides `&`, `<` and `>`, a sign that would format is replaced by
one that looks like it.
"""

import re
from collections.abc import Sequence

from watchdog.alerts.wording import counted
from watchdog.cleaning import clean

NAME_LIMIT = 80
SENTENCE_LIMIT = 400
ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
LOOKALIKES = str.maketrans({"*": "\u2217", "~": "\u223c", "`": "\u02cb"})
OUTER_UNDERSCORE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")
"""An underscore inside a word formats nothing and is left, so that names can be copied."""
LOW_LINE = "\u02cd"
PING = re.compile(r"@(?=here|channel|everyone|group)", re.IGNORECASE)
WIDE_AT = "\uff20"


def literal(text: str, limit: int = SENTENCE_LIMIT) -> str:
    """For text objects of type `plain_text`, where nothing but entities is read."""
    return PING.sub(WIDE_AT, clean(text, limit)).translate(ENTITIES)


def neutral(text: str, limit: int = SENTENCE_LIMIT) -> str:
    """For mrkdwn and for the fallback text: nothing in it formats."""
    return OUTER_UNDERSCORE.sub(LOW_LINE, literal(text, limit).translate(LOOKALIKES))


def name(text: str) -> str:
    """A name as inline code, which Slack shows as it stands and which can be copied."""
    return f"`{neutral(text, NAME_LIMIT) or '?'}`"


def fitted(lines: Sequence[str], limit: int) -> str:
    """As many whole lines as fit, and how many are missing. Cuts no entity in two."""
    kept: list[str] = []
    room = limit - len(_missing(1_000_000))
    for line in lines:
        if len("\n".join([*kept, line])) > room:
            return "\n".join([*kept, _missing(len(lines) - len(kept))])
        kept.append(line)
    return "\n".join(kept)


def _missing(lines: int) -> str:
    return f"… and {counted(lines, 'more line')}"
