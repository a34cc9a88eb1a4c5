"""What an agent costs: memory by the kernel's count, bytes by what really lies in the inbox."""

from __future__ import annotations

import random
from datetime import timedelta
from pathlib import Path

from tests.builders import NOW
from tests.metadata_services import Service
from tests.moto_aws import AwsServer
from tests.providers.local.standin import Desk
from tests.watchdog.agent.process import agent, letters, once, until
from tests.watchdog.agent.test_recorder import MACHINE, Body, gpus
from watchdog.agent.happenings import input_row
from watchdog.ledger.dropbox import Dropbox
from watchdog.ledger.inbox import letter_text

MOST_RSS_KIB = 60 * 1000
MOST_BYTES_A_DAY = 1_000_000
INTERVALS_A_DAY = 288


def test_it_holds_little_memory_once_it_has_measured_and_sent(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says |= {"STANDIN_GPUS": "8", "STANDIN_LOG": str(tmp_path / "looks")}
    (tmp_path / "spool").mkdir()
    typed = letter_text("events", [input_row(MACHINE, NOW, NOW)])
    (tmp_path / "spool" / "events-20261123T080000Z-aa.json").write_text(typed)
    with AwsServer() as s3:
        s3.reset()
        s3.client("s3").create_bucket(Bucket="team")
        s3.forget_calls()
        more = {**s3.environment, **metadata.environment}
        with agent(tmp_path, desk, more, "--ledger", "s3://team/ledger") as running:
            until(lambda: not list((tmp_path / "spool").glob("*.json")))
            until(lambda: len((tmp_path / "looks").read_text().splitlines()) > 4)
            rss_kib = running.rss_kib
            calls = dict(s3.calls)
    assert rss_kib < MOST_RSS_KIB
    assert calls == {"s3:PUT": 1}


def test_a_day_of_eight_gpus_is_less_than_a_megabyte(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says |= {"STANDIN_GPUS": "8", "STANDIN_PCT": "97", "STANDIN_HELD_MIB": "61440"}
    once(tmp_path, desk, metadata.environment)
    size = sum(letter.stat().st_size for letter in letters(tmp_path))
    assert 0 < size * INTERVALS_A_DAY < MOST_BYTES_A_DAY


def test_nor_is_one_on_which_everything_changes_all_the_time(tmp_path: Path) -> None:
    chance = random.Random(8)
    body = Body(tmp_path / "spool")
    for _ in range(12 * 20 + 1):
        body.sample = gpus(*(chance.uniform(0, 100) for _ in range(8)))
        body.received += chance.randrange(10**10)
        body.busy += chance.randrange(1500)
        body.typed_at = body.now - timedelta(seconds=chance.randrange(9))
        body.look()
    box = Dropbox(str(tmp_path / "ledger"))
    for name in body.spool.names():
        table, _, rest = name.partition("-")
        box.put(table, rest, body.spool.text(name) or "", sent_at=body.now)
    size = sum(letter.stat().st_size for letter in letters(tmp_path))
    assert len(letters(tmp_path)) == 24
    assert size / 12 * INTERVALS_A_DAY < MOST_BYTES_A_DAY
