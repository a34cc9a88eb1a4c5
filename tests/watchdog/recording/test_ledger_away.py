"""A ledger that does not answer delays nothing, and nothing of the run is lost."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.watchdog.recording.process import COMMAND, UNREACHABLE, Desk, running, until


@pytest.fixture
def silent() -> Iterator[dict[str, str]]:
    """A bucket's server that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        yield {**UNREACHABLE, "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}"}


def test_an_unreachable_ledger_costs_nothing_and_loses_nothing(desk: Desk) -> None:
    done = desk.run("sh", "-c", "echo out; echo err >&2; exit 6", more=UNREACHABLE)
    assert (done.returncode, done.stdout) == (6, b"out\n")
    first, told = done.stderr.decode().splitlines()
    assert first == "err"
    assert told.startswith("spend-watchdog record: not sent, kept for later: ledger s3://bucket")
    assert "the run waits in" in told
    assert len(desk.waiting()) == 2


def test_a_silent_ledger_is_given_up_on(desk: Desk, silent: dict[str, str]) -> None:
    began = time.monotonic()
    done = desk.run("sh", "-c", "exit 6", more=silent)
    assert done.returncode == 6
    assert time.monotonic() - began < 20
    assert len(desk.waiting()) == 2


def test_the_command_starts_before_the_ledger_is_asked(desk: Desk, silent: dict[str, str]) -> None:
    began = time.monotonic()
    with running(desk, "sh", "-c", "echo ready; exec sleep 60", more=silent) as process:
        assert time.monotonic() - began < 5
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def test_ctrl_c_after_the_end_does_not_wait_for_a_silent_ledger(
    desk: Desk, silent: dict[str, str]
) -> None:
    with running(desk, "sh", "-c", "echo ready", more=silent) as process:
        until(lambda: len(desk.waiting()) == 2)
        began = time.monotonic()
        os.kill(process.pid, signal.SIGINT)
        assert process.wait(60) == 0
        assert time.monotonic() - began < 3
    assert len(desk.waiting()) == 2


def test_the_next_run_sends_what_waited(desk: Desk) -> None:
    blocked = desk.home / "ledger"
    blocked.write_text("a file where the ledger's folder should be")
    assert desk.run("sh", "-c", "exit 6").returncode == 6
    assert len(desk.waiting()) == 2
    blocked.unlink()
    desk.run("sleep", "3")
    outcomes = sorted(str(run["outcome"]) for run in desk.runs())
    assert outcomes == ["failed", "succeeded"]
    assert desk.waiting() == []


def test_runs_list_brings_in_what_waited(desk: Desk) -> None:
    blocked = desk.home / "ledger"
    blocked.write_text("a file where the ledger's folder should be")
    desk.run("true")
    blocked.unlink()
    done = subprocess.run(
        [COMMAND, "runs", "list", "--format", "csv"],
        env=desk.environment,
        cwd=desk.home,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "llama" in done.stdout
    assert desk.waiting() == []


def test_wrong_settings_do_not_stop_the_command(desk: Desk) -> None:
    wrong = {"SPEND_WATCHDOG_LEDGRE": "x"}
    done = desk.run("sh", "-c", "exit 6", more=wrong)
    assert done.returncode == 6
    assert "SPEND_WATCHDOG_LEDGRE: there is no such setting" in done.stderr.decode()
    assert len(desk.waiting()) == 2
    desk.run("sleep", "3")
    assert len(desk.runs()) == 2


def test_a_state_folder_that_cannot_be_written(desk: Desk) -> None:
    """As in a container with a read-only home: the ledger still gets the run."""
    (desk.home / "state").write_text("a file")
    done = desk.run("sh", "-c", "exit 6")
    assert (done.returncode, done.stderr) == (6, b"")
    assert desk.how_it_went() == ("failed", "error")


def test_no_place_to_keep_anything(desk: Desk) -> None:
    (desk.home / "state").write_text("a file")
    done = desk.run("sh", "-c", "exit 6", more={"TMPDIR": "/proc"})
    assert done.returncode == 6
    assert b"Traceback" not in done.stderr


def test_a_wrapper_that_is_killed_while_the_ledger_is_away(desk: Desk) -> None:
    with running(desk, "sh", "-c", "echo ready; exec sleep 60", more=UNREACHABLE) as process:
        until(lambda: len(desk.waiting()) == 1)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
    assert len(desk.waiting()) == 1
