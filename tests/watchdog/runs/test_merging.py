"""One attempt that several sources tell is one run; what is not one stays two."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from tests.watchdog.ledger.facts import NOW, run
from watchdog.cli.main import app
from watchdog.ledger.engine import Engine
from watchdog.ledger.incoming import registered
from watchdog.ledger.store import Ledger
from watchdog.ledger.tables import RUNS
from watchdog.ledger.views import RAW, query
from watchdog.runs.showing import shown
from watchdog.runs.splitting import split

HOUR = timedelta(hours=1)
MACHINE = "aws:1:us-east-1:i-1"
Row = dict[str, Any]


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def told(run_id: str, source: str, **changes: Any) -> Row:
    """Two hours until `NOW`."""
    return run(run_id, **{"source": source, "ended_at": NOW, **changes})


def runs(ledger: Ledger, *rows: Row) -> dict[str, Row]:
    ledger.append("runs", rows)
    return {str(row["run_id"]): row for row in ledger.rows("runs")}


def recorded(**changes: Any) -> Row:
    return told("record-1", "record", aliases="slurm:5;mlflow:a;process:x.7.1", **changes)


def test_captured_ids_make_one_run(ledger: Ledger) -> None:
    found = runs(
        ledger,
        recorded(peak_gpu_memory_mib=61.0),
        told("slurm:5", "slurm", gpus=4, peak_gpu_memory_mib=10.0),
        told("a", "mlflow", aliases="mlflow:a", metric_name="loss", metric_value=0.5),
    )
    assert set(found) == {"record-1"}
    one = found["record-1"]
    assert one["told_by"] == "record;slurm;mlflow"
    assert one["aliases"] == "a;mlflow:a;process:x.7.1;slurm:5"
    assert (one["gpus"], one["metric_value"], one["peak_gpu_memory_mib"]) == (4, 0.5, 61.0)


def test_a_process_id_names_no_attempt(ledger: Ledger) -> None:
    same = {"aliases": "process:x.7.1"}
    assert len(runs(ledger, told("a", "record", **same), told("b", "mlflow", **same))) == 2


def test_a_job_with_two_tracked_runs_is_neither_of_them(ledger: Ledger) -> None:
    found = runs(
        ledger,
        told("slurm:5", "slurm"),
        told("a", "mlflow", aliases="slurm:5", ended_at=NOW - HOUR),
        told("b", "mlflow", aliases="slurm:5", started_at=NOW - HOUR),
    )
    assert set(found) == {"slurm:5", "a", "b"}


def test_a_requeued_job_meets_its_own_attempt(ledger: Ledger) -> None:
    first = {"started_at": NOW - 9 * HOUR, "ended_at": NOW - 8 * HOUR}
    found = runs(
        ledger,
        told("record-1", "record", aliases="slurm:5", **first),
        told("record-2", "record", aliases="slurm:5"),
        told("5-0", "slurm", aliases="slurm:5", **first),
        told("5-1", "slurm", aliases="slurm:5"),
    )
    assert {name: row["aliases"] for name, row in found.items()} == {
        "record-1": "5-0;slurm:5",
        "record-2": "5-1;slurm:5",
    }


def test_an_id_that_comes_again_a_year_later_is_another_attempt(ledger: Ledger) -> None:
    past = {"started_at": NOW - 9000 * HOUR, "ended_at": NOW - 8999 * HOUR}
    assert len(runs(ledger, recorded(), told("slurm:5", "slurm", **past))) == 2


@pytest.mark.parametrize(
    ("ours", "theirs", "merged"),
    [
        ({"owner": "ana"}, {"owner": "ana", "workload": "job"}, True),
        ({"owner": "ana"}, {"owner": "bob"}, False),
        ({}, {}, True),
        ({"owner": "ana"}, {}, True),
        ({"owner": "ana"}, {"workload": "job"}, False),
        ({}, {"started_at": NOW - HOUR * 1.82}, True),
        ({}, {"started_at": NOW - HOUR * 1.78}, False),
        ({}, {"ended_at": None, "outcome": "running"}, False),
        ({}, {"machine_id": "i-1"}, True),
        ({}, {"machine_id": f"aws:1:us-east-1:i-0;{MACHINE}"}, True),
        ({}, {"machine_id": "aws:1:us-east-1:i-2"}, False),
        ({}, {"machine_id": None}, False),
        ({"host": "n1.lab"}, {"machine_id": None, "host": "N1"}, True),
        ({"host": "localhost"}, {"machine_id": None, "host": "localhost"}, False),
        ({"aliases": "slurm:1"}, {"aliases": "slurm:2"}, False),
        ({"aliases": "slurm:1"}, {"aliases": "wandb:2"}, True),
    ],
)
def test_machine_owner_and_overlap(ledger: Ledger, ours: Row, theirs: Row, merged: bool) -> None:  # noqa: FBT001 - a case's answer
    place = {"machine_id": MACHINE}
    found = runs(
        ledger, told("a", "sagemaker", **(place | ours)), told("b", "file", **(place | theirs))
    )
    assert len(found) == (1 if merged else 2)


def test_two_at_once_on_one_machine_are_not_guessed_at(ledger: Ledger) -> None:
    place = {"machine_id": MACHINE}
    several = [told("a0", "record", **place), told("a1", "record", **place)]
    assert len(runs(ledger, *several, told("b0", "mlflow", **place))) == 3


def test_runs_of_one_source_are_never_one(ledger: Ledger) -> None:
    same = {"machine_id": MACHINE, "aliases": "wandb:1"}
    assert len(runs(ledger, told("a", "file", **same), told("b", "file:other", **same))) == 2


@pytest.mark.parametrize(
    ("first", "middle", "last", "found"),
    [
        ("mlflow", "file", "slurm", {"a": "mlflow", "c": "slurm;file"}),
        ("file", "mlflow", "slurm", {"a": "file", "c": "slurm;mlflow"}),
        ("slurm", "mlflow", "file", {"a": "slurm;mlflow", "c": "file"}),
        ("mlflow", "slurm", "file", {"b": "slurm;mlflow;file"}),
    ],
)
def test_three_are_not_chained(
    ledger: Ledger, first: str, middle: str, last: str, found: dict[str, str]
) -> None:
    """The first and the last overlap too little, each with the middle enough. Only where that is
    the most trusted does each of them fit what stands for all.
    """
    place = {"machine_id": MACHINE, "started_at": NOW - 10 * HOUR}
    rows = runs(
        ledger,
        told("a", first, **place),
        told("b", middle, **(place | {"ended_at": NOW - 0.8 * HOUR})),
        told("c", last, **(place | {"ended_at": NOW - 1.6 * HOUR})),
    )
    assert {name: row["told_by"] for name, row in rows.items()} == found


@pytest.mark.parametrize(
    ("ours", "theirs", "outcome", "cause"),
    [
        (("cancelled", "unknown"), ("failed", "timeout"), "failed", "timeout"),
        (("failed", "oom"), ("failed", "error"), "failed", "oom"),
        (("succeeded", None), ("failed", "error"), "succeeded", None),
        (("lost", None), ("failed", "node_failure"), "failed", "node_failure"),
        (("running", None), ("succeeded", None), "succeeded", None),
        (("unknown", None), ("running", None), "running", None),
        (("failed", "unknown"), ("unknown", None), "failed", "unknown"),
    ],
)
def test_how_it_ended_is_told_by_who_knows(
    ledger: Ledger,
    ours: tuple[str, str | None],
    theirs: tuple[str, str | None],
    outcome: str,
    cause: str | None,
) -> None:
    ends = [None if said[0] == "running" else NOW for said in (ours, theirs)]
    found = runs(
        ledger,
        recorded(outcome=ours[0], cause=ours[1]) | {"ended_at": ends[0]},
        told("slurm:5", "slurm", outcome=theirs[0], cause=theirs[1], ended_at=ends[1]),
    )
    one = found["record-1"]
    assert (one["outcome"], one["cause"]) == (outcome, cause)
    assert (one["ended_at"] is None) == (outcome == "running")


def test_a_tracker_does_not_overrule_the_wrapper(ledger: Ledger) -> None:
    ends = {"outcome": "succeeded"}
    found = runs(
        ledger,
        recorded(outcome="cancelled", cause="unknown"),
        told("a", "mlflow", aliases="mlflow:a", **ends),
    )
    assert found["record-1"]["outcome"] == "cancelled"


def test_it_can_be_undone_and_done_again(ledger: Ledger) -> None:
    runs(ledger, recorded(), told("slurm:5", "slurm"))
    assert split(ledger, "slurm", apart=True, now=NOW) == "slurm:5"
    assert {row["run_id"] for row in ledger.rows("runs")} == {"record-1", "slurm:5"}
    split(ledger, "slurm:5", apart=False, now=NOW)
    assert [row["told_by"] for row in ledger.rows("runs")] == ["record;slurm"]
    assert len(ledger.rows("run_revisions")) == 2


def test_the_merge_is_visible(ledger: Ledger, tmp_path: Path) -> None:
    runs(ledger, recorded(outcome="failed", cause="oom"), told("slurm:5", "slurm", gpus=2))
    found: Any = shown(ledger, "slurm:5")
    assert found["run_id"] == "record-1"
    assert found["differ"] == {"outcome": {"record": "failed", "slurm": "succeeded"}}
    assert [each["source"] for each in found["told"]] == ["record", "slurm"]
    at = ["--ledger", str(tmp_path / "ledger")]
    said = CliRunner().invoke(app, ["runs", "show", "record-1", *at]).stdout
    assert "told_by: record;slurm" in said
    assert "told by slurm: slurm:5, the same by id" in said
    assert "they differ in outcome: record failed, slurm succeeded" in said
    done = CliRunner().invoke(app, ["runs", "split", "slurm:5", "--json", *at])
    assert json.loads(done.stdout)["run_id"] == "slurm:5"
    listed = json.loads(CliRunner().invoke(app, ["runs", "list", "--json", *at]).stdout)
    assert {row["told_by"] for row in listed["rows"]} == {"slurm", "record"}


@st.composite
def histories(draw: st.DrawFn) -> list[Row]:
    """Runs of four sources on few machines, with few ids, near each other in time."""
    found = []
    for number in range(draw(st.integers(2, 12))):
        start = draw(st.integers(0, 8))
        aliases = draw(st.sets(st.sampled_from(["slurm:1", "slurm:2", "mlflow:1"]), max_size=2))
        begin = NOW + start * HOUR / 20
        found.append(
            told(
                f"r{number}",
                draw(st.sampled_from(["record", "slurm", "mlflow", "episode"])),
                started_at=begin,
                ended_at=begin + draw(st.integers(8, 12)) * HOUR / 5,
                machine_id=draw(st.sampled_from(["i-1", "i-2", None])),
                owner=draw(st.sampled_from(["ana", None])),
                outcome=draw(st.sampled_from(["succeeded", "failed", "unknown"])),
                aliases=";".join(sorted(aliases)) or None,
            )
        )
    return found


def merged(rows: Sequence[Row]) -> tuple[list[Row], dict[str, Row]]:
    """By the views alone, without a ledger on a disk."""
    engine = Engine()
    with registered(engine.connection, RUNS, rows) as incoming:
        engine.connection.execute(f"create table {RAW}runs as {incoming.select}")
    attempts, found = (
        engine.rows(engine.relation(query(view).sql, {})) for view in ("run_attempts", "runs")
    )
    by_id = {str(row["run_id"]): row for row in attempts}
    return sorted(found, key=lambda row: str(row["run_id"])), by_id


@settings(max_examples=20, deadline=None)
@given(rows=histories(), data=st.data())
def test_merging_keeps_its_promises(rows: list[Row], data: st.DataObject) -> None:
    shown_now, attempts = merged(rows)
    assert merged(data.draw(st.permutations(rows))) == (shown_now, attempts)
    source = {row["run_id"]: row["source"] for row in rows}
    ids = {str(row["run_id"]) for row in shown_now}
    for name, teller in source.items():
        match = attempts.get(name)
        if match is None:
            assert name in ids  # alone, or the one that the others match
        else:
            assert name not in ids
            assert match["attempt"] in {None, *ids}
            assert match["attempt"] is not None or teller == "episode"
    for row in shown_now:
        members = [
            row["run_id"],
            *(n for n, m in attempts.items() if m["attempt"] == row["run_id"]),
        ]
        assert sorted(str(row["told_by"]).split(";")) == sorted(source[n] for n in members)
        assert len({source[name] for name in members}) == len(members)
        outcomes = {r["outcome"] for r in rows if r["run_id"] in members} - {"unknown"}
        assert row["outcome"] in (outcomes or {"unknown"})
