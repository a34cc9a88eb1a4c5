"""Why a workload or a machine is judged as it is, from the ledger alone."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import TYPE_CHECKING

from policies.facts import WorkloadKey
from policies.maturity import reasons
from policies.score_terms import Explained
from policies.verdicts import Maturity
from watchdog import rows
from watchdog.bursts import burst_told
from watchdog.cleaning import clean
from watchdog.confusion_shown import confusion_lines
from watchdog.frames import plain
from watchdog.history import history_lines
from watchdog.ledger.incidents import FOLDER as INCIDENTS
from watchdog.ledger.incidents import IncidentLog, event_rows
from watchdog.shadow.remembered import without_judgements
from watchdog.verdict_changes import subject_of
from watchdog.workload_spend import spent_told
from watchdog.workload_table import trend_told
from watchdog.workloads import (
    Known,
    UnknownSubject,
    Workload,
    known_workloads,
    named,
    with_figures,
    workload_json,
)

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

SCHEMA = "spend-watchdog/explain/1"
ROUNDED = 6
TOLD_FROM = 0.0005
"""A tenth of a point of a hundred, rounded: what is less is summed up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What is known about one machine or one workload; the other part is empty."""

    subject: str
    workload: Workload | None
    reasons: Explained | None
    """Why the workload has its score; None: it has none."""
    machine: rows.Row | None
    attribution: rows.Row | None
    findings: Sequence[rows.Row]
    events: Sequence[rows.Row]


def explain(
    ledger: Ledger, subject: str, *, now: datetime, regions: Sequence[str] | None = None
) -> Explanation:
    """`subject`: a machine's id, native id or name, or a workload's name (`group/name`).

    `regions`: where a machine would be rented; None: anywhere.
    """
    machines = ledger.rows("machines_now")
    machine = _machine(machines, subject)
    known = known_workloads(ledger, now=now)
    if machine is not None:
        return _of_machine(ledger, machine, known, regions)
    workload = named(known.workloads, subject)
    if workload is not None:
        resources = {row["resource"] for row in known.attributions if _is_of(row, workload.key)}
        return _told(ledger, known, workload, resources=resources, regions=regions)
    names = [str(row["name"] or _native_id(row)) for row in machines]
    names += [str(each.key) for each in known.workloads]
    nothing = "" if ledger.exists() else f"; ledger {ledger.url}: there is nothing yet"
    raise UnknownSubject(_unknown(subject, names) + nothing)


def _is_of(attribution: rows.Row, key: WorkloadKey) -> bool:
    """A resource that belongs to the workload until further notice, or did."""
    group = attribution["workload_group"] or attribution["owner"]
    same_group = group is None or key.group is None or group == key.group
    return attribution["workload"] == key.name and same_group


def machine_named(ledger: Ledger, name: str) -> rows.Row:
    """The machine of this id, native id or name. Raises `UnknownSubject`."""
    machines = ledger.rows("machines_now")
    machine = _machine(machines, name)
    if machine is not None:
        return machine
    names = [str(row["name"] or _native_id(row)) for row in machines]
    close = get_close_matches(name, names, n=3)
    hint = f"; did you mean {' or '.join(map(clean, close))}?" if close else ""
    raise UnknownSubject(f"no machine is called {clean(name)}{hint}")


def _of_machine(
    ledger: Ledger, machine: rows.Row, known: Known, regions: Sequence[str] | None
) -> Explanation:
    attribution = _attribution(known.attributions, str(machine["id"]), known.now)
    told = _told(
        ledger,
        known,
        None if attribution is None else _workload_of(known.workloads, attribution),
        resources={machine["id"]},
        regions=regions,
    )
    findings = [
        row for row in told.events if row["kind"] == "finding" and row["boot"] == machine["boot"]
    ]
    return replace(
        told,
        subject=str(machine["id"]),
        events=_with_newest(ledger, str(machine["id"]), told.events),
        machine=machine,
        attribution=attribution,
        findings=findings,
    )


def _with_newest(ledger: Ledger, machine: str, events: Sequence[rows.Row]) -> Sequence[rows.Row]:
    """With what stands in the machine's incidents alone: who wrote it was killed, or acts now."""
    mirrored = {(row["subject"], row["n"]) for row in events}
    newer = [
        row
        for kept in IncidentLog(ledger).of(machine)
        for row in event_rows(kept)
        if (row["subject"], row["n"]) not in mirrored
    ]
    return sorted([*events, *newer], key=_order)


def _told(
    ledger: Ledger,
    known: Known,
    workload: Workload | None,
    *,
    resources: Collection[object],
    regions: Sequence[str] | None,
) -> Explanation:
    """What is known of a workload, with the history of it and of resources."""
    subject = None if workload is None else subject_of(workload.key)
    events = [
        row
        for row in without_judgements(ledger.rows("events"))
        if row["subject"] == subject or row["machine"] in resources
    ]
    key = None if workload is None else workload.key
    alone = replace(known, workloads=() if workload is None else (workload,))
    return Explanation(
        subject=str(key),
        workload=next(iter(with_figures(ledger, alone, regions=regions)), None),
        reasons=None if key is None else reasons(known.memory, key, as_of=known.now),
        machine=None,
        attribution=None,
        findings=(),
        events=sorted(events, key=_order),
    )


def _workload_of(known: Sequence[Workload], attribution: rows.Row) -> Workload | None:
    """The one of the same group, else the only one that the attribution fits."""
    key = rows.attribution_from(attribution).key
    fitting = [each for each in known if _is_of(attribution, each.key)]
    exact = [each for each in fitting if each.key == key]
    return exact[0] if exact else fitting[0] if len(fitting) == 1 else None


def _machine(machines: Sequence[rows.Row], subject: str) -> rows.Row | None:
    """By id first; a name or native id must be the only one of its kind."""
    for row in machines:
        if row["id"] == subject:
            return row
    fitting = [row for row in machines if subject in {row["name"], _native_id(row)}]
    fitting = [row for row in fitting if row["state"] != "terminated"] or fitting
    if len(fitting) > 1:
        ids = ", ".join(str(row["id"]) for row in fitting)
        raise UnknownSubject(f"{subject} names {len(fitting)} machines; say which by id: {ids}")
    return fitting[0] if fitting else None


def _native_id(machine: rows.Row) -> str:
    return str(machine["id"]).rsplit(":", 1)[-1]


def _attribution(attributions: Sequence[rows.Row], resource: str, now: datetime) -> rows.Row | None:
    for row in attributions:
        started, ended = row["started_at"], row["ended_at"]
        if row["resource"] != resource or not isinstance(started, datetime):
            continue
        if started <= now and (not isinstance(ended, datetime) or now < ended):
            return row
    return None


def _order(row: rows.Row) -> tuple[str, str, str]:
    return str(row["at"]), str(row["subject"]), str(row["n"])


def _unknown(subject: str, names: Sequence[str]) -> str:
    close = get_close_matches(subject, names, n=3)
    hint = f"; did you mean {' or '.join(map(clean, close))}?" if close else ""
    return f"neither a machine nor a workload is called {clean(subject)}{hint}"


def explain_json(told: Explanation, *, events: bool) -> dict[str, object]:
    payload: dict[str, object] = {
        "schema": SCHEMA,
        "subject": told.subject,
        "workload": None if told.workload is None else workload_json(told.workload),
        "score_terms": None if told.reasons is None else _reasons_json(told.reasons),
        "machine": _plain_row(told.machine),
        "attribution": _plain_row(told.attribution),
        "findings": [_event(row) for row in told.findings],
    }
    if events:
        payload["events"] = [_event(row) for row in told.events]
    return payload


def _reasons_json(reasons: Explained) -> dict[str, object]:
    """Shares of the probability: `start` and all `points` together are the score."""
    return {
        "score": round(reasons.score.value, ROUNDED),
        "start": round(reasons.start, ROUNDED),
        "start_why": reasons.start_why,
        "terms": [
            {
                "name": term.name,
                "points": round(term.points, ROUNDED),
                "log_odds": round(term.log_odds, ROUNDED),
                "why": term.why,
            }
            for term in reasons.terms
        ],
    }


def _event(row: rows.Row) -> dict[str, object]:
    detail = json.loads(str(row["detail_json"] or "{}"))
    subject = str(row["subject"])
    incident = {"incident": subject} if subject.startswith(f"{INCIDENTS}/") else {}
    named = {"at": plain(row["at"]), "kind": row["kind"], "boot": row["boot"], **incident}
    return {**detail, **named}


def _plain_row(row: rows.Row | None) -> dict[str, object] | None:
    return None if row is None else {name: plain(value) for name, value in row.items()}


def lines(told: Explanation, *, events: bool) -> list[str]:
    """The same for people."""
    found = [*_machine_lines(told), *_workload_lines(told)]
    if events:
        found.append("")
        found.append("History" if told.events else "History: nothing yet")
        found.extend(history_lines([_event(row) for row in told.events]))
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
    if told.reasons is not None:
        found.extend(f"  {line}" for line in _reason_lines(told.reasons))
    found.extend(
        f"  {question.value}: {evidence.answer.value} – {evidence.evidence}"
        for question, evidence in maturity.questions.items()
    )
    found.extend(f"  {line}" for line in _figure_lines(told.workload))
    if told.workload.confusion:
        found.append("  confusion:")
        found.extend(f"  - {line}" for line in confusion_lines(told.workload.confusion))
    if maturity.missing:
        found.append("  still missing:")
        found.extend(f"  - {missing}" for missing in maturity.missing)
    return found


def _reason_lines(reasons: Explained) -> list[str]:
    """Points of a hundred, the weightiest first; those that round to nothing are summed."""
    told = [term for term in reasons.terms if abs(term.points) >= TOLD_FROM]
    rest = sum(term.points for term in reasons.terms if abs(term.points) < TOLD_FROM)
    found = [f"from {reasons.start:.0%}: {reasons.start_why}"]
    found.extend(f"{_signed(term.points)}  {term.why}" for term in told)
    if len(told) < len(reasons.terms):
        found.append(f"{_signed(rest)}  everything else")
    return found


def _signed(points: float) -> str:
    """`+ 12.3`, `−  4.0`, a column wide."""
    sign = "−" if points < 0 else "+"
    return f"{sign} {abs(points) * 100:4.1f}"


def _figure_lines(workload: Workload) -> Iterator[str]:
    maturity = workload.maturity
    if maturity.trend is not None:
        yield f"trend: {trend_told(maturity.trend)}"
    yield f"proven scope: {scope_told(maturity)}"
    if workload.spent is not None:
        why = "" if workload.spent.why is None else f" ({workload.spent.why})"
        yield f"metered in the last 7 days: {spent_told(workload.spent)}{why}"
    if workload.burst is not None:
        yield burst_told(workload.burst)


def scope_told(maturity: Maturity) -> str:
    """What a success has shown, and nothing beyond."""
    if maturity.proven_gpus is None:
        return "unknown: no run that succeeded tells its number of GPUs"
    gpus = "1 GPU" if maturity.proven_gpus == 1 else f"up to {maturity.proven_gpus} GPUs"
    return f"{gpus}; more has never succeeded"
