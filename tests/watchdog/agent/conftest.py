from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metadata_services import Service, serving
from tests.providers.local.standin import Desk, compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def desk(library: Path) -> Desk:
    return Desk(library)


@pytest.fixture
def metadata() -> Iterator[Service]:
    """An EC2 machine's metadata service."""
    with serving("aws") as service:
        yield service
