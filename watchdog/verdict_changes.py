"""A change of verdict is an event that is told once.

What was told last stands in the ledger's events. Of two patrols that see the same change at once,
the one tells it that claims it in an object which is created once. A patrol that dies after that is
not told again: its message may have arrived. Whether it did or not, a later patrol writes the event
down. What no channel took is told again by the next patrol.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.facts import WorkloadKey
from policies.verdicts import Maturity, Result, Verdict
from watchdog import rows

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "verdict"
CLAIMS = "verdicts"
DIGITS = 9
LOOKED_AT = 20
"""Newest claims that are read: what an older one claims has long been written down."""
GIVEN_UP_AFTER = timedelta(hours=1)
"""A patrol that took so long to say what became of its message has died."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictChange:
    key: WorkloadKey
    number: int
    """The first change of a workload is 1."""
    attempt: int
    """One more for each time that no channel took it."""
    before: Verdict
    now: Verdict
    at: datetime
    """When it was first seen."""
    score: float | None
    why: str
    result: Result | None = None
    """None: it was not told yet, or nobody knows whether it was."""

    @property
    def name(self) -> str:
        """The same for every patrol that sees the change, and that is to tell it."""
        return f"{subject_of(self.key)}#{self.number}-{self.now.value}-{self.attempt}"


def subject_of(key: WorkloadKey) -> str:
    """The subject of a workload's events."""
    return f"workload/{key}"


def verdict_changes(
    ledger: Ledger, maturities: Mapping[WorkloadKey, Maturity], *, now: datetime
) -> tuple[VerdictChange, ...]:
    """Verdicts that differ from those told last, and those that could not be told.

    A workload of which nothing was told was unknown.
    """
    if not maturities:
        return ()
    told = {str(row["subject"]): row for row in ledger.rows("verdicts_told")}
    found = [
        _change(key, maturity, told.get(subject_of(key)), now)
        for key, maturity in maturities.items()
    ]
    return tuple(sorted(filter(None, found), key=lambda each: str(each.key)))


def _change(
    key: WorkloadKey, maturity: Maturity, told: rows.Row | None, now: datetime
) -> VerdictChange | None:
    last = _from_row(key, told) if told is not None else None
    before = Verdict.UNKNOWN if last is None else last.now
    if maturity.verdict is before:
        again = last is not None and last.result is Result.FAILED
        return replace(last, attempt=last.attempt + 1, result=None) if last and again else None
    return VerdictChange(
        key=key,
        number=1 if last is None else last.number + 1,
        attempt=1,
        before=before,
        now=maturity.verdict,
        at=now,
        score=maturity.score,
        why=_why(maturity),
    )


def _why(maturity: Maturity) -> str:
    if maturity.verdict is Verdict.MATURE:
        hours = "" if maturity.gpu_hours is None else f", {maturity.gpu_hours:.1f} GPU-hours"
        counted = maturity.succeeded + maturity.failed
        return f"{maturity.succeeded} of {counted} runs that count succeeded{hours}"
    return maturity.missing[0] if maturity.missing else "nothing is known of how its runs end"


def claimed(
    ledger: Ledger, changes: Sequence[VerdictChange], patrol_id: str, *, now: datetime
) -> tuple[tuple[VerdictChange, ...], tuple[VerdictChange, ...]]:
    """Changes that this patrol is to tell, and those that one which died may have told.

    Claims are a stream of objects that are created once: whoever loses the race for the next one
    reads it, and claims what is left.
    """
    if not changes:
        return (), ()
    keys = ledger.objects(CLAIMS)
    taken: dict[str, datetime] = {}
    for key in keys[-LOOKED_AT:]:
        taken |= _claim(ledger.get_object(key))
    number = int(keys[-1].rpartition("/")[2]) + 1 if keys else 1
    while mine := [each for each in changes if each.name not in taken]:
        key = f"{CLAIMS}/{number:0{DIGITS}}"
        told = {"patrol": patrol_id, "at": now.isoformat(), "changes": [e.name for e in mine]}
        if ledger.put_once(key, json.dumps(told).encode()):
            break
        taken |= _claim(ledger.get_object(key))
        number += 1
    dead = [each for each in changes if each.name in taken and _died(taken[each.name], now)]
    return tuple(mine), tuple(dead)


def _claim(body: bytes) -> dict[str, datetime]:
    """What is claimed, and since when."""
    told = json.loads(body)
    return dict.fromkeys(told["changes"], datetime.fromisoformat(told["at"]))


def _died(claimed_at: datetime, now: datetime) -> bool:
    return now - claimed_at > GIVEN_UP_AFTER


def change_events(
    changes: Sequence[VerdictChange], *, observed_at: datetime
) -> Iterator[dict[str, object]]:
    for change in changes:
        yield rows.event_row(
            subject=subject_of(change.key),
            n=f"{KIND}/{change.number:0{DIGITS}}",
            at=change.at,
            kind=KIND,
            machine=None,
            detail={
                "workload": change.key.name,
                "group": change.key.group,
                "number": change.number,
                "attempt": change.attempt,
                "from": change.before.value,
                "to": change.now.value,
                "score": change.score,
                "because": f"{change.before.value} → {change.now.value}: {change.why}",
                "why": change.why,
                "told": None if change.result is None else change.result.value,
            },
            observed_at=observed_at,
        )


def _from_row(key: WorkloadKey, row: rows.Row) -> VerdictChange:
    detail = json.loads(str(row["detail_json"]))
    told = detail["told"]
    return VerdictChange(
        key=key,
        number=detail["number"],
        attempt=detail["attempt"],
        before=Verdict(detail["from"]),
        now=Verdict(detail["to"]),
        at=rows.moment_of(row["at"]),
        score=detail["score"],
        why=detail["why"],
        result=None if told is None else Result(told),
    )
