"""A wrapper that is gone: by its process where it can be seen, by its silence elsewhere."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from policies.facts import RunOutcome, WorkloadKind
from watchdog.ledger.store import Ledger
from watchdog.recording.fingerprints import Fingerprints
from watchdog.recording.lost import SILENT, lost_rows, with_lost
from watchdog.recording.process_id import ProcessId, gone, read, this_place, this_process
from watchdog.recording.run_object import Place, Start, row_of, run_of
from watchdog.recording.usage import Use

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def row(
    *aliases: str, heard_at: datetime = NOW, outcome: RunOutcome = RunOutcome.RUNNING
) -> dict[str, object]:
    start = Start(
        run_id="record-1",
        workload="llama",
        started_at=NOW - timedelta(hours=1),
        group=None,
        owner="me",
        kind=WorkloadKind.UNKNOWN,
        data_class=None,
        nodes=None,
        gpus=None,
        copies=1,
        aliases=aliases,
    )
    run = run_of(start, Place(host="vm"), Fingerprints(), Use(), outcome=outcome)
    return row_of(run, heard_at)


def whole(ledger: Ledger, *rows: dict[str, object]) -> list[dict[str, object]]:
    ledger.append("runs", list(rows))
    return ledger.rows("runs")


def me() -> ProcessId:
    found = this_process()
    assert found is not None
    return found


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def test_a_wrapper_that_lives_here_is_not_lost_however_silent(ledger: Ledger) -> None:
    told = whole(ledger, row(me().text(), heard_at=NOW - timedelta(days=2)))
    assert with_lost(ledger, told, now=NOW) == told


def test_one_whose_process_is_gone_is_lost_with_its_last_word_as_end(ledger: Ledger) -> None:
    dead = replace(me(), started_ticks=me().started_ticks + 1)
    told = whole(ledger, row("slurm:7", dead.text(), heard_at=NOW - MINUTE))
    (lost,) = with_lost(ledger, told, now=NOW)
    assert (lost["outcome"], lost["ended_at"]) == ("lost", NOW - MINUTE)
    (stored,) = ledger.rows("runs")
    assert (stored["outcome"], stored["owner"]) == ("lost", "me")
    assert with_lost(ledger, [stored], now=NOW) == [stored]


def test_another_boot_of_this_host_ended_it() -> None:
    here = this_place()
    assert here is not None
    before = replace(me(), place=replace(here, boot="another"))
    assert gone(before, here) is True


def test_another_host_or_container_cannot_be_seen_from_here() -> None:
    here = this_place()
    assert here is not None
    assert gone(replace(me(), place=replace(here, host="other")), here) is None
    assert gone(replace(me(), place=replace(here, space="1")), here) is None
    assert gone(me(), None) is None


def test_a_process_that_only_waits_to_be_buried_is_gone() -> None:
    child = subprocess.Popen(["true"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert gone(replace(me(), pid=child.pid), this_place()) is True
    child.wait()


def test_elsewhere_silence_decides(ledger: Ledger) -> None:
    told = whole(ledger, row("process:h:b:1:2:3"))
    assert lost_rows(told, NOW + SILENT, lambda _: None) == []
    (lost,) = lost_rows(told, NOW + SILENT + MINUTE, lambda _: None)
    assert (lost["outcome"], lost["ended_at"]) == ("lost", NOW)


def test_a_wrapper_that_speaks_again_is_believed(ledger: Ledger) -> None:
    """Its word was written before the patrol gave it up, and arrived after."""
    told = whole(ledger, row())
    assert with_lost(ledger, told, now=NOW + timedelta(hours=5))[0]["outcome"] == "lost"
    ledger.append("runs", [row(heard_at=NOW + MINUTE, outcome=RunOutcome.SUCCEEDED)])
    (run,) = ledger.rows("runs")
    assert run["outcome"] == "succeeded"


def test_runs_that_others_tell_of_are_left_alone(ledger: Ledger) -> None:
    told = whole(ledger, {**row(), "source": "file"})
    assert lost_rows(told, NOW + timedelta(days=9), lambda _: True) == []


@pytest.mark.parametrize("text", ["", "slurm:7", "process:a:b:c:x:1", "process:a:b:c:1"])
def test_what_names_no_process(text: str) -> None:
    assert read(text) is None
