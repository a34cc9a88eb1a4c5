"""The AWS adapter keeps the contract of all providers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from policies.facts import Scope
from providers.aws.adapter import AwsProvider
from providers.base import Inventory
from tests.contract.provider_contract import ProviderContract, World, window
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_metric
from tests.providers.aws.quick import TWO

ROLE = f"arn:aws:iam::{ACCOUNT}:role/anything"


class AwsWorld:
    """Two regions at moto: on-demand, spot, stopped and unknown machines, with GPU metrics."""

    def __init__(self, aws: AwsServer, make: Callable[..., AwsProvider]) -> None:
        self._aws = aws
        self._make = make
        for region in TWO:
            ec2 = aws.client("ec2", region)
            trainer, stopped = launch(ec2, "g5.xlarge", 2)
            ec2.stop_instances(InstanceIds=[stopped])
            launch(ec2, "g4dn.xlarge", InstanceMarketOptions={"MarketType": "spot"})
            launch(ec2, "m5.large")
            put_metric(
                aws.client("cloudwatch", region),
                "nvidia_smi_utilization_gpu",
                [40.0] * 12,
                dimensions={"InstanceId": trainer, "index": "0"},
                started_at=window().started_at,
            )
            put_metric(
                aws.client("cloudwatch", region),
                "NetworkOut",
                [1000.0] * 12,
                dimensions={"InstanceId": trainer},
                started_at=window().started_at,
                namespace="AWS/EC2",
            )

    def provider(self) -> Inventory:
        return self._make(regions=TWO)

    def scopes(self) -> Sequence[Scope]:
        return [Scope(provider="aws", account=ACCOUNT, region=region) for region in TWO]

    def break_scope(self, scope: Scope) -> None:
        self._aws.fail("ec2:DescribeInstances", scope.region, status=403, code="AccessDenied")

    def break_metrics(self, scope: Scope) -> None:
        self._aws.fail("cloudwatch:GetMetricData", scope.region, status=503)

    def operations(self) -> Mapping[str, int]:
        return dict(self._aws.calls)


class SageMakerWorld(AwsWorld):
    """The same regions with a notebook, a job and its metrics, beside the machines of EC2."""

    def __init__(self, aws: AwsServer, make: Callable[..., AwsProvider]) -> None:
        super().__init__(aws, make)
        for region in TWO:
            stage = aws.client("sagemaker", region)
            stage.create_notebook_instance(
                NotebookInstanceName="desk", InstanceType="ml.p3.2xlarge", RoleArn=ROLE
            )
            stage.create_training_job(
                TrainingJobName="fit",
                AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
                RoleArn=ROLE,
                OutputDataConfig={"S3OutputPath": "s3://models"},
                ResourceConfig={
                    "InstanceType": "ml.p3.8xlarge",
                    "InstanceCount": 2,
                    "VolumeSizeInGB": 10,
                },
                StoppingCondition={"MaxRuntimeInSeconds": 3600},
            )
            put_metric(
                aws.client("cloudwatch", region),
                "GPUUtilization",
                [100.0] * 12,
                dimensions={"Host": "fit/algo-1"},
                started_at=window().started_at,
                namespace="/aws/sagemaker/TrainingJobs",
            )

    def provider(self) -> Inventory:
        return self._make(regions=TWO, sagemaker=True)


class TestAwsKeepsTheContract(ProviderContract):
    @pytest.fixture
    def world(self, aws: AwsServer, provider: Callable[..., AwsProvider]) -> World:
        return AwsWorld(aws, provider)


class TestAwsWithSageMakerKeepsTheContract(ProviderContract):
    @pytest.fixture
    def world(self, aws: AwsServer, provider: Callable[..., AwsProvider]) -> World:
        return SageMakerWorld(aws, provider)

    def test_its_machines_are_among_those_that_keep_it(self, world: World) -> None:
        kinds = {each.native_id.split(".")[0] for each in world.provider().machines().values}
        assert kinds >= {"notebook", "training"}
