"""What people should know beside the machines that run: told once, and again while it lasts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.budgets import BudgetState, Level
from policies.facts import Machine
from policies.leftovers import FORGOTTEN, month_usd
from policies.policy_check import ENDS_SOON
from policies.rules import Exemption
from policies.verdicts import Result
from watchdog import rows

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger
    from watchdog.patrol_report import JudgedMachine

KIND = "notice"
CLAIMS = "notices"
DAILY, WEEKLY = timedelta(days=1), timedelta(days=7)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """One thing, in one sentence. Told in the first interval after `since`, and in each later."""

    kind: str
    """`forgotten`, `budget` or `exemption`."""
    subject: str
    """A machine's id, or what the policy calls it."""
    name: str
    text: str
    since: datetime
    again: timedelta
    machine: Machine | None = None
    month_usd: Decimal | None = None
    """What it costs in a month of 730 hours, where it costs something and that is known."""
    attempt: int = 1
    """One more for each time in the interval that no channel took it."""
    result: Result | None = None

    @property
    def key(self) -> str:
        return f"{KIND}/{self.kind}/{self.subject}"

    def interval(self, now: datetime) -> int:
        return (now - self.since) // self.again


def notices_of(
    judged: Iterable[JudgedMachine],
    budgets: Iterable[BudgetState],
    exemptions: Iterable[Exemption],
    *,
    forgotten_after: timedelta,
    now: datetime,
) -> tuple[Notice, ...]:
    """The dearest first; those of unknown cost before those that cost nothing of their own."""
    found = [
        *_forgotten(judged, forgotten_after),
        *_budgets(budgets),
        *_exemptions(exemptions, now),
    ]
    return tuple(sorted(found, key=_rank))


def _rank(each: Notice) -> tuple[int, Decimal, str]:
    part = 0 if each.month_usd is not None else 1 if each.kind == FORGOTTEN else 2
    return part, -(each.month_usd or Decimal(0)), each.key


def _forgotten(judged: Iterable[JudgedMachine], after: timedelta) -> Iterator[Notice]:
    for each in judged:
        findings = [finding.rule for finding in each.decision.findings]
        if FORGOTTEN not in findings or each.stopped_since is None:
            continue
        yield Notice(
            kind=FORGOTTEN,
            subject=each.machine.id,
            name=each.machine.name or each.machine.native_id,
            text=each.decision.why[-1],
            since=each.stopped_since + after,
            again=WEEKLY,
            machine=each.machine,
            month_usd=month_usd(each.machine),
        )


def _budgets(budgets: Iterable[BudgetState]) -> Iterator[Notice]:
    for each in budgets:
        if each.level is not Level.UNDER:
            yield Notice(
                kind="budget",
                subject=f"{each.budget.name}/{each.level.value}",
                name=each.budget.name,
                text=each.told,
                since=EPOCH,
                again=WEEKLY if each.level is Level.UNKNOWN else DAILY,
            )


def _exemptions(exemptions: Iterable[Exemption], now: datetime) -> Iterator[Notice]:
    for each in exemptions:
        at = f"{each.until:%Y-%m-%d %H:%M} UTC"
        over = each.until <= now
        if not over and each.until - now > ENDS_SOON:
            continue
        told = f"ended at {at}; take it out of the policy file" if over else f"ends at {at}"
        yield Notice(
            kind="exemption",
            subject=f"{each.whose}/{each.until.isoformat()}/{'ended' if over else 'ends'}",
            name=each.whose,
            text=f"the exemption of {each.whose} {told} ({each.because})",
            since=each.until if over else each.until - ENDS_SOON,
            again=WEEKLY if over else ENDS_SOON,
        )


def claimed(
    ledger: Ledger, notices: Sequence[Notice], patrol_id: str, *, now: datetime
) -> tuple[Notice, ...]:
    """Those that this patrol is to tell: of each interval one patrol tells each.

    The claim is an object that is created once. A patrol that dies after that is not told again in
    this interval: its message may have arrived. What no channel took, the next patrol tells.
    """
    if not notices:
        return ()
    told = {str(row["subject"]): row for row in ledger.rows("notices_told")}
    due = (_due(each, told.get(each.key), now) for each in notices)
    return tuple(each for each in due if each is not None and _mine(ledger, each, patrol_id, now))


def _due(notice: Notice, told: rows.Row | None, now: datetime) -> Notice | None:
    if told is None:
        return notice
    detail = json.loads(str(told["detail_json"]))
    if detail["interval"] < notice.interval(now):
        return notice
    failed = detail["told"] == Result.FAILED.value
    return replace(notice, attempt=detail["attempt"] + 1) if failed else None


def _mine(ledger: Ledger, notice: Notice, patrol_id: str, now: datetime) -> bool:
    digest = hashlib.sha256(notice.key.encode()).hexdigest()[:24]
    key = f"{CLAIMS}/{digest}/{_number(notice, now)}"
    claim = {"notice": notice.key, "patrol": patrol_id, "at": now.isoformat()}
    return ledger.put_once(key, json.dumps(claim).encode())


def _number(notice: Notice, now: datetime) -> str:
    return f"{notice.interval(now):06}-{notice.attempt:04}"


def notice_events(notices: Iterable[Notice], now: datetime) -> list[Mapping[str, object]]:
    """What was told, and what became of it."""
    return [
        rows.event_row(
            subject=each.key,
            n=_number(each, now),
            at=now,
            kind=KIND,
            machine=each.machine,
            detail={
                "because": each.text,
                "interval": each.interval(now),
                "attempt": each.attempt,
                "told": None if each.result is None else each.result.value,
            },
            observed_at=now,
        )
        for each in notices
    ]
