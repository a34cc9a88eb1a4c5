"""Slack's side of Socket Mode on loopback: real WebSockets, to each of which a test may speak."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from queue import Queue
from types import TracebackType
from typing import Any, Self

from websockets.exceptions import ConnectionClosed
from websockets.sync.server import ServerConnection, serve

WAIT_S = 30


class FakeSocket:
    """Use it as a context. Hands out its connections in the order in which they are opened."""

    def __init__(self) -> None:
        self.opened: Queue[ServerConnection] = Queue()
        self.acknowledged: Queue[str] = Queue()
        """Ids of the envelopes that the client confirmed."""
        self._server = serve(self._speak, "127.0.0.1", 0)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self._server.socket.getsockname()[1]}/link"

    def next(self) -> ServerConnection:
        """The next connection that a client opens."""
        return self.opened.get(timeout=WAIT_S)

    def press(self, connection: ServerConnection, payload: Mapping[str, Any], name: str) -> str:
        """Tell of a press; the id of the envelope that the client confirms."""
        envelope = {
            "type": "interactive",
            "envelope_id": name,
            "accepts_response_payload": True,
            "payload": payload,
        }
        connection.send(json.dumps(envelope))
        return self.acknowledged.get(timeout=WAIT_S)

    def _speak(self, connection: ServerConnection) -> None:
        hello = {"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A1"}}
        connection.send(json.dumps(hello))
        self.opened.put(connection)
        try:
            for message in connection:
                self.acknowledged.put(json.loads(message)["envelope_id"])
        except ConnectionClosed:
            return  # the SDK hangs up without a closing frame
