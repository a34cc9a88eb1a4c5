"""`keep`, as people type it, and what a patrol then reads of it."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from policies.facts import MachineState
from policies.vetoes import FOR_GOOD
from tests.builders import NOW, machine
from watchdog import rows
from watchdog.cli.main import app
from watchdog.keeps import keep_of, keeps_of
from watchdog.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    store = Ledger.open(str(tmp_path / "ledger"))
    gone = machine("trainer-0", state=MachineState.TERMINATED)
    known = [machine("trainer-1"), gone]
    store.append("machines", [rows.machine_row(each, NOW) for each in known])
    return store


@pytest.fixture(autouse=True)
def no_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))


def run(ledger: Ledger, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["keep", *arguments, "--ledger", ledger.url])
    return done.exit_code, done.output + str(done.exception or "")


def test_it_is_read_by_the_next_patrol(ledger: Ledger) -> None:
    code, told = run(ledger, "trainer-1", "--for", "2h", "--by", "ana", "--json")
    assert code == 0
    said = json.loads(told)
    ledger.fold_inbox()
    keep = keeps_of(ledger)[machine("trainer-1").id]
    assert keep.by == "ana"
    assert f"{keep.until:%Y-%m-%dT%H:%M:%SZ}" == said["until"]
    assert timedelta(minutes=119) < keep.until - datetime.now(UTC) <= timedelta(hours=2)


def test_the_newest_counts_and_a_date_means_its_end(ledger: Ledger) -> None:
    run(ledger, "trainer-1", "--for", "9d")
    code, told = run(ledger, "trainer-1", "--until", "2099-12-31")
    assert (code, "kept until 2100-01-01 00:00 UTC" in told) == (0, True)
    ledger.fold_inbox()
    assert keeps_of(ledger)[machine("trainer-1").id].until == datetime(2100, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trainer-1"], "one of --for D, --until T and --end"),
        (["trainer-1", "--for", "1h", "--until", "2099-01-01"], "one of --for D, --until T"),
        (["trainer-1", "--for", "1h", "--end"], "one of --for D, --until T and --end"),
        (["trainer-1", "--until", "9999-12-31"], "beyond the year 9999"),
        (["trainer-1", "--for", "0h"], "is over"),
        (["trainer-0", "--for", "1h"], "trainer-0 was terminated: there is nothing to keep"),
        (["trainer-1", "--until", "2020-01-01"], "is over"),
        (["trainer-2", "--for", "1h"], "no machine is called trainer-2; did you mean trainer-1"),
        (["trainer-1", "--for", "soon"], "soon"),
    ],
)
def test_what_cannot_be_is_one_clear_line(
    ledger: Ledger, arguments: list[str], message: str
) -> None:
    code, told = run(ledger, *arguments)
    assert code != 0
    assert message in " ".join(told.replace("│", "").split())
    assert ledger.objects("inbox") == []


TEN = datetime(2026, 12, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "until"),
    [
        ("2026-12-01", datetime(2026, 12, 2, tzinfo=UTC)),
        (" 20261201 ", datetime(2026, 12, 2, tzinfo=UTC)),
        ("2026-12-01T10:00:00Z", TEN),
        ("20261201t100000z", TEN),
        ("2026-12-01T12:00:00+02:00", TEN),
        ("2026-12-01 10:00", TEN),
        ("next week", FOR_GOOD),
        ("2026-13-01", FOR_GOOD),
        ("2026-W49", FOR_GOOD),
        ("9999-12-31", FOR_GOOD),
        ("", FOR_GOOD),
    ],
)
@pytest.mark.parametrize("name", ["spend-watchdog:keep-until", "spend-watchdog-keep-until"])
def test_a_tag_keeps_and_what_cannot_be_read_keeps_for_good(
    name: str, value: str, until: datetime
) -> None:
    keep = keep_of(machine(tags={name: value}), {})
    assert keep is not None
    assert keep.until == until
    assert keep.by.startswith(f"tag {name}={value.strip()}")


def test_without_the_tag_and_a_keep_it_is_not_kept() -> None:
    assert keep_of(machine(), {}) is None


def test_it_ends_by_command_and_the_tag_that_could_not_be_written_is_told(ledger: Ledger) -> None:
    code, told = run(ledger, "trainer-1", "--for", "9d", "--by", "ana")
    assert code == 0
    assert "the tag on the machine was not written: no AWS credentials" in told
    code, told = run(ledger, "trainer-1", "--end", "--by", "bob", "--json")
    assert (code, json.loads(told)["tag_written"]) == (0, False)
    ledger.fold_inbox()
    keep = keeps_of(ledger)[machine("trainer-1").id]
    assert keep.by == "bob"
    assert keep.until <= datetime.now(UTC)


def test_a_living_machine_is_meant_where_a_dead_one_had_its_name(ledger: Ledger) -> None:
    other = machine("trainer-1", id="aws:1:us-east-1:i-2", state=MachineState.TERMINATED)
    ledger.append("machines", [rows.machine_row(other, NOW)])
    code, told = run(ledger, "trainer-1", "--for", "2h", "--json")
    assert (code, json.loads(told)["machine"]) == (0, machine("trainer-1").id)
