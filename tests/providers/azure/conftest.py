"""One Azure on loopback for all tests, emptied before each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.azure.adapter import AzureProvider
from providers.azure.credentials import open_credentials
from providers.azure.permissions import GRANTED_BY, PERMISSIONS
from providers.azure.session import AzureSession, Endpoints, Limits
from tests.fake_azure import AzureServer

QUICK = Limits(backoff_s=0.01, patience_s=2, question_s=20, follow_s=1)


@pytest.fixture(scope="session")
def azure_server() -> Iterator[AzureServer]:
    with AzureServer() as server:
        yield server


@pytest.fixture
def stage(azure_server: AzureServer, monkeypatch: pytest.MonkeyPatch) -> AzureServer:
    azure_server.reset()
    for name, value in azure_server.environment.items():
        monkeypatch.setenv(name, value)
    return azure_server


@pytest.fixture
def azure(stage: AzureServer) -> Iterator[AzureServer]:
    """After each test, nothing was asked for that the read-only role does not grant."""
    yield stage
    granted = {permission for permission, _ in PERMISSIONS}
    assert {GRANTED_BY.get(call, "public") for call in stage.calls} <= granted | {"public"}


@pytest.fixture
def provider(stage: AzureServer) -> Callable[..., AzureProvider]:
    """Makes an adapter over everything that the credentials show."""

    def make(*, limits: Limits = QUICK, **options: Any) -> AzureProvider:
        session = AzureSession(
            endpoints=Endpoints(management=stage.url),
            ca_bundle=str(stage.ca_bundle),
            credential=open_credentials(ca_bundle=None),
            limits=limits,
        )
        return AzureProvider(session, **options)

    return make
