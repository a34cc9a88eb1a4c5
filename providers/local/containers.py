"""Containers that ended, by the runtime's own socket (Docker's API, which Podman speaks too)."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from providers.local.host import ROOT

SOCKETS = ("run/docker.sock", "run/podman/podman.sock")
TIMEOUT_S = 1.0
MOST_BYTES = 1024 * 1024
FILTERS = json.dumps({"type": ["container"], "event": ["die", "oom"]})
KILLED = 137
"""128 + SIGKILL: what the kernel's memory killer leaves behind, among others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContainerEnd:
    """How one container ended. None: the runtime does not tell."""

    container: str
    """The first twelve digits of its id."""
    ended_at: datetime
    name: str | None
    image: str | None
    exit_code: int | None
    ran_s: float | None
    out_of_memory: bool | None
    """True: the runtime says so. None: it ended by SIGKILL, and nobody says why."""

    def __str__(self) -> str:
        how = "unknown" if self.exit_code is None else str(self.exit_code)
        why = ", out of memory" if self.out_of_memory else ""
        return f"container {self.name or self.container} ended with exit code {how}{why}"


def ended_containers(
    since: datetime, until: datetime, *, root: Path = ROOT
) -> tuple[ContainerEnd, ...] | None:
    """Those that ended in `[since, until)`. None: no runtime that may be read is here.

    The runtime keeps its last few hundred events only: ask often.
    """
    told = [
        events for path in SOCKETS if (events := _events(root / path, since, until)) is not None
    ]
    if not told:
        return None
    return tuple(end for events in told for end in _ends(events, since, until))


def _events(path: Path, since: datetime, until: datetime) -> list[Mapping[str, Any]] | None:
    if not path.is_socket():
        return None
    connection = _Local(path)
    # an event of memory may come before the end that it explains
    asked = f"since={(since - timedelta(minutes=1)).timestamp():.9f}&until={until.timestamp():.9f}"
    try:
        connection.request("GET", f"/events?{asked}&filters={quote(FILTERS)}")
        answer = connection.getresponse()
        if answer.status != http.client.OK:
            return None
        lines = answer.read(MOST_BYTES).splitlines()
        events = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError, http.client.HTTPException):
        return None
    finally:
        connection.close()
    return [event for event in events if isinstance(event, dict)]


def _ends(
    events: Sequence[Mapping[str, Any]], since: datetime, until: datetime
) -> Iterator[ContainerEnd]:
    starved = set()
    for event in events:
        actor = event.get("Actor") or {}
        container, action = str(actor.get("ID", "")), event.get("Action")
        if action == "oom":
            starved.add(container)
            continue
        at = _at(event)
        if action not in {"die", "died"} or not container or at is None or not since <= at < until:
            continue
        told = actor.get("Attributes") or {}
        code = _number(told.get("exitCode", told.get("containerExitCode")))
        silent = None if code == KILLED else False
        yield ContainerEnd(
            container=container[:12],
            ended_at=at,
            name=told.get("name"),
            image=told.get("image"),
            exit_code=None if code is None else int(code),
            ran_s=_number(told.get("execDuration")),
            out_of_memory=True if container in starved else silent,
        )


def _at(event: Mapping[str, Any]) -> datetime | None:
    nanoseconds, seconds = _number(event.get("timeNano")), _number(event.get("time"))
    if nanoseconds is not None:
        return datetime.fromtimestamp(nanoseconds / 1e9, tz=UTC)
    return None if seconds is None else datetime.fromtimestamp(seconds, tz=UTC)


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


class _Local(http.client.HTTPConnection):
    """HTTP through a socket of the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))
