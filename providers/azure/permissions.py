"""Everything that the Azure adapter may ask, and why. The roles in infra/azure are made of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

PERMISSIONS = (
    ("Microsoft.Resources/subscriptions/read", "find the subscriptions"),
    ("Microsoft.ResourceGraph/resources/read", "ask for all machines and disks at once"),
    ("Microsoft.Compute/virtualMachines/read", "find the machines"),
    ("Microsoft.Compute/virtualMachines/instanceView/read", "learn whether they run"),
    ("Microsoft.Compute/virtualMachineScaleSets/read", "find scale sets"),
    ("Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read", "find their members"),
    (
        "Microsoft.Compute/virtualMachineScaleSets/virtualMachines/instanceView/read",
        "learn whether members of scale sets run",
    ),
    ("Microsoft.Compute/skus/read", "find out what a new size carries"),
    ("Microsoft.Insights/metrics/read", "read CPU, network, disk and capacity metrics"),
    ("Microsoft.Insights/eventtypes/values/read", "learn when machines were started and stopped"),
    ("Microsoft.Compute/disks/read", "find disks, attached or forgotten"),
    ("Microsoft.Compute/snapshots/read", "find snapshots"),
    ("Microsoft.Storage/storageAccounts/read", "find storage accounts"),
    ("Microsoft.Network/publicIPAddresses/read", "find public addresses that serve nothing"),
)
STOP_PERMISSIONS = (
    ("Microsoft.Authorization/locks/read", "read the locks of a machine before it is stopped"),
    ("Microsoft.Compute/virtualMachines/deallocate/action", "stop a machine after a warning"),
    ("Microsoft.Compute/locations/operations/read", "see whether the stop went well"),
)
"""Needed besides by a patrol that acts; a role of its own has them."""
GRANTED_BY = {
    "subscriptions:ListSubscriptions": "Microsoft.Resources/subscriptions/read",
    "resourcegraph:ListResources": "Microsoft.ResourceGraph/resources/read",
    "compute:GetVirtualMachine": "Microsoft.Compute/virtualMachines/read",
    "compute:ListSkus": "Microsoft.Compute/skus/read",
    "metrics:GetBatch": "Microsoft.Insights/metrics/read",
    "insights:ListEvents": "Microsoft.Insights/eventtypes/values/read",
    "authorization:ListLocks": "Microsoft.Authorization/locks/read",
    "compute:Deallocate": "Microsoft.Compute/virtualMachines/deallocate/action",
    "compute:GetOperation": "Microsoft.Compute/locations/operations/read",
}
"""Operations as they are counted, and the permission that each takes."""
EXCLUSION_TAG = "spend-watchdog:protected"
ALL_SUBSCRIPTIONS = "/subscriptions/SUBSCRIPTION-ID"


def read_only_role(scopes: Sequence[str] = (ALL_SUBSCRIPTIONS,)) -> dict[str, Any]:
    """The custom role of a patrol that only observes, for `az role definition create`."""
    return _role(
        "Spend watchdog reader",
        "Sees machines, disks and their metrics; changes nothing.",
        [permission for permission, _ in PERMISSIONS],
        scopes,
    )


def stop_role(scopes: Sequence[str] = (ALL_SUBSCRIPTIONS,)) -> dict[str, Any]:
    """The custom role of a patrol that acts, besides the reader's. It can delete nothing."""
    return _role(
        "Spend watchdog stopper",
        "Deallocates machines after a warning; cannot start, change or delete any.",
        [permission for permission, _ in STOP_PERMISSIONS],
        scopes,
    )


def _role(
    name: str, description: str, actions: Sequence[str], scopes: Sequence[str]
) -> dict[str, Any]:
    return {
        "Name": name,
        "IsCustom": True,
        "Description": description,
        "Actions": list(actions),
        "NotActions": [],
        "DataActions": [],
        "NotDataActions": [],
        "AssignableScopes": list(scopes),
    }
