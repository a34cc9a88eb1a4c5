"""When two errors are the same one: their text without what differs from run to run. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from policies.facts import Run, RunCause

LONGEST = 200
"""Characters of a signature. Beyond them errors quote their input."""

_BY_CAUSE = {RunCause.OOM: "out of memory", RunCause.TIMEOUT: "time limit"}
"""Causes that say all there is to say, however the program words them."""

_EXCEPTION = re.compile(r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Failure|Exit)\b")
"""Where a traceback names what was raised."""
_STRIPPED: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[a-z][a-z0-9+.\-]*://[^\s'\")>]+"), "<path>"),
    (re.compile(r"(?<![\w<])(?:[a-z]:)?[\\/]+[^\s'\",:;()\[\]<>]+"), "<path>"),
    (re.compile(r"\b[\w.\-]+(?:[\\/]+[\w.\-]+)+"), "<path>"),
    (re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"), "<id>"),
    (re.compile(r"\b0x[0-9a-f]+\b"), "<id>"),
    (re.compile(r"\b(?=[a-f]*\d)[0-9a-f]{8,}\b"), "<id>"),
    (re.compile(r"\d+(?:[.,:]\d+)*"), "#"),
    (re.compile(r"#(?:[\s,x×*]+#)+"), "#"),
    (re.compile(r"\s+"), " "),
)
"""In this order: a path holds numbers, and a row of numbers is a shape, however long it is."""
_SAYS_NOTHING = re.compile(
    r"^(?:[^a-z<]|<path>|<id>)*$|^(?:command |process )?(?:exited|failed|exit|return)?\s*"
    r"(?:with )?(?:exit |return )?(?:code|status|signal)[:= ]*-?#\.?$"
)
"""No word at all, or a bare exit code: it says that a run failed, and not why."""


def signature_of(run: Run) -> str | None:
    """What a run's error has in common with other runs of the same trouble; None: not told."""
    if run.cause in _BY_CAUSE:
        return _BY_CAUSE[run.cause]
    return None if run.error is None else signature(run.error)


@lru_cache(maxsize=8192)
def signature(error: str) -> str | None:
    """`ValueError: bad shape (3, 7) in /tmp/a1` and the same with other figures are one.

    Of a traceback the line that names the exception counts: the last one. Letters' case, paths and
    addresses of the web, ids and memory addresses, numbers and rows of numbers are left out.
    None: the text says nothing about the trouble.
    """
    text = _telling_line(error).lower()
    for pattern, stands_for in _STRIPPED:
        text = pattern.sub(stands_for, text)
    text = text.strip()[:LONGEST]
    return None if _SAYS_NOTHING.match(text) else text


def _telling_line(error: str) -> str:
    lines = [line.strip() for line in error.splitlines() if line.strip()]
    raised = [line for line in lines if _EXCEPTION.match(line)]
    if raised:
        return raised[-1]
    return lines[0] if lines else ""
