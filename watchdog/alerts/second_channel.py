"""Another way to reach people, for when the first has been down for an hour. Told once an hour.

Nothing is stopped while nobody can be warned; this is how people hear that nobody can be warned.
"""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.verdicts import Result
from watchdog import rows
from watchdog.alerts.message import told_machines
from watchdog.patrol_report import PatrolReport

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

PATIENCE = timedelta(hours=1)
TIMEOUT_S = 10
NAMED = 10
"""Machines that are named; the others are counted."""
SUBJECT = "channel/first"
DOWN, UP, TOLD = "channel_down", "channel_up", "channel_told"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outage:
    since: datetime
    told_at: datetime | None


def watch_channel(
    ledger: Ledger, report: PatrolReport, url: str | None, *, now: datetime
) -> str | None:
    """Remembers whether alerts arrive; one line where the second channel failed as well."""
    whys = _failures(report)
    outage = _outage(ledger)
    if _delivered(report):
        if outage is not None:
            _note(ledger, UP, now, outage.since)
        return None
    if not whys:
        return None
    if outage is None:
        _note(ledger, DOWN, now, now, why=whys[0])
        return None
    last = outage.told_at or outage.since
    if url is None or now - last < PATIENCE:
        return None
    trouble = _post(url, _text(report, outage.since, whys[0]))
    if trouble is not None:
        return f"the second channel failed as well: {trouble}"
    _note(ledger, TOLD, now, outage.since)
    return None


def _delivered(report: PatrolReport) -> bool:
    return any(
        each.result is Result.DELIVERED and each.action in {"notify", "warn"}
        for each in report.outcomes
    )


def _failures(report: PatrolReport) -> list[str]:
    return [gap.why for gap in report.gaps if gap.what == "alert"]


def _outage(ledger: Ledger) -> _Outage | None:
    """The outage that goes on; None: there is none."""
    since: datetime | None = None
    told_at: datetime | None = None
    for row in ledger.rows("channel_news"):
        at = rows.moment_of(row["at"])
        if row["kind"] == DOWN:
            since, told_at = at, None
        elif row["kind"] == TOLD:
            told_at = at
        else:
            since = None
    return None if since is None else _Outage(since=since, told_at=told_at)


def _note(ledger: Ledger, kind: str, now: datetime, since: datetime, **detail: str) -> None:
    row = rows.event_row(
        subject=SUBJECT,
        n=f"{now:%Y%m%dT%H%M%SZ}/{kind}",
        at=now,
        kind=kind,
        machine=None,
        detail={"since": since.isoformat(), **detail},
        observed_at=now,
    )
    ledger.append("events", [row])


def _text(report: PatrolReport, since: datetime, why: str) -> str:
    first = (
        f"Cloud spend watchdog: its alerts have not arrived since {since:%Y-%m-%d %H:%M} UTC"
        f" ({why}). Nothing is stopped until they do."
    )
    lines = [first]
    waiting = told_machines(report.machines)
    for each in waiting[:NAMED]:
        machine, price = each.machine, each.machine.price.hourly_usd
        cost = "at a price that is not known" if price is None else f"at {price:.2f} USD an hour"
        lines.append(f"- {machine.name} ({machine.id}) is {each.phase.phase.value} {cost}")
    if len(waiting) > NAMED:
        lines.append(f"- and {len(waiting) - NAMED} more")
    return "\n".join(lines)


def _post(url: str, text: str) -> str | None:
    """What went wrong; None: it was taken."""
    request = urllib.request.Request(  # noqa: S310 - the operator's own address
        url,
        data=json.dumps({"text": text}).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S):  # noqa: S310
            return None
    except (OSError, ValueError) as error:
        return str(error)
