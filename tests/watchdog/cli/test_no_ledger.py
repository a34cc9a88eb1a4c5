"""A misspelt ledger: commands that read say that nothing is there, and make nothing."""

from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell, runs_file
from tests.watchdog.ledger.facts import run
from watchdog.ledger.store import Ledger


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


READING = [
    ("costs",),
    ("costs", "--format", "csv"),
    ("workloads",),
    ("runs", "list"),
    ("ledger", "info"),
    ("ledger", "compact"),
    ("ledger", "export", "runs", "runs.jsonl"),
]


@pytest.mark.parametrize("command", READING)
def test_reading_makes_no_ledger_and_says_where_it_looked(
    shell: Shell, tmp_path: Path, command: tuple[str, ...]
) -> None:
    done = shell(*command, "--ledger", "ledgr")
    assert done.code == 0
    assert "ledger ledgr: there is nothing yet" in done.err
    assert not (tmp_path / "ledgr").exists()


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("costs",), "rows"),
        (("workloads",), "rows"),
        (("runs", "list"), "rows"),
        (("ledger", "info"), "tables"),
        (("ledger", "compact"), "tables"),
    ],
)
def test_json_of_no_ledger_is_that_of_an_empty_one(
    shell: Shell, tmp_path: Path, command: tuple[str, ...], told: str
) -> None:
    done = shell(*command, "--json", "--ledger", "ledgr")
    assert done.code == 0
    assert all(row.get("rows") == 0 for row in done.json[told])
    assert not (tmp_path / "ledgr").exists()


def test_nobody_is_known_where_no_ledger_is(shell: Shell, tmp_path: Path) -> None:
    done = shell("explain", "llama", "--ledger", "ledgr")
    assert (done.code, done.out) == (2, "")
    assert "called llama; ledger ledgr: there is nothing yet" in done.err
    assert not (tmp_path / "ledgr").exists()


def test_doctor_makes_no_ledger(shell: Shell, tmp_path: Path) -> None:
    checks = {check["what"]: check for check in shell("doctor", "--json").json["checks"]}
    assert checks["ledger"]["health"] == "ok"
    assert "there is nothing yet" in checks["ledger"]["told"]
    assert not (tmp_path / "ledger").exists()


def test_writing_makes_it(shell: Shell, tmp_path: Path) -> None:
    assert shell("runs", "import", runs_file(tmp_path, "llama"), "--ledger", "new").code == 0
    assert (tmp_path / "new").is_dir()
    assert shell("runs", "list", "--json", "--ledger", "new").json["rows"]


def test_what_waits_in_the_inbox_is_listed(shell: Shell, tmp_path: Path) -> None:
    Ledger.open(str(tmp_path / "ledger"), read_only=True).drop_in_inbox("runs", [run("one")])
    assert [row["run_id"] for row in shell("runs", "list", "--json").json["rows"]] == ["one"]
