"""Whose machine it is, by launchers' labels: who lives together, who would replace it.

The two questions differ. A SkyPilot cluster is a group, yet nothing restarts its machine when it is
stopped; a managed instance group repairs a stopped member at once.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from providers.launchers import DSTACK, Controller, Tags, Together, group_named

GROUP_LABEL = "spend-watchdog-group"
CREATED_BY = re.compile(r"instanceGroupManagers/([^/]+)$")
"""In the metadata `created-by` of a member: `projects/1/zones/z/instanceGroupManagers/NAME`."""


@dataclass(frozen=True, slots=True)
class Replacer:
    """Whoever launched a machine with this label replaces it, or must be asked to end it."""

    label: str
    controller: str
    """`{name}` is the label's value, `{cluster}` the Kubernetes cluster's name."""
    advice: str
    only: tuple[str, ...] | None = None
    """The values that the label must have; None: any."""


_CLUSTER = ("goog-k8s-cluster-name",)
_POOL = "goog-k8s-node-pool-name"

GROUPS = (
    Together("gke", (_CLUSTER, (_POOL,))),
    Together("gke", (_CLUSTER,)),
    Together("dataproc", (("goog-dataproc-cluster-name",),)),
    Together("batch", (("batch-job-id", "goog-batch-job-name", "goog-batch-job-uid"),)),
    Together("skypilot", (("skypilot-cluster-name",),)),
    Together("ray", (("ray-cluster-name",),)),
    DSTACK,
    Together("slurm", (("slurm_cluster_name", "slurm-cluster-name"),)),
)
"""The first row that fits names the group: special before general."""

REPLACERS = (
    Replacer(
        _POOL,
        "GKE node pool {name} of {cluster}",
        "drain the node and resize node pool {name} to 0",
    ),
    Replacer("goog-gke-node", "GKE cluster {cluster}", "drain the node and resize its node pool"),
    Replacer(
        "goog-k8s-cluster-name",
        "GKE cluster {name}",
        "drain the node and resize its node pool",
    ),
    Replacer(
        "goog-dataproc-cluster-name",
        "Dataproc cluster {name}",
        "stop it with `gcloud dataproc clusters stop {name}`",
    ),
    Replacer("goog-dataflow-job-name", "Dataflow job {name}", "cancel or drain the job"),
    Replacer("batch-job-id", "Batch job {name}", "delete the job, or let it end"),
    Replacer("goog-batch-job-name", "Batch job {name}", "delete the job, or let it end"),
    Replacer("goog-batch-job-uid", "Batch job {name}", "delete the job, or let it end"),
    Replacer(
        "notebooks-product",
        "Vertex AI Workbench",
        "stop the instance in Workbench (`gcloud workbench instances stop`)",
    ),
    Replacer(
        "slurm_instance_role",
        "the Slurm controller of {cluster}",
        "power the node down with `scontrol update nodename=… state=power_down`",
        only=("compute",),
    ),
)
"""The first row that fits is told: special before general."""


def group_of(labels: Tags, created_by: str | None, *, scope: str, alone: str) -> str:
    """The machine's group: `gcp:my-project:us-central1:skypilot/train`. `alone`: its own id."""
    own = labels.get(GROUP_LABEL)
    if own:
        return f"{scope}:label/{own}"
    named = group_named(GROUPS, labels)
    if named is not None:
        return f"{scope}:{named}"
    manager = group_manager(created_by)
    return alone if manager is None else f"{scope}:mig/{manager}"


def controller_of(labels: Tags, created_by: str | None) -> Controller | None:
    """Who would replace the machine. `created_by`: the value of that key of its metadata."""
    cluster = labels.get("goog-k8s-cluster-name") or labels.get("slurm_cluster_name")
    for row in REPLACERS:
        name = labels.get(row.label)
        if name is not None and (row.only is None or name in row.only):
            told = {"name": name, "cluster": cluster or "its cluster"}
            return Controller(name=row.controller.format(**told), advice=row.advice.format(**told))
    manager = group_manager(created_by)
    if manager is None:
        return None
    return Controller(
        name=f"managed instance group {manager}",
        advice=f"resize {manager} to 0: a member that is stopped behind its back is repaired",
    )


def group_manager(created_by: str | None) -> str | None:
    match = CREATED_BY.search(created_by or "")
    return None if match is None else match[1]
