"""The role has what the adapter calls, and nothing else: by the adapter's own source."""

import pytest

from providers.aws.permissions import (
    FUNCTION_PERMISSIONS,
    KEEP_PERMISSIONS,
    PERMISSIONS,
    STOP_PERMISSIONS,
)
from tests.providers.aws.sdk_calls import sdk_calls

TABLES = (PERMISSIONS, STOP_PERMISSIONS, KEEP_PERMISSIONS, FUNCTION_PERMISSIONS)
DECLARED = frozenset(permission for table in TABLES for permission, _ in table)


def test_every_call_of_the_sdk_is_covered_by_the_table() -> None:
    lacking = [
        f"{call.place}: {call.method} needs {' or '.join(sorted(call.actions))}"
        for call in sdk_calls()
        if not call.actions & DECLARED
    ]
    assert lacking == [], "declare it in providers/aws/permissions.py"


@pytest.mark.parametrize("permission", sorted(DECLARED))
def test_every_permission_is_there_for_a_call(permission: str) -> None:
    assert any(permission in call.actions for call in sdk_calls()), "nothing calls it: take it out"


def test_the_search_finds_calls_of_each_kind() -> None:
    """Else the tests above could pass by seeing nothing."""
    found = {call.method: call.place.split(":")[0] for call in sdk_calls()}
    assert found["describe_regions"] == "inventory.py"
    assert found["list_metrics"] == "usage.py"
    assert found["lookup_events"] == "lifecycle.py"
