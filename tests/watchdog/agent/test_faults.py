"""What goes wrong around an agent, done to the real process."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.metadata_services import SILENT, Service
from tests.providers.local.standin import Desk
from tests.watchdog.agent.process import (
    COMMAND,
    agent,
    environment,
    later,
    letters,
    once,
    patrolled,
    spooled,
    trainer,
    until,
)
from watchdog.ledger.store import Ledger

KEYS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
REFUSED = {**KEYS, "AWS_ENDPOINT_URL": "http://127.0.0.1:9"}
BUCKET = ("--ledger", "s3://team/ledger")


@contextmanager
def silent_server() -> Iterator[str]:
    """Takes every connection, and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_an_outage_of_the_ledger_loses_nothing(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says["STANDIN_PCT"] = "97"
    said = once(tmp_path, desk, {**metadata.environment, **REFUSED}, *BUCKET)
    assert said.count("not sent, kept for later: ledger s3://team/ledger") == 1
    assert "it cannot be reached" in said
    kept = len(spooled(tmp_path))
    assert kept >= 1

    once(tmp_path, desk, metadata.environment)
    assert spooled(tmp_path) == []
    assert len(letters(tmp_path)) > kept
    seen, gaps, _ = patrolled(tmp_path, trainer(), at=later())
    assert (seen["phase"], gaps) == ("active", [])


def test_a_silent_ledger_does_not_hold_up_a_shutdown(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says["STANDIN_LOG"] = str(tmp_path / "looks")
    with silent_server() as url:
        more = {**metadata.environment, **KEYS, "AWS_ENDPOINT_URL": url}
        with agent(tmp_path, desk, more, *BUCKET) as running:
            until((tmp_path / "looks").exists)
            code, said, seconds = running.end()
    assert (code, "Traceback" in said) == (0, False), said
    assert seconds < 8
    assert spooled(tmp_path)


def test_an_interrupt_ends_it_as_well(tmp_path: Path, desk: Desk) -> None:
    desk.says["STANDIN_LOG"] = str(tmp_path / "looks")
    with agent(tmp_path, desk, SILENT) as running:
        until((tmp_path / "looks").exists)
        code, said, _ = running.end(signal.SIGINT)
    assert (code, "Traceback" in said) == (0, False), said
    assert letters(tmp_path)


def test_a_kill_in_the_middle_of_a_write_leaves_nothing_half(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from watchdog.agent.spool import Spool\n"
        "spool = Spool(Path(sys.argv[1]))\n"
        "print('go', flush=True)\n"
        "for n in range(10**6):\n"
        "    spool.put(f'readings-{n % 7:09}', '[' + '1,' * 200_000 + '1]')\n"
    )
    parts = 0
    for round_ in range(8):
        writer = subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        writer.stdout.readline()
        time.sleep(0.05 + round_ * 0.013)
        os.kill(writer.pid, signal.SIGKILL)
        writer.communicate()
        parts += len(list(tmp_path.glob("*.part")))
        for file in tmp_path.glob("*.json"):
            assert len(json.loads(file.read_text())) == 200_001
    assert parts > 0, "no kill met a write"


def test_after_a_kill_the_next_agent_sends_what_lay_there(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says["STANDIN_PCT"] = "97"
    once(tmp_path, desk, {**metadata.environment, **REFUSED}, *BUCKET)
    (left,) = spooled(tmp_path)[:1]
    whole = left.read_text()
    (tmp_path / "spool" / "readings-20261123T080000Z-aa.77.part").write_text(whole[:50])
    desk.says["STANDIN_LOG"] = str(tmp_path / "looks")
    with agent(tmp_path, desk, metadata.environment) as running:
        until(lambda: len(letters(tmp_path)) >= 1)
        running.end(signal.SIGKILL)
    assert Ledger.open(str(tmp_path / "ledger")).fold_inbox().problems == ()
    assert list((tmp_path / "spool").glob("*.part")) == []


def test_a_second_agent_in_the_same_folder_has_nothing_to_do(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says["STANDIN_LOG"] = str(tmp_path / "looks")
    with agent(tmp_path, desk, metadata.environment):
        until((tmp_path / "looks").exists)
        said = once(tmp_path, desk, metadata.environment)
    assert "another agent already works from" in said
    assert letters(tmp_path) == []


def test_two_agents_on_one_machine_count_once(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    once(tmp_path, desk, metadata.environment)
    once(tmp_path, desk, metadata.environment, "--spool", str(tmp_path / "another"))
    assert len(letters(tmp_path)) >= 2
    _, gaps, ledger = patrolled(tmp_path, trainer(), at=later())
    keys = [(row["gpu"], row["source"], row["started_at"]) for row in ledger.rows("readings")]
    assert len(keys) == len(set(keys))
    assert gaps == []


def test_the_same_letters_folded_in_twice_count_once(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    once(tmp_path, desk, metadata.environment)
    bodies = {letter: letter.read_bytes() for letter in letters(tmp_path)}
    ledger = Ledger.open(str(tmp_path / "ledger"))
    ledger.fold_inbox()
    before = ledger.rows("readings")
    for letter, body in bodies.items():
        letter.write_bytes(body)
    assert ledger.fold_inbox().counts["readings"] == len(before)
    assert sorted(map(str, ledger.rows("readings"))) == sorted(map(str, before))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--every", "1m"), "--every must lie between 5m and 1d"),
        (("--sample-every", "0s"), "--sample-every must lie between 1s and 5m"),
        (("--sample-every", "often"), "often"),
        (("--machine", "i-0abc"), "an id has the form provider:account:region:native-id"),
        (("--ledger", "ftp://x/y"), "ftp: is not known here"),
        (("--spool", "/proc/nowhere"), "cannot hold the spool"),
        (("--spool", "{file}/spool"), "cannot hold the spool"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_2(
    tmp_path: Path, desk: Desk, arguments: tuple[str, ...], said: str
) -> None:
    (tmp_path / "file").touch()
    told = [argument.format(file=tmp_path / "file") for argument in arguments]
    done = subprocess.run(
        [COMMAND, "agent", "--once", *told],
        env=environment(tmp_path, desk, SILENT),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
