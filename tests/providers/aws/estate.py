"""An account in which a patrol has to use every permission of the read-only role.

Whoever declares another permission puts here what makes a patrol ask for it.
"""

import json
import re
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ec2.models import ec2_backends

from tests.aws_prices import commits
from tests.moto_aws import ACCOUNT, LINUX, AwsServer, launch, put_metric

REGION = "us-east-1"
USER = "patrols"
BUCKET = "checkpoints"
NEVER = 1_000_000
"""So many requests moto lets pass before it asks who one is."""


def furnish(aws: AwsServer) -> str:
    """An idle machine that reports, and one on spot; the id of the former."""
    ec2 = aws.client("ec2", REGION)
    (machine,) = launch(ec2, "g5.xlarge", tags={"Name": "trainer-1"})
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    instance: Any = ec2_backends[ACCOUNT][REGION].get_instance(machine)
    instance.launch_time = f"{now - timedelta(days=2):%Y-%m-%dT%H:%M:%S.000Z}"
    ec2.request_spot_instances(
        Type="persistent", LaunchSpecification={"ImageId": LINUX, "InstanceType": "g5.xlarge"}
    )
    begin = now - timedelta(minutes=now.minute % 5) - timedelta(hours=3)
    for metric in ("nvidia_smi_utilization_gpu", "nvidia_smi_memory_used"):
        put_metric(
            aws.client("cloudwatch", REGION),
            metric,
            [0.0] * 36,
            dimensions={"InstanceId": machine, "index": "0"},
            started_at=begin,
        )
    _furnish_storage(aws)
    commits(aws)
    _furnish_sagemaker(aws)
    return machine


def _furnish_storage(aws: AwsServer) -> None:
    """What costs without a GPU."""
    ec2 = aws.client("ec2", REGION)
    aws.client("s3", REGION).create_bucket(Bucket=BUCKET)
    aws.edit("s3:ListBuckets", _without_regions)
    volume = ec2.create_volume(AvailabilityZone=f"{REGION}a", Size=100, VolumeType="gp3")
    ec2.create_snapshot(VolumeId=volume["VolumeId"])
    address = ec2.allocate_address(Domain="vpc")
    subnet = ec2.describe_subnets()["Subnets"][0]["SubnetId"]
    ec2.create_nat_gateway(SubnetId=subnet, AllocationId=address["AllocationId"])


def _furnish_sagemaker(aws: AwsServer) -> None:
    """Of each kind one. moto has no Studio apps and no spaces: they are answered in its place."""
    stage = aws.client("sagemaker", REGION)
    role = f"arn:aws:iam::{ACCOUNT}:role/anything"
    stage.create_training_job(
        TrainingJobName="fit",
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        RoleArn=role,
        OutputDataConfig={"S3OutputPath": "s3://models"},
        ResourceConfig={"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        StoppingCondition={"MaxRuntimeInSeconds": 3600},
    )
    cluster = {"InstanceCount": 1, "InstanceType": "ml.p3.2xlarge", "VolumeSizeInGB": 10}
    stage.create_processing_job(
        ProcessingJobName="clean",
        RoleArn=role,
        AppSpecification={"ImageUri": "image"},
        ProcessingResources={"ClusterConfig": cluster},
    )
    stage.create_model(ModelName="m", ExecutionRoleArn=role, PrimaryContainer={"Image": "image"})
    variant = {"VariantName": "all", "ModelName": "m", "InitialInstanceCount": 1}
    stage.create_endpoint_config(
        EndpointConfigName="c",
        ProductionVariants=[{**variant, "InstanceType": "ml.p3.2xlarge"}],
    )
    stage.create_endpoint(EndpointName="chat", EndpointConfigName="c")
    stage.create_domain(
        DomainName="studio",
        AuthMode="IAM",
        DefaultUserSettings={"ExecutionRole": role},
        SubnetIds=["subnet-1"],
        VpcId="vpc-1",
    )
    space = {"DomainId": "d-studio", "SpaceName": "desk"}
    app = {
        **space,
        "AppType": "JupyterLab",
        "AppName": "default",
        "Status": "InService",
        "CreationTime": datetime.now(UTC).timestamp(),
        "ResourceSpec": {"InstanceType": "ml.g5.xlarge"},
    }
    aws.answer("sagemaker:ListApps", json.dumps({"Apps": [app]}))
    owned = {**space, "OwnershipSettingsSummary": {"OwnerUserProfileName": "ana"}}
    aws.answer("sagemaker:ListSpaces", json.dumps({"Spaces": [owned]}))


def _without_regions(body: bytes) -> bytes:
    """As servers answer that do not tell where a bucket lies."""
    return re.sub(b"<BucketRegion>[^<]*</BucketRegion>", b"", body)


def only_this_region(aws: AwsServer) -> None:
    """moto's accounts have all regions enabled, and each takes it a third of a second."""

    def cut(body: bytes) -> bytes:
        before, opening, rest = body.partition(b"<regionInfo>")
        items, closing, after = rest.partition(b"</regionInfo>")
        kept = [each for each in items.split(b"<item>") if f">{REGION}<".encode() in each]
        return before + opening + b"".join(b"<item>" + each for each in kept) + closing + after

    aws.edit("ec2:DescribeRegions", cut)


def credentials(aws: AwsServer) -> dict[str, str]:
    """Of a new user who may do nothing."""
    iam = aws.client("iam", REGION)
    iam.create_user(UserName=USER)
    made = iam.create_access_key(UserName=USER)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": made["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": made["SecretAccessKey"],
    }


@contextmanager
def enforced(aws: AwsServer, policy: dict[str, Any]) -> Iterator[None]:
    """The user may do what the policy says, and from now on moto asks who one is."""
    (statement,) = policy["Statement"]
    actions = [name for action in statement["Action"] for name in _as_moto_says(action)]
    document = {**policy, "Statement": [{**statement, "Action": actions}]}
    aws.client("iam", REGION).put_user_policy(
        UserName=USER, PolicyName="role", PolicyDocument=json.dumps(document)
    )
    _ask_after(aws, 0)
    try:
        yield
    finally:
        _ask_after(aws, NEVER)


def _as_moto_says(action: str) -> list[str]:
    """moto 5 takes actions by the name of the service's host, or of the call."""
    service, operation = action.split(":")
    hosts = {"cloudwatch": "monitoring", "tag": "tagging"}
    if service in hosts:
        return [action, f"{hosts[service]}:{operation}"]
    return [action, "s3express:ListAllMyBuckets"] if service == "s3express" else [action]


def _ask_after(aws: AwsServer, requests: int) -> None:
    asked = urllib.request.Request(
        f"{aws.url}/moto-api/reset-auth",
        data=str(requests).encode(),
        headers={"Content-Type": "text/plain"},
        method="POST",
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        answer.read()
