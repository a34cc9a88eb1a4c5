"""Everything that the AWS adapter may call, and why. The role in infra/aws is made from it."""

from __future__ import annotations

from typing import Any

PERMISSIONS = (
    ("ec2:DescribeRegions", "find the regions that the account has enabled"),
    ("ec2:DescribeInstances", "find the machines"),
    ("ec2:DescribeInstanceTypes", "find out which of them carry accelerators and local disks"),
    ("ec2:DescribeSpotInstanceRequests", "tell spot machines that can be stopped from the others"),
    ("cloudwatch:ListMetrics", "find the GPU metrics that the CloudWatch agent writes"),
    ("cloudwatch:GetMetricData", "read GPU, CPU, network and disk metrics"),
    ("ec2:DescribeNatGateways", "name the NAT gateways whose traffic is metered"),
    ("cloudtrail:LookupEvents", "learn when machines were started and stopped"),
    ("ec2:DescribeVolumes", "find disks, attached or forgotten"),
    ("ec2:DescribeVolumesModifications", "learn when a disk was made larger or faster"),
    ("ec2:DescribeSnapshots", "find the account's own snapshots"),
    ("ec2:DescribeAddresses", "find public addresses that serve nothing"),
    ("s3:ListAllMyBuckets", "find the buckets"),
    ("s3:GetBucketLocation", "find a bucket's region where the listing does not tell it"),
    ("s3:ListBucketMultipartUploads", "find unfinished uploads to buckets that somebody named"),
    ("s3express:ListAllMyDirectoryBuckets", "find directory buckets"),
    ("tag:GetResources", "read the tags of all buckets of a region at once"),
    ("sts:GetCallerIdentity", "name the account where no machine names it"),
    ("sagemaker:ListNotebookInstances", "find notebook instances"),
    ("sagemaker:ListDomains", "find out whether there can be Studio apps"),
    ("sagemaker:ListApps", "find Studio apps"),
    ("sagemaker:ListSpaces", "find out whose space a Studio app runs in"),
    ("sagemaker:ListTrainingJobs", "find training jobs and warm pools"),
    ("sagemaker:DescribeTrainingJob", "learn a training job's instances and when they started"),
    ("sagemaker:ListProcessingJobs", "find processing jobs"),
    ("sagemaker:DescribeProcessingJob", "learn a processing job's instances and their start"),
    ("sagemaker:ListEndpoints", "find endpoints"),
    ("sagemaker:DescribeEndpoint", "learn how many instances serve an endpoint"),
    ("sagemaker:DescribeEndpointConfig", "learn the type of an endpoint's instances"),
)


GRANTED_BY = {
    "s3:ListBuckets": "s3:ListAllMyBuckets",
    "s3:ListDirectoryBuckets": "s3express:ListAllMyDirectoryBuckets",
    "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
}
"""Operations that are allowed by a permission of another name."""


def read_only_policy() -> dict[str, Any]:
    """The IAM policy of a patrol that only observes."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SpendWatchdogReads",
                "Effect": "Allow",
                "Action": [permission for permission, _ in PERMISSIONS],
                "Resource": "*",
            }
        ],
    }


def agent_policy(ledger: str = "LEDGER-BUCKET/LEDGER-FOLDER") -> dict[str, Any]:
    """The IAM policy of a machine whose agent may drop letters into the ledger's inbox, no more."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SpendWatchdogAgentDrops",
                "Effect": "Allow",
                "Action": ["s3:PutObject"],
                "Resource": f"arn:aws:s3:::{ledger}/inbox/*",
            }
        ],
    }
