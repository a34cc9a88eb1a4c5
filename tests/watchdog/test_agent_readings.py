"""What agents told, as the next patrol takes it out of the ledger and judges by it."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from math import isnan
from pathlib import Path
from typing import Any

from policies.facts import Machine, Reading
from policies.rules import load_pack
from tests.builders import NOW, machine, reading
from tests.shelf import Shelf
from watchdog.agent.happenings import holders_row, input_row
from watchdog.agent_readings import with_agents
from watchdog.gather import Gathered, gather
from watchdog.ledger.dropbox import Dropbox
from watchdog.ledger.inbox import letter_text
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

FIVE = timedelta(minutes=5)
ONE = machine()


class Told:
    """A ledger into whose inbox agents drop what the test says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sent = 0
        self.ledger = Ledger.open(str(folder))

    def measured(
        self,
        *percents: float | None,
        gpu: str | None = "0",
        until: datetime = NOW,
        one: Machine = ONE,
        ahead: timedelta = timedelta(0),
        **columns: object,
    ) -> None:
        """Five-minute intervals up to a time, by a clock that is so far ahead."""
        start = until - FIVE * len(percents)
        rows = [
            {
                "resource": one.id,
                "gpu": gpu,
                "source": "agent",
                "started_at": start + FIVE * place + ahead,
                "ended_at": start + FIVE * (place + 1) + ahead,
                "observed_at": start + FIVE * (place + 1) + ahead,
                "utilisation_max_pct": pct,
                "utilisation_mean_pct": pct,
                "memory_used_mib": None if gpu is None else 10,
                "coverage": 1.0,
                **columns,
            }
            for place, pct in enumerate(percents)
        ]
        self._drop("readings", rows, arrived_at=until, ahead=ahead)

    def typed(self, at: datetime, one: Machine = ONE) -> None:
        self._drop("events", [input_row(one.id, at, at)], arrived_at=at)

    def held_by(self, holders: str | None, at: datetime) -> None:
        self._drop("events", [holders_row(ONE.id, holders, at)], arrived_at=at)

    def _drop(
        self,
        table: str,
        rows: Sequence[dict[str, object] | Any],
        *,
        arrived_at: datetime,
        ahead: timedelta = timedelta(0),
    ) -> None:
        self._sent += 1
        text = letter_text(table, rows)
        Dropbox(str(self._folder)).put(table, f"{self._sent}", text, sent_at=arrived_at + ahead)
        file = self._folder / "inbox" / table / f"{self._sent}.json.gz"
        os.utime(file, (arrived_at.timestamp(),) * 2)

    def patrol(
        self, *machines: Machine, at: datetime = NOW, readings: Sequence[Reading] = ()
    ) -> dict[str, Any]:
        shelf = Shelf(*(machines or (ONE,)), readings=readings)
        parts = Parts(providers=[shelf], ledger=self.ledger, policy=load_pack("observe"))
        told: dict[str, Any] = patrol_json(patrol(parts, now=at))
        return told

    def gathered(self, *machines: Machine, at: datetime = NOW, back: int = 4) -> Gathered:
        self.ledger.fold_inbox()
        found = gather(
            [Shelf(*(machines or (ONE,)))],
            now=at,
            watched_until=lambda scope: None,
            backfill=timedelta(hours=back),
        )
        return with_agents(self.ledger, found, now=at)


def test_hours_of_quiet_become_a_pause(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(90, *[0.0] * 24)
    told.measured(*[1.0] * 25, gpu=None, received_bytes=0, sent_bytes=0, written_bytes=0)
    (seen,) = told.patrol()["machines"]
    assert (seen["phase"], seen["idle_minutes"]) == ("idle", 120.0)
    assert seen["confidence"] > 0.9
    assert seen["measured_by"] == "agent"


def test_the_agent_is_believed_before_the_cloud_s_own_and_the_choice_is_told(
    tmp_path: Path,
) -> None:
    told = Told(tmp_path)
    told.measured(*[90.0] * 48)
    (seen,) = told.patrol(readings=[reading([0.0] * 36, started_at=NOW - timedelta(hours=3))])[
        "machines"
    ]
    assert seen["phase"] == "active"
    assert seen["why"][-1] == (
        "measured by agent (100% of the time), not cloudwatch:CWAgent (100% of the time)"
    )


def test_one_that_has_only_just_begun_is_passed_over_and_that_is_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(0.0, 0.0)
    (seen,) = told.patrol(readings=[reading([50.0] * 36, started_at=NOW - timedelta(hours=3))])[
        "machines"
    ]
    assert seen["phase"] == "active"
    assert "not agent (6% of the time)" in seen["why"][-1]


def test_a_gpu_of_which_it_says_nothing_leaves_the_machine_unknown(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12)
    (seen,) = told.patrol(machine(gpus=2))["machines"]
    assert seen["phase"] == "unknown"
    assert any("1 of 2 GPUs report nothing" in why for why in seen["why"])


def test_an_agent_that_fell_silent_leaves_now_unknown(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12, until=NOW - timedelta(minutes=30))
    (seen,) = told.patrol()["machines"]
    assert seen["phase"] == "unknown"


def test_agents_of_other_machines_change_nothing(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12, one=machine("stranger"))
    (seen,) = told.patrol()["machines"]
    assert (seen["phase"], seen["measured_by"]) == ("unknown", None)


def test_of_two_agents_the_busier_counts(tmp_path: Path) -> None:
    for first, second in ((97.0, 0.0), (0.0, 97.0)):
        told = Told(tmp_path / f"{first}")
        told.measured(first)
        told.measured(second)
        (seen,) = told.patrol()["machines"]
        assert seen["phase"] == "active"


def test_a_clock_ahead_is_put_right_and_told(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12, ahead=timedelta(minutes=20))
    report = told.patrol()
    (seen,), (gap,) = report["machines"], report["gaps"]
    assert (seen["phase"], seen["idle_minutes"]) == ("idle", 60.0)
    assert (gap["provider"], gap["what"]) == ("aws", "clock")
    assert gap["why"].startswith(f"the clock of {ONE.id} is 20 min ahead of the ledger's")
    again = told.patrol(at=NOW + FIVE)
    assert again["gaps"] == []


def test_readings_from_the_future_are_not_fresh(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12, until=NOW + timedelta(hours=2))
    (seen,) = told.patrol()["machines"]
    assert seen["phase"] == "unknown"
    (seen,) = told.patrol(at=NOW + timedelta(hours=2))["machines"]
    assert seen["phase"] == "idle"


def test_an_hour_of_a_long_silence_is_known_only_if_most_of_it_was_watched(
    tmp_path: Path,
) -> None:
    told = Told(tmp_path)
    night = NOW - timedelta(hours=10)
    told.measured(*[0.0] * 11, 80.0, until=night, power_w=100.0)
    told.measured(*[0.0] * 9, until=night + timedelta(minutes=45))
    told.measured(*[7.0] * 12, gpu=None, until=night, received_bytes=100)
    gpu, host = (each for each in told.gathered(back=14).readings if each.period_s == 3600)
    assert (gpu.gpu, host.gpu) in {("0", None), (None, "0")}
    if gpu.gpu is None:
        gpu, host = host, gpu
    place = int((night - timedelta(hours=1) - gpu.started_at) / timedelta(hours=1))
    known = [value for value in gpu.utilisation_max_pct if not isnan(value)]
    assert (known, gpu.utilisation_max_pct[place]) == ([80.0], 80.0)
    assert gpu.power_w is not None
    assert gpu.power_w[place] == 100.0
    assert host.received_bytes is not None
    assert host.received_bytes[place] == 1200.0


def test_the_last_input_comes_with_the_machine(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(0.0)
    told.typed(NOW - timedelta(hours=2))
    told.typed(NOW - timedelta(minutes=3))
    told.typed(NOW + timedelta(hours=1))
    (one, other) = told.gathered(ONE, machine("other")).machines
    assert one.last_input_at == NOW - timedelta(minutes=3)
    assert other.last_input_at is None


def test_who_is_on_the_gpus_stands_among_the_reasons(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12)
    told.held_by("held by python3 (pid 4711) on GPU 0", NOW - timedelta(hours=5))
    told.held_by("held by jupyter (pid 12) on GPU 0", NOW + timedelta(hours=5))
    (seen,) = told.patrol()["machines"]
    assert "held by python3 (pid 4711) on GPU 0" in seen["why"]
    told.held_by(None, NOW)
    (seen,) = told.patrol()["machines"]
    assert not any("held by" in why for why in seen["why"])


def test_what_agents_told_is_not_stored_again(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.measured(*[0.0] * 12)
    told.patrol()
    told.patrol(at=NOW + FIVE)
    assert told.ledger.info().set_index("table")["rows"]["readings"] == 12


def test_events_of_agents_read_as_a_history(tmp_path: Path) -> None:
    told = Told(tmp_path)
    told.typed(NOW)
    told.patrol()
    (row,) = [row for row in told.ledger.rows("events") if row["kind"] == "last_input"]
    assert json.loads(str(row["detail_json"]))["why"] == "somebody typed at a terminal"
