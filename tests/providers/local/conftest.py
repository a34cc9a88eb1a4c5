from pathlib import Path

import pytest

from tests.providers.local.standin import Desk, compiled


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def desk(library: Path) -> Desk:
    return Desk(library)
