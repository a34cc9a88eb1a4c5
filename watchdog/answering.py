"""What a press of a button does: keep, stop, or ask whose it is. The state is read anew each time.

Slack may tell of a press twice, and people click twice. A keep is a row with a key of its own; the
rest of a press is claimed by an object that is created once; a stop is claimed in its incident.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Protocol

from policies.ladder import EventKind
from policies.verdicts import Result
from watchdog import rows
from watchdog.alerts.answers import Button, Press, press_from, refusal
from watchdog.keeps import KeepWriter, keep_row, keeps_of
from watchdog.ledger.incidents import IncidentLog, Kept
from watchdog.orders import Order, Ordered

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

CLAIMS = "answers"
NOT_MINE = "not_mine"
"""The event that somebody said that a machine is not theirs."""
RUNNING = "running"
A_CLICK = timedelta(minutes=1)
"""A keep that lasts so little longer than the one before is another click of the same wish."""


class Replies(Protocol):
    """Where people read the answer. Each method gives None, or why it failed."""

    def update(self, press: Press, status: str, *, buttons: bool) -> str | None: ...

    def whisper(self, press: Press, text: str) -> str | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Answering:
    """Answers one press after the other; not to be shared by threads, as its ledger is not."""

    ledger: Ledger
    replies: Replies
    order: Callable[[Order, datetime], Ordered]
    """Carries out an order to stop."""
    write_keep: KeepWriter
    allowed: Sequence[str]

    def answer(self, payload: Mapping[str, Any], now: datetime) -> str:
        """Do what was pressed; one line on what was done, for the log."""
        press = press_from(payload)
        if press is None:
            return "an interaction that is none of an incident's buttons: left alone"
        against = refusal(press, self.allowed)
        if against is None:
            self.ledger.fold_inbox()
            against = self._outdated(press, self._incident(press))
        if against is not None:
            return self._whispered(press, f"Nothing was done: {against}.")
        match press.button:
            case Button.STOP_NOW:
                return self._stopped(press, now)
            case Button.NOT_MINE:
                return self._disowned(press, now)
            case _:
                return self._kept(press)

    def _incident(self, press: Press) -> Kept | None:
        known = IncidentLog(self.ledger).of(press.machine)
        return next((kept for kept in known if kept.key == press.incident), None)

    def _outdated(self, press: Press, kept: Kept | None) -> str | None:
        """Why the message is about something that is over; None: it is not."""
        if kept is None:
            return "this ledger knows nothing of that message's incident"
        ended = _ended(kept)
        if ended is not None:
            return f"this message is about an earlier pause, which is over: {ended}"
        row = self._machine(press)
        if row is not None and row["boot"] != kept.incident.boot:
            return "this message is about an earlier pause: the machine was started again since"
        if row is not None and row["state"] != RUNNING:
            return f"the machine is {row['state']}"
        return None

    def _machine(self, press: Press) -> rows.Row | None:
        known = self.ledger.rows("machines_now")
        return next((row for row in known if row["id"] == press.machine), None)

    def _first(self, press: Press) -> bool:
        """Whether this press was not answered before; whoever creates its object answers it."""
        body = json.dumps({"press": press.button.value, "by": press.by, "claim": uuid.uuid4().hex})
        return self.ledger.put_once(f"{CLAIMS}/{press.machine}/{press.name}.json", body.encode())

    def _kept(self, press: Press) -> str:
        until = press.keeps_until or press.at
        before = keeps_of(self.ledger).get(press.machine)
        if before is not None and before.until > until - A_CLICK:
            if not self._first(press):
                return f"{press.by}: told again by Slack, answered already"
            longer = f"it is kept until {before.until:%Y-%m-%d %H:%M} UTC already, by {before.by}"
            return self._whispered(press, f"{longer}.")
        self.ledger.append("events", [keep_row(press.machine, until, press.by, press.at)])
        if not self._first(press):
            return f"{press.by}: told again by Slack, answered already"
        status = f"Kept until {until:%Y-%m-%d %H:%M} UTC by {press.user_name}."
        kept = self._incident(press)
        if kept is not None and (kept.incident.intended_at is not None or not kept.incident.open):
            status += " A stop had begun before that, and may have been made."
        why = self.write_keep(press.machine, until)
        if why is not None:
            status += f" It holds in this ledger; the tag on the machine was not written: {why}"
        return self._updated(press, status)

    def _disowned(self, press: Press, now: datetime) -> str:
        if not self._first(press):
            return f"{press.by}: told again by Slack, answered already"
        row = rows.event_row(
            subject=f"{press.machine}/answers",
            n=f"{NOT_MINE}/{press.name}",
            at=press.at,
            kind=NOT_MINE,
            machine=None,
            detail={"by": press.by, "why": "they say that it is not theirs"},
            observed_at=now,
        )
        boot = press.incident.split("/")[2]
        self.ledger.append("events", [{**row, "machine": press.machine, "boot": boot}])
        status = (
            f"Not {press.user_name}'s, they say. Whose is it? Whoever knows: keep it or stop it"
            " here, and tag it spend-watchdog:owner, so that the right person is asked next time."
        )
        return self._updated(press, status)

    def _stopped(self, press: Press, now: datetime) -> str:
        if not self._first(press):
            return f"{press.by}: told again by Slack, answered already"
        self.replies.whisper(press, "Looking at it now; what becomes of it stands in the message.")
        done = self.order(Order(machine=press.machine, by=press.by, via="slack"), now)
        if done.shown:
            return f"{press.by}: {press.machine}: {done.result.value}, {done.why}"
        if done.done or done.result is Result.GONE:
            return self._updated(press, f"Nothing to stop: {done.why}.", buttons=False)
        status = f"Not stopped for {press.user_name}: {done.why}."
        if done.vetoes and not done.final:
            names = " ".join(f"--override {each.name}" for each in done.vetoes)
            native = press.machine.rsplit(":", 1)[-1]
            status += f" An operator can, all the same: spend-watchdog stop {native} {names}"
        return self._updated(press, status)

    def _updated(self, press: Press, status: str, *, buttons: bool = True) -> str:
        failed = self.replies.update(press, status, buttons=buttons)
        return _logged(press, status, failed)

    def _whispered(self, press: Press, text: str) -> str:
        return _logged(press, text, self.replies.whisper(press, text))


def _logged(press: Press, told: str, failed: str | None) -> str:
    line = f"{press.by} pressed {press.button.value} for {press.machine}: {told}"
    return line if failed is None else f"{line} (not told: {failed})"


def _ended(kept: Kept) -> str | None:
    if kept.incident.open:
        return None
    last = kept.events[-1]
    word = "stopped" if last.kind is EventKind.STOPPED else "closed"
    why = last.detail.get("why", "")
    return f"{word} at {last.at:%Y-%m-%d %H:%M} UTC{f', {why}' if why else ''}"
