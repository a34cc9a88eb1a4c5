"""Credentials, time limits and counting: what stands between the adapter and AWS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import boto3
import pytest

from providers.aws.adapter import AwsProvider
from providers.aws.session import AwsSession, Limits
from providers.aws.times import moment
from providers.base import ProviderUnavailable
from providers.errors import DeadlinePassed
from tests.moto_aws import AwsServer
from tests.providers.aws.quick import QUICK

Environment = Callable[..., None]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment in which AWS finds only what a test gives it."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)

    def given(**variables: str) -> None:
        nowhere = {
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        for name, value in (nowhere | variables).items():
            monkeypatch.setenv(name, value)

    return given


def test_no_credentials(environment: Environment) -> None:
    environment()
    with pytest.raises(ProviderUnavailable, match="no AWS credentials were found: set AWS_PROFILE"):
        AwsProvider()


def test_half_of_the_credentials(environment: Environment) -> None:
    environment(AWS_ACCESS_KEY_ID="half")
    with pytest.raises(ProviderUnavailable, match="credentials cannot be used: Partial"):
        AwsProvider()


def test_a_profile_that_does_not_exist(environment: Environment) -> None:
    environment(AWS_PROFILE="nobody")
    with pytest.raises(ProviderUnavailable, match="nobody"):
        AwsProvider()


def test_a_config_file_that_is_none(environment: Environment, tmp_path: Path) -> None:
    broken = tmp_path / "config"
    broken.write_text("[profile\n")
    environment(AWS_CONFIG_FILE=str(broken))
    with pytest.raises(ProviderUnavailable, match="config"):
        AwsProvider()


def test_a_session_that_has_expired_is_a_gap_and_not_an_absence(
    environment: Environment, tmp_path: Path
) -> None:
    """Single sign-on whose token is gone: there are credentials, they only do not work."""
    config = tmp_path / "config"
    config.write_text(
        "[default]\nsso_start_url = https://example.awsapps.com/start\nsso_region = eu-west-1\n"
        "sso_account_id = 123456789012\nsso_role_name = reader\n"
    )
    environment(AWS_CONFIG_FILE=str(config), HOME=str(tmp_path))
    (gap,) = AwsProvider(limits=QUICK).machines().gaps
    assert "aws sso login" in gap.why


def test_the_region_is_the_profiles_own(environment: Environment) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"}
    environment(**keys)
    assert AwsSession().home == "us-east-1"
    environment(**keys, AWS_DEFAULT_REGION="eu-central-1")
    assert AwsSession().home == "eu-central-1"


def test_retries_and_time_limits_are_explicit(aws: AwsServer, sdk: boto3.Session) -> None:
    session = AwsSession(sdk, Limits(attempts=7, connect_s=3, read_s=11))
    config = session.client("ec2", "eu-west-1").meta.config
    assert config.retries["mode"] == "standard"
    assert config.retries["total_max_attempts"] == 7
    assert (config.connect_timeout, config.read_timeout) == (3, 11)
    quicker = session.client("ec2", "eu-west-1", attempts=2)
    assert quicker.meta.config.retries["total_max_attempts"] == 2
    assert session.client("ec2", "eu-west-1") is session.client("ec2", "eu-west-1")


def test_every_attempt_is_counted_and_priced(aws: AwsServer, sdk: boto3.Session) -> None:
    aws.fail("cloudwatch:ListMetrics", status=503, times=2)
    session = AwsSession(sdk, replace(QUICK, attempts=3))
    session.client("cloudwatch", "us-east-1").list_metrics()
    assert session.meter.calls() == {"cloudwatch:ListMetrics": 3} == aws.calls
    assert str(session.meter.usd()) == "0.00003"


def test_a_region_that_hangs_does_not_hold_up_the_others(
    aws: AwsServer, sdk: boto3.Session
) -> None:
    """Even a call that no time limit ends is given up when the scope's time is over."""
    release = threading.Event()
    session = AwsSession(sdk, replace(QUICK, scope_s=0.2))

    def ask(region: str) -> str:
        if region == "hangs":
            release.wait(30)
        return region

    answers = session.side_by_side(["hangs", "answers"], ask)
    release.set()
    assert isinstance(answers["hangs"], DeadlinePassed)
    assert answers["answers"] == "answers"


def test_a_mistake_of_ours_is_not_hidden_as_a_gap(aws: AwsServer, sdk: boto3.Session) -> None:
    def mistaken(region: str) -> str:
        raise ZeroDivisionError(region)

    with pytest.raises(ZeroDivisionError):
        AwsSession(sdk, QUICK).side_by_side(["us-east-1"], mistaken)


@pytest.mark.parametrize(
    "told",
    [
        1795341600,
        1795341600.0,
        "2026-11-22T10:00:00Z",
        "2026-11-22T10:00:00.000Z",
        "2026-11-22T12:00:00+02:00",
        "2026-11-22T10:00:00",
        "Sun, 22 Nov 2026 10:00:00 GMT",
        "1795341600",
    ],
)
def test_times_in_answers_are_utc(told: str | float) -> None:
    seen = moment(told)
    assert seen == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert seen.tzinfo is UTC
