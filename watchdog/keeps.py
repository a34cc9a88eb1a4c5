"""Who wants to keep which machine, and until when: by command, by button, or by tag."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from policies.facts import Machine
from policies.vetoes import FOR_GOOD
from watchdog import rows
from watchdog.attribution import OWN_PREFIXES

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "keep"
TAG = "keep-until"
_DATE = re.compile(r"\d{4}-?\d\d-?\d\d")
_TIME = re.compile(rf"{_DATE.pattern}([Tt ]|$)")

KeepWriter = Callable[[str, datetime], str | None]
"""Puts a keep onto a machine, by its id; None: it stands there now, else why not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Keep:
    until: datetime
    by: str


def keep_row(machine: str, until: datetime, by: str, now: datetime) -> dict[str, object]:
    """The event that somebody keeps a machine; the newest one of a machine counts."""
    return {
        "subject": f"{machine}/keep",
        "n": f"{now:%Y%m%dT%H%M%S.%fZ}",
        "at": now,
        "kind": KIND,
        "machine": machine,
        "boot": None,
        "detail_json": json.dumps({"until": until.isoformat(), "by": by}),
        "observed_at": now,
    }


def keeps_of(ledger: Ledger) -> dict[str, Keep]:
    """By machine, its newest keep; it may be over."""
    found: dict[str, Keep] = {}
    for row in sorted(ledger.rows("keeps"), key=lambda row: rows.moment_of(row["at"])):
        detail: Any = json.loads(str(row["detail_json"]))
        until = datetime.fromisoformat(detail["until"])
        found[str(row["machine"])] = Keep(until=until, by=str(detail["by"]))
    return found


def keep_of(machine: Machine, keeps: Mapping[str, Keep]) -> Keep | None:
    """The longer of what the ledger and the machine's own tag say."""
    tagged, told = _tagged(machine), keeps.get(machine.id)
    both = [each for each in (tagged, told) if each is not None]
    return max(both, key=lambda keep: keep.until, default=None)


def _tagged(machine: Machine) -> Keep | None:
    """A date keeps through its last minute, UTC; what cannot be read keeps for good."""
    found = [
        (f"{prefix}{TAG}", machine.tags[f"{prefix}{TAG}"])
        for prefix in OWN_PREFIXES
        if f"{prefix}{TAG}" in machine.tags
    ]
    keeps = (_read(name, value.strip()) for name, value in found)
    return max(keeps, key=lambda keep: keep.until, default=None)


def _read(name: str, text: str) -> Keep:
    until = _moment(text)
    if until is None:
        return Keep(until=FOR_GOOD, by=f"tag {name}={text}, which is no time that can be read")
    return Keep(until=until, by=f"tag {name}={text}")


def _moment(text: str) -> datetime | None:
    """A week is none, though Python reads its Monday: nobody means that."""
    if not _TIME.match(text):
        return None
    try:
        until = datetime.fromisoformat(text.upper())
        if _DATE.fullmatch(text):
            until += timedelta(days=1)
        return (until if until.tzinfo else until.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
