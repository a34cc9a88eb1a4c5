"""The AWS that scenarios play at, and somebody who is signed in to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.moto_aws import AwsServer


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def signed_in(server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """An empty account, whose credentials the environment has."""
    server.reset()
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return server
