"""From the driver on a rented machine to the judgement of the next patrol."""

from __future__ import annotations

import json
import zlib
from pathlib import Path

from tests.metadata_services import AWS_DOCUMENT, AWS_ROLE, Service
from tests.moto_aws import AwsServer
from tests.providers.local.standin import Desk
from tests.watchdog.agent.process import (
    agent,
    later,
    letters,
    once,
    patrolled,
    spooled,
    trainer,
    until,
)


def test_an_unmeasured_machine_speaks_for_itself(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    blind, _, _ = patrolled(tmp_path / "before", trainer(gpus=2), at=later())
    assert blind["phase"] == "unknown"
    desk.says |= {"STANDIN_GPUS": "2", "STANDIN_PCT": "97", "STANDIN_HELD_MIB": "61440"}

    once(tmp_path, desk, metadata.environment)
    seen, gaps, ledger = patrolled(tmp_path, trainer(gpus=2), at=later())

    assert seen["phase"] == "active"
    assert seen["measured_by"] == "agent"
    assert "GPU 0, 1: 97 %, 60.0 GiB held" in seen["why"]
    assert any(why.startswith("measured by agent") for why in seen["why"])
    assert gaps == []
    rows = ledger.rows("readings")
    assert {row["gpu"] for row in rows} == {"0", "1", None}
    assert {row["power_w"] for row in rows if row["gpu"] is not None} == {61.0}
    assert ledger.objects("inbox") == []


def test_a_quiet_machine_is_idle(tmp_path: Path, desk: Desk, metadata: Service) -> None:
    once(tmp_path, desk, metadata.environment)
    seen, _, _ = patrolled(tmp_path, trainer(), at=later())
    assert seen["phase"] == "idle"
    assert 0 < seen["confidence"] < 0.9


def test_the_machine_s_own_role_is_enough(tmp_path: Path, desk: Desk, metadata: Service) -> None:
    with AwsServer() as s3:
        s3.reset()
        s3.client("s3", "eu-central-1").create_bucket(
            Bucket="team", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"}
        )
        s3.forget_calls()
        metadata.document = {**AWS_DOCUMENT, "region": "eu-central-1"}
        more = {**metadata.environment, "AWS_ENDPOINT_URL": s3.url}
        said = once(tmp_path, desk, more, "--ledger", "s3://team/ledger")
        assert "not sent" not in said
        assert set(s3.calls) == {"s3:PUT"}
        asked = {(call.region, call.key) for call in s3.requests}
        assert asked == {("eu-central-1", AWS_ROLE["AccessKeyId"])}
    assert "GET /latest/meta-data/iam/security-credentials/gpu-machine" in metadata.asked
    assert spooled(tmp_path) == []


def test_it_runs_until_it_is_told_to_end_and_sends_what_it_has(
    tmp_path: Path, desk: Desk, metadata: Service
) -> None:
    desk.says["STANDIN_LOG"] = str(tmp_path / "looks")
    with agent(tmp_path, desk, metadata.environment) as running:
        looks = tmp_path / "looks"
        until(lambda: looks.exists() and len(looks.read_text().splitlines()) > 2)
        code, said, seconds = running.end()
    assert (code, "Traceback" in said) == (0, False), said
    assert seconds < 5
    assert "this is aws:123456789012:us-east-1:i-trainer-1" in said
    (letter, *_) = letters(tmp_path, "readings")
    told = json.loads(zlib.decompress(letter.read_bytes(), wbits=31))
    assert told["rows"][0]["resource"] == "aws:123456789012:us-east-1:i-trainer-1"
