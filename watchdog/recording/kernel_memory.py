"""How many processes the kernel ended for memory, there where the command's memory is counted."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from providers.local.host import out_of_memory_kills

ROOT = Path("/")
COUNT = re.compile(r"^oom_kill (\d+)$", re.MULTILINE)


def memory_kills(root: Path = ROOT) -> int | None:
    """Since boot: of this process's control group, else of the machine. None: not told."""
    for file in _files(root):
        try:
            told = COUNT.search(file.read_text(encoding="ascii"))
        except OSError:
            continue
        if told is not None:
            return max(int(told[1]), out_of_memory_kills(root) or 0)
    return out_of_memory_kills(root)


def _files(root: Path) -> Iterator[Path]:
    """Of both versions of control groups; a container sees its own group as the top."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        inside = path.lstrip("/")
        if not controllers:
            for top in (root / "sys/fs/cgroup", root / "sys/fs/cgroup/unified"):
                yield top / inside / "memory.events"
                yield top / "memory.events"
        elif "memory" in controllers.split(","):
            top = root / "sys/fs/cgroup/memory"
            yield top / inside / "memory.oom_control"
            yield top / "memory.oom_control"
