"""Text from outside, made fit to stand in one line: anybody can write a tag."""

import re
import unicodedata

TERMINAL_SEQUENCE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # colours, cursor
    r"|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # titles, hyperlinks
    r"|\x1b[ -/]*[0-~]"
)
_BLANKS = re.compile(r"( {2,}|^ )")
SEPARATORS = frozenset({"Zl", "Zp", "Zs"})
UNSEEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn"})
"""Unicode categories that steer or hide text: controls, direction marks, joiners, surrogates."""
WORN = 4
"""More combining marks on one character than any language needs."""


def clean(text: str, limit: int | None = None) -> str:
    """One line without control characters, terminal sequences and direction marks.

    What is longer than `limit` characters loses its middle: names differ at their ends.
    """
    bare = TERMINAL_SEQUENCE.sub("", text)
    spaced = "".join(_shown(character) for character in bare)
    line = " ".join(_without_piles(spaced).split())
    return line if limit is None else shortened(line, limit)


def clean_lines(text: str) -> str:
    """Each line cleaned by itself; its indentation stays."""
    return "\n".join(clean_line(line) for line in text.split("\n"))


def clean_line(text: str) -> str:
    """One line of a report, cleaned: indentation and columns stay, a break becomes a space."""
    pieces = _BLANKS.split(text)
    return "".join(piece if piece.isspace() else clean(piece) for piece in pieces)


def steers(character: str) -> bool:
    """Whether it acts on a terminal, or hides, instead of being shown."""
    return unicodedata.category(character) in UNSEEN | {"Zl", "Zp"}


def shortened(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    tail = (limit - 1) // 3
    head = limit - 1 - tail
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _shown(character: str) -> str:
    if character in "\t\n\r\v\f\x85":
        return " "
    category = unicodedata.category(character)
    if category in SEPARATORS:
        return " "
    return "" if category in UNSEEN else character


def _without_piles(text: str) -> str:
    """Marks piled on one character would cover the lines above."""
    kept: list[str] = []
    pile = 0
    for character in text:
        pile = pile + 1 if unicodedata.combining(character) else 0
        if pile <= WORN:
            kept.append(character)
    return "".join(kept)
