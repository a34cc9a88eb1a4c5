"""When somebody last typed: a real terminal of the kernel, and files that stand for many."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from providers.local.last_input import last_input_at

STEP_S = 8
"""The kernel moves a terminal's times in steps of so many seconds."""


def terminal(root: Path, name: str, *, typed_at: float) -> None:
    path = root / "dev" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (typed_at, typed_at))


def test_the_newest_of_all_terminals_counts(tmp_path: Path) -> None:
    now = time.time()
    terminal(tmp_path, "pts/0", typed_at=now + 100)
    terminal(tmp_path, "pts/11", typed_at=now + 300)
    terminal(tmp_path, "tty1", typed_at=now + 200)
    terminal(tmp_path, "pts/ptmx", typed_at=now + 900)
    assert last_input_at(tmp_path) == datetime.fromtimestamp(now + 300, tz=UTC)


def test_an_open_terminal_into_which_nobody_typed_tells_nothing(tmp_path: Path) -> None:
    terminal(tmp_path, "pts/0", typed_at=time.time() - 100)
    assert last_input_at(tmp_path) is None


def test_without_terminals_nothing_is_known(tmp_path: Path) -> None:
    assert last_input_at(tmp_path) is None


@pytest.mark.slow
def test_the_kernel_moves_the_time_for_input_and_not_for_output(tmp_path: Path) -> None:
    master, slave = os.openpty()
    try:
        (tmp_path / "dev/pts").mkdir(parents=True)
        (tmp_path / "dev/pts/7").symlink_to(os.ttyname(slave))
        ended = time.monotonic() + STEP_S + 1
        while time.monotonic() < ended:
            os.write(slave, b"a program prints\n")
            os.read(master, 100)
            assert last_input_at(tmp_path) is None
            time.sleep(1)
        os.write(master, b"somebody types\n")
        os.read(slave, 100)
        typed_at = last_input_at(tmp_path)
        assert typed_at is not None
        assert abs(typed_at.timestamp() - time.time()) <= STEP_S + 1
    finally:
        os.close(master)
        os.close(slave)
