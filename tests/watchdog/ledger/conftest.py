from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.moto_aws import AwsServer
from watchdog.ledger.store import Ledger

BUCKET = "ledgers"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


@pytest.fixture(scope="session")
def s3_server() -> Iterator[AwsServer]:
    with AwsServer() as server:
        yield server


@pytest.fixture
def s3(s3_server: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """An empty bucket on loopback, which the environment's credentials may use."""
    s3_server.reset()
    for name, value in s3_server.environment.items():
        monkeypatch.setenv(name, value)
    s3_server.client("s3").create_bucket(Bucket=BUCKET)
    s3_server.forget_calls()
    return s3_server


@pytest.fixture(params=["folder", "bucket"])
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Ledger]:
    """Opens one and the same ledger, in a folder and in a bucket."""
    if request.param == "folder":
        return lambda: Ledger.open(str(tmp_path / "ledger"))
    request.getfixturevalue("s3")
    return lambda: Ledger.open(f"s3://{BUCKET}/team/ledger")
