"""The spool and the way out of it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.builders import NOW
from watchdog.agent.sender import FIRST_WAIT_S, LONGEST_WAIT_S, Sender
from watchdog.agent.spool import Spool
from watchdog.ledger.failures import LedgerError


class Box:
    """An inbox that may be away."""

    def __init__(self) -> None:
        self.away = False
        self.got: list[tuple[str, str, str]] = []

    def put(self, table: str, name: str, letter: str, *, sent_at: datetime) -> None:
        assert sent_at == NOW
        if self.away:
            raise LedgerError("ledger s3://b/l: it cannot be reached")
        self.got.append((table, name, letter))


@pytest.fixture
def box() -> Box:
    return Box()


class Post:
    def __init__(self, folder: Path, box: Box, **limits: int) -> None:
        self.said: list[str] = []
        self.open: list[str] = []
        self.spool = Spool(folder, **limits)
        self.sender = Sender(
            spool=self.spool,
            inbox=box,
            still_open=lambda: self.open,
            clock=lambda: NOW,
            say=self.said.append,
        )


@pytest.fixture
def post(tmp_path: Path, box: Box) -> Post:
    return Post(tmp_path, box)


def names() -> Iterator[str]:
    for n in range(100):
        yield f"readings-{NOW + timedelta(minutes=5 * n):%Y%m%dT%H%M%SZ}-0{n:02}"


def test_letters_go_out_oldest_first_under_names_of_their_own(post: Post, box: Box) -> None:
    post.spool.put("readings-20261123T080500Z-aa", "{b}")
    post.spool.put("events-20261123T080000Z-bb", "{a}")
    assert post.sender.send()
    assert [(table, text) for table, _, text in box.got] == [("events", "{a}"), ("readings", "{b}")]
    assert [name.split("-")[0] for _, name, _ in box.got] == [
        "20261123T080000Z",
        "20261123T080500Z",
    ]
    assert post.spool.names() == []


def test_one_that_is_still_open_waits(post: Post, box: Box) -> None:
    post.spool.put("readings-20261123T080500Z-aa", "{}")
    post.open = ["readings-20261123T080500Z-aa"]
    assert post.sender.send()
    assert box.got == []
    post.open = []
    assert post.sender.send()
    assert len(box.got) == 1


def test_what_cannot_be_sent_is_kept_and_said_once(post: Post, box: Box) -> None:
    box.away = True
    for name, _ in zip(names(), range(3), strict=False):
        post.spool.put(name, "{}")
        assert not post.sender.send()
    assert len(post.spool.names()) == 3
    box.away = False
    assert post.sender.send()
    assert len(box.got) == 3
    assert post.said == [
        "not sent, kept for later: ledger s3://b/l: it cannot be reached",
        "the ledger's inbox takes letters again",
    ]


def test_whatever_breaks_in_the_sending_is_told_and_tried_again(
    post: Post, box: Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*args: object, **more: object) -> None:
        raise RuntimeError("the other library gave up")

    post.spool.put("readings-20261123T080500Z-aa", "{}")
    monkeypatch.setattr(box, "put", breaks)
    post.sender.wake()
    post.sender.finish(10)
    assert post.said == ["not sent, kept for later: RuntimeError: the other library gave up"]
    assert len(post.spool.names()) == 1


def test_what_is_ready_at_the_end_goes_out_before_it(post: Post, box: Box) -> None:
    post.sender.wake()
    post.spool.put("readings-20261123T080500Z-aa", "{}")
    post.sender.finish(10)
    assert len(box.got) == 1


def test_after_failures_it_waits_longer_each_time_but_not_for_ever(post: Post, box: Box) -> None:
    waits = [post.sender.waits_after(sent=False) for _ in range(10)]
    assert waits[:3] == [FIRST_WAIT_S, 2 * FIRST_WAIT_S, 4 * FIRST_WAIT_S]
    assert waits[-1] == LONGEST_WAIT_S
    assert post.sender.waits_after(sent=True) == 0.0


def test_a_full_spool_gives_up_its_oldest_and_counts_them(tmp_path: Path, box: Box) -> None:
    post = Post(tmp_path, box, most_files=3)
    dropped = [post.spool.put(name, "{}") for name, _ in zip(names(), range(5), strict=False)]
    assert dropped == [0, 0, 0, 1, 1]
    assert post.spool.names() == list(names())[2:5]


def test_a_spool_is_bounded_in_bytes_but_keeps_the_newest(tmp_path: Path, box: Box) -> None:
    post = Post(tmp_path, box, most_bytes=100)
    for name, _ in zip(names(), range(5), strict=False):
        post.spool.put(name, "x" * 40)
    assert post.spool.names() == list(names())[3:5]
    assert post.spool.put(list(names())[5], "x" * 400) == 2
    assert post.spool.names() == [list(names())[5]]


def test_a_half_written_file_is_never_sent_and_is_cleared_away(tmp_path: Path, box: Box) -> None:
    (tmp_path / "readings-20261123T080000Z-aa.77.part").write_text('{"schema":"spend-wat')
    post = Post(tmp_path, box)
    assert post.sender.send()
    assert box.got == []
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_text_does_not_block_the_others(
    tmp_path: Path, post: Post, box: Box
) -> None:
    (tmp_path / "readings-20261123T070000Z-aa.json").write_bytes(b"\xff\xfe")
    post.spool.put("readings-20261123T080000Z-bb", "{}")
    assert post.sender.send()
    assert len(box.got) == 1
    assert post.spool.names() == []
