"""What befell a machine: whole, in order, and as a person reads it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.ladder import EventKind
from tests.builders import NOW, machine
from watchdog import rows
from watchdog.explain import explain, explain_json, lines
from watchdog.history import history_lines
from watchdog.keeps import keep_row
from watchdog.ledger.incidents import IncidentLog, event_rows
from watchdog.ledger.store import Ledger

PATROL = "20261123T080000Z-0a1b2c3d"
ONE = machine("trainer-1")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    store = Ledger.open(str(tmp_path / "ledger"))
    store.append("machines", [rows.machine_row(ONE, NOW)])
    return store


def incident(ledger: Ledger) -> None:
    """Warned, kept, and stopped by order; the table of events knows of nothing yet."""
    log = IncidentLog(ledger)
    kept = log.open(ONE, NOW - timedelta(hours=1), PATROL, NOW)
    steps: list[tuple[EventKind, str, dict[str, str]]] = [
        (EventKind.TELLING, PATROL, {}),
        (
            EventKind.WARNED,
            PATROL,
            {
                "why": "nobody was warned yet",
                "channel": "C1",
                "ts": "1.0",
                "stop_at": (NOW + timedelta(minutes=30)).isoformat(),
            },
        ),
        (
            EventKind.STOP_INTENDED,
            "ana (Slack U1)",
            {"ordered": "slack", "overridden": "kept: it is kept until 10:00 UTC by bob"},
        ),
        (EventKind.STOPPED, "ana (Slack U1)", {"ordered": "slack", "why": "it is stopped"}),
    ]
    for minute, (kind, by, detail) in enumerate(steps):
        assert kept is not None
        kept = log.write(kept, kind, by, NOW + timedelta(minutes=10 * minute), detail)


def told(ledger: Ledger) -> list[dict[str, Any]]:
    shown: Any = explain_json(explain(ledger, "trainer-1", now=NOW), events=True)
    return list(shown["events"])


def history(ledger: Ledger) -> list[str]:
    shown = lines(explain(ledger, "trainer-1", now=NOW), events=True)
    return shown[shown.index("History") + 1 :]


def test_an_incident_reads_like_a_story(ledger: Ledger) -> None:
    incident(ledger)
    row = keep_row(ONE.id, NOW + timedelta(hours=2), "bob", NOW + timedelta(minutes=15))
    ledger.append("events", [row])
    assert history(ledger) == [
        "  2026-11-23 08:00 UTC  opened  quiet since 2026-11-23 07:00 UTC",
        (
            "  2026-11-23 08:10 UTC  warned  in C1 of a stop at 2026-11-23 08:30 UTC:"
            " nobody was warned yet"
        ),
        "  2026-11-23 08:15 UTC  keep  until 2026-11-23 10:00 UTC by bob",
        (
            "  2026-11-23 08:20 UTC  stop_intended  by order of ana (Slack U1) (slack), against"
            " kept: it is kept until 10:00 UTC by bob"
        ),
        "  2026-11-23 08:30 UTC  stopped  by ana (Slack U1): it is stopped",
    ]


def test_scripts_get_every_event_with_time_kind_and_incident(ledger: Ledger) -> None:
    incident(ledger)
    kinds = [event["kind"] for event in told(ledger)]
    assert kinds == ["opened", "telling", "warned", "stop_intended", "stopped"]
    assert all(event["at"].endswith("Z") for event in told(ledger))
    (key,) = {event["incident"] for event in told(ledger)}
    assert key.startswith(f"incidents/{ONE.id}/")


def test_what_the_table_knows_already_is_told_once(ledger: Ledger) -> None:
    incident(ledger)
    before = told(ledger)
    (kept,) = IncidentLog(ledger).of(ONE.id)
    ledger.append("events", event_rows(kept)[:3])
    assert told(ledger) == before


def test_what_patrols_say_again_and_again_is_one_line() -> None:
    event = {"kind": "vetoed", "action": "stop", "why": "kept: it is kept until 10:00 UTC by bob"}
    events = [
        {**event, "at": (NOW + timedelta(minutes=5 * n)).isoformat(), "boot": "b"} for n in range(4)
    ]
    (line,) = history_lines(events)
    assert line == (
        "  2026-11-23 08:00 UTC  vetoed  stop: kept: it is kept until 10:00 UTC by bob"
        " (4 times until 2026-11-23 08:15 UTC)"
    )


def test_a_patrols_own_note_of_a_stop_stands_only_where_no_incident_tells_of_it() -> None:
    at = NOW.isoformat()
    note = {"at": at, "kind": "stopped", "action": "stop", "why": "it is stopped"}
    event = {"at": at, "kind": "stopped", "incident": "incidents/m/b/o", "by": PATROL, "why": "it"}
    assert history_lines([note]) == ["  2026-11-23 08:00 UTC  stopped  stop: it is stopped"]
    assert history_lines([note, event]) == ["  2026-11-23 08:00 UTC  stopped  by a patrol: it"]


def test_a_claim_is_shown_only_while_nobody_knows_what_became_of_it() -> None:
    event = {"at": NOW.isoformat(), "kind": "telling", "incident": "incidents/m/b/o", "by": PATROL}
    assert history_lines([event]) == ["  2026-11-23 08:00 UTC  telling  a patrol is telling people"]
