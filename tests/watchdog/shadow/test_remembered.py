"""What patrols keep of their judgement: a row where it changed, and none where only time passed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Machine, Reading
from policies.rules import load_pack
from policies.verdicts import Phase
from tests.builders import NOW, machine, reading
from tests.shelf import Shelf
from watchdog.explain import explain
from watchdog.keeps import keep_row
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.shadow.remembered import knowledge

STEP = timedelta(minutes=10)
HOURS = 6


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def readings(one: Machine, until: datetime) -> list[Reading]:
    """Busy until two hours after `NOW`, then nothing; from three hours before this hour on."""
    begin = until.replace(minute=0) - timedelta(hours=3)
    count = int((until - begin) / timedelta(minutes=5))
    moments = [begin + n * timedelta(minutes=5) for n in range(count)]
    busy = [90.0 if at < NOW + timedelta(hours=2) else 0.0 for at in moments]
    quiet = [0.0] * count
    host: dict[str, Any] = {
        "received_bytes": quiet,
        "sent_bytes": quiet,
        "written_bytes": quiet,
    }
    return [
        reading(busy, resource=one.id, started_at=begin, memory_used_mib=[10.0] * count),
        reading(quiet, resource=one.id, gpu=None, started_at=begin, **host),
    ]


def pass_at(ledger: Ledger, at: datetime, *machines: Machine) -> None:
    told = [each for one in machines for each in readings(one, at)]
    parts = Parts(
        providers=[Shelf(*machines, readings=told)], ledger=ledger, policy=load_pack("observe")
    )
    patrol(parts, now=at)


def judged(ledger: Ledger) -> list[dict[str, Any]]:
    rows = [row for row in ledger.rows("events") if row["kind"] == "judged"]
    rows.sort(key=lambda row: str(row["at"]))
    return [json.loads(str(row["detail_json"])) | {"at": row["at"]} for row in rows]


def test_a_pause_has_a_handful_of_rows_however_long_it_lasts(ledger: Ledger) -> None:
    for n in range(HOURS * 6):
        pass_at(ledger, NOW + n * STEP, machine())
    told = judged(ledger)
    assert [each["phase"] for each in told][:2] == ["active", "idle"]
    assert len(told) <= 8
    idle = told[1]
    assert datetime.fromisoformat(idle["quiet_since"]) == NOW + timedelta(hours=2)
    assert idle["at"] - datetime.fromisoformat(idle["quiet_since"]) <= STEP
    assert told[-1]["wanted"] == "notify"


def test_the_same_patrol_again_writes_nothing(ledger: Ledger) -> None:
    for _ in range(3):
        pass_at(ledger, NOW + timedelta(hours=4), machine())
    assert len(judged(ledger)) == 1


def test_a_start_again_and_a_keep_are_changes(ledger: Ledger) -> None:
    one = machine()
    pass_at(ledger, NOW + timedelta(hours=4), one)
    until = NOW + timedelta(hours=9)
    ledger.append("events", [keep_row(one.id, until, "ana", NOW + timedelta(hours=4))])
    pass_at(ledger, NOW + timedelta(hours=4) + STEP, one)
    kept = judged(ledger)[-1]
    assert [name for name, _ in kept["vetoes"]] == ["kept"]
    again = replace(one, started_at=NOW + timedelta(hours=4) + STEP)
    pass_at(ledger, NOW + timedelta(hours=4) + 2 * STEP, again)
    assert len({row["boot"] for row in ledger.rows("judgements", until=until)}) == 2


def test_a_new_boot_has_a_row_of_its_own_though_all_is_as_before(ledger: Ledger) -> None:
    one = machine(needs_setup=False)
    pass_at(ledger, NOW + timedelta(hours=1), one)
    again = replace(one, started_at=NOW + timedelta(minutes=65))
    pass_at(ledger, NOW + timedelta(hours=1) + STEP, again)
    assert len(judged(ledger)) == 2


def test_what_is_kept_comes_back_as_it_was_known(ledger: Ledger) -> None:
    one = machine(tags={"spend-watchdog:workload": "llama", "spend-watchdog:owner": "ana"})
    at = NOW + timedelta(hours=3)
    pass_at(ledger, at, one)
    (known,) = knowledge(ledger, until=at)[one.id]
    assert (known.phase.phase, known.attribution.owner) == (Phase.IDLE, "ana")
    assert known.phase.idle_minutes() == 60.0
    assert known.phase_at(at + STEP).idle_minutes() == 70.0
    assert known.hourly_usd == one.price.hourly_usd
    assert knowledge(ledger, until=at - STEP) == {}


def test_the_history_of_a_machine_is_not_flooded(ledger: Ledger) -> None:
    pass_at(ledger, NOW + timedelta(hours=4), machine())
    told = explain(ledger, "trainer-1", now=NOW + timedelta(hours=5))
    assert {row["kind"] for row in told.events} == {"finding"}
