from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.providers.prometheus.fleet import history
from tests.providers.prometheus.real_server import prometheus


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real Prometheus that watched the fleet."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    with prometheus(folder, history()) as url:
        yield url
