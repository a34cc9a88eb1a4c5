"""Whose machine it is, by the tags that launchers leave: who lives together, who would replace it.

The two questions differ. A SkyPilot cluster is a group, yet nothing restarts its machine when it is
stopped; an Auto Scaling group replaces a stopped member at once.
"""

from __future__ import annotations

from dataclasses import dataclass

from providers.launchers import DSTACK, Controller, Tags, Together, first_of, group_named

GROUP_TAG = "spend-watchdog:group"


@dataclass(frozen=True, slots=True)
class Replacer:
    """Whoever launched a machine with this tag replaces it when it stops."""

    tag: str
    controller: str
    """`{name}` is the tag's value, `{cluster}` the Kubernetes cluster's name."""
    advice: str
    only: str | None = None
    """The value that the tag must have; None: any."""


_CLUSTER = ("eks:cluster-name", "aws:eks:cluster-name", "eks:eks-cluster-name")
_ASG = "aws:autoscaling:groupName"
_BATCH = "aws:batch:compute-environment"

GROUPS = (
    Together("eks", (_CLUSTER, ("eks:nodegroup-name",))),
    Together("karpenter", (_CLUSTER, ("karpenter.sh/nodepool", "karpenter.sh/provisioner-name"))),
    Together("eks", (_CLUSTER,)),
    Together("batch", ((_BATCH,),)),
    Together("parallelcluster", (("parallelcluster:cluster-name",),)),
    Together("skypilot", (("skypilot-cluster-name",),)),
    Together("ray", (("ray-cluster-name",),)),
    DSTACK,
    Together("asg", ((_ASG,),)),
    Together("fleet", (("aws:ec2:fleet-id", "aws:ec2spot:fleet-request-id"),)),
    Together("emr", (("aws:elasticmapreduce:job-flow-id",),)),
)
"""The first row that fits names the group: special before general."""

_BATCH_ADVICE = "disable the compute environment, or set its minimum and desired vCPUs to 0"
_FLEET_ADVICE = "set the target capacity of fleet {name} to 0"

REPLACERS = (
    Replacer(
        "eks:nodegroup-name",
        "EKS node group {name} of {cluster}",
        "scale node group {name} to 0",
    ),
    Replacer(
        "karpenter.sh/nodepool",
        "Karpenter node pool {name}",
        "end the pods on it, or lower the limits of node pool {name}; Karpenter removes the node",
    ),
    Replacer(
        "karpenter.sh/provisioner-name",
        "Karpenter provisioner {name}",
        "end the pods on it, or lower the limits of provisioner {name}; Karpenter removes the node",
    ),
    Replacer(
        "eks:cluster-name", "EKS cluster {name}", "drain the node and scale its node group down"
    ),
    Replacer(
        "aws:eks:cluster-name", "EKS cluster {name}", "drain the node and scale its node group down"
    ),
    Replacer(
        "eks:eks-cluster-name", "EKS cluster {name}", "drain the node and scale its node group down"
    ),
    Replacer(_BATCH, "AWS Batch compute environment {name}", _BATCH_ADVICE),
    Replacer("AWSBatchServiceTag", "AWS Batch", _BATCH_ADVICE),
    Replacer(
        "parallelcluster:node-type",
        "the Slurm daemon of ParallelCluster",
        "stop its compute fleet with `pcluster update-compute-fleet --status STOP_REQUESTED`",
        only="Compute",
    ),
    Replacer(
        "aws:elasticmapreduce:job-flow-id",
        "EMR cluster {name}",
        "resize or terminate EMR cluster {name}",
    ),
    Replacer(_ASG, "Auto Scaling group {name}", "set the desired capacity of {name} to 0"),
    Replacer("aws:ec2:fleet-id", "EC2 Fleet {name}", _FLEET_ADVICE),
    Replacer("aws:ec2spot:fleet-request-id", "Spot Fleet {name}", _FLEET_ADVICE),
)
"""The first row that fits is told: special before general."""


def group_of(tags: Tags, *, scope: str, alone: str) -> str:
    """The machine's group: `aws:123456789012:us-east-1:skypilot/train`. `alone`: its own id."""
    own = tags.get(GROUP_TAG)
    if own:
        return f"{scope}:tag/{own}"
    named = group_named(GROUPS, tags)
    if named is not None:
        return f"{scope}:{named}"
    return alone


def controller_of(tags: Tags, operator: str | None) -> Controller | None:
    """Who would replace the machine. `operator`: the AWS service that manages it, if one does."""
    for row in REPLACERS:
        name = tags.get(row.tag)
        if name and row.only in {None, name}:
            told = {"name": name, "cluster": first_of(_CLUSTER, tags) or "its cluster"}
            return Controller(name=row.controller.format(**told), advice=row.advice.format(**told))
    if operator is None:
        return None
    return Controller(name=operator, advice=f"end it in {operator}, which manages it")


def in_fleet(tags: Tags) -> bool:
    """Whether an EC2 or Spot Fleet launched it: a fleet's spot machines cannot be stopped."""
    return "aws:ec2:fleet-id" in tags or "aws:ec2spot:fleet-request-id" in tags
