"""One moto server for all AWS tests, emptied before each; the adapter finds it by environment."""

from collections.abc import Callable, Iterator
from typing import Any

import boto3
import pytest

from providers.aws.adapter import AwsProvider
from providers.aws.permissions import GRANTED_BY, PERMISSIONS
from providers.aws.session import open_session
from tests.moto_aws import AwsServer
from tests.providers.aws.quick import QUICK


@pytest.fixture(scope="session")
def aws_server() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def aws(aws_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[AwsServer]:
    """After each test, nothing was asked for that the read-only role does not grant."""
    aws_server.reset()
    for name, value in aws_server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    yield aws_server
    needed = {GRANTED_BY.get(call, call) for call in aws_server.calls}
    assert needed <= {permission for permission, _ in PERMISSIONS}


@pytest.fixture(scope="session")
def sdk(aws_server: AwsServer) -> boto3.Session:
    """One SDK session for all tests: a new one reads megabytes of service models."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in aws_server.environment.items():
            patch.setenv(name, value)
        session = open_session()
        session.get_credentials()
        return session


@pytest.fixture
def provider(aws: AwsServer, sdk: boto3.Session) -> Callable[..., AwsProvider]:
    """Makes an adapter for one region: each takes moto a third of a second after a reset."""

    def make(**options: Any) -> AwsProvider:
        wanted: dict[str, Any] = {
            "regions": ("us-east-1",),
            "limits": QUICK,
            "session": sdk,
        }
        return AwsProvider(**(wanted | options))

    return make
