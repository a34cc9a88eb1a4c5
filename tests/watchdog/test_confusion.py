"""Findings of confusion in a patrol: written down once, grown, and shown where they burn."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from policies.rules import load_pack
from tests.builders import NOW, machine, reading, run
from tests.shelf import Shelf
from tests.watchdog.ledger.facts import charge
from tests.watchdog.ledger.facts import machine as machine_row
from tests.watchdog.ledger.facts import run as run_row
from watchdog.alerts.console import plain_text, render
from watchdog.alerts.message import alert_from
from watchdog.confusion import found_confusion, list_hourly_usd
from watchdog.confusion_shown import confusion_lines
from watchdog.explain import explain, explain_json, lines
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json
from watchdog.patrol_report import PatrolReport
from watchdog.rows import run_from

I1 = machine().id


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def fails(ledger: Ledger, *hours: float, prefix: str = "r", **changes: Any) -> None:
    """A run a number, that began so many hours before `NOW` and failed after an hour."""
    told = []
    for number, before in enumerate(hours):
        start = NOW - timedelta(hours=before)
        row: dict[str, Any] = {
            "workload": "llama",
            "outcome": "failed",
            "cause": "error",
            "error": f"ValueError: bad shape ({number}, 7)",
            "started_at": start,
            "ended_at": start + timedelta(hours=1),
            "gpus": 1,
            "machine_id": I1,
        }
        told.append(run_row(f"{prefix}{number}", **(row | changes)))
    ledger.append("runs", told)


def passed(ledger: Ledger, *, at: datetime = NOW, **changes: Any) -> PatrolReport:
    idle = machine(started_at=NOW - timedelta(days=40), **changes)
    shelf = Shelf(idle, readings=[reading([0.0] * 24, memory_used_mib=[0.0] * 24)])
    return patrol(Parts(providers=[shelf], ledger=ledger, policy=load_pack("default")), now=at)


def events(ledger: Ledger, view: str = "events") -> list[dict[str, Any]]:
    rows = [row for row in ledger.rows(view) if row["kind"] == "confusion"]
    return [json.loads(str(row["detail_json"])) for row in sorted(rows, key=lambda r: str(r["n"]))]


def test_a_finding_is_written_once_and_grows(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10)
    for minutes in range(3):
        passed(ledger, at=NOW + timedelta(minutes=minutes))
    [told] = events(ledger)
    assert (told["finding"], told["count"], told["runs"]) == ("same_error", 3, ["r0", "r1", "r2"])
    assert len(events(ledger, "raw_events")) == 1

    fails(ledger, 2, prefix="later")
    passed(ledger, at=NOW + timedelta(minutes=5))
    [grown] = events(ledger)
    assert (grown["count"], grown["since"]) == (4, told["since"])
    assert len(events(ledger, "raw_events")) == 2


def test_an_older_run_that_comes_to_light_does_not_make_a_second_finding(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10)
    passed(ledger)
    fails(ledger, 40, prefix="late")
    passed(ledger, at=NOW + timedelta(minutes=5))
    [told] = events(ledger)
    assert told["runs"] == ["late0", "r0", "r1", "r2"]


def test_what_ended_long_ago_is_no_news_and_is_explained_all_the_same(ledger: Ledger) -> None:
    fails(ledger, *(24 * 60 + n * 2 for n in range(4)))
    fails(ledger, 3, prefix="other", error="TypeError: a new one")
    report = passed(ledger)
    assert events(ledger) == []
    assert report.machines[0].confusion == ()
    told = explain(ledger, "llama", now=NOW)
    assert any("same error, 2026-09-2" in line for line in lines(told, events=False))


def test_a_patrol_shows_it_beside_the_machine_of_exploratory_work(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10)
    report = passed(ledger, tags={"spend-watchdog:workload": "llama"})
    [each] = report.machines[0].confusion
    assert each.finding.count == 3
    passed(ledger, at=NOW + timedelta(minutes=1), tags={"spend-watchdog:workload": "llama"})
    assert len(events(ledger, "raw_events")) == 1, "what is shown again is not written again"

    [told] = json.loads(json.dumps(patrol_json(report)))["confusion"]
    assert (told["workload"], told["kind"], told["count"]) == ("llama", "same_error", 3)

    console = Console(width=300, no_color=True)
    with console.capture() as shown:
        console.print(*render(report))
    assert "Confusion in exploratory work that runs now" in shown.get()
    assert "llama: same error, 2026-11-22: the same error in 3 of 3 runs" in shown.get()

    alert = alert_from(report)
    assert alert is not None
    [line] = [each for each in plain_text(alert).split("\n") if "confusion" in each]
    assert "confusion, same error, 2026-11-22: the same error in 3 of 3 runs within" in line


def test_other_work_on_the_machine_hears_nothing_of_it(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10)
    report = passed(ledger, tags={"spend-watchdog:workload": "other"})
    assert report.machines[0].confusion == ()
    assert patrol_json(report)["confusion"] == []
    assert len(events(ledger)) == 1


def test_repeats_cost_what_was_metered_of_their_machine(ledger: Ledger) -> None:
    """Eight GPUs at 32 USD an hour, of which the runs held one; the hours say otherwise."""
    ledger.append("machines", [machine_row(id=I1, gpus=8, hourly_usd=Decimal(99))])
    charged = [
        charge(
            "active",
            hours_ago=before,
            ResourceId=I1,
            ConsumedQuantity=Decimal(1),
            ConsumedUnit="Hours",
            ListCost=Decimal(32),
        )
        for before in (6, 4)
    ]
    ledger.append("charges", charged)
    fails(ledger, 8, 6, 4, gpus=8)
    [each] = found_confusion(ledger, runs_of(ledger), now=NOW)[next(iter(keys(ledger)))]
    assert (each.cost.gpu_hours, each.cost.usd) == (16.0, Decimal(64))
    assert each.cost.basis == ("metered",)
    [line] = confusion_lines([each])
    assert line.endswith("; its repeats cost 16.00 GPU-hours, 64.00 USD (metered)")


def test_data_moved_before_each_run_is_read_off_the_charges(ledger: Ledger) -> None:
    ledger.append("machines", [machine_row(id=I1, gpus=8, hourly_usd=Decimal(32))])
    moved = [
        charge(
            "transfer",
            hours_ago=before,
            ResourceId=I1,
            ConsumedQuantity=Decimal("0.5"),
            ConsumedUnit="Hours",
            ListCost=Decimal(16),
        )
        for before in (31, 21, 11)
    ]
    ledger.append("charges", moved)
    fails(ledger, 30, 20, 10, outcome="succeeded", cause=None, error=None, setup_seconds=0.0)
    [each] = found_confusion(ledger, runs_of(ledger), now=NOW)[next(iter(keys(ledger)))]
    assert each.finding.kind.value == "transfer_again"
    assert "30 min each, before 3 of 3 runs" in each.finding.why
    assert (each.cost.gpu_hours, each.cost.usd) == (8.0, Decimal(32))


def test_unknown_dollars_are_told_as_unknown(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10, machine_id=None)
    told = explain_json(explain(ledger, "llama", now=NOW), events=False)
    workload = told["workload"]
    assert isinstance(workload, dict)
    [each] = workload["confusion"]
    assert each["cost"] == {
        "gpu_hours": 2.0,
        "usd": None,
        "basis": [],
        "why": "2 of 2 repeats have no charge, no cost and no price",
    }


def test_its_history_shows_it(ledger: Ledger) -> None:
    fails(ledger, 30, 20, 10)
    passed(ledger)
    told = explain(ledger, "llama", now=NOW)
    assert any("  confusion  same error, " in line for line in lines(told, events=True))


def test_a_list_price_is_for_the_gpus_that_a_run_held() -> None:
    p4d = {"provider": "aws", "region": "us-east-1", "machine_type": "p4d.24xlarge"}
    whole = list_hourly_usd(run(gpus=8, **p4d))
    assert whole is not None
    assert list_hourly_usd(run(gpus=1, **p4d)) == whole / 8
    assert list_hourly_usd(run(gpus=None, nodes=2, **p4d)) == whole * 2
    assert list_hourly_usd(run(gpus=1, provider="aws", region="us-east-1")) is None
    assert list_hourly_usd(run(**{**p4d, "machine_type": "no-such"})) is None


def runs_of(ledger: Ledger) -> list[Any]:
    return [run_from(row) for row in ledger.rows("runs")]


def keys(ledger: Ledger) -> set[Any]:
    return set(found_confusion(ledger, runs_of(ledger), now=NOW))
