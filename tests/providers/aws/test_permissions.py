"""One table of permissions: the policy file is made from it, and it grants no change."""

import json
from pathlib import Path

import pytest

from providers.aws.permissions import PERMISSIONS, keep_policy, read_only_policy, stop_policy
from tests.contract.provider_contract import READING_VERBS

SERVICES = frozenset(
    [
        "ec2",
        "cloudwatch",
        "cloudtrail",
        "pricing",
        "s3",
        "s3express",
        "sagemaker",
        "savingsplans",
        "sts",
        "tag",
    ]
)
POLICY = Path(__file__).resolve().parents[3] / "infra" / "aws" / "read-only-policy.json"


def test_the_policy_file_is_the_table() -> None:
    assert json.loads(POLICY.read_text(encoding="utf-8")) == read_only_policy()


@pytest.mark.parametrize("permission", [permission for permission, _ in PERMISSIONS])
def test_nothing_that_changes_anything_is_granted(permission: str) -> None:
    service, operation = permission.split(":")
    assert service in SERVICES
    assert operation.startswith(READING_VERBS)
    assert "*" not in permission


def test_the_stop_policy_is_limited_to_stopping_what_is_allowed() -> None:
    path = POLICY.with_name("stop-policy.json")
    assert json.loads(path.read_text(encoding="utf-8")) == stop_policy()
    for told in (stop_policy(), stop_policy(by_exclusion=True)):
        reads, stops = told["Statement"]
        assert reads["Action"] == ["ec2:DescribeInstanceAttribute"]
        assert stops["Action"] == ["ec2:StopInstances"]
        assert stops["Condition"]


def test_the_keep_policy_is_limited_to_one_tag_of_instances() -> None:
    path = POLICY.with_name("keep-policy.json")
    assert json.loads(path.read_text(encoding="utf-8")) == keep_policy()
    (statement,) = keep_policy()["Statement"]
    assert statement["Action"] == ["ec2:CreateTags"]
    assert statement["Resource"].endswith(":instance/*")
    keys = {"aws:TagKeys": ["spend-watchdog:keep-until"]}
    assert statement["Condition"] == {"ForAllValues:StringEquals": keys}


def test_each_permission_is_listed_once_and_says_what_it_is_for() -> None:
    names = [permission for permission, _ in PERMISSIONS]
    assert len(names) == len(set(names))
    assert all(why for _, why in PERMISSIONS)
