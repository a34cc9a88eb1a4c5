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
    ("ec2:DescribeSpotPriceHistory", "price spot machines in their own zone, as prices changed"),
    ("ec2:DescribeCapacityReservations", "tell capacity that is paid whether or not it runs"),
    ("ec2:DescribeReservedInstances", "tell machines whose stop saves nothing: they are reserved"),
    ("savingsplans:DescribeSavingsPlans", "tell what is committed to whether or not machines run"),
    ("pricing:GetProducts", "read list prices, for `prices refresh`"),
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

STOP_PERMISSIONS = (
    ("ec2:DescribeInstanceAttribute", "read the stop protection of a machine before it is stopped"),
    ("ec2:StopInstances", "stop a machine after a warning"),
)
"""Needed besides by a patrol that acts. A role of its own, limited by tag, has them."""
FUNCTION_PERMISSIONS = (
    ("sts:AssumeRole", "take the stop role, where one is set"),
    ("ssm:GetParameter", "read settings that lie in Parameter Store"),
    ("secretsmanager:GetSecretValue", "read settings that lie in Secrets Manager"),
    ("lambda:InvokeFunction", "go on with what was pressed in Slack, once Slack has its answer"),
)
"""Needed besides by a function whose settings point at them; each on what it names alone."""
KEEP_PERMISSIONS = (
    ("ec2:CreateTags", "write a keep onto the machine, so that every ledger sees it"),
)
"""Needed only by whoever keeps machines. A role of its own has it, for that one tag's key."""
ALLOW_TAG = "spend-watchdog"
KEEP_TAG = "spend-watchdog:keep-until"
EXCLUSION_TAG = "spend-watchdog:protected"

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


def stop_policy(*, by_exclusion: bool = False) -> dict[str, Any]:
    """The IAM policy of a patrol that acts, besides the read-only one.

    It may stop machines that bear the tag `spend-watchdog=allow`; `by_exclusion`: all that do not
    bear the tag `spend-watchdog:protected`, for accounts where nobody tags.
    """
    allowed = {"StringEquals": {f"aws:ResourceTag/{ALLOW_TAG}": "allow"}}
    excluded = {"Null": {f"aws:ResourceTag/{EXCLUSION_TAG}": "true"}}
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SpendWatchdogReadsStopProtection",
                "Effect": "Allow",
                "Action": ["ec2:DescribeInstanceAttribute"],
                "Resource": "*",
            },
            {
                "Sid": "SpendWatchdogStops",
                "Effect": "Allow",
                "Action": ["ec2:StopInstances"],
                "Resource": "arn:aws:ec2:*:*:instance/*",
                "Condition": excluded if by_exclusion else allowed,
            },
        ],
    }


def keep_policy() -> dict[str, Any]:
    """The IAM policy of keeps that are written onto machines: one tag key on instances, no more."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "SpendWatchdogWritesKeeps",
                "Effect": "Allow",
                "Action": [permission for permission, _ in KEEP_PERMISSIONS],
                "Resource": "arn:aws:ec2:*:*:instance/*",
                "Condition": {"ForAllValues:StringEquals": {"aws:TagKeys": [KEEP_TAG]}},
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
