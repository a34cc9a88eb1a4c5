"""Recorded real answers, replayed over HTTP through the real SDKs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from providers.azure.adapter import AzureProvider
from tests.fake_azure import AzureServer
from tests.providers.azure.test_storage import asked

Make = Callable[..., AzureProvider]
FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data" / "recordings"
CASSETTES = FOLDER / "cloud_custodian" / "azure_cassettes"
SIZE = "Standard_NC24ads_A100_v4"
"""None of the recordings holds a GPU machine: the size of their machines is swapped for this."""

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif(not FOLDER.is_dir(), reason="the recorded answers are not here"),
]


def bodies(name: str, part: str) -> list[dict[str, Any]]:
    """Answers of a cassette to requests whose address has this part."""
    tape = json.loads((CASSETTES / name).read_text(encoding="utf-8"))
    return [
        each["response"]["body"]["data"]
        for each in tape["interactions"]
        if part in each["request"]["uri"] and each["response"]["status"]["code"] == 200
    ]


def test_a_table_of_resource_graph(azure: AzureServer, provider: Make) -> None:
    (answer,) = bodies(
        "ResourceGraphSource.test_resource_graph_and_arm_sources_vm_are_equivalent.json",
        "Microsoft.ResourceGraph",
    )
    text = json.dumps(answer).replace("Basic_A0", SIZE).replace("Standard_DS1_v2", SIZE)
    azure.state.instead["resourcegraph:ListResources"] = json.loads(text)
    seen = provider().machines()
    assert seen.gaps == ()
    assert seen.values
    machine = next(each for each in seen.values if each.name == "cctestvm")
    assert machine.native_id == "fd560bf4-1693-42cb-bbf6-957880b3b768"
    assert machine.tags["schedule"] == "on=(M-U,8);off=(M-U,18);tz=pt"
    assert machine.metered is None, "the answer of 2019 tells no power state"


def test_machines_as_resource_manager_lists_them(azure: AzureServer, provider: Make) -> None:
    answers = bodies("VMTest.virtual_machine_tags.json", "/virtualMachines?")
    rows = [row for answer in answers for row in answer["value"]]
    assert rows
    for row in rows:
        row["properties"]["hardwareProfile"]["vmSize"] = SIZE
    answer = {"data": rows, "count": len(rows), "resultTruncated": "false"}
    azure.state.instead["resourcegraph:ListResources"] = answer
    seen = provider().machines()
    assert seen.gaps == ()
    assert len(seen.values) == len({row["properties"]["vmId"] for row in rows})
    for machine in seen.values:
        assert machine.id.startswith(f"azure:{machine.account}:{machine.region}:")


def test_storage_accounts(azure: AzureServer, provider: Make) -> None:
    (answer,) = bodies(
        "ResourceGraphSource.test_resource_graph_and_arm_sources_storage_are_equivalent.json",
        "Microsoft.ResourceGraph",
    )
    azure.state.instead["resourcegraph:ListResources"] = answer
    made = provider()
    made.machines()
    found = made.storage(asked())
    assert found.gaps == ()
    assert {each.kind for each in found.values} == {"bucket"}
