"""Foreign errors as plain sentences; those that a server can cause are in test_faults."""

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    InvalidRegionError,
    NoCredentialsError,
    UnauthorizedSSOTokenError,
)

from policies.facts import Scope
from providers.aws.errors import gap_from, is_unusable_credentials
from providers.errors import AnswerCut, DeadlinePassed

SCOPE = Scope(provider="aws", account="123456789012", region="eu-west-1")


def why(error: BaseException) -> str:
    return gap_from(error, SCOPE, "machines", "ec2:DescribeInstances").why


def refused(code: str, status: int | None = 400, message: str = "no") -> ClientError:
    response: dict[str, object] = {"Error": {"Code": code, "Message": message}}
    if status is not None:
        response["ResponseMetadata"] = {"HTTPStatusCode": status}
    return ClientError(response, "DescribeInstances")  # type: ignore[arg-type]


def test_a_gap_names_its_scope() -> None:
    gap = gap_from(DeadlinePassed("more than 90 s"), SCOPE, "machines", "ec2:DescribeInstances")
    assert (gap.provider, gap.account, gap.region) == ("aws", "123456789012", "eu-west-1")
    assert gap.why == "ec2:DescribeInstances took too long and was given up: more than 90 s"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (NoCredentialsError(), "credentials cannot be used"),
        (UnauthorizedSSOTokenError(), "aws sso login"),
        (ConnectTimeoutError(endpoint_url="https://x"), "did not answer in time in eu-west-1"),
        (AnswerCut("no Events in it"), "incomplete (no Events in it)"),
        (BotoCoreError(), "failed: BotoCoreError"),
        (KeyError("InstanceId"), "was not AWS's (KeyError: 'InstanceId')"),
        (refused("Odd", status=None), "AWS refused"),
    ],
)
def test_each_kind_of_trouble_has_its_sentence(error: BaseException, words: str) -> None:
    assert words in why(error)


def test_a_question_about_the_whole_account_was_asked_somewhere_too() -> None:
    everywhere = Scope(provider="aws", account=None, region=None)
    for error in (
        EndpointConnectionError(endpoint_url="https://x"),
        ConnectTimeoutError(endpoint_url="https://x"),
        InvalidRegionError(region_name="x"),
        refused("OptInRequired"),
    ):
        told = gap_from(error, everywhere, "regions", "ec2:DescribeRegions").why
        assert "None" not in told
        assert "the home region" in told


def test_a_sentence_is_one_line_and_not_a_page() -> None:
    told = why(refused("Odd", message="first\nsecond " + "x" * 5000))
    assert "\n" not in told
    assert len(told) <= 300


def test_braces_in_a_foreign_message_do_no_harm() -> None:
    assert "{needs}" in why(refused("Odd", message="{needs} {0}"))


@pytest.mark.parametrize(
    ("error", "unusable"),
    [
        (refused("ExpiredToken"), True),
        (refused("SignatureDoesNotMatch"), True),
        (NoCredentialsError(), True),
        (refused("UnauthorizedOperation"), False),
        (AnswerCut(""), False),
    ],
)
def test_which_errors_make_every_call_pointless(*, error: BaseException, unusable: bool) -> None:
    assert is_unusable_credentials(error) is unusable
