"""Which machine this is, asked of metadata services on loopback."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from providers.identity import DEADLINE_S, Identity, Unidentified, whoami
from providers.local.host import Host, local_id
from tests.metadata_services import (
    AWS_DOCUMENT,
    AZURE_COMPUTE,
    GCP_INSTANCE,
    SILENT,
    Service,
    serving,
)

HOST = Host(name="desk", identity="0123456789abcdef", booted_at=None, vcpus=8, system="Linux")
BARE = Path("/nonexistent")
"""Firmware that tells nothing: tests may themselves run in a cloud."""


@pytest.fixture
def services() -> Iterator[Mapping[str, Service]]:
    with ExitStack() as stack:
        yield {cloud: stack.enter_context(serving(cloud)) for cloud in ("aws", "gcp", "azure")}


def asked(service: Service, root: Path = BARE) -> Identity | Unidentified:
    return whoami(service.environment, root=root, host=HOST)


def test_an_ec2_machine_is_known_by_its_identity_document(
    services: Mapping[str, Service],
) -> None:
    assert asked(services["aws"]) == Identity(
        machine="aws:123456789012:us-east-1:i-trainer-1",
        provider="aws",
        region="us-east-1",
        zone="us-east-1a",
        machine_type="p4d.24xlarge",
    )
    assert services["aws"].asked == [
        "PUT /latest/api/token",
        "GET /latest/dynamic/instance-identity/document",
    ]


def test_a_google_machine_is_known_by_its_numeric_id(services: Mapping[str, Service]) -> None:
    assert asked(services["gcp"]) == Identity(
        machine="gcp:my-project:us-central1:4520031799277581759",
        provider="gcp",
        region="us-central1",
        zone="us-central1-a",
        machine_type="a2-highgpu-1g",
    )


def test_an_azure_machine_is_known_by_its_vm_id(services: Mapping[str, Service]) -> None:
    assert asked(services["azure"]) == Identity(
        machine="azure:8a1c0f2e-1111-2222-3333-444455556666:westeurope"
        ":02aab8a4-74ef-476e-8182-f6d2ba4166a6",
        provider="azure",
        region="westeurope",
        machine_type="Standard_NC24ads_A100_v4",
    )


def test_where_no_service_answers_this_is_a_workstation() -> None:
    found = whoami(SILENT, root=BARE, host=HOST)
    assert found == Identity(machine=local_id(HOST), provider="local", region="local")
    assert local_id(HOST) == "local:desk:local:0123456789abcdef"


@pytest.mark.parametrize(
    ("file", "text", "cloud"),
    [
        ("sys/class/dmi/id/sys_vendor", "Amazon EC2\n", "aws"),
        ("sys/hypervisor/uuid", "ec2e1916-9099-7caf-fd21-012345abcdef\n", "aws"),
        ("sys/class/dmi/id/sys_vendor", "Google\n", "gcp"),
        ("sys/class/dmi/id/chassis_asset_tag", "7783-7084-3265-9085-8269-3286-77\n", "azure"),
    ],
)
def test_a_cloud_s_machine_is_never_taken_for_a_workstation(
    tmp_path: Path, file: str, text: str, cloud: str
) -> None:
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    found = whoami(SILENT, root=tmp_path, host=HOST)
    assert isinstance(found, Unidentified)
    assert found.provider == cloud
    assert "metadata service does not answer" in found.why


def test_hyper_v_at_home_is_a_workstation(tmp_path: Path) -> None:
    firmware = tmp_path / "sys/class/dmi/id"
    firmware.mkdir(parents=True)
    (firmware / "sys_vendor").write_text("Microsoft Corporation\n")
    (firmware / "chassis_asset_tag").write_text("None\n")
    assert isinstance(whoami(SILENT, root=tmp_path, host=HOST), Identity)


@pytest.mark.parametrize(
    ("cloud", "document"),
    [
        ("aws", "<html>a hotel's login page</html>"),
        ("aws", "[]"),
        ("aws", {**AWS_DOCUMENT, "instanceId": ""}),
        ("aws", {**AWS_DOCUMENT, "accountId": 123456789012}),
        ("aws", {**AWS_DOCUMENT, "region": "us:east"}),
        ("aws", {"accountId": "123456789012"}),
        ("gcp", {**GCP_INSTANCE, "id": "many"}),
        ("gcp", {**GCP_INSTANCE, "zone": None, "id": None}),
        ("azure", {**AZURE_COMPUTE, "vmId": None}),
        ("azure", "null"),
    ],
)
def test_an_answer_that_makes_no_sense_names_nobody(
    services: Mapping[str, Service], cloud: str, document: Any
) -> None:
    services[cloud].document = document
    assert asked(services[cloud]) == Identity(
        machine=local_id(HOST), provider="local", region="local"
    )


def test_a_refusal_names_nobody(services: Mapping[str, Service]) -> None:
    services["aws"].status = 403
    assert isinstance(asked(services["aws"]), Identity)
    assert services["aws"].asked == ["PUT /latest/api/token"]


def test_a_silent_service_is_given_up_on_soon(services: Mapping[str, Service]) -> None:
    for service in services.values():
        service.delay_s = 20.0
    everything = {k: v for service in services.values() for k, v in service.environment.items()}
    everything |= {
        "AWS_EC2_METADATA_SERVICE_ENDPOINT": f"http://{services['aws'].place}",
        "GCE_METADATA_HOST": services["gcp"].place,
        "AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{services['azure'].place}",
    }
    began = time.monotonic()
    whoami(everything, root=BARE, host=HOST)
    assert time.monotonic() - began < DEADLINE_S + 1


def test_metadata_may_be_switched_off(services: Mapping[str, Service]) -> None:
    environment = {**services["aws"].environment, "AWS_EC2_METADATA_DISABLED": "true"}
    whoami(environment, root=BARE, host=HOST)
    assert services["aws"].asked == []


def test_a_proxy_is_passed_by(
    services: Mapping[str, Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    found = asked(services["aws"])
    assert isinstance(found, Identity)
    assert found.provider == "aws"
