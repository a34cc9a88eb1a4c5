"""`--region`: a name that is no region's is the user's mistake, a region that refuses is a gap."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from tests.watchdog.cli.shells import Shell


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def aws(server: AwsServer) -> AwsServer:
    server.reset()
    return server


@pytest.fixture
def shell(tmp_path: Path, aws: AwsServer) -> Shell:
    return Shell(tmp_path, aws.environment)


PATROL = ("patrol", "--json", "--provider", "aws", "--region")


def test_a_misspelt_region_is_a_usage_error_with_the_nearest(shell: Shell) -> None:
    done = shell(*PATROL, "us-est-1", "--region", "us-west-2")
    assert (done.code, done.out) == (2, "")
    (line,) = done.err.splitlines()
    told, near = line.split(": did you mean ")
    assert told.endswith("regions: no region that is enabled is called us-est-1")
    assert "us-east-1" in near


def test_a_name_like_no_other_lists_them(shell: Shell) -> None:
    done = shell(*PATROL, "mars")
    assert (done.code, done.out) == (2, "")
    assert "called mars: there are " in done.err


def test_a_region_that_exists_is_watched(shell: Shell, aws: AwsServer) -> None:
    done = shell(*PATROL, "us-west-2")
    assert done.code == 0
    assert aws.calls["ec2:DescribeRegions"] == 1


def test_a_region_that_refuses_stays_a_gap(shell: Shell, aws: AwsServer) -> None:
    aws.fail("ec2:DescribeInstances", "us-west-2", status=403, code="UnauthorizedOperation")
    done = shell(*PATROL, "us-west-2")
    assert done.code == 4
    assert [gap["region"] for gap in done.json["gaps"]] == ["us-west-2"]


def test_where_the_list_cannot_be_read_nothing_is_refused(shell: Shell, aws: AwsServer) -> None:
    aws.fail("ec2:DescribeRegions", status=403, code="UnauthorizedOperation")
    assert shell(*PATROL, "us-west-2").code == 0
    aws.fail("ec2:DescribeInstances", "us-est-1", status=401, code="AuthFailure")
    done = shell(*PATROL, "us-est-1")
    assert done.code == 4
    assert done.json["gaps"][0]["region"] == "us-est-1"
