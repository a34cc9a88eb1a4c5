"""Socket Mode over real WebSockets: presses are acknowledged, then answered, one by one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Queue
from typing import Any

import pytest

from tests.builders import NOW
from tests.fake_slack import APP_TOKEN, FakeSlack
from tests.fake_socket import WAIT_S, FakeSocket
from tests.slack_presses import press
from watchdog.alerts.slack_settings import AlertSettingsError
from watchdog.alerts.socket_mode import SocketListener, SocketModeError, app_token_of

KEY = "incidents/aws:1:us-east-1:i-1/20261121T080000Z/20261123T060000Z"


class Listening:
    """A listener in a thread of its own, as `listen` runs it in the main one."""

    def __init__(self, slack: FakeSlack) -> None:
        self.answered: Queue[Mapping[str, Any]] = Queue()
        self.notices: list[str] = []
        self.over = threading.Event()
        listener = SocketListener(
            APP_TOKEN, self.notices.append, slack.api_url, ping_interval_s=0.1
        )
        self.thread = threading.Thread(
            target=listener.run, args=(self.answer,), kwargs={"ended": self.over.is_set}
        )
        self.thread.start()

    def answer(self, payload: Mapping[str, Any]) -> None:
        self.answered.put(payload)

    def next(self) -> Mapping[str, Any]:
        return self.answered.get(timeout=WAIT_S)

    def end(self) -> None:
        self.over.set()
        self.thread.join(WAIT_S)
        assert not self.thread.is_alive()


@pytest.fixture
def socket() -> Iterator[FakeSocket]:
    with FakeSocket() as running:
        yield running


@pytest.fixture
def listen(socket: FakeSocket) -> Iterator[Callable[[], Listening]]:
    started: list[Listening] = []
    with FakeSlack(socket_url=socket.url) as slack:

        def start() -> Listening:
            started.append(Listening(slack))
            return started[-1]

        yield start
        for each in started:
            each.end()


def pressed(button: str = "keep_2h") -> dict[str, Any]:
    return press(button, KEY, at=NOW)


def test_a_press_is_acknowledged_and_answered(
    socket: FakeSocket, listen: Callable[[], Listening]
) -> None:
    listening = listen()
    connection = socket.next()
    assert socket.press(connection, pressed(), "e1") == "e1"
    assert listening.next() == pressed()


def test_what_is_no_press_is_acknowledged_and_left_alone(
    socket: FakeSocket, listen: Callable[[], Listening]
) -> None:
    listening = listen()
    connection = socket.next()
    connection.send('{"type": "slash_commands", "envelope_id": "e0", "payload": {}}')
    assert socket.acknowledged.get(timeout=WAIT_S) == "e0"
    socket.press(connection, pressed("not_mine"), "e1")
    assert listening.next()["actions"][0]["action_id"] == "not_mine"
    assert listening.answered.empty()


@pytest.mark.parametrize("how", ["closed", "asked", "lost"])
def test_a_connection_that_ends_is_opened_again(
    socket: FakeSocket, listen: Callable[[], Listening], how: str
) -> None:
    listening = listen()
    first = socket.next()
    match how:
        case "closed":
            first.close()
        case "asked":  # Slack renews connections every few hours
            first.send('{"type": "disconnect", "reason": "refresh_requested"}')
        case _:
            first.socket.close()
    second = socket.next()
    socket.press(second, pressed(), "e2")
    assert listening.next() == pressed()


@pytest.mark.parametrize(
    ("socket_url", "token", "told"),
    [
        ("ws://127.0.0.1:9/", "xapp-wrong", "Slack answered invalid_auth: make an app-level token"),
        (None, APP_TOKEN, "Slack answered not_allowed_token_type: make an app-level token"),
    ],
)
def test_a_token_that_slack_refuses_ends_it_with_a_line(
    socket_url: str | None, token: str, told: str
) -> None:
    with (
        FakeSlack(socket_url=socket_url) as slack,
        pytest.raises(SocketModeError, match=told) as refused,
    ):
        SocketListener(token, print, slack.api_url).run(print, ended=lambda: True)
    assert token not in str(refused.value)


@pytest.mark.parametrize("token", [None, "", "xoxb-1-bot", "xapp-with space"])
def test_what_is_no_app_token_is_said_before_slack_is_asked(token: str | None) -> None:
    with pytest.raises(AlertSettingsError, match="SPEND_WATCHDOG_SLACK__APP_TOKEN"):
        app_token_of(token)
