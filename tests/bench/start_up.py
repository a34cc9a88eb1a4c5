"""`spend-watchdog --help` against an empty Typer application: the limit is 1.3 times its time.

python -m tests.bench.start_up
"""

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

ROUNDS = 9
LIMIT = 1.3
EMPTY = """\
import typer

app = typer.Typer()


@app.command()
def main() -> None:
    pass


app()
"""


def seconds(command: Sequence[str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def measured() -> tuple[float, float]:
    """Median seconds of ours and of the empty one; they take turns, after one untimed turn."""
    ours = [sys.executable, str(Path(sys.executable).with_name("spend-watchdog")), "--help"]
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "empty.py"
        script.write_text(EMPTY, encoding="utf-8")
        empty = [sys.executable, str(script), "--help"]
        turns = [(seconds(ours), seconds(empty)) for _ in range(ROUNDS + 1)][1:]
    return statistics.median(turn[0] for turn in turns), statistics.median(
        turn[1] for turn in turns
    )


def main() -> bool:
    ours, empty = measured()
    ratio = ours / empty
    verdict = "within" if ratio <= LIMIT else "MISSES"
    print(
        f"spend-watchdog --help {ours * 1e3:.0f} ms, an empty Typer application"
        f" {empty * 1e3:.0f} ms: {ratio:.2f} times, {verdict} the limit of {LIMIT}"
    )
    return ratio <= LIMIT


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
