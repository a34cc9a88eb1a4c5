"""One fake Google for all GCP tests, emptied before each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from providers.gcp.adapter import GcpProvider
from providers.gcp.session import Limits
from tests.fake_gcp import FakeGcp

QUICK = Limits(read_s=5, retry_s=0.3, first_wait_s=0.01, scope_s=20, operation_wait_s=0.01)


@pytest.fixture(scope="session")
def gcp_server() -> Iterator[FakeGcp]:
    with FakeGcp() as server:
        yield server


@pytest.fixture
def gcp(gcp_server: FakeGcp, monkeypatch: pytest.MonkeyPatch) -> FakeGcp:
    gcp_server.reset()
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    return gcp_server


@pytest.fixture
def provider(gcp: FakeGcp) -> Callable[..., GcpProvider]:
    """Makes an adapter that asks the fake and nobody else."""

    def make(**options: Any) -> GcpProvider:
        wanted: dict[str, Any] = {
            "endpoint": gcp.url,
            "monitoring_endpoint": gcp.monitoring,
            "limits": QUICK,
        }
        return GcpProvider(**(wanted | options))

    return make
