"""When alerts stop arriving, somebody hears of it another way: after an hour, and once an hour."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from policies.facts import Gap
from policies.verdicts import Outcome, Result
from tests.builders import NOW
from tests.watchdog.alerts.reports import judged, report
from watchdog.alerts.second_channel import watch_channel
from watchdog.ledger.store import Ledger
from watchdog.patrol_report import PatrolReport

MINUTE = timedelta(minutes=1)
DOWN = Gap(provider="slack", what="alert", why="#gpu: Slack could not be reached")


class Chat:
    """Another chat's webhook on loopback."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.status = 200
        chat = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                chat.told.append(json.loads(body)["text"])
                self.send_response(chat.status)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Nothing on standard error."""

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def chat() -> Iterator[Chat]:
    standing = Chat()
    yield standing
    standing.close()


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def failing() -> PatrolReport:
    return report(judged(), gaps=(DOWN,))


def arriving() -> PatrolReport:
    told = Outcome(
        machine=judged().machine.id, action="notify", result=Result.DELIVERED, why="posted"
    )
    return report(judged(), outcomes=(told,))


def after(ledger: Ledger, told: PatrolReport, minutes: int, url: str | None) -> str | None:
    return watch_channel(ledger, told, url, now=NOW + minutes * MINUTE)


def test_it_is_told_after_an_hour_and_once_an_hour(ledger: Ledger, chat: Chat) -> None:
    for minutes in range(0, 131, 5):
        assert after(ledger, failing(), minutes, chat.url) is None
        assert len(chat.told) == (minutes >= 60) + (minutes >= 120)
    first = chat.told[0]
    assert f"since {NOW:%Y-%m-%d %H:%M} UTC" in first
    assert "Slack could not be reached" in first
    assert judged().machine.id in first


def test_an_alert_that_arrives_ends_it_and_the_next_outage_counts_anew(
    ledger: Ledger, chat: Chat
) -> None:
    after(ledger, failing(), 0, chat.url)
    after(ledger, arriving(), 50, chat.url)
    after(ledger, failing(), 70, chat.url)
    after(ledger, failing(), 125, chat.url)
    assert chat.told == []
    after(ledger, failing(), 130, chat.url)
    assert len(chat.told) == 1


def test_a_patrol_that_told_nothing_says_nothing_of_the_channel(ledger: Ledger, chat: Chat) -> None:
    after(ledger, failing(), 0, chat.url)
    after(ledger, report(), 30, chat.url)
    after(ledger, failing(), 60, chat.url)
    assert len(chat.told) == 1


def test_without_a_second_channel_it_is_remembered_all_the_same(ledger: Ledger, chat: Chat) -> None:
    after(ledger, failing(), 0, None)
    after(ledger, failing(), 300, None)
    after(ledger, failing(), 305, chat.url)
    assert len(chat.told) == 1


def test_a_second_channel_that_fails_is_one_line_and_is_tried_again(
    ledger: Ledger, chat: Chat
) -> None:
    after(ledger, failing(), 0, chat.url)
    chat.status = 500
    assert "failed as well: HTTP Error 500" in str(after(ledger, failing(), 60, chat.url))
    chat.status = 200
    assert after(ledger, failing(), 65, chat.url) is None
    assert len(chat.told) == 2
