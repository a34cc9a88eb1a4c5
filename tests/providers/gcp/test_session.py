"""Which credentials and projects are used, and that nobody but the endpoint is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials

from providers.base import ProviderUnavailable
from providers.gcp.adapter import GcpProvider
from providers.gcp.metering import name_of
from providers.gcp.session import find_credentials
from tests.fake_gcp import PROJECT, FakeGcp
from tests.metadata_services import NOBODY

Make = Callable[..., GcpProvider]


def test_nothing_is_found_where_nobody_signed_in(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="application-default login"):
        find_credentials({"HOME": str(tmp_path)}, endpoint=None)


def test_with_an_endpoint_no_credentials_are_needed(tmp_path: Path) -> None:
    found = find_credentials({"HOME": str(tmp_path)}, endpoint="http://127.0.0.1:1")
    assert isinstance(found.credentials, AnonymousCredentials)


def test_with_an_endpoint_a_signed_in_user_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "application_default_credentials.json").write_text("{}")
    environ = {"CLOUDSDK_CONFIG": str(tmp_path)}
    found = find_credentials(environ, endpoint="http://127.0.0.1:1")
    assert isinstance(found.credentials, AnonymousCredentials)


def test_a_key_file_that_is_none_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps({"type": "unheard_of"}))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(key))
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": str(key)}
    with pytest.raises(ProviderUnavailable, match="cannot be used"):
        find_credentials(environ, endpoint=None)


def test_a_metadata_service_that_is_silent_says_so() -> None:
    with pytest.raises(ProviderUnavailable, match="metadata service"):
        find_credentials({"GCE_METADATA_HOST": NOBODY}, endpoint=None)


def test_projects_of_the_settings_are_the_only_ones(gcp: FakeGcp, provider: Make) -> None:
    gcp.projects["other"] = "ACTIVE"
    gcp.machine("a")
    gcp.machine("b", project="other")
    seen = provider(projects=(PROJECT, PROJECT)).machines()
    assert [machine.name for machine in seen.values] == ["a"]
    assert gcp.calls["cloudresourcemanager:SearchProjects"] == 0


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("GET /compute/v1/projects/p/aggregated/instances", "compute:AggregatedListInstances"),
        ("GET /compute/v1/projects/p/global/snapshots", "compute:ListSnapshots"),
        ("POST /compute/v1/projects/p/zones/z/instances/i/stop", "compute:StopInstance"),
        ("GET /storage/v1/b", "storage:ListBuckets"),
        ("DELETE /anything", "other:DELETE /anything"),
    ],
)
def test_calls_are_counted_by_name(asked: str, name: str) -> None:
    method, path = asked.split(" ")
    assert name_of(method, path) == name


def test_one_bad_zone_does_not_fail_all(gcp: FakeGcp, provider: Make) -> None:
    gcp.machine()
    provider().machines()
    asked = [query for name, query in gcp.queries if name == "compute:AggregatedListInstances"]
    assert asked[0]["returnPartialSuccess"] == "true"
    assert asked[0]["maxResults"] == "500"
