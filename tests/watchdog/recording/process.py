"""`spend-watchdog record` as a real process, and what the ledger says of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from policies.rules import load_pack
from tests.shelf import Shelf
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol

ROOT = Path(__file__).resolve().parents[3]
COMMAND = str(Path(sys.executable).parent / "spend-watchdog")
PATIENCE_S = 60.0
UNREACHABLE = {
    "SPEND_WATCHDOG_LEDGER": "s3://bucket/ledger",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_ACCESS_KEY_ID": "key",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_REGION": "us-east-1",
}
LAUNCHERS = ("SLURM_", "OMPI_", "PMI", "RANK", "WORLD_SIZE", "SPEND_WATCHDOG_", "CUDA_")


@dataclass
class Desk:
    """One user's workstation: a home, a ledger, a folder to work in."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {k: v for k, v in os.environ.items() if not k.startswith(LAUNCHERS)}
        return {
            **own,
            "HOME": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "PYTHONPATH": str(ROOT),
            "SPEND_WATCHDOG_LEDGER": str(self.ledger),
            **self.more,
        }

    @property
    def ledger(self) -> Path:
        return self.home / "ledger"

    def words(self, *command: str, options: tuple[str, ...] = ("--workload", "llama")) -> list[str]:
        return [COMMAND, "record", *options, "--", *command]

    def start(self, *command: str, **how: Any) -> subprocess.Popen[bytes]:
        more = how.pop("more", {})
        return subprocess.Popen(
            [*how.pop("under", ()), *self.words(*command)],
            cwd=self.home,
            env={**self.environment, **more},
            stdout=how.pop("stdout", subprocess.PIPE),
            stderr=how.pop("stderr", subprocess.PIPE),
            **how,
        )

    def run(
        self,
        *command: str,
        stdin: bytes | None = None,
        more: Mapping[str, str] | None = None,
        options: tuple[str, ...] = ("--workload", "llama"),
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            self.words(*command, options=options),
            cwd=self.home,
            env={**self.environment, **(more or {})},
            input=stdin,
            capture_output=True,
            check=False,
            timeout=PATIENCE_S,
        )

    def runs(self) -> list[dict[str, object]]:
        ledger = Ledger.open(str(self.ledger))
        assert ledger.fold_inbox().problems == ()
        return ledger.rows("runs")

    def the_run(self) -> dict[str, object]:
        (run,) = self.runs()
        return run

    def how_it_went(self) -> tuple[object, object]:
        run = self.the_run()
        return run["outcome"], run["cause"]

    def patrol(self, at: datetime | None = None) -> list[dict[str, object]]:
        ledger = Ledger.open(str(self.ledger))
        parts = Parts(providers=[Shelf()], ledger=ledger, policy=load_pack("observe"))
        patrol(parts, now=at or datetime.now(UTC))
        return ledger.rows("runs")

    def waiting(self) -> list[Path]:
        """Words of runs that are not sent yet."""
        return sorted((self.home / "state").rglob("*.json"))

    def letters(self) -> list[Path]:
        return sorted((self.ledger / "inbox").rglob("*.json.gz"))


def until(holds: Callable[[], bool]) -> None:
    """Waits for another process, and not for ever."""
    ended = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < ended, "the other process did not get so far"
        time.sleep(0.02)


@contextmanager
def running(desk: Desk, *command: str, **how: Any) -> Iterator[subprocess.Popen[bytes]]:
    """One that has said `ready` on its standard output; it does not outlive the block."""
    process = desk.start(*command, start_new_session=True, **how)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
