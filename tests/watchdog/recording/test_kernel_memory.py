"""A command that the kernel ends for memory, in a control group of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.watchdog.recording.process import Desk
from watchdog.recording.kernel_memory import memory_kills

LIMIT = 200 * 1024 * 1024
GROWS = "x = []\nwhile True: x.append(bytearray(b'1') * (16 << 20))"


@pytest.fixture
def small_group() -> Iterator[Path]:
    """The file that takes a process into a group of little memory."""
    group = Path(f"/sys/fs/cgroup/memory/spend-watchdog-test-{os.getpid()}")
    if not Path("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists():
        group = Path(f"/sys/fs/cgroup/spend-watchdog-test-{os.getpid()}")
    try:
        group.mkdir()
    except OSError:
        pytest.skip("no right to make a control group: the kernel's memory killer is not tried")
    limit = group / "memory.limit_in_bytes"
    limit = limit if limit.exists() else group / "memory.max"
    if not limit.exists():
        group.rmdir()
        pytest.skip("control groups here have no memory controller")
    limit.write_text(str(LIMIT))
    swap = group / "memory.swap.max"
    if swap.exists():
        swap.write_text("0")
    yield group / "cgroup.procs"
    group.rmdir()


def test_one_that_the_kernel_kills_for_memory(desk: Desk, small_group: Path) -> None:
    words = desk.words(sys.executable, "-c", GROWS)
    enters = ["sh", "-c", f'echo $$ >{small_group}; exec "$@"', "sh"]
    done = subprocess.run(
        [*enters, *words], env=desk.environment, cwd=desk.home, check=False, timeout=60
    )
    assert done.returncode == 128 + 9
    run = desk.the_run()
    assert (run["outcome"], run["cause"]) == ("failed", "oom")
    assert run["error"] == "the kernel ended it because memory ran out"


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/user.slice\n", "sys/fs/cgroup/user.slice/memory.events"),
        ("0::/\n", "sys/fs/cgroup/memory.events"),
        ("4:memory:/job\n0::/\n", "sys/fs/cgroup/memory/job/memory.oom_control"),
        ("4:memory:/docker/1\n", "sys/fs/cgroup/memory/memory.oom_control"),
    ],
)
def test_the_groups_own_count(tmp_path: Path, groups: str, file: str) -> None:
    place = tmp_path / file
    place.parent.mkdir(parents=True)
    place.write_text("oom 5\noom_kill 3\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(groups)
    assert memory_kills(tmp_path) == 3


def test_nobody_tells(tmp_path: Path) -> None:
    assert memory_kills(tmp_path) is None
