"""Who lives together and who would replace a machine, by the tags that launchers leave."""

import pytest

from providers.aws.controllers import controller_of, group_of

SCOPE = "aws:123456789012:us-east-1"
ALONE = f"{SCOPE}:i-1"
NODE_GROUP = {
    "eks:cluster-name": "prod",
    "eks:nodegroup-name": "gpus",
    "aws:autoscaling:groupName": "eks-gpus-42",
}


@pytest.mark.parametrize(
    ("tags", "group"),
    [
        ({}, ALONE),
        ({"spend-watchdog:group": "own", "skypilot-cluster-name": "s"}, f"{SCOPE}:tag/own"),
        (NODE_GROUP, f"{SCOPE}:eks/prod/gpus"),
        ({"aws:eks:cluster-name": "prod"}, f"{SCOPE}:eks/prod"),
        (
            {"eks:eks-cluster-name": "prod", "karpenter.sh/nodepool": "gpu"},
            f"{SCOPE}:karpenter/prod/gpu",
        ),
        ({"karpenter.sh/provisioner-name": "gpu"}, f"{SCOPE}:karpenter/gpu"),
        (
            {"aws:batch:compute-environment": "ce", "aws:autoscaling:groupName": "x"},
            f"{SCOPE}:batch/ce",
        ),
        (
            {"parallelcluster:cluster-name": "hpc", "parallelcluster:node-type": "Compute"},
            f"{SCOPE}:parallelcluster/hpc",
        ),
        ({"skypilot-cluster-name": "train", "ray-cluster-name": "r"}, f"{SCOPE}:skypilot/train"),
        ({"ray-cluster-name": "r", "ray-node-type": "head"}, f"{SCOPE}:ray/r"),
        ({"dstack_project": "main", "dstack_name": "run-0-1"}, f"{SCOPE}:dstack/main/run"),
        ({"dstack_name": "run-0"}, ALONE),
        ({"aws:autoscaling:groupName": "asg"}, f"{SCOPE}:asg/asg"),
        ({"aws:ec2:fleet-id": "fleet-1"}, f"{SCOPE}:fleet/fleet-1"),
        ({"aws:ec2spot:fleet-request-id": "sfr-1"}, f"{SCOPE}:fleet/sfr-1"),
        ({"aws:elasticmapreduce:job-flow-id": "j-1"}, f"{SCOPE}:emr/j-1"),
        ({"spend-watchdog:group": ""}, ALONE),
    ],
)
def test_groups(tags: dict[str, str], group: str) -> None:
    assert group_of(tags, scope=SCOPE, alone=ALONE) == group


@pytest.mark.parametrize(
    ("tags", "name", "advice"),
    [
        (NODE_GROUP, "EKS node group gpus of prod", "scale node group gpus to 0"),
        ({"karpenter.sh/nodepool": "gpu"}, "Karpenter node pool gpu", "node pool gpu"),
        (
            {"aws:autoscaling:groupName": "train-asg"},
            "Auto Scaling group train-asg",
            "set the desired capacity of train-asg to 0",
        ),
        (
            {"aws:batch:compute-environment": "ce", "aws:autoscaling:groupName": "x"},
            "AWS Batch compute environment ce",
            "disable the compute environment",
        ),
        (
            {"parallelcluster:cluster-name": "hpc", "parallelcluster:node-type": "Compute"},
            "the Slurm daemon of ParallelCluster",
            "pcluster update-compute-fleet",
        ),
        ({"aws:ec2:fleet-id": "fleet-1"}, "EC2 Fleet fleet-1", "capacity of fleet fleet-1 to 0"),
        ({"aws:elasticmapreduce:job-flow-id": "j-1"}, "EMR cluster j-1", "EMR cluster j-1"),
        (
            {"skypilot-cluster-name": "s", "aws:autoscaling:groupName": "a"},
            "Auto Scaling group a",
            "desired capacity",
        ),
    ],
)
def test_who_replaces_a_stopped_machine(tags: dict[str, str], name: str, advice: str) -> None:
    controller = controller_of(tags, None)
    assert controller is not None
    assert controller.name == name
    assert advice in controller.advice


@pytest.mark.parametrize(
    "tags",
    [
        {},
        {"skypilot-cluster-name": "s", "ray-cluster-name": "r", "ray-node-type": "head"},
        {"dstack_project": "main", "dstack_name": "run-0"},
        {"parallelcluster:cluster-name": "hpc", "parallelcluster:node-type": "HeadNode"},
        {"aws:cloudformation:stack-name": "stack"},
        {"aws:autoscaling:groupName": ""},
    ],
)
def test_whom_nobody_replaces(tags: dict[str, str]) -> None:
    assert controller_of(tags, None) is None


def test_an_operator_that_aws_names() -> None:
    controller = controller_of({}, "eks.amazonaws.com")
    assert controller is not None
    assert controller.name == "eks.amazonaws.com"
    assert controller_of(NODE_GROUP, "eks.amazonaws.com") == controller_of(NODE_GROUP, None)
