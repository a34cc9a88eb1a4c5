"""What the tests of the command share: a user's shell, and one that has a terminal."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
from pathlib import Path

from tests.test_cli import ROOT, RUN, Shell

__all__ = ["Shell", "on_a_terminal", "runs_file"]


def runs_file(folder: Path, *names: str) -> str:
    """Two runs of each workload, in a file that can be imported from the folder."""
    lines = ["run_id,workload,started_at,ended_at,outcome"]
    for number, name in enumerate(names):
        quoted = '"' + name.replace('"', '""') + '"'
        times = "2026-01-0{0}T00:00:00Z,2026-01-0{0}T02:00:00Z"
        lines += [f"run-{number}-{day},{quoted},{times.format(day)},succeeded" for day in (1, 2)]
    (folder / "runs.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "runs.csv"


def on_a_terminal(folder: Path, *arguments: str, columns: int = 80, **variables: str) -> list[str]:
    """The lines that a person sees on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "TERM": "dumb",
        "NO_COLOR": "1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
        **variables,
    }
    process = subprocess.Popen(
        [*RUN, *arguments], cwd=folder, env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    told = _everything(ours)
    process.wait(timeout=120)
    return told.decode().replace("\r\n", "\n").split("\n")


def _everything(ours: int) -> bytes:
    """Up to the end, which Linux tells as an error."""
    told = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        told += part
    os.close(ours)
    return told
