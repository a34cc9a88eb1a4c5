"""Tables as people see them on a terminal of 80 columns, and as a pipe gets them."""

from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell, on_a_terminal
from tests.watchdog.ledger.facts import run
from watchdog.ledger.store import Ledger

ID = "7b0e4c1e-93a3-4c6b-9d1e-0123456789ab"
WORKLOAD = "llama-70b-pretraining-run-of-november"
COMMANDS = [
    ("prices", "show", "p4d"),
    ("runs", "list"),
    ("ledger", "info"),
    ("ledger", "compact"),
    ("workloads",),
]


@pytest.fixture(autouse=True)
def _ledger(tmp_path: Path) -> None:
    rows = [run(ID, workload=WORKLOAD, cause="node_failure", gpus=8, source="file")]
    Ledger.open(str(tmp_path / "ledger")).append("runs", rows)


@pytest.mark.parametrize("command", COMMANDS)
def test_on_eighty_columns_nothing_is_squeezed_or_cut(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    lines = on_a_terminal(tmp_path, *command)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_the_columns_that_matter_stay(tmp_path: Path) -> None:
    runs = "\n".join(on_a_terminal(tmp_path, "runs", "list"))
    assert "succeeded" in runs
    assert "2026-11-23 06:00Z" in runs
    prices = "\n".join(on_a_terminal(tmp_path, "prices", "show", "p4d.24xlarge"))
    assert "p4d.24xlarge" in prices
    assert "us-east-1" in prices
    assert "distinct" in "\n".join(on_a_terminal(tmp_path, "ledger", "info"))


@pytest.mark.parametrize("command", COMMANDS)
def test_in_a_pipe_a_row_is_a_line_however_wide(tmp_path: Path, command: tuple[str, ...]) -> None:
    shell = Shell(tmp_path, {})
    wide = shell(*command, COLUMNS="80").out.splitlines()
    assert not any("No room for" in line for line in wide)
    if command in {("runs", "list"), ("workloads",)}:
        (row,) = [line for line in wide if WORKLOAD in line]
        assert ID in row or command == ("workloads",)
