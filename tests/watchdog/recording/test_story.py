"""What is told while a command runs, and of which machine."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.facts import RunOutcome
from tests.metadata_services import serving
from tests.watchdog.recording.process import Desk, until
from watchdog.recording import story
from watchdog.recording.command import Command
from watchdog.recording.ending import Verdict
from watchdog.recording.errors_seen import Unseen
from watchdog.recording.order import Order
from watchdog.recording.story import Story
from watchdog.recording.witness import Witness


def test_a_heartbeat_now_and_then(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(story, "HEARTBEAT_S", 0.2)
    for name, value in desk.environment.items():
        monkeypatch.setenv(name, value)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    command = Command(
        pid=child.pid,
        started_at=datetime.now(UTC),
        began_s=time.monotonic(),
        witness=Witness(()),
        errors=Unseen(),
    )
    told = Story(Order(words=("train",), workload="llama"), command)
    threading.Thread(target=told.tell, daemon=True).start()
    until(lambda: len(desk.letters()) >= 4)
    command.witness.end()
    child.communicate(b"\n")
    first = desk.the_run()
    assert first["outcome"] == "running"
    told.end(0, Verdict(outcome=RunOutcome.SUCCEEDED))
    assert told.kept_in() is None
    last = desk.the_run()
    assert last["outcome"] == "succeeded"
    assert str(first["observed_at"]) < str(last["observed_at"])


@pytest.mark.parametrize(
    ("cloud", "machine"),
    [
        ("aws", "aws:123456789012:us-east-1:i-trainer-1"),
        ("gcp", None),
    ],
)
def test_on_a_clouds_machine_its_metadata_service_names_it(
    desk: Desk, cloud: str, machine: str | None
) -> None:
    with serving(cloud) as service:
        desk.run("true", more=dict(service.environment))
    run = desk.the_run()
    assert (run["location"], run["provider"]) == ("cloud", cloud)
    assert run["machine_type"] is not None
    assert str(run["machine_id"]).startswith(f"{cloud}:")
    assert machine in {None, run["machine_id"]}


def test_a_folder_that_is_gone(desk: Desk, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    words = desk.words(sys.executable, "-c", "print('ran')")
    script = f'mkdir {gone} && cd {gone} && rmdir {gone} && exec "$@"'
    done = subprocess.run(
        ["sh", "-c", script, "sh", *words],
        env={**desk.environment, "SPEND_WATCHDOG_LEDGER": str(desk.ledger)},
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, b"ran\n"), done.stderr
