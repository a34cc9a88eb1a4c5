"""`--format csv` as somebody opens it in a spreadsheet."""

import csv
import io
from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell, runs_file
from tests.watchdog.costs.accounts import Accounts, belonged

FORMULA = "=HYPERLINK(A1)"
DAY = ("--since", "2026-11-23", "--until", "2026-11-24")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    accounts = Accounts(tmp_path / "ledger")
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged(FORMULA))
    shell = Shell(tmp_path, {})
    shell("runs", "import", runs_file(tmp_path, FORMULA))
    return shell


@pytest.mark.parametrize(
    ("command", "column"),
    [
        (("costs", *DAY), "key"),
        (("workloads",), "workload"),
        (("runs", "list"), "workload"),
    ],
)
def test_a_formula_is_only_text(shell: Shell, command: tuple[str, ...], column: str) -> None:
    (row, *_) = csv.DictReader(io.StringIO(shell(*command, "--format", "csv").out))
    assert row[column] == f"'{FORMULA}"


def test_figures_are_plain_digits_and_times_rfc_3339(shell: Shell) -> None:
    (row,) = csv.DictReader(io.StringIO(shell("costs", *DAY, "--format", "csv").out))
    assert (row["idle"], row["active"]) == ("1.000000000", "0.000000000")
    (run, *_) = csv.DictReader(io.StringIO(shell("runs", "list", "--format", "csv").out))
    assert run["started_at"] == "2026-01-02T00:00:00Z"
