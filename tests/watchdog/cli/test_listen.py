"""`listen` as a process: a press over a real WebSocket becomes a keep, and Ctrl-C ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.builders import NOW, machine
from tests.fake_slack import APP_TOKEN, TOKEN, FakeSlack
from tests.fake_socket import FakeSocket
from tests.slack_presses import press
from tests.test_cli import RUN, Shell
from watchdog import rows
from watchdog.keeps import keeps_of
from watchdog.ledger.incidents import IncidentLog
from watchdog.ledger.store import Ledger

pytestmark = pytest.mark.slow


@pytest.fixture
def socket() -> Iterator[FakeSocket]:
    with FakeSocket() as running:
        yield running


@pytest.fixture
def slack(socket: FakeSocket) -> Iterator[FakeSlack]:
    with FakeSlack(socket_url=socket.url) as running:
        yield running


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    store = Ledger.open(str(tmp_path / "ledger"))
    store.append("machines", [rows.machine_row(machine("trainer-1"), NOW)])
    return store


def environment(folder: Path, slack: FakeSlack) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONUNBUFFERED": "1",
        "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
        "SPEND_WATCHDOG_SLACK__TOKEN": TOKEN,
        "SPEND_WATCHDOG_SLACK__CHANNEL": "#gpu-costs",
        "SPEND_WATCHDOG_SLACK__APP_TOKEN": APP_TOKEN,
        "SPEND_WATCHDOG_SLACK__API_URL": slack.url,
    }


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_press_becomes_a_keep_and_a_signal_ends_it_cleanly(
    tmp_path: Path, ledger: Ledger, slack: FakeSlack, socket: FakeSocket, how: signal.Signals
) -> None:
    kept = IncidentLog(ledger).open(machine("trainer-1"), NOW, "patrol", NOW)
    assert kept is not None
    process = subprocess.Popen(
        [*RUN, "listen", "--json"],
        cwd=tmp_path,
        env=environment(tmp_path, slack),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        connection = socket.next()
        url = slack.response_url
        socket.press(connection, press("keep_2h", kept.key, at=NOW, response_url=url), "e1")
        socket.press(connection, press("stop_now", kept.key, at=NOW, response_url=url), "e2")
        told = [json.loads(line(process.stdout))["told"] for _ in range(2)]
        process.send_signal(how)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert "listening to Slack" in errors
    assert "Kept until 2026-11-23 10:00 UTC by ana." in told[0]
    assert "nobody may stop machines from here yet" in told[1]
    assert keeps_of(ledger)[machine("trainer-1").id].by == "ana (Slack U0ANA)"


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline()


@pytest.mark.parametrize(
    ("variables", "code", "message"),
    [
        ({"SPEND_WATCHDOG_SLACK__APP_TOKEN": ""}, 2, "SPEND_WATCHDOG_SLACK__APP_TOKEN: not set"),
        ({"SPEND_WATCHDOG_SLACK__APP_TOKEN": "xoxb-1"}, 2, "no app-level token"),
        ({"SPEND_WATCHDOG_SLACK__TOKEN": ""}, 2, "SPEND_WATCHDOG_SLACK__TOKEN: not a token"),
        ({"SPEND_WATCHDOG_SLACK__APP_TOKEN": "xapp-2"}, 1, "Slack answered invalid_auth"),
        ({"SPEND_WATCHDOG_SLACK__ALLOWED_USERS": "ana"}, 2, "'ana' is no member id such as"),
    ],
)
def test_a_mistake_is_one_clear_line(
    tmp_path: Path, slack: FakeSlack, variables: dict[str, str], code: int, message: str
) -> None:
    done = Shell(tmp_path, environment(tmp_path, slack) | variables)("listen")
    assert (done.code, done.out) == (code, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1
