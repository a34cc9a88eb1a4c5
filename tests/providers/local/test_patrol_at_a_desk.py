"""A workstation under patrol: through the command, and over hours through the ledger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.rules import load_pack
from providers.local.adapter import LocalProvider
from providers.local.host import Host
from tests.builders import NOW
from tests.providers.local.standin import ROOT, Desk
from tests.providers.local.test_contract import HOST, USE
from tests.providers.local.test_local_prices import Wishes
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

COMMAND = str(Path(sys.executable).parent / "spend-watchdog")


def run(folder: Path, desk: Desk, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "AWS_EC2_METADATA_DISABLED": "true",
        "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
        **desk.environment,
    }
    done = subprocess.run(
        [COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
        env=environment,
        timeout=120,
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def judged(folder: Path, desk: Desk, *, code: int = 0) -> tuple[dict[str, Any], list[Any]]:
    done = run(folder, desk, "patrol", "--provider", "local", "--json")
    assert done.returncode == code, done.stdout + done.stderr
    told = json.loads(done.stdout)
    (machine,) = told["machines"]
    return machine, told["gaps"]


@pytest.mark.parametrize(
    ("says", "phase", "why"),
    [
        ({}, "idle", "GPU 0: 0 %, 0.0 GiB held"),
        (
            {"STANDIN_PCT": "97", "STANDIN_HELD_MIB": "61440"},
            "active",
            "GPU 0: 97 %, 60.0 GiB held",
        ),
        ({"STANDIN_HELD_MIB": "2048"}, "parked", "GPU 0: 0 %, 2.0 GiB held"),
        ({"STANDIN_GPUS": "2"}, "idle", "GPU 0, 1: 0 %, 0.0 GiB held"),
        ({"STANDIN_MEMORY": "3"}, "idle", "GPU 0: 0 %"),
        (
            {"STANDIN_MIG": "2", "STANDIN_SLICE_PCT": "50"},
            "active",
            "GPU MIG-0-0: 0 %, 0.0 GiB held; GPU MIG-0-1: 50 %, 0.0 GiB held",
        ),
        (
            {"STANDIN_MIG": "2", "STANDIN_SLICE_PCT": "0"},
            "idle",
            "GPU MIG-0-0, MIG-0-1: 0 %, 0.0 GiB held",
        ),
    ],
)
def test_one_sample_gives_a_phase_and_says_how_little_it_rests_on(
    tmp_path: Path, desk: Desk, says: dict[str, str], phase: str, why: str
) -> None:
    desk.says |= says
    machine, gaps = judged(tmp_path, desk)
    assert machine["phase"] == phase
    assert why in machine["why"]
    assert 0 < machine["confidence"] < 0.9
    assert machine["provider"] == "local"
    assert machine["hourly_cost_usd"] is None
    assert gaps == []


@pytest.mark.parametrize(
    ("says", "why"),
    [
        (
            {"STANDIN_GPUS": "2", "STANDIN_SECOND": "15"},
            "GPU 0: 0 %, 0.0 GiB held; GPU 1: not measured",
        ),
        ({"STANDIN_RATES": "3"}, "GPU 0: not measured, 0.0 GiB held"),
        ({"STANDIN_MIG": "2"}, "GPU MIG-0-0, MIG-0-1: not measured, 0.0 GiB held"),
    ],
)
def test_what_was_not_measured_is_unknown_and_a_gap(
    tmp_path: Path, desk: Desk, says: dict[str, str], why: str
) -> None:
    desk.says |= says
    machine, gaps = judged(tmp_path, desk, code=4)
    assert (machine["phase"], machine["confidence"]) == ("unknown", 0.0)
    assert why in machine["why"]
    assert {gap["what"] for gap in gaps} == {"GPU metrics"}


def test_who_holds_the_card_is_said(tmp_path: Path, desk: Desk) -> None:
    desk.says |= {"STANDIN_HELD_MIB": "2048", "STANDIN_PROCESSES": "1"}
    machine, _ = judged(tmp_path, desk)
    assert "held by python3 (pid 4711) on GPU 0" in machine["why"]


def test_electricity_and_card_give_a_local_hour_its_cost(tmp_path: Path, desk: Desk) -> None:
    desk.says |= {
        "SPEND_WATCHDOG_LOCAL__ELECTRICITY_USD_PER_KWH": "0.30",
        "SPEND_WATCHDOG_LOCAL__CARD_USD": "8760",
        "SPEND_WATCHDOG_LOCAL__CARD_YEARS": "2",
    }
    machine, _ = judged(tmp_path, desk)
    assert Decimal(machine["hourly_cost_usd"]) == Decimal("0.5183")
    del desk.says["SPEND_WATCHDOG_LOCAL__CARD_YEARS"]
    done = run(tmp_path, desk, "patrol", "--provider", "local")
    assert done.returncode == 2
    assert "card_usd and card_years belong together" in done.stderr


def test_a_desk_is_watched_unasked_where_it_has_a_gpu(tmp_path: Path, desk: Desk) -> None:
    done = run(tmp_path, desk, "patrol", "--json")
    assert [each["provider"] for each in json.loads(done.stdout)["machines"]] == ["local"]
    desk.says["STANDIN_INIT"] = "9"
    done = run(tmp_path, desk, "patrol", "--json")
    assert "local" not in done.stdout
    assert "no cloud is configured" in done.stdout


def test_without_a_driver_one_quiet_line_says_so(tmp_path: Path, library: Path) -> None:
    done = run(tmp_path, Desk(tmp_path), "patrol", "--provider", "local", "--json")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert told["machines"] == []
    assert [gap["why"] for gap in told["gaps"]] == ["no NVIDIA driver is installed here"]


class Hours:
    """Patrols every five minutes at a desk whose cards show what the test says."""

    def __init__(self, folder: Path, desk: Desk, host: Host = HOST) -> None:
        self._ledger = Ledger.open(str(folder))
        self._desk = desk
        self._host = host
        self.now = NOW

    def patrol(self, pct: int) -> dict[str, Any]:
        self._desk.says["STANDIN_PCT"] = str(pct)
        provider = LocalProvider(
            Wishes(hourly_usd=Decimal(6)),
            sampler=self._desk.sample,
            host=lambda: self._host,
            use=lambda: USE,
            clock=lambda: self.now,
        )
        parts = Parts(providers=[provider], ledger=self._ledger, policy=load_pack("observe"))
        told: Any = patrol_json(patrol(parts, now=self.now))["machines"]
        self.now += timedelta(minutes=5)
        return dict(told[0])

    def minutes(self, phase: str) -> float:
        hours = [
            float(str(row["ConsumedQuantity"]))
            for row in self._ledger.rows("charges")
            if row["x_Phase"] == phase
        ]
        return round(60 * sum(hours), 3)


def test_samples_of_earlier_patrols_make_a_pause_and_keep_their_cost(
    tmp_path: Path, desk: Desk
) -> None:
    hours = Hours(tmp_path / "ledger", desk)
    busy = [hours.patrol(80) for _ in range(2)]
    quiet = [hours.patrol(0) for _ in range(4)]
    assert [each["phase"] for each in busy + quiet] == ["active"] * 2 + ["idle"] * 4
    assert [each["idle_minutes"] for each in quiet] == [5.0, 10.0, 15.0, 20.0]
    assert quiet[-1]["confidence"] > 0.9 > quiet[0]["confidence"]
    assert hours.minutes("active") == 10.0
    assert hours.minutes("idle") == 20.0


def test_a_missed_patrol_leaves_its_time_unknown(tmp_path: Path, desk: Desk) -> None:
    hours = Hours(tmp_path / "ledger", desk)
    hours.patrol(0)
    hours.now += timedelta(minutes=10)
    told = hours.patrol(0)
    assert told["idle_minutes"] == 20.0
    assert told["coverage"] == 0.5
    assert hours.minutes("idle") == 10.0


def test_what_is_measured_now_beats_what_is_remembered(tmp_path: Path, desk: Desk) -> None:
    hours = Hours(tmp_path / "ledger", desk)
    hours.patrol(0)
    hours.now -= timedelta(minutes=4)
    assert hours.patrol(80)["phase"] == "active"


def test_a_desk_that_was_switched_on_this_morning_is_set_up(tmp_path: Path, desk: Desk) -> None:
    switched_on = replace(HOST, booted_at=NOW - timedelta(minutes=20))
    hours = Hours(tmp_path / "ledger", desk, switched_on)
    assert hours.patrol(0)["phase"] == "idle"
    assert hours.patrol(80)["phase"] == "active"
