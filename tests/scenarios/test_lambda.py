"""Patrols as a Lambda function, in AWS's own runtime: cold, warm, failed, and cut by its time."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from tests.fake_slack import CHANNEL_ID, TOKEN, FakeSlack
from tests.lambda_function import lambda_function, missing
from tests.moto_aws import ACCOUNT, AwsServer, Call, launch, put_metric
from tests.slack_presses import SECRET, press, request
from watchdog.ledger.store import Ledger

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]
BUCKET = "ledgers"
LEDGER = f"s3://{BUCKET}/team"
EVENT = {"source": "aws.scheduler"}


@pytest.fixture
def aws(server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """An account with one idle machine, a bucket, and Slack's token in Parameter Store."""
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.client("s3").create_bucket(Bucket=BUCKET)
    server.client("ssm").put_parameter(
        Name="/spend-watchdog/slack-token", Value=f"{TOKEN}\n", Type="SecureString"
    )
    (instance,) = launch(server.client("ec2"), "g5.xlarge")
    now = datetime.now(UTC)
    started = ec2_backends[ACCOUNT]["us-east-1"].get_instance(instance)
    started.launch_time = (now - timedelta(days=2)).replace(tzinfo=None)  # moto's are naive UTC
    for metric in ("nvidia_smi_utilization_gpu", "nvidia_smi_memory_used"):
        put_metric(
            server.client("cloudwatch"),
            metric,
            [0.0] * 50,
            dimensions={"InstanceId": instance, "index": "0"},
            started_at=now - timedelta(hours=4),
        )
    server.forget_calls()
    return server


def environment(aws: AwsServer, slack: FakeSlack, **more: str) -> dict[str, str]:
    return {
        **aws.environment,
        "SPEND_WATCHDOG_LEDGER": LEDGER,
        "SPEND_WATCHDOG_PROVIDERS": "aws",
        "SPEND_WATCHDOG_REGIONS": "us-east-1",
        "SPEND_WATCHDOG_SLACK__API_URL": slack.url,
        "SPEND_WATCHDOG_SLACK__CHANNEL": CHANNEL_ID,
        "SPEND_WATCHDOG_SLACK__TOKEN_FROM": "ssm:/spend-watchdog/slack-token",
        **more,
    }


def patrols() -> int:
    return len(Ledger.open(LEDGER, read_only=True).rows("patrols"))


def test_cold_and_warm(aws: AwsServer, tmp_path: Path) -> None:
    with FakeSlack() as slack, lambda_function(tmp_path, environment(aws, slack)) as function:
        cold = json.loads(function.invoke(EVENT))
        assert (cold["schema"], cold["mode"]) == ("spend-watchdog/lambda/1", "observe")
        assert (cold["machines"], cold["findings"]) == (1, 1)
        assert any("notify" in told and "delivered" in told for told in cold["outcomes"])
        assert [call.method for call in slack.calls] == ["chat.postMessage"]
        assert patrols() == 1
        warm = json.loads(function.invoke(EVENT))
        assert warm["at"] > cold["at"]
        assert patrols() == 2
    assert aws.calls["ssm:GetParameter"] == 1, "a secret is read once for each cold start"
    log = function.log.read_text(encoding="utf-8")
    assert TOKEN not in log
    assert log.count("START RequestId") == log.count("END RequestId") == 2


def test_a_secret_that_is_not_there_is_a_clear_error_and_is_tried_again(
    aws: AwsServer, tmp_path: Path
) -> None:
    aws.client("ssm").delete_parameter(Name="/spend-watchdog/slack-token")
    with FakeSlack() as slack, lambda_function(tmp_path, environment(aws, slack)) as function:
        failed = json.loads(function.invoke(EVENT))
        assert failed["errorType"] == "SecretError"
        assert failed["errorMessage"].startswith("ssm:/spend-watchdog/slack-token cannot be read")
        aws.client("ssm").put_parameter(
            Name="/spend-watchdog/slack-token", Value=TOKEN, Type="SecureString"
        )
        assert json.loads(function.invoke(EVENT))["machines"] == 1


def test_a_patrol_that_is_cut_by_its_time_loses_nothing(aws: AwsServer, tmp_path: Path) -> None:
    aws.delay(30, "ec2:DescribeInstances")
    with FakeSlack() as slack:
        cut = environment(aws, slack)
        with lambda_function(tmp_path, cut, timeout_s=6) as function:
            assert "timed out" in function.invoke(EVENT)
        aws.mend()
        with lambda_function(tmp_path, environment(aws, slack)) as function:
            whole = json.loads(function.invoke(EVENT))
    assert (whole["machines"], whole["findings"]) == (1, 1)
    assert patrols() == 1


def test_a_policy_and_settings_from_elsewhere(aws: AwsServer, tmp_path: Path) -> None:
    ssm = aws.client("ssm")
    policy = (
        "schema: spend-watchdog/policy/1\nrules:\n  - name: all\n    when: machine.gpus > 0\n"
        "    because: It has GPUs.\n    then: leave\n"
    )
    ssm.put_parameter(Name="/spend-watchdog/policy", Value=policy, Type="String")
    aws.client("secretsmanager").create_secret(
        Name="watchdog-settings", SecretString='storage = false\negress = false\nnothing = "x"\n'
    )
    with FakeSlack() as slack:
        told = environment(aws, slack, SPEND_WATCHDOG_POLICY_FROM="ssm:/spend-watchdog/policy")
    with lambda_function(tmp_path, told) as function:
        left = json.loads(function.invoke(EVENT))
        assert (left["machines"], left["outcomes"]) == (1, [])
    told |= {"SPEND_WATCHDOG_CONFIG_FROM": "secretsmanager:watchdog-settings"}
    with lambda_function(tmp_path, told) as function:
        wrong = json.loads(function.invoke(EVENT))
        assert wrong["errorType"] == "SettingsError"
        assert "config.toml:3: nothing: there is no such setting" in wrong["errorMessage"]


def test_a_press_is_acknowledged_at_once_and_answered_by_an_event_of_its_own(
    aws: AwsServer, tmp_path: Path
) -> None:
    queued: list[dict[str, Any]] = []

    def lambda_api(call: Call) -> tuple[int, str]:
        queued.append(json.loads(call.body))
        return 202, "{}"

    aws.stand_in("lambda", lambda_api)
    now = datetime.now(UTC)
    machine = f"aws:{ACCOUNT}:us-east-1:i-0123456789abcdef0"
    with FakeSlack() as slack:
        told = environment(aws, slack, SPEND_WATCHDOG_SLACK__SIGNING_SECRET=SECRET)
        payload = press(
            "keep_2h",
            f"incidents/{machine}/gone/20261101T000000Z",
            at=now,
            response_url=slack.response_url,
        )
        with lambda_function(tmp_path, told, name="answers") as function:
            forged = json.loads(function.invoke(by_url(*request(payload, now, secret="wrong"))))
            assert (forged["statusCode"], queued) == (401, [])
            taken = json.loads(function.invoke(by_url(*request(payload, now))))
            assert (taken["statusCode"], taken["body"]) == (200, "")
            (event,) = queued
            assert event == {"press": payload}
            answered = json.loads(function.invoke(event))
        (whisper,) = [call for call in slack.calls if call.path in slack.response_url]
    assert answered["answered"]
    assert whisper.body["response_type"] == "ephemeral"


def by_url(headers: dict[str, str], body: str) -> dict[str, Any]:
    """As a function URL hands a request on, payload format 2.0."""
    return {
        "version": "2.0",
        "rawPath": "/",
        "headers": {name.lower(): value for name, value in headers.items()},
        "requestContext": {"http": {"method": "POST", "path": "/"}},
        "body": b64encode(body.encode()).decode(),
        "isBase64Encoded": True,
    }
