"""`costs` as somebody asks it: by name, by span."""

from pathlib import Path

import pytest

from tests.watchdog.cli.shells import Shell
from tests.watchdog.costs.accounts import Accounts, belonged

DAY = ("--since", "2026-11-23", "--until", "2026-11-24")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    accounts = Accounts(tmp_path / "ledger")
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged("llama"))
    return Shell(tmp_path, {})


def test_a_workload_that_does_not_exist_is_told_with_the_nearest(shell: Shell) -> None:
    done = shell("costs", *DAY, "--workload", "lama")
    assert (done.code, done.out) == (0, "")
    assert "no workload is called lama; did you mean llama?" in done.err
    told = shell("costs", *DAY, "--workload", "zzz", "--json")
    assert (told.code, told.json["rows"]) == (0, [])
    assert "no workload is called zzz: `spend-watchdog workloads` lists" in told.err


def test_a_workload_without_charges_in_the_span_is_another_matter(shell: Shell) -> None:
    done = shell("costs", "--since", "2026-11-01", "--until", "2026-11-02", "--workload", "llama")
    assert done.code == 0
    assert "no charge between 2026-11-01 00:00 and 2026-11-02 00:00 UTC" in done.err
    assert shell("costs", *DAY, "--workload", "llama").err == ""
