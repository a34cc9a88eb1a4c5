"""Tags of buckets: of a whole region by one paged call, since S3's own costs a call a bucket."""

from __future__ import annotations

from typing import Any

from providers.errors import AnswerCut

SERVICE = "resourcegroupstaggingapi"
NEEDS = "tag:GetResources"
PAGE = 100

Tags = dict[str, dict[str, str]]


def fetch_bucket_tags(tagging: Any) -> Tags:
    """By bucket; one that never had a tag is not in it."""
    found: Tags = {}
    pages = tagging.get_paginator("get_resources")
    for page in pages.paginate(ResourceTypeFilters=["s3"], PaginationConfig={"PageSize": PAGE}):
        if "ResourceTagMappingList" not in page:
            raise AnswerCut("no ResourceTagMappingList in it")
        for told in page["ResourceTagMappingList"]:
            bucket = told["ResourceARN"].rsplit(":", 1)[-1]
            found[bucket] = {tag["Key"]: tag.get("Value", "") for tag in told["Tags"]}
    return found
