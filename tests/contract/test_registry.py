"""The registry: what can be used, what was asked for and cannot, and who keeps the contract."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

import pytest

from providers.base import Inventory, ProviderUnavailable
from providers.registry import (
    ABILITIES,
    NAMES,
    UnknownProviderError,
    available,
    build,
    capabilities,
)

NOT_OF_GCP = ("spot prices", "commitments")
"""Spot prices of GCP stand in the catalogue; its commitments are not read yet."""
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Agent:
    agent_namespaces: Sequence[str] = ("CWAgent",)
    prices_endpoint: str | None = None
    sagemaker: bool = True
    stop_role: str | None = None


@dataclass(frozen=True)
class Cloud:
    endpoint: str | None = None
    metrics_endpoint: str | None = None
    prices_endpoint: str | None = None
    ca_bundle: Path | None = None
    subscriptions: Sequence[str] | None = None


@dataclass(frozen=True)
class Projects:
    endpoint: str | None = None
    monitoring_endpoint: str | None = None
    projects: Sequence[str] | None = None


@dataclass(frozen=True)
class Desk:
    hourly_usd: Decimal | None = None
    electricity_usd_per_kwh: Decimal | None = None
    card_usd: Decimal | None = None
    card_years: Decimal | None = None


@dataclass(frozen=True)
class Wishes:
    providers: Sequence[str] | None = None
    regions: Sequence[str] | None = None
    aws: Agent = field(default_factory=Agent)
    azure: Cloud = field(default_factory=Cloud)
    gcp: Projects = field(default_factory=Projects)
    local: Desk = field(default_factory=Desk)


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")


@pytest.fixture
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "AZURE_CLIENT_ID"):
        monkeypatch.delenv(name, raising=False)
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "GCE_METADATA_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def test_what_has_credentials_is_used_and_the_rest_left_out(keys: None) -> None:
    found = available(Wishes())
    assert list(found) == ["aws"]
    assert isinstance(found["aws"], Inventory)
    assert found["aws"].name == "aws"


def test_what_nobody_asked_for_is_no_gap(no_keys: None) -> None:
    assert available(Wishes()) == {}


def test_what_was_asked_for_and_cannot_be_used_says_why(no_keys: None) -> None:
    found = available(Wishes(providers=("aws", "azure", "gcp")))
    told = {name: str(why) for name, why in found.items() if isinstance(why, ProviderUnavailable)}
    assert list(told) == ["aws", "azure", "gcp"]
    assert "no AWS credentials" in told["aws"]
    assert "no Azure credentials" in told["azure"]
    assert "no Google Cloud credentials" in told["gcp"]


@pytest.mark.parametrize(
    ("name", "hint"), [("awz", "did you mean aws?"), ("", "there are aws"), ("oracle", "there are")]
)
def test_a_name_that_is_no_provider(name: str, hint: str) -> None:
    with pytest.raises(UnknownProviderError, match=hint) as caught:
        available(Wishes(providers=(name,)))
    assert caught.value.exit_code == 2


def test_wishes_reach_the_adapter(keys: None) -> None:
    provider = build("aws", Wishes(regions=("eu-west-1",), aws=Agent(("Lab/GPU",))))
    assert provider.name == "aws"


def test_abilities_are_told_without_asking_anyone(no_keys: None) -> None:
    told = {(each.provider, each.what): each.has for each in capabilities()}
    assert set(told) == {(name, what) for name in NAMES for what, _ in ABILITIES}
    assert all(told["aws", what] for what, _ in ABILITIES)
    assert all(told["gcp", what] for what, _ in ABILITIES if what not in NOT_OF_GCP)


def test_without_the_sdk_a_provider_says_how_to_get_it() -> None:
    code = (
        "import sys\n"
        "for name in ('boto3', 'botocore', 'pynvml', 'google.auth', 'azure'):\n"
        "    sys.modules[name] = None\n"
        "from tests.contract.test_registry import Wishes\n"
        "from providers.registry import available, capabilities\n"
        "print(available(Wishes(providers=('aws',)))['aws'])\n"
        "print(available(Wishes(providers=('azure',)))['azure'])\n"
        "print(available(Wishes(providers=('local',)))['local'])\n"
        "print(available(Wishes(providers=('gcp',)))['gcp'])\n"
        "print(available(Wishes()), any(each.has for each in capabilities()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert 'pip install "cloud-spend-watchdog[aws]"' in done.stdout
    assert 'pip install "cloud-spend-watchdog[azure]"' in done.stdout
    assert 'pip install "cloud-spend-watchdog[gpu]"' in done.stdout
    assert 'pip install "cloud-spend-watchdog[gcp]"' in done.stdout
    assert done.stdout.splitlines()[-1] == "{} False"


def test_the_registry_imports_no_sdk() -> None:
    code = (
        "import sys, providers.registry; print(bool({'boto3', 'google.auth'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.strip() == "False"


def adapters(root: Path) -> Iterator[str]:
    """Folders of providers with an adapter in them."""
    for path in sorted((root / "providers").glob("*/adapter.py")):
        yield path.parent.name


def keeps_the_contract(root: Path, name: str) -> bool:
    """Whether the adapter's tests have a class that inherits the contract."""
    path = root / "tests" / "providers" / name / "test_contract.py"
    if not path.is_file():
        return False
    classes = [
        node
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef)
    ]
    bases = {base.id for node in classes for base in node.bases if isinstance(base, ast.Name)}
    return "ProviderContract" in bases


def test_every_adapter_is_registered_and_keeps_the_contract() -> None:
    assert list(adapters(ROOT))
    for name in adapters(ROOT):
        assert name in NAMES
        assert keeps_the_contract(ROOT, name), f"tests/providers/{name}/test_contract.py"


def test_this_guard_bites(tmp_path: Path) -> None:
    home = tmp_path / "providers" / "nimbus"
    home.mkdir(parents=True)
    (home / "adapter.py").write_text("")
    assert list(adapters(tmp_path)) == ["nimbus"]
    assert not keeps_the_contract(tmp_path, "nimbus")
    tests = tmp_path / "tests" / "providers" / "nimbus"
    tests.mkdir(parents=True)
    (tests / "test_contract.py").write_text("class TestNimbus:\n    pass\n")
    assert not keeps_the_contract(tmp_path, "nimbus")
    (tests / "test_contract.py").write_text("class TestNimbus(ProviderContract):\n    pass\n")
    assert keeps_the_contract(tmp_path, "nimbus")
