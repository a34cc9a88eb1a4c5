"""What befell a machine, event by event, in the words of a person.

Events keep the names by which scripts know them; what a patrol does again and again is one line.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

Event = Mapping[str, object]

PATROL = re.compile(r"\d{8}T\d{6}Z-[0-9a-f]{8}")
"""How patrols are named."""
OF_PATROLS = frozenset({"delivered", "stopped", "requested", "gone", "overtaken"})
"""Results that a patrol writes down of its own, of which the incident tells more."""
CLAIM = "telling"


@dataclass(frozen=True, slots=True)
class _Line:
    at: str
    kind: str
    said: str


def history_lines(events: Sequence[Event]) -> list[str]:
    """`events`: as `explain --events --json` has them, oldest first."""
    told = [_Line(_minute(event["at"]), str(event["kind"]), _said(event)) for event in _few(events)]
    alike = groupby(told, key=lambda line: (line.kind, line.said))
    return [_line(list(several)) for _, several in alike]


def _few(events: Sequence[Event]) -> Iterator[Event]:
    """Without what another event tells better."""
    incidents = any("incident" in event for event in events)
    for number, event in enumerate(events):
        doubled = "action" in event and event["kind"] in OF_PATROLS and incidents
        claim = event["kind"] == CLAIM and number + 1 < len(events)
        if not doubled and not claim:
            yield event


def _line(several: Sequence[_Line]) -> str:
    first, last = several[0], several[-1]
    again = f" ({len(several)} times until {last.at})" if len(several) > 1 else ""
    return f"  {first.at}  {first.kind}  {first.said}{again}".rstrip()


def _minute(at: object) -> str:
    """To the minute; what is no time, as it stands."""
    try:
        return f"{datetime.fromisoformat(str(at)):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return str(at)


def _said(event: Event) -> str:
    tell = _SENTENCES.get(str(event["kind"]))
    if tell is not None and ("incident" in event or event["kind"] in _OF_PEOPLE):
        return tell(event)
    action = f"{event['action']}: " if "action" in event else ""
    return f"{action}{event.get('because') or event.get('why') or ''}"


def _by(event: Event) -> str:
    by = str(event.get("by") or "somebody")
    return "a patrol" if PATROL.fullmatch(by) else by


def _why(event: Event) -> str:
    why = event.get("why")
    return f": {why}" if why else ""


def _opened(event: Event) -> str:
    return f"quiet since {_minute(event.get('paused_at'))}"


def _told(event: Event) -> str:
    return f"in {event.get('channel') or 'no channel'}{_why(event)}"


def _warned(event: Event) -> str:
    if "stop_at" not in event:
        return _told(event)
    told = f"in {event.get('channel') or 'no channel'} of a stop at {_minute(event['stop_at'])}"
    return f"{told}{_why(event)}"


def _intended(event: Event) -> str:
    if "ordered" not in event:
        return f"by {_by(event)}"
    against = f", against {event['overridden']}" if "overridden" in event else ""
    return f"by order of {_by(event)} ({event['ordered']}){against}"


def _ended(event: Event) -> str:
    return f"by {_by(event)}{_why(event)}"


def _undelivered(event: Event) -> str:
    return f"nobody could be told{_why(event)}"


def _kept(event: Event) -> str:
    return f"until {_minute(event.get('until'))} by {_by(event)}"


_SENTENCES: Mapping[str, Callable[[Event], str]] = {
    "opened": _opened,
    CLAIM: lambda event: f"{_by(event)} is telling people",
    "undelivered": _undelivered,
    "notified": _told,
    "warned": _warned,
    "stop_intended": _intended,
    "stop_failed": _ended,
    "stopped": _ended,
    "closed": _ended,
    "keep": _kept,
    "not_mine": lambda event: f"says {_by(event)}",
    "stop_refused": lambda event: f"order of {_by(event)} ({event.get('ordered')}){_why(event)}",
}
_OF_PEOPLE = frozenset({"keep", "not_mine", "stop_refused"})
"""Events of which no incident knows."""
