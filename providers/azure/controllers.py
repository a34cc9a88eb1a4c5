"""Whose VM it is: who lives together, who would replace it.

Scale sets and what manages a resource group are told by the VM itself, launchers by their tags.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from providers.launchers import DSTACK, Controller, Together, group_named

GROUP_TAG = "spend-watchdog:group"

Raw = Mapping[str, Any]

AKS_POOL = "aks-managed-poolName"
AKS_CLUSTER = "aks-managed-cluster-name"
_SCALE_SET = re.compile(
    r"/providers/Microsoft\.Compute/virtualMachineScaleSets/(?P<name>[^/]+)", re.IGNORECASE
)


GROUPS = (
    Together("aks", ((AKS_CLUSTER,), (AKS_POOL,)), whole=True),
    Together("aks", ((AKS_CLUSTER,),)),
    Together("databricks", (("Vendor",), ("ClusterId",)), whole=True),
    Together("cyclecloud", (("CycleCloudCluster",),)),
    Together("cyclecloud", (("ClusterId",), ("ClusterName",)), whole=True),
    Together("slurm", (("slurm-cluster-name",),)),
    Together("skypilot", (("skypilot-cluster-name",),)),
    Together("ray", (("ray-cluster-name",),)),
    DSTACK,
)
"""The first row that fits names the group: special before general."""


def group_of(raw: Raw, *, scope: str, alone: str) -> str:
    """The VM's group: `azure:SUBSCRIPTION:eastus:vmss/train`. `alone`: its own id."""
    tags = tags_of(raw)
    own = tags.get(GROUP_TAG)
    if own:
        return f"{scope}:tag/{own}"
    named = group_named(GROUPS, tags)
    if named is not None:
        return f"{scope}:{named}"
    scale_set = scale_set_of(raw)
    return alone if scale_set is None else f"{scope}:vmss/{scale_set}"


def controller_of(raw: Raw) -> Controller | None:
    """Who would replace the VM, or alone may end it; None: nobody."""
    tags = tags_of(raw)
    if tags.get(AKS_POOL) or tags.get(AKS_CLUSTER):
        pool = tags.get(AKS_POOL) or "its node pool"
        cluster = tags.get(AKS_CLUSTER) or "its AKS cluster"
        return Controller(
            name=f"AKS node pool {pool} of {cluster}", advice=f"scale node pool {pool} to 0"
        )
    if tags.get("Vendor") == "Databricks":
        cluster = tags.get("ClusterName") or tags.get("ClusterId") or "its cluster"
        return Controller(
            name=f"Databricks cluster {cluster}", advice="terminate the cluster in Databricks"
        )
    if tags.get("CycleCloudCluster") or (tags.get("ClusterId") and tags.get("ClusterName")):
        cluster = tags.get("CycleCloudCluster") or tags["ClusterName"]
        return Controller(
            name=f"CycleCloud cluster {cluster}", advice="terminate the node in CycleCloud"
        )
    scale_set = scale_set_of(raw)
    if scale_set is not None:
        return Controller(
            name=f"scale set {scale_set}", advice=f"set the capacity of scale set {scale_set} to 0"
        )
    owner = raw.get("managedBy")
    if owner:
        return Controller(name=str(owner).rsplit("/", 1)[-1], advice="end it where it was made")
    return None


def scale_set_of(raw: Raw) -> str | None:
    """The scale set that it is a member of, Uniform by its own id, Flex by reference."""
    reference = (raw.get("properties") or {}).get("virtualMachineScaleSet") or {}
    for told in (raw.get("id"), reference.get("id"), raw.get("managedBy")):
        match = _SCALE_SET.search(str(told or ""))
        if match:
            return match["name"]
    return None


def tags_of(raw: Raw) -> dict[str, str]:
    return {str(key): str(value) for key, value in (raw.get("tags") or {}).items()}
