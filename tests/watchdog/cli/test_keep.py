"""`keep`, as people type it, and what a patrol then reads of it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from policies.vetoes import FOR_GOOD
from tests.builders import NOW, machine
from watchdog import rows
from watchdog.cli.main import app
from watchdog.keeps import keep_of, keeps_of
from watchdog.ledger.store import Ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    store = Ledger.open(str(tmp_path / "ledger"))
    store.append("machines", [rows.machine_row(machine("trainer-1"), NOW)])
    return store


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
        (["trainer-1"], "either --for D or --until T"),
        (["trainer-1", "--for", "1h", "--until", "2099-01-01"], "either --for D or --until T"),
        (["trainer-1", "--until", "2020-01-01"], "is over"),
        (["trainer-2", "--for", "1h"], "no machine is called trainer-2; did you mean trainer-1?"),
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


def test_tags_keep_too() -> None:
    def tagged(value: str) -> object:
        keep = keep_of(machine(tags={"spend-watchdog:keep-until": value}), {})
        return None if keep is None else keep.until

    assert tagged("2026-12-01") == datetime(2026, 12, 2, tzinfo=UTC)
    assert tagged("2026-12-01T10:00:00Z") == datetime(2026, 12, 1, 10, tzinfo=UTC)
    assert tagged("next week") == FOR_GOOD
    assert tagged("") is None
