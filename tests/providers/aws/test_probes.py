"""What `doctor` finds out about AWS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from providers.aws.adapter import AwsProvider
from providers.aws.permissions import PERMISSIONS
from providers.aws.probes import UNTRIED
from providers.base import ChecksItself, Probe
from tests.aws_prices import commits
from tests.moto_aws import ACCOUNT, AwsServer, put_metric

Make = Callable[..., AwsProvider]


def probed(one: AwsProvider) -> dict[str, Probe]:
    assert isinstance(one, ChecksItself)
    return {probe.what: probe for probe in one.probes()}


def test_every_permission_is_tried(aws: AwsServer, provider: Make) -> None:
    aws.answer("cloudtrail:LookupEvents", '{"Events": []}')
    aws.answer("pricing:GetProducts", '{"PriceList": []}')
    commits(aws)
    aws.answer("sagemaker:ListApps", '{"Apps": []}')
    aws.answer("sagemaker:ListSpaces", '{"Spaces": []}')
    found = probed(provider(sagemaker=True))
    granted = {permission for permission, _ in PERMISSIONS} - UNTRIED
    assert set(found) == granted | {"credentials", "GPU metrics in us-east-1"}
    assert all(found[permission].ok for permission in granted)
    assert ACCOUNT in found["credentials"].told


def test_a_dry_run_that_says_yes(aws: AwsServer, provider: Make) -> None:
    aws.fail("ec2:DescribeInstances", status=412, code="DryRunOperation")
    assert probed(provider())["ec2:DescribeInstances"].ok is True


@pytest.mark.parametrize(
    ("permission", "ok"),
    [
        ("ec2:DescribeInstances", False),
        ("cloudwatch:GetMetricData", False),
        ("cloudtrail:LookupEvents", None),
        ("ec2:DescribeSpotInstanceRequests", None),
        ("ec2:DescribeVolumes", None),
        ("tag:GetResources", None),
    ],
)
def test_a_permission_that_is_missing(
    aws: AwsServer, provider: Make, *, permission: str, ok: bool | None
) -> None:
    """One that a patrol can do without is told, and is no failure."""
    aws.fail(permission, status=403, code="AccessDenied")
    probe = probed(provider())[permission]
    assert probe.ok is ok
    assert f"grant {permission}" in probe.told


def test_credentials_that_do_not_work(aws: AwsServer, provider: Make) -> None:
    aws.fail("sts:GetCallerIdentity", status=403, code="InvalidClientTokenId")
    probe = probed(provider())["credentials"]
    assert probe.ok is False
    assert "sign in" in probe.told


def test_gpu_metrics(aws: AwsServer, provider: Make) -> None:
    missing = probed(provider())["GPU metrics in us-east-1"]
    assert missing.ok is None
    assert "nvidia_gpu" in missing.told
    put_metric(
        aws.client("cloudwatch"),
        "nvidia_smi_utilization_gpu",
        [1.0],
        dimensions={"InstanceId": "i-1", "index": "0"},
        started_at=datetime.now(UTC),
    )
    found = probed(provider())["GPU metrics in us-east-1"]
    assert found.ok is True
    assert "CWAgent" in found.told
    aws.fail("cloudwatch:ListMetrics", status=503)
    assert "503" in probed(provider())["GPU metrics in us-east-1"].told
