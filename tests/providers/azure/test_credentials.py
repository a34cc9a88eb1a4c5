"""Credentials are found without asking anyone, and what is missing says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from providers.azure.credentials import open_credentials, signs
from providers.azure.session import AzureSession, Endpoints, at_endpoint, operation_of
from providers.base import ProviderUnavailable
from tests.fake_azure import AzureServer


@pytest.mark.parametrize(
    ("environ", "found"),
    [
        ({}, set()),
        ({"AZURE_CLIENT_ID": "a"}, set()),
        ({"AZURE_CLIENT_ID": "a", "AZURE_CLIENT_SECRET": "b"}, {"environment"}),
        ({"AZURE_CLIENT_ID": "a", "AZURE_FEDERATED_TOKEN_FILE": "/t"}, {"environment"}),
        ({"IDENTITY_ENDPOINT": "http://x", "IDENTITY_HEADER": "y"}, {"identity"}),
    ],
)
def test_signs_in_the_environment(tmp_path: Path, environ: dict[str, str], found: set[str]) -> None:
    assert signs({"HOME": str(tmp_path), **environ}, root=tmp_path) == found


def test_a_tool_that_was_signed_in_counts_where_it_is_installed(tmp_path: Path) -> None:
    environ = {"HOME": str(tmp_path), "PATH": str(tmp_path)}
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure" / "azureProfile.json").write_text("{}")
    assert signs(environ, root=tmp_path) == set()
    tool = tmp_path / "az"
    tool.write_text("#!/bin/sh\n")
    tool.chmod(0o755)
    assert signs(environ, root=tmp_path) == {"az"}


def test_a_machine_of_azure_may_have_an_identity(tmp_path: Path) -> None:
    tag = tmp_path / "sys/class/dmi/id/chassis_asset_tag"
    tag.parent.mkdir(parents=True)
    tag.write_text("7783-7084-3265-9085-8269-3286-77\n")
    assert signs({"HOME": str(tmp_path)}, root=tmp_path) == {"identity"}


def test_nothing_promises_credentials(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AZURE_CLIENT_ID", "IDENTITY_ENDPOINT", "MSI_ENDPOINT", "AZURE_CONFIG_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ProviderUnavailable, match="az login"):
        open_credentials(ca_bundle=None)


def test_a_token_is_for_the_service_that_is_asked(stage: AzureServer) -> None:
    session = AzureSession(
        endpoints=Endpoints(management=stage.url), ca_bundle=str(stage.ca_bundle)
    )
    assert session.get("/subscriptions", {"api-version": "2022-12-01"})["value"]
    assert stage.tokens == {"Bearer for https://management.azure.com"}


def test_with_an_endpoint_everything_is_asked_there() -> None:
    plain, own = Endpoints(), Endpoints(management="https://lab:8443/")
    assert plain.metrics_url("eastus") == "https://eastus.metrics.monitor.azure.com"
    assert plain.prices_url() == "https://prices.azure.com"
    assert own.metrics_url("eastus") == own.prices_url() == "https://lab:8443"
    assert Endpoints(management="https://a", metrics="https://m").metrics_url("x") == "https://m"
    link = "https://management.azure.com/subscriptions/1?x=%20y"
    assert at_endpoint(link, "https://lab:8443") == "https://lab:8443/subscriptions/1?x=%20y"


def test_a_call_that_nobody_named_is_counted_as_such() -> None:
    assert operation_of("DELETE", "/subscriptions/1/x") == "azure:Delete"
