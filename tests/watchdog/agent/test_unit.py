"""The unit that `agent --print-unit` prints."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.metadata_services import SILENT
from tests.providers.local.standin import Desk
from tests.watchdog.agent.process import COMMAND, environment
from watchdog.agent.unit import unit_text


def exec_start(text: str) -> str:
    (line,) = [line for line in text.splitlines() if line.startswith("ExecStart=")]
    return line.removeprefix("ExecStart=")


def test_it_holds_the_very_call_that_printed_it(tmp_path: Path, desk: Desk) -> None:
    done = subprocess.run(
        [COMMAND, "agent", "--print-unit", "--ledger", "s3://bucket/team 1", "--every", "15m"],
        env=environment(tmp_path, desk, SILENT),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert exec_start(done.stdout) == (
        f'{COMMAND} agent --ledger "s3://bucket/team 1" --every 900s --sample-every 15s'
        " --spool %S/spend-watchdog-agent"
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain", "plain"),
        ("50%", "50%%"),
        ("$HOME", "$$HOME"),
        ('say "x"', '"say \\"x\\""'),
        ("", '""'),
    ],
)
def test_words_mean_themselves(word: str, written: str) -> None:
    assert exec_start(unit_text(["/bin/true", word])).startswith(f"/bin/true {written} --spool")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_no_fault_in_it(tmp_path: Path) -> None:
    unit = tmp_path / "spend-watchdog-agent.service"
    unit.write_text(unit_text([COMMAND, "agent", "--ledger", "s3://b/a 'b' \"c\" 5%"]))
    done = subprocess.run(
        ["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
