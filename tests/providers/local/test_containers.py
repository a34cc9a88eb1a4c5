"""Ended containers, from a small server that speaks like Docker through a socket file."""

from __future__ import annotations

import json
import socketserver
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from providers.local.containers import ended_containers

SINCE = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
UNTIL = SINCE + timedelta(seconds=15)
ID = "0123456789abcdef" * 4


class Runtime:
    """Answers with these events, whatever the time is; what was asked is kept."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.raw: bytes | None = None
        self.status = 200
        self.asked: list[dict[str, list[str]]] = []

    def happens(self, action: str, at: datetime, container: str = ID, **attributes: str) -> None:
        self.events.append(
            {
                "Type": "container",
                "Action": action,
                "Actor": {"ID": container, "Attributes": attributes},
                "time": int(at.timestamp()),
                "timeNano": int(at.timestamp() * 1e9),
            }
        )


@pytest.fixture
def runtime(tmp_path: Path) -> Iterator[Runtime]:
    known = Runtime()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            assert parts.path == "/events"
            known.asked.append(parse_qs(parts.query))
            body = b"".join(json.dumps(event).encode() + b"\n" for event in known.events)
            self.send_response(known.status)
            self.end_headers()
            self.wfile.write(body if known.raw is None else known.raw)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            del format, args

        def address_string(self) -> str:
            return "local"

    place = tmp_path / "run/docker.sock"
    place.parent.mkdir()
    with socketserver.ThreadingUnixStreamServer(str(place), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield known
        server.shutdown()
        thread.join()


def test_an_end_is_told_with_its_exit_code(tmp_path: Path, runtime: Runtime) -> None:
    at = SINCE + timedelta(seconds=3)
    runtime.happens("die", at, exitCode="3", name="train", image="team/train:7", execDuration="61")
    ended = ended_containers(SINCE, UNTIL, root=tmp_path)
    assert ended is not None
    (end,) = ended
    assert (end.container, end.ended_at) == ("0123456789ab", at)
    assert (end.name, end.image, end.exit_code, end.ran_s) == ("train", "team/train:7", 3, 61.0)
    assert end.out_of_memory is False
    assert str(end) == "container train ended with exit code 3"
    (asked,) = runtime.asked
    assert float(asked["until"][0]) == UNTIL.timestamp()
    assert json.loads(asked["filters"][0]) == {"type": ["container"], "event": ["die", "oom"]}


def test_an_end_by_the_memory_killer_says_so(tmp_path: Path, runtime: Runtime) -> None:
    runtime.happens("oom", SINCE - timedelta(seconds=1))
    runtime.happens("die", SINCE, exitCode="137", name="train")
    (end,) = ended_containers(SINCE, UNTIL, root=tmp_path) or ()
    assert end.out_of_memory is True
    assert str(end) == "container train ended with exit code 137, out of memory"


def test_a_kill_that_nobody_explains_is_not_called_one_of_memory(
    tmp_path: Path, runtime: Runtime
) -> None:
    runtime.happens("oom", SINCE, container="f" * 64)
    runtime.happens("died", SINCE, containerExitCode="137")
    (end,) = ended_containers(SINCE, UNTIL, root=tmp_path) or ()
    assert (end.exit_code, end.out_of_memory, end.name) == (137, None, None)


def test_each_end_belongs_to_one_stretch_of_time(tmp_path: Path, runtime: Runtime) -> None:
    for at in (SINCE - timedelta(seconds=1), SINCE, UNTIL):
        runtime.happens("die", at, exitCode="0")
    ended = ended_containers(SINCE, UNTIL, root=tmp_path)
    assert ended is not None
    assert [end.ended_at for end in ended] == [SINCE]


def test_a_runtime_without_events_has_told_that_nothing_ended(
    tmp_path: Path, runtime: Runtime
) -> None:
    assert ended_containers(SINCE, UNTIL, root=tmp_path) == ()


@pytest.mark.parametrize("raw", [b"{", b"\xff\xfe", b'{"message":"page not found"'])
def test_an_answer_that_is_no_json_tells_nothing(
    tmp_path: Path, runtime: Runtime, raw: bytes
) -> None:
    runtime.raw = raw
    assert ended_containers(SINCE, UNTIL, root=tmp_path) is None


@pytest.mark.parametrize(
    "raw", [b"[]", b"5", b'{"Action":"die"}', b'{"Action":"die","Actor":null}']
)
def test_strange_events_are_passed_over(tmp_path: Path, runtime: Runtime, raw: bytes) -> None:
    runtime.raw = raw
    assert ended_containers(SINCE, UNTIL, root=tmp_path) == ()


def test_a_refusal_tells_nothing(tmp_path: Path, runtime: Runtime) -> None:
    runtime.status = 403
    assert ended_containers(SINCE, UNTIL, root=tmp_path) is None


def test_where_no_runtime_is_nothing_is_told(tmp_path: Path) -> None:
    assert ended_containers(SINCE, UNTIL, root=tmp_path) is None
    (tmp_path / "run").mkdir()
    (tmp_path / "run/docker.sock").touch()
    assert ended_containers(SINCE, UNTIL, root=tmp_path) is None
