"""What the agent costs the machine that it measures: memory, processor and bytes, on eight GPUs.

The driver is a stand-in that answers at once, so a real one adds its own time to each look.

python -m tests.bench.agent
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.metadata_services import serving
from tests.providers.local.standin import Desk, compiled
from tests.watchdog.agent.process import agent, letters, once, until

WATCHED_S = 60.0
LOOKS_A_DAY = 24 * 3600 / 15
INTERVALS_A_DAY = 288
MOST_RSS_KIB = 60 * 1000
MOST_CORE = 0.005
MOST_BYTES_A_DAY = 1_000_000


def measured(folder: Path) -> tuple[int, float, float, int]:
    """Memory in KiB, seconds of processor a look, share of a core, bytes a day."""
    desk = Desk(compiled(folder), {"STANDIN_GPUS": "8", "STANDIN_LOG": str(folder / "looks")})
    with serving("aws") as metadata:
        once(folder, desk, metadata.environment)
        size = sum(letter.stat().st_size for letter in letters(folder))
        with agent(folder, desk, metadata.environment) as running:
            looks = _looks(folder)
            until(lambda: _looks(folder) > looks)
            looks, cpu_s = _looks(folder), running.cpu_s
            time.sleep(WATCHED_S)
            each_s = (running.cpu_s - cpu_s) / (_looks(folder) - looks)
            rss_kib = running.rss_kib
    return rss_kib, each_s, each_s * LOOKS_A_DAY / 86_400, size * INTERVALS_A_DAY


def _looks(folder: Path) -> int:
    """Looks of the agent, plus one that only keeps the driver open."""
    return len((folder / "looks").read_text().splitlines())


def main() -> bool:
    with tempfile.TemporaryDirectory() as name:
        rss_kib, each_s, core, size = measured(Path(name))
    within = rss_kib < MOST_RSS_KIB and core < MOST_CORE and size < MOST_BYTES_A_DAY
    print(
        f"agent: {rss_kib / 1000:.1f} MB resident (limit {MOST_RSS_KIB / 1000:.0f}),"
        f" {each_s * 1e3:.1f} ms a look, {core:.2%} of a core at a look every 15 s"
        f" (limit {MOST_CORE:.1%}), {size / 1e6:.2f} MB a day (limit {MOST_BYTES_A_DAY / 1e6:.0f}):"
        f" {'within' if within else 'MISSES'}"
    )
    return within


if __name__ == "__main__":
    sys.exit(0 if main() else 1)
