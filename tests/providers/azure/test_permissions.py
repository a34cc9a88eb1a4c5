"""What the roles grant: reading alone, and apart from it what a stop takes."""

from __future__ import annotations

import json
from pathlib import Path

from providers.azure.permissions import (
    GRANTED_BY,
    PERMISSIONS,
    STOP_PERMISSIONS,
    read_only_role,
    stop_role,
)

ROLES = Path(__file__).resolve().parents[3] / "infra" / "azure"


def test_the_committed_roles_are_those_of_the_code() -> None:
    told = {
        path.name: json.loads(path.read_text(encoding="utf-8")) for path in ROLES.glob("*.json")
    }
    assert told == {"read-only-role.json": read_only_role(), "stop-role.json": stop_role()}


def test_the_reader_changes_nothing() -> None:
    role = read_only_role()
    assert role["Actions"]
    assert all(action.endswith("/read") for action in role["Actions"])
    assert role["DataActions"] == []


def test_the_stopper_deallocates_and_can_neither_delete_nor_start() -> None:
    changing = [each for each in stop_role()["Actions"] if not each.endswith("/read")]
    assert changing == ["Microsoft.Compute/virtualMachines/deallocate/action"]


def test_every_permission_says_why_and_every_call_has_one() -> None:
    granted = [name for name, _ in (*PERMISSIONS, *STOP_PERMISSIONS)]
    assert len(granted) == len(set(granted))
    assert all(why for _, why in (*PERMISSIONS, *STOP_PERMISSIONS))
    assert set(GRANTED_BY.values()) <= set(granted)
