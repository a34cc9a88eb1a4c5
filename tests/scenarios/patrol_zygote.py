"""A process that has imported everything and forks one patrol at a time: a kill costs little.

It reads a line of JSON for each patrol, `World.order`, and answers with the patrol's process id and
then, when that has ended, with how. It uses nothing that has threads of its own: those would not
live in its children.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any


class Zygote:
    """The process, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._told()

    def begun(self, order: Mapping[str, object]) -> int:
        """The process id of a patrol that has begun."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._told()["pid"])

    def ended(self) -> int:
        """Its exit status; negative: the signal that ended it."""
        assert self._process.stdin is not None
        self._told()
        self._process.stdin.write("seen\n")
        self._process.stdin.flush()
        return int(self._told()["status"])

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the zygote ended; what it said stands above")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def zygote(environment: Mapping[str, str]) -> Iterator[Zygote]:
    command = [sys.executable, "-m", __name__]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **environment},
    ) as process:
        try:
            yield Zygote(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


def _serve() -> None:
    import slack_sdk.web  # noqa: F401, PLC0415 - so that no child must import it

    import watchdog.alerts.slack_incident_blocks  # noqa: F401, PLC0415
    from tests.scenarios.acting_world import People, World  # noqa: PLC0415

    del People, World
    _say(ready=True)
    while line := sys.stdin.readline():
        order = json.loads(line)
        pid = os.fork()
        if pid == 0:
            os._exit(_patrolled(order))
        _say(pid=pid)
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        _say(ended=True)
        sys.stdin.readline()  # nobody else gets its number while it may still be killed
        _, status = os.waitpid(pid, 0)
        _say(status=os.waitstatus_to_exitcode(status))


def _say(**told: object) -> None:
    sys.stdout.write(json.dumps(told) + "\n")
    sys.stdout.flush()


def _patrolled(order: Mapping[str, Any]) -> int:
    """Everything that has threads begins here, in the child."""
    from tests.scenarios.acting_world import patrolled  # noqa: PLC0415

    folder, now = Path(order["folder"]), datetime.fromisoformat(order["now"])
    try:
        patrolled(folder, order["slack"], order["regions"], now)
    except BaseException as error:  # noqa: BLE001 - a child must never return into the zygote
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    _serve()
