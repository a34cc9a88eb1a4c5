"""Starts and stops that were asked for and not read are owed: the next patrols ask for them again.

Readings need no such book: their watermark moves on, and what they lack stays `unknown` where
everybody sees it. A start or stop that is lost makes hours that ran look as if they had not.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from policies.facts import Gap, Scope, Transition, Window
    from providers.base import Seen
    from watchdog.gather import Watched, Windows


def to_ask(windows: Windows, owed: Window | None, oldest: datetime) -> Window | None:
    """The time whose starts and stops are asked for: what nobody watched, and what is owed.

    What is owed from before `oldest` is given up. None: nothing is asked, for the audit trail is
    slow to ask.
    """
    fresh = windows.coarse and replace(windows.coarse, ended_at=windows.fine.ended_at)
    if owed is None or owed.ended_at <= oldest:
        return fresh
    owed = replace(owed, started_at=max(owed.started_at, oldest))
    if fresh is None:
        return owed
    return replace(
        fresh,
        started_at=min(fresh.started_at, owed.started_at),
        ended_at=max(fresh.ended_at, owed.ended_at),
    )


def settled(watched: Watched, asked: Window, seen: Seen[Transition]) -> Watched:
    """What is still owed of a scope after an answer; what came of an older time is metered again.

    An adapter that told a gap, and not how far it came, read nothing.
    """
    owed = _unread(watched.scope, asked, seen)
    came = owed is None or owed.ended_at < asked.ended_at
    windows = watched.windows
    if came and asked.started_at < windows.started_at:
        windows = replace(windows, remetered_from=asked.started_at)
    return replace(watched, windows=windows, history_owed=owed)


def _unread(scope: Scope, asked: Window, seen: Seen[Transition]) -> Window | None:
    for each in seen.unread:
        if each.scope == scope:
            return each.window
    return asked if any(_concerns(gap, scope) for gap in seen.gaps) else None


def _concerns(gap: Gap, scope: Scope) -> bool:
    """A gap that names no account or no region speaks of all of them."""
    return gap.account in {None, scope.account} and gap.region in {None, scope.region}
