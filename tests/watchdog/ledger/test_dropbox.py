"""What a machine may do that may do nothing but put objects into the inbox."""

from __future__ import annotations

import gzip
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from tests.watchdog.ledger.facts import reading
from watchdog.ledger import inbox
from watchdog.ledger.dropbox import Dropbox
from watchdog.ledger.inbox import letter_text
from watchdog.ledger.store import Ledger, LedgerError, LedgerUrlError

LETTER = letter_text("readings", [reading()])


def now() -> datetime:
    return datetime.now(UTC)


def test_a_letter_costs_one_put_and_is_folded_in(s3: AwsServer) -> None:
    box = Dropbox(f"s3://{BUCKET}/team/ledger")
    box.put("readings", "a", LETTER, sent_at=now())
    assert s3.calls == {"s3:PUT": 1}

    ledger = Ledger.open(f"s3://{BUCKET}/team/ledger")
    folded = ledger.fold_inbox()
    assert (folded.counts, folded.problems, folded.skews) == ({"readings": 1}, (), {})


def test_one_whose_answer_was_lost_may_be_put_again(s3: AwsServer) -> None:
    box = Dropbox(f"s3://{BUCKET}/ledger")
    for _ in range(2):
        box.put("readings", "a", LETTER, sent_at=now())
    assert s3.calls == {"s3:PUT": 2}
    assert Ledger.open(f"s3://{BUCKET}/ledger").fold_inbox().counts == {"readings": 1}


def test_a_bucket_that_is_not_there_is_one_line(s3: AwsServer) -> None:
    with pytest.raises(LedgerError, match="there is no such bucket") as raised:
        Dropbox("s3://nowhere/ledger").put("readings", "a", LETTER, sent_at=now())
    assert "\n" not in str(raised.value)


def test_a_ledger_that_is_away_is_given_up_on_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    with pytest.raises(LedgerError, match="it cannot be reached"):
        Dropbox("s3://b/l").put("readings", "a", LETTER, sent_at=now())


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(LedgerUrlError, match="is not known here"):
        Dropbox("ftp://b/l")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (gzip.compress(LETTER.encode(), mtime=0)[:-9], "is no whole gzip file"),
        (b"\x1f\x8bnonsense", "is no whole gzip file"),
        (gzip.compress(b"[]", mtime=0), "is not of the schema"),
    ],
)
def test_a_body_that_is_not_whole_is_put_aside(tmp_path: Path, body: bytes, said: str) -> None:
    ledger = Ledger.open(str(tmp_path))
    ledger.put_once("inbox/readings/a.json.gz", body)
    (problem,) = ledger.fold_inbox().problems
    assert said in problem


def test_a_body_that_would_fill_the_memory_is_put_aside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox, "MOST_BYTES", 1000)
    ledger = Ledger.open(str(tmp_path))
    bomb = zlib.compressobj(wbits=31)
    ledger.put_once("inbox/readings/a.json.gz", bomb.compress(b" " * 10**7) + bomb.flush())
    (problem,) = ledger.fold_inbox().problems
    assert "holds more than 1000 bytes" in problem


def test_a_region_that_is_learnt_later_is_used_from_then_on(
    s3: AwsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_REGION", raising=False)
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    known: list[str | None] = [None]
    box = Dropbox(f"s3://{BUCKET}/ledger", region=lambda: known[0])
    box.put("readings", "a", LETTER, sent_at=now())
    known = ["eu-central-1"]
    box.put("readings", "b", LETTER, sent_at=now())
    assert [call.region for call in s3.requests] == ["us-east-1", "eu-central-1"]


def test_a_region_that_is_set_is_kept(s3: AwsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    box = Dropbox(f"s3://{BUCKET}/ledger", region=lambda: "eu-central-1")
    box.put("readings", "a", LETTER, sent_at=now())
    assert [call.region for call in s3.requests] == ["us-west-2"]
