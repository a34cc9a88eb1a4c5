"""A keep on the machine itself: written where the role allows it, told where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest

from providers.aws.adapter import AwsProvider
from providers.aws.permissions import keep_policy, read_only_policy
from providers.aws.session import open_session
from providers.base import WritesKeeps
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.estate import REGION, credentials, enforced
from tests.providers.aws.quick import QUICK
from watchdog.keeps import keep_of

UNTIL = datetime(2026, 12, 1, 10, 30, tzinfo=UTC)


@pytest.fixture
def account(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    for name, value in credentials(aws).items():
        monkeypatch.setenv(name, value)
    yield aws
    aws.forget_calls()


def provider(session: boto3.Session | None = None) -> AwsProvider:
    return AwsProvider(regions=[REGION], limits=QUICK, session=session or open_session())


def tags(aws: AwsServer, machine: str) -> dict[str, str]:
    (found,) = aws.client("ec2", REGION).describe_instances(InstanceIds=[machine])["Reservations"]
    told: Any = found["Instances"][0].get("Tags", [])
    return {tag["Key"]: tag["Value"] for tag in told}


def named(native_id: str) -> str:
    return f"aws:{ACCOUNT}:{REGION}:{native_id}"


def test_it_is_written_and_the_next_listing_reads_it(account: AwsServer) -> None:
    (made,) = launch(account.client("ec2", REGION), "g5.xlarge", tags={"Name": "trainer-1"})
    writer = provider()
    assert isinstance(writer, WritesKeeps)
    (statement,) = keep_policy()["Statement"]
    anywhere = {**statement, "Resource": "*"}  # moto matches no policy that names resources
    with enforced(account, {**keep_policy(), "Statement": [anywhere]}):
        assert writer.write_keep(named(made), UNTIL) is None
    assert tags(account, made) == {
        "Name": "trainer-1",
        "spend-watchdog:keep-until": "2026-12-01T10:30:00Z",
    }
    (seen,) = provider().machines().values
    keep = keep_of(seen, {})
    assert keep is not None
    assert keep.until == UNTIL


def test_the_read_only_role_may_not_and_says_what_to_grant(account: AwsServer) -> None:
    (made,) = launch(account.client("ec2", REGION), "g5.xlarge")
    with enforced(account, read_only_policy()):
        why = provider().write_keep(named(made), UNTIL)
    assert why is not None
    assert "ec2:CreateTags" in why
    assert tags(account, made) == {}


def test_what_is_no_machine_of_ec2_is_told_without_asking(account: AwsServer) -> None:
    why = provider().write_keep(named("notebook.desk.1"), UNTIL)
    assert why == "notebook.desk.1 is no EC2 instance: only EC2's bear this tag"
    assert "ec2:CreateTags" not in account.calls


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "InvalidInstanceID.NotFound"),
        (400, "TagLimitExceeded"),
        (503, "RequestLimitExceeded"),
        (500, "InternalError"),
    ],
)
def test_an_answer_that_fails_is_told_in_a_line_and_not_raised(
    account: AwsServer, status: int, code: str
) -> None:
    (made,) = launch(account.client("ec2", REGION), "g5.xlarge")
    account.fail("ec2:CreateTags", status=status, code=code)
    why = provider().write_keep(named(made), UNTIL)
    assert why
    assert "\n" not in why
