"""Which action of IAM allows which operation of the SDK, where the two have different names.

As AWS's Service Authorization Reference names them. What is not listed here is called the same in
both.
"""

from collections.abc import Mapping
from types import MappingProxyType

PREFIXES: Mapping[str, str] = MappingProxyType(
    {
        "auto-scaling": "autoscaling",
        "elb": "elasticloadbalancing",
        "elbv2": "elasticloadbalancing",
        "efs": "elasticfilesystem",
        "opensearch": "es",
        "resourcegroupstaggingapi": "tag",
        "resource-groups-tagging-api": "tag",
    }
)
"""By the SDK's name of a service, or the one that its events bear."""

ACTIONS: Mapping[str, str] = MappingProxyType(
    {
        "lambda:Invoke": "lambda:InvokeFunction",
        "s3:ListBuckets": "s3:ListAllMyBuckets",
        "s3:ListDirectoryBuckets": "s3express:ListAllMyDirectoryBuckets",
        "s3:HeadBucket": "s3:ListBucket",
        "s3:ListObjects": "s3:ListBucket",
        "s3:ListObjectsV2": "s3:ListBucket",
        "s3:ListObjectVersions": "s3:ListBucketVersions",
        "s3:ListMultipartUploads": "s3:ListBucketMultipartUploads",
        "s3:ListParts": "s3:ListMultipartUploadParts",
        "s3:GetBucketLifecycleConfiguration": "s3:GetLifecycleConfiguration",
        "s3:GetBucketEncryption": "s3:GetEncryptionConfiguration",
        "s3:GetBucketReplication": "s3:GetReplicationConfiguration",
        "s3:GetBucketMetricsConfiguration": "s3:GetMetricsConfiguration",
        "s3:ListBucketMetricsConfigurations": "s3:GetMetricsConfiguration",
        "s3:ListBucketInventoryConfigurations": "s3:GetInventoryConfiguration",
        "s3:ListBucketIntelligentTieringConfigurations": "s3:GetIntelligentTieringConfiguration",
    }
)


def action_of(service: str, operation: str) -> str:
    """The action that a role needs for `operation` of the SDK's `service`."""
    name = f"{PREFIXES.get(service, service)}:{operation}"
    return ACTIONS.get(name, name)
