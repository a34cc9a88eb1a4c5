"""A SageMaker that answers in the documented shape: each answer is checked against the SDK's model.

For what moto does not have: Studio, jobs that go on, warm pools. It pages, filters jobs by their
creation, and drops other states only after it has taken a page, as the real one does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast

import botocore.session
from botocore.model import StructureShape
from botocore.validate import ParamValidator

from tests.moto_aws import ACCOUNT, Call

MODEL = botocore.session.get_session().get_service_model("sagemaker")
"""Read once: it is megabytes long."""
Raw = dict[str, Any]


def arn(kind: str, name: str, region: str = "us-east-1") -> str:
    return f"arn:aws:sagemaker:{region}:{ACCOUNT}:{kind}/{name}"


@dataclass(slots=True, kw_only=True)
class FakeSageMaker:
    """One region's SageMaker; another region has nothing."""

    region: str = "us-east-1"
    notebooks: list[Raw] = field(default_factory=list)
    domains: list[Raw] = field(default_factory=list)
    apps: list[Raw] = field(default_factory=list)
    spaces: list[Raw] = field(default_factory=list)
    training: list[Raw] = field(default_factory=list)
    """In the shape of DescribeTrainingJob."""
    processing: list[Raw] = field(default_factory=list)
    endpoints: list[Raw] = field(default_factory=list)
    configs: list[Raw] = field(default_factory=list)

    def __call__(self, call: Call) -> tuple[int, str]:
        operation = call.operation.partition(":")[2]
        here = self if call.region == self.region else FakeSageMaker(region=call.region)
        answer = here.answer(operation, call.parameters)
        if answer is None:
            return 400, json.dumps({"__type": "ValidationException", "message": "no such thing"})
        shape: Any = MODEL.operation_model(operation).output_shape
        report = ParamValidator().validate(answer, shape)
        assert not report.has_errors(), report.generate_report()
        return 200, json.dumps(answer, default=lambda moment: moment.timestamp())

    def answer(self, operation: str, asked: Mapping[str, Any]) -> Raw | None:
        """None: there is no such thing."""
        summaries = _members("EndpointSummary")
        pages = {
            "ListNotebookInstances": ("NotebookInstances", self.notebooks),
            "ListDomains": ("Domains", self.domains),
            "ListApps": ("Apps", self.apps),
            "ListSpaces": ("Spaces", self.spaces),
            "ListEndpoints": ("Endpoints", [_only(raw, summaries) for raw in self.endpoints]),
        }
        named = {
            "DescribeTrainingJob": (self.training, "TrainingJobName"),
            "DescribeProcessingJob": (self.processing, "ProcessingJobName"),
            "DescribeEndpoint": (self.endpoints, "EndpointName"),
            "DescribeEndpointConfig": (self.configs, "EndpointConfigName"),
        }
        if operation in pages:
            return _page(*pages[operation], asked)
        if operation in named:
            return _named(*named[operation], asked)
        if operation == "ListTrainingJobs":
            return _jobs("TrainingJobSummaries", self.training, asked)
        assert operation == "ListProcessingJobs", f"nothing reads by {operation}"
        return _jobs("ProcessingJobSummaries", self.processing, asked)

    def notebook(self, name: str, machine_type: str, at: datetime, **changes: Any) -> Raw:
        raw = {
            "NotebookInstanceName": name,
            "NotebookInstanceArn": arn("notebook-instance", name, self.region),
            "NotebookInstanceStatus": "InService",
            "InstanceType": machine_type,
            "CreationTime": at,
            "LastModifiedTime": at,
        }
        self.notebooks.append(raw | changes)
        return self.notebooks[-1]

    def domain(self, name: str = "d-abc") -> Raw:
        raw = {"DomainId": name, "DomainArn": arn("domain", name, self.region)}
        self.domains.append(raw)
        return raw

    def app(self, machine_type: str | None, at: datetime, **changes: Any) -> Raw:
        raw = {
            "DomainId": "d-abc",
            "AppType": "JupyterLab",
            "AppName": "default",
            "Status": "InService",
            "CreationTime": at,
        }
        if machine_type is not None:
            raw["ResourceSpec"] = {"InstanceType": machine_type}
        self.apps.append(raw | changes)
        return self.apps[-1]

    def space(self, name: str, owner: str) -> Raw:
        raw = {
            "DomainId": "d-abc",
            "SpaceName": name,
            "OwnershipSettingsSummary": {"OwnerUserProfileName": owner},
        }
        self.spaces.append(raw)
        return raw

    def training_job(
        self,
        name: str,
        machine_type: str,
        at: datetime,
        *,
        count: int = 1,
        config: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Raw:
        """One that started at once and goes on."""
        raw = {
            "TrainingJobName": name,
            "TrainingJobArn": arn("training-job", name, self.region),
            "ModelArtifacts": {"S3ModelArtifacts": "s3://models/model.tar.gz"},
            "TrainingJobStatus": "InProgress",
            "SecondaryStatus": "Training",
            "StoppingCondition": {"MaxRuntimeInSeconds": 86_400},
            "ResourceConfig": {
                "InstanceType": machine_type,
                "InstanceCount": count,
                "VolumeSizeInGB": 50,
                **(config or {}),
            },
            "CreationTime": at,
            "TrainingStartTime": at,
            "LastModifiedTime": at,
        }
        self.training.append(raw | changes)
        return self.training[-1]

    def processing_job(
        self, name: str, machine_type: str, at: datetime, *, count: int = 1, **changes: Any
    ) -> Raw:
        cluster = {"InstanceCount": count, "InstanceType": machine_type, "VolumeSizeInGB": 30}
        raw = {
            "ProcessingJobName": name,
            "ProcessingJobArn": arn("processing-job", name, self.region),
            "ProcessingJobStatus": "InProgress",
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": {"ImageUri": "image"},
            "CreationTime": at,
            "ProcessingStartTime": at,
            "LastModifiedTime": at,
        }
        self.processing.append(raw | changes)
        return self.processing[-1]

    def endpoint(
        self,
        name: str,
        machine_type: str | None,
        at: datetime,
        *,
        count: int = 1,
        variant: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Raw:
        raw = {
            "EndpointName": name,
            "EndpointArn": arn("endpoint", name, self.region),
            "EndpointConfigName": f"{name}-config",
            "EndpointStatus": "InService",
            "CreationTime": at,
            "LastModifiedTime": at,
            "ProductionVariants": [
                {"VariantName": "all", "CurrentInstanceCount": count, **(variant or {})}
            ],
        }
        configured: Raw = {"VariantName": "all"}
        if machine_type is not None:
            configured["InstanceType"] = machine_type
        self.configs.append(
            {
                "EndpointConfigName": f"{name}-config",
                "EndpointConfigArn": arn("endpoint-config", f"{name}-config", self.region),
                "ProductionVariants": [configured],
                "CreationTime": at,
            }
        )
        self.endpoints.append(raw | changes)
        return self.endpoints[-1]


def _members(shape: str) -> Mapping[str, Any]:
    return cast("StructureShape", MODEL.shape_for(shape)).members


def _page(part: str, rows: Sequence[Raw], asked: Mapping[str, Any]) -> Raw:
    begin = int(asked.get("NextToken", 0))
    end = begin + int(asked.get("MaxResults", 10))
    more = {"NextToken": str(end)} if end < len(rows) else {}
    return {part: list(rows[begin:end]), **more}


def _jobs(part: str, jobs: Sequence[Raw], asked: Mapping[str, Any]) -> Raw:
    summary = part.removesuffix("ies") + "y"
    known = _members(summary)
    word = part.removesuffix("JobSummaries")
    since = datetime.fromtimestamp(asked.get("CreationTimeAfter", 0), UTC)
    listed = sorted(
        (_only(raw, known) for raw in jobs if raw["CreationTime"] > since),
        key=lambda raw: raw["CreationTime"],
        reverse=True,
    )
    page = _page(part, listed, asked)
    wanted = asked.get("StatusEquals")
    page[part] = [raw for raw in page[part] if wanted in {None, raw[f"{word}JobStatus"]}]
    return page


def _only(raw: Raw, known: Mapping[str, Any]) -> Raw:
    return {name: value for name, value in raw.items() if name in known}


def _named(rows: Sequence[Raw], key: str, asked: Mapping[str, Any]) -> Raw | None:
    return next((dict(raw) for raw in rows if raw[key] == asked[key]), None)
