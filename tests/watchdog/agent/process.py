"""The agent as a real process, and a patrol that comes after it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from policies.facts import Machine, Reading
from policies.rules import load_pack
from tests.builders import machine
from tests.providers.local.standin import ROOT, Desk
from tests.shelf import Shelf
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json

COMMAND = str(Path(sys.executable).parent / "spend-watchdog")
PATIENCE_S = 30.0


@dataclass
class Running:
    process: subprocess.Popen[str]

    @property
    def rss_kib(self) -> int:
        """Memory that it holds now, by the kernel."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
        return int(line.split()[1])

    @property
    def cpu_s(self) -> float:
        """Seconds of processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, by: signal.Signals = signal.SIGTERM) -> tuple[int, str, float]:
        """Exit code, what it said, and how many seconds its end took."""
        began = time.monotonic()
        self.process.send_signal(by)
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said, time.monotonic() - began


def environment(folder: Path, desk: Desk, more: Mapping[str, str]) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
        **desk.environment,
        **more,
    }


@contextmanager
def agent(folder: Path, desk: Desk, more: Mapping[str, str], *arguments: str) -> Iterator[Running]:
    process = subprocess.Popen(
        [COMMAND, "agent", "--sample-every", "1s", "--spool", str(folder / "spool"), *arguments],
        env=environment(folder, desk, more),
        cwd=folder,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.communicate()


def once(folder: Path, desk: Desk, more: Mapping[str, str], *arguments: str) -> str:
    """A cron line's run; what it said."""
    done = subprocess.run(
        [COMMAND, "agent", "--once", "--spool", str(folder / "spool"), *arguments],
        env=environment(folder, desk, more),
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    return done.stderr


def until(holds: Callable[[], bool]) -> None:
    """Waits for another process, and not for ever."""
    ended = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ended, "the agent did not get so far"
        time.sleep(0.05)


def spooled(folder: Path) -> list[Path]:
    return sorted((folder / "spool").glob("*.json"))


def letters(folder: Path, table: str = "*") -> list[Path]:
    return sorted((folder / "ledger" / "inbox").glob(f"{table}/*.json.gz"))


def now() -> datetime:
    return datetime.now(UTC)


def later() -> datetime:
    """A moment at which the interval under way has ended."""
    return now() + timedelta(minutes=5)


def trainer(gpus: int = 1, **changes: Any) -> Machine:
    """The machine that the metadata service names."""
    return machine("trainer-1", gpus=gpus, started_at=now() - timedelta(days=2), **changes)


def patrolled(
    folder: Path, *machines: Machine, at: datetime, also: tuple[Reading, ...] = ()
) -> tuple[dict[str, Any], list[dict[str, Any]], Ledger]:
    """The first machine as JSON, the gaps, and the ledger."""
    ledger = Ledger.open(str(folder / "ledger"))
    parts = Parts(
        providers=[Shelf(*machines, readings=also)], ledger=ledger, policy=load_pack("observe")
    )
    report: dict[str, Any] = patrol_json(patrol(parts, now=at))
    return report["machines"][0], report["gaps"], ledger
