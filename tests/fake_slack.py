"""A Slack on loopback, over real HTTP: the Web API's calls that we make, and incoming webhooks.

It refuses what Slack would refuse (a wrong token, too many or too long blocks) and can be told to
answer badly. It keeps no rules of its own about who may post where: a test says so.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs

TOKEN = "xoxb-1-test"
APP_TOKEN = "xapp-1-test"
RESPONSE_PATH = "/actions/T1/1/x"
CHANNEL_ID = "C0GPUCOSTS"
TS = "1700000000.000100"
WEBHOOK_PATH = "/services/T1/B1/s3cr3t"
SCOPES = "chat:write,channels:read"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request as it arrived."""

    path: str
    method: str
    """`chat.postMessage`, `auth.test`, …; `webhook` for a webhook."""
    body: Mapping[str, Any]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the server says next, whatever it is asked."""

    status: int = 200
    body: str = "{}"
    headers: Mapping[str, str] = field(default_factory=dict)
    reset: bool = False
    """Break the connection instead of answering."""
    silent: bool = False
    """Never answer, until the server is closed."""


def limited(retry_after: str | None) -> Answer:
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return Answer(status=429, body='{"ok": false, "error": "ratelimited"}', headers=headers)


def refusing(error: str, **more: str) -> Answer:
    """Slack's way to say no: HTTP 200."""
    return Answer(body=json.dumps({"ok": False, "error": error, **more}))


class FakeSlack:
    """Use it as a context. Answers in `next_answers` are given first, one a request."""

    def __init__(self, *, scopes: str | None = SCOPES, socket_url: str | None = None) -> None:
        """`socket_url`: where Socket Mode is spoken; None: the app has not switched it on."""
        self.socket_url = socket_url
        self.calls: list[Call] = []
        self.next_answers: deque[Answer] = deque()
        self.scopes = scopes
        self.closing = threading.Event()
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.slack = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    @property
    def api_url(self) -> str:
        return f"{self.url}/api/"

    @property
    def webhook_url(self) -> str:
        return f"{self.url}{WEBHOOK_PATH}"

    @property
    def response_url(self) -> str:
        """Where an answer to one press may be posted."""
        return f"{self.url}{RESPONSE_PATH}"

    @property
    def whispers(self) -> list[str]:
        """What was told to one person alone."""
        methods = {"response", "chat.postEphemeral"}
        return [str(call.body["text"]) for call in self.calls if call.method in methods]

    @property
    def messages(self) -> list[Mapping[str, Any]]:
        """The bodies of everything that asked to be posted, retries included."""
        posts = {"chat.postMessage", "webhook"}
        return [call.body for call in self.calls if call.method in posts]

    def answer_next(self, *answers: Answer) -> None:
        self.next_answers.extend(answers)

    def answer_to(self, call: Call) -> Answer:
        self.calls.append(call)
        if self.next_answers:
            return self.next_answers.popleft()
        if call.method in {"webhook", "response"}:
            return _webhook_answer(call)
        if call.path == "/api/apps.connections.open":
            return self._opened(call)
        return self._api_answer(call)

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _api_answer(self, call: Call) -> Answer:
        if not call.path.startswith("/api/"):
            return Answer(status=404, body="<html>no such page</html>")
        if call.headers.get("authorization") != f"Bearer {TOKEN}":
            return refusing("invalid_auth")
        headers = {} if self.scopes is None else {"x-oauth-scopes": self.scopes}
        if call.method == "auth.test":
            told = {"ok": True, "team": "Acme", "user": "watchdog", "team_id": "T1"}
            return Answer(body=json.dumps(told), headers=headers)
        if call.method in {"chat.postMessage", "chat.update", "chat.postEphemeral"}:
            wrong = refused_for(call.body)
            if wrong is not None:
                return refusing(wrong)
            told = {"ok": True, "channel": CHANNEL_ID, "ts": str(call.body.get("ts", TS))}
            return Answer(body=json.dumps(told), headers=headers)
        return refusing("unknown_method")

    def _opened(self, call: Call) -> Answer:
        if call.headers.get("authorization") != f"Bearer {APP_TOKEN}":
            return refusing("invalid_auth")
        if self.socket_url is None:
            return refusing("not_allowed_token_type")
        return Answer(body=json.dumps({"ok": True, "url": self.socket_url}))


def _webhook_answer(call: Call) -> Answer:
    if call.path not in {WEBHOOK_PATH, RESPONSE_PATH}:
        return Answer(status=404, body="no_service", headers={"content-type": "text/html"})
    wrong = refused_for(call.body)
    if wrong is not None:
        return Answer(status=400, body=wrong)
    return Answer(body="ok", headers={"content-type": "text/html"})


def refused_for(message: Mapping[str, Any]) -> str | None:
    """Slack's limits: 50 blocks; 150 characters in a header, 3000 in a section; some text."""
    blocks = message.get("blocks") or []
    if not message.get("text") and not blocks:
        return "no_text"
    if len(message.get("text") or "") > 40_000:
        return "msg_too_long"
    if len(blocks) > 50:
        return "invalid_blocks"
    return "invalid_blocks" if any(map(_too_long, blocks)) else None


def _too_long(block: Mapping[str, Any]) -> bool:
    if block["type"] == "actions":
        return _wrong_buttons(block["elements"])
    limit = {"header": 150, "section": 3000, "context": 2000}[block["type"]]
    elements = block.get("elements", [])
    texts = [block["text"]] if "text" in block else elements
    return (
        len(elements) > 10 or not texts or any(not 0 < len(each["text"]) <= limit for each in texts)
    )


def _wrong_buttons(buttons: Sequence[Mapping[str, Any]]) -> bool:
    """At most 25, each with 75 characters, a value of 2000, and an action that no other has."""
    actions = {button["action_id"] for button in buttons}
    return (
        not 0 < len(buttons) <= 25
        or len(actions) < len(buttons)
        or any(not 0 < len(each["text"]["text"]) <= 75 for each in buttons)
        or any(len(each["value"]) > 2000 for each in buttons)
        or any(each.get("style") not in {None, "primary", "danger"} for each in buttons)
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    slack: FakeSlack


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        headers = {name.lower(): value for name, value in self.headers.items()}
        by_path = {"services": "webhook", "actions": "response"}
        call = Call(
            path=self.path,
            method=by_path.get(self.path.split("/")[1], self.path.rsplit("/", 1)[-1]),
            body=_parsed(raw, headers.get("content-type", "")),
            headers=headers,
        )
        self._give(self.server.slack.answer_to(call))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Nothing on standard error."""

    def _give(self, answer: Answer) -> None:
        if answer.silent:
            self.server.slack.closing.wait()
        if answer.reset or answer.silent:
            self._break()
            return
        body = answer.body.encode()
        self.send_response(answer.status)
        given = {"content-type": "application/json"} | dict(answer.headers)
        for name, value in given.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _break(self) -> None:
        """A reset, not an orderly end: what a proxy that dies looks like."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()
        self.close_connection = True


def _parsed(raw: bytes, content_type: str) -> Mapping[str, Any]:
    """JSON or a form: the SDK sends both."""
    if "json" in content_type:  # apps.connections.open sends nothing as JSON
        return dict(json.loads(raw or b"{}"))
    return {name: values[0] for name, values in parse_qs(raw.decode()).items()}
