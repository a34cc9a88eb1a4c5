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
    ("cloudtrail:LookupEvents", "learn when machines were started and stopped"),
    ("sts:GetCallerIdentity", "name the account where no machine names it"),
)


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
