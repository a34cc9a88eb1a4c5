"""Why a workload or a machine is judged as it is, from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from watchdog import rows
from watchdog.cleaning import clean
from watchdog.frames import plain
from watchdog.workloads import Workload, workload_json, workloads

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

SCHEMA = "spend-watchdog/explain/1"


class UnknownSubject(Exception):  # noqa: N818 - a user's word that fits nothing
    exit_code = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known about one machine or one workload; the other part is empty."""

    subject: str
    workload: Workload | None
    machine: rows.Row | None
    attribution: rows.Row | None
    findings: Sequence[rows.Row]
    events: Sequence[rows.Row]


def explain(ledger: Ledger, subject: str, *, now: datetime) -> Explanation:
    """`subject`: a machine's id, native id or name, or a workload's name (`group/name`)."""
    machines = ledger.rows("machines_now")
    machine = _machine(machines, subject)
    if machine is not None:
        return _of_machine(ledger, machine, now)
    known = workloads(ledger, now=now)
    workload = _workload(known, subject)
    if workload is not None:
        return Explanation(
            subject=str(workload.key),
            workload=workload,
            machine=None,
            attribution=None,
            findings=(),
            events=(),
        )
    names = [str(row["name"] or _native_id(row)) for row in machines]
    names += [str(each.key) for each in known]
    nothing = "" if ledger.exists() else f"; ledger {ledger.url}: there is nothing yet"
    raise UnknownSubject(_unknown(subject, names) + nothing)


def _of_machine(ledger: Ledger, machine: rows.Row, now: datetime) -> Explanation:
    attribution = _attribution(ledger, str(machine["id"]), now)
    events = [row for row in ledger.rows("events") if row["machine"] == machine["id"]]
    findings = [
        row for row in events if row["kind"] == "finding" and row["boot"] == machine["boot"]
    ]
    name = attribution["workload"] if attribution else None
    known = workloads(ledger, now=now) if name else ()
    return Explanation(
        subject=str(machine["id"]),
        workload=_workload(known, str(name)) if name else None,
        machine=machine,
        attribution=attribution,
        findings=sorted(findings, key=_at),
        events=sorted(events, key=_at),
    )


def _machine(machines: Sequence[rows.Row], subject: str) -> rows.Row | None:
    """By id first; a name or native id must be the only one of its kind."""
    for row in machines:
        if row["id"] == subject:
            return row
    fitting = [row for row in machines if subject in {row["name"], _native_id(row)}]
    if len(fitting) > 1:
        ids = ", ".join(str(row["id"]) for row in fitting)
        raise UnknownSubject(f"{subject} names {len(fitting)} machines; say which by id: {ids}")
    return fitting[0] if fitting else None


def _native_id(machine: rows.Row) -> str:
    return str(machine["id"]).rsplit(":", 1)[-1]


def _workload(known: Sequence[Workload], subject: str) -> Workload | None:
    for each in known:
        if str(each.key) == subject:
            return each
    fitting = [each for each in known if each.key.name == subject]
    if len(fitting) > 1:
        names = ", ".join(str(each.key) for each in fitting)
        raise UnknownSubject(f"{subject} names {len(fitting)} workloads; say which: {names}")
    return fitting[0] if fitting else None


def _attribution(ledger: Ledger, resource: str, now: datetime) -> rows.Row | None:
    for row in ledger.rows("attributions"):
        started, ended = row["started_at"], row["ended_at"]
        if row["resource"] != resource or not isinstance(started, datetime):
            continue
        if started <= now and (not isinstance(ended, datetime) or now < ended):
            return row
    return None


def _at(row: rows.Row) -> str:
    return str(row["at"])


def _unknown(subject: str, names: Sequence[str]) -> str:
    close = get_close_matches(subject, names, n=3)
    hint = f"; did you mean {' or '.join(map(clean, close))}?" if close else ""
    return f"neither a machine nor a workload is called {clean(subject)}{hint}"


def explain_json(told: Explanation, *, events: bool) -> dict[str, object]:
    payload: dict[str, object] = {
        "schema": SCHEMA,
        "subject": told.subject,
        "workload": None if told.workload is None else workload_json(told.workload),
        "machine": _plain_row(told.machine),
        "attribution": _plain_row(told.attribution),
        "findings": [_event(row) for row in told.findings],
    }
    if events:
        payload["events"] = [_event(row) for row in told.events]
    return payload


def _event(row: rows.Row) -> dict[str, object]:
    detail = json.loads(str(row["detail_json"] or "{}"))
    return {"at": plain(row["at"]), "kind": row["kind"], "boot": row["boot"], **detail}


def _plain_row(row: rows.Row | None) -> dict[str, object] | None:
    return None if row is None else {name: plain(value) for name, value in row.items()}


def lines(told: Explanation, *, events: bool) -> list[str]:
    """The same for people."""
    found = [*_machine_lines(told), *_workload_lines(told)]
    if events:
        found.append("")
        found.append("History" if told.events else "History: nothing yet")
        found.extend(_event_line(row) for row in told.events)
    return found


def _machine_lines(told: Explanation) -> list[str]:
    if told.machine is None:
        return []
    machine = told.machine
    named = (machine["name"], machine["id"])
    facts = (
        machine["machine_type"] or "type unknown",
        machine["state"] or "state unknown",
        machine["purchase"] or "purchase unknown",
        _cost(machine),
    )
    found = [
        f"Machine {' '.join(str(each) for each in named if each)}",
        f"  {', '.join(map(str, facts))}",
    ]
    if told.attribution is not None:
        workload = told.attribution["workload"] or "no workload"
        found.append(f"  belongs to {workload}, by {told.attribution['rule']}")
    for row in told.findings:
        found.extend(f"  {line}" for line in _finding_lines(row))
    return found


def _cost(machine: rows.Row) -> str:
    price, source = machine["hourly_usd"], machine["price_source"]
    if price is None:
        return "price unknown"
    return f"{price:.4f} USD an hour{f' ({source})' if source else ''}"


def _finding_lines(row: rows.Row) -> list[str]:
    event = _event(row)
    why = event.get("why")
    reasons = [str(each) for each in why] if isinstance(why, list) else []
    because, wanted = event.get("because") or "reason unknown", event.get("wanted") or "unknown"
    return [f"since {event['at']}: {because} → {wanted}", *reasons]


def _workload_lines(told: Explanation) -> list[str]:
    if told.workload is None:
        return []
    maturity = told.workload.maturity
    score = (
        "no score"
        if maturity.score is None
        else (
            f"{maturity.score:.0%} likely to complete its next run"
            f" ({maturity.low:.0%} to {maturity.high:.0%})"
        )
    )
    found = [f"Workload {told.workload.key}: {maturity.verdict.value}, {score}"]
    found.extend(
        f"  {question.value}: {told.answer.value} – {told.evidence}"
        for question, told in maturity.questions.items()
    )
    if maturity.missing:
        found.append("  still missing:")
        found.extend(f"  - {missing}" for missing in maturity.missing)
    return found


def _event_line(row: rows.Row) -> str:
    event = _event(row)
    said = event.get("because") or event.get("why") or ""
    return f"  {event['at']}  {event['kind']}  {said}"
