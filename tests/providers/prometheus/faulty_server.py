"""A server that answers every question of a Prometheus' client with what the test wants."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Write = Callable[[BaseHTTPRequestHandler, str], None]
"""Answers one request; is told the expression that was asked."""


@contextmanager
def answering(write: Write) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Quiet."""

        def do_GET(self) -> None:
            write(self, parse_qs(urlsplit(self.path).query)["query"][0])

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def raw(body: bytes, *, status: int = 200, ahead_s: float = 0.0, promised: int = 0) -> Write:
    """`promised`: more bytes than come, as when a connection is cut."""

    def write(handler: BaseHTTPRequestHandler, expression: str) -> None:
        handler.send_response_only(status)
        handler.send_header("Date", formatdate(time.time() + ahead_s, usegmt=True))
        handler.send_header("Content-Length", str(len(body) + promised))
        handler.end_headers()
        handler.wfile.write(body)

    return write


def told(answer: object, **how: float) -> Write:
    return raw(json.dumps(answer).encode(), **how)  # type: ignore[arg-type]


def success(*series: dict[str, object], **beside: object) -> dict[str, object]:
    return {
        "status": "success",
        "data": {"resultType": "matrix", "result": list(series)},
        **beside,
    }
