"""Objects that are created once, in a folder and in a bucket."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.ledger.conftest import BUCKET
from watchdog.ledger.store import Ledger, LedgerError

KEY = "incidents/aws:1:us-east-1:i-1/20261123T080000Z/0007.json"


def test_the_first_body_stands(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()

    assert ledger.put_once(KEY, b"mine")
    assert not anywhere().put_once(KEY, b"yours")
    assert ledger.get_object(KEY) == b"mine"


def test_one_s_own_body_whose_answer_was_lost_is_one_s_own(anywhere: Callable[[], Ledger]) -> None:
    assert anywhere().put_once(KEY, b"mine")
    assert anywhere().put_once(KEY, b"mine")


def test_objects_are_listed_by_folder(anywhere: Callable[[], Ledger]) -> None:
    ledger = anywhere()
    keys = ["a/b c/%20#?ü.json", "a/b/1", "a/b/2", "ab/3"]
    for key in keys:
        ledger.put_once(key, key.encode())

    assert ledger.objects("a") == ledger.objects("a/") == sorted(keys[:3])
    assert ledger.objects("a/b") == ["a/b/1", "a/b/2"]
    assert ledger.objects("nothing") == []
    assert [ledger.get_object(key) for key in keys] == [key.encode() for key in keys]


def test_a_missing_object_is_named(anywhere: Callable[[], Ledger]) -> None:
    with pytest.raises(LedgerError, match="there is no object a/b"):
        anywhere().get_object("a/b")


@pytest.mark.parametrize("key", ["", "/a", "a/", "a//b", "../a", "a/./b", "a\nb", "a/b#1"])
def test_a_key_is_a_plain_path(ledger: Ledger, key: str) -> None:
    with pytest.raises(LedgerError, match="cannot be the key of an object"):
        ledger.put_once(key, b"")


def test_of_several_processes_one_wins_each_key(tmp_path: Path) -> None:
    Ledger.open(str(tmp_path))
    code = (
        "import sys\n"
        "from watchdog.ledger.store import Ledger\n"
        "ledger = Ledger.open(sys.argv[1])\n"
        "me = sys.argv[2].encode()\n"
        "print(sum(ledger.put_once(f'claims/{n}', me) for n in range(200)))\n"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )
        for name in ("a", "b", "c")
    ]
    won = [int(racer.communicate()[0]) for racer in racers]
    ledger = Ledger.open(str(tmp_path))
    bodies = [ledger.get_object(f"claims/{n}").decode() for n in range(200)]
    assert sum(won) == 200
    assert [bodies.count(name) for name in ("a", "b", "c")] == won


def test_a_lost_answer_is_no_lost_claim(s3: AwsServer) -> None:
    """The put arrives and the server answers 503; the retry meets one's own object."""
    ledger = Ledger.open(f"s3://{BUCKET}/led")
    s3.client("s3").put_object(Bucket=BUCKET, Key=f"led/{KEY}", Body=b"mine")
    s3.forget_calls()
    s3.fail("s3:PUT", status=503, times=1)

    assert ledger.put_once(KEY, b"mine")
    assert (s3.calls["s3:PUT"], s3.calls["s3:GET"]) == (2, 1)
    assert not ledger.put_once(KEY, b"yours")
