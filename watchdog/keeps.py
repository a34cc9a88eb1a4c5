"""Who wants to keep which machine, and until when: by command, by button, or by tag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from policies.facts import Machine
from policies.vetoes import FOR_GOOD
from watchdog import rows
from watchdog.attribution import own_tag

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "keep"
TAG = "keep-until"


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
    text = own_tag(machine.tags, TAG)
    if text is None:
        return None
    try:
        until = datetime.fromisoformat(text.strip().upper())
    except ValueError:
        return Keep(until=FOR_GOOD, by=f"tag spend-watchdog:{TAG}={text}, which is no date")
    if len(text.strip()) == len("2026-12-01"):
        until += timedelta(days=1)
    aware = until if until.tzinfo else until.replace(tzinfo=UTC)
    return Keep(until=aware.astimezone(UTC), by=f"tag spend-watchdog:{TAG}={text}")
