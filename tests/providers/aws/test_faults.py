"""Regions that are denied, silent, broken or cut off: each is a gap, and the others still come."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import monotonic

import pytest

from policies.facts import Gap
from providers.aws.adapter import AwsProvider
from tests.moto_aws import ACCOUNT, AwsServer, launch
from tests.providers.aws.quick import QUICK, TWO

Make = Callable[..., AwsProvider]
BROKEN, SOUND = TWO
HTML = "<!DOCTYPE html><html><title>Sign in</title><h1>Corporate proxy</h1></html>"


@pytest.fixture
def fleet(aws: AwsServer) -> AwsServer:
    """One machine in each of two regions."""
    for region in TWO:
        launch(aws.client("ec2", region), "g5.xlarge")
    return aws


def only_gap(one: AwsProvider) -> Gap:
    """The gap of the broken region, after a look at both."""
    seen = one.machines()
    assert [machine.region for machine in seen.values] == [SOUND]
    assert [scope.region for scope in seen.scopes] == [SOUND]
    (gap,) = seen.gaps
    assert (gap.provider, gap.account, gap.region) == ("aws", ACCOUNT, BROKEN)
    assert gap.what == "machines"
    assert "\n" not in gap.why
    return gap


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "UnauthorizedOperation", ["not allowed", "grant ec2:DescribeInstances"]),
        (403, "AccessDenied", ["not allowed", "grant ec2:DescribeInstances"]),
        (403, "SomethingNew", ["not allowed", "grant ec2:DescribeInstances"]),
        (401, "AuthFailure", ["us-east-1", "not enabled"]),
        (401, "OptInRequired", ["us-east-1", "not enabled"]),
        (400, "RequestExpired", ["expired", "sign in"]),
        (400, "ExpiredToken", ["expired", "sign in"]),
        (403, "InvalidClientTokenId", ["does not accept these credentials"]),
        (503, "RequestLimitExceeded", ["throttled", "2 times in a row"]),
        (429, "SomethingNew", ["throttled"]),
        (503, "Unavailable", ["HTTP 503", "2 times in a row"]),
        (500, "InternalError", ["HTTP 500"]),
        (400, "InvalidParameterCombinationX", ["refused", "InvalidParameterCombinationX"]),
    ],
)
def test_a_region_that_refuses(
    fleet: AwsServer, provider: Make, status: int, code: str, words: list[str]
) -> None:
    fleet.fail("ec2:DescribeInstances", BROKEN, status=status, code=code)
    why = only_gap(provider(regions=TWO)).why
    assert all(word in why for word in words), why


@pytest.mark.parametrize(
    ("status", "body", "word"),
    [
        (200, HTML, "proxy"),
        (200, HTML.replace("</h1>", ""), "proxy"),
        (200, "", "proxy"),
        (502, HTML, "HTTP 502"),
        (502, HTML.replace("</h1>", ""), "proxy"),
    ],
)
def test_a_region_that_answers_html(
    fleet: AwsServer, provider: Make, status: int, body: str, word: str
) -> None:
    fleet.answer("ec2:DescribeInstances", body, region=BROKEN, status=status)
    assert word in only_gap(provider(regions=TWO)).why


def test_a_region_whose_answer_is_cut_off(fleet: AwsServer, provider: Make) -> None:
    fleet.edit("ec2:DescribeInstances", lambda body: body[: len(body) // 2], region=BROKEN)
    assert "could not be read" in only_gap(provider(regions=TWO)).why


def test_a_region_whose_answer_is_of_another_shape(fleet: AwsServer, provider: Make) -> None:
    fleet.edit(
        "ec2:DescribeInstances",
        lambda body: body.replace(b"<instanceType>g5.xlarge</instanceType>", b""),
        region=BROKEN,
    )
    assert "was not AWS's" in only_gap(provider(regions=TWO)).why


def test_a_region_that_does_not_answer(fleet: AwsServer, provider: Make) -> None:
    fleet.delay(3, "ec2:DescribeInstances", BROKEN)
    impatient = replace(QUICK, attempts=1, read_s=0.5)
    assert "did not answer in time" in only_gap(provider(regions=TWO, limits=impatient)).why


def test_a_region_that_takes_too_long_altogether(fleet: AwsServer, provider: Make) -> None:
    """Each answer comes in time, but there is no end of them."""
    fleet.delay(0.3, region=BROKEN)
    fleet.fail("ec2:DescribeInstances", BROKEN, status=503, code="Unavailable")
    impatient = replace(QUICK, attempts=50, scope_s=1)
    began = monotonic()
    assert "took too long" in only_gap(provider(regions=TWO, limits=impatient)).why
    assert monotonic() - began < 4


def test_a_region_that_cannot_be_reached(
    fleet: AwsServer, provider: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:9")
    seen = provider(regions=TWO).machines()
    assert seen.values == ()
    assert [gap.region for gap in seen.gaps] == list(TWO)
    assert all("could not be reached" in gap.why for gap in seen.gaps)


def test_a_name_that_is_no_region(fleet: AwsServer, provider: Make) -> None:
    seen = provider(regions=("us east", SOUND)).machines()
    assert [machine.region for machine in seen.values] == [SOUND]
    assert "us east is no region" in seen.gaps[0].why


def test_throttling_that_ends_is_waited_out(fleet: AwsServer, provider: Make) -> None:
    fleet.fail("ec2:DescribeInstances", BROKEN, status=503, code="RequestLimitExceeded", times=1)
    one = provider(regions=TWO)
    seen = one.machines()
    assert len(seen.values) == 2
    assert seen.gaps == ()
    assert fleet.calls["ec2:DescribeInstances"] == 3
    assert one.api_calls() == fleet.calls, "every attempt is counted"


def test_regions_that_may_not_be_listed(fleet: AwsServer, provider: Make) -> None:
    """Then the session's own region is watched, and the gap says so."""
    fleet.fail("ec2:DescribeRegions", status=403, code="UnauthorizedOperation")
    seen = provider(regions=None).machines()
    assert [machine.region for machine in seen.values] == ["us-east-1"]
    (gap,) = seen.gaps
    assert gap.what == "regions"
    assert "grant ec2:DescribeRegions" in gap.why
    assert "only us-east-1 is watched" in gap.why


@pytest.mark.parametrize("code", ["RequestExpired", "InvalidClientTokenId", "AuthFailure"])
def test_credentials_that_no_longer_work_are_told_once(
    fleet: AwsServer, provider: Make, code: str
) -> None:
    fleet.fail(None, status=401, code=code)
    seen = provider(regions=None).machines()
    assert seen.values == ()
    assert seen.scopes == ()
    (gap,) = seen.gaps
    assert "sign in" in gap.why
    assert fleet.calls.total() == 1, "what cannot work is not asked again"


def test_an_account_that_nobody_names(aws: AwsServer, provider: Make) -> None:
    aws.fail("sts:GetCallerIdentity", status=403, code="AccessDenied")
    seen = provider().machines()
    assert [scope.account for scope in seen.scopes] == [None]
    (gap,) = seen.gaps
    assert "sts:GetCallerIdentity" in gap.why
