"""What `doctor` tries out at AWS: who one is, each permission, and whether GPUs report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError

from policies.facts import Scope
from providers.aws import price_list
from providers.aws.errors import AWS_ERRORS, gap_from
from providers.aws.permissions import PERMISSIONS
from providers.aws.series import GPU_METRIC, HOST_NAMESPACE
from providers.aws.session import AwsSession
from providers.aws.usage import HOW_TO_MEASURE
from providers.base import Probe

ALLOWED = "DryRunOperation"
OPTIONAL = frozenset(
    {
        "cloudtrail:LookupEvents",
        "ec2:DescribeSpotInstanceRequests",
        "ec2:DescribeVolumes",
        "ec2:DescribeVolumesModifications",
        "ec2:DescribeSnapshots",
        "ec2:DescribeAddresses",
        "ec2:DescribeNatGateways",
        "ec2:DescribeSpotPriceHistory",
        "ec2:DescribeCapacityReservations",
        "ec2:DescribeReservedInstances",
        "savingsplans:DescribeSavingsPlans",
        "pricing:GetProducts",
        "s3:ListAllMyBuckets",
        "tag:GetResources",
        "sagemaker:ListNotebookInstances",
        "sagemaker:ListDomains",
        "sagemaker:ListApps",
        "sagemaker:ListSpaces",
        "sagemaker:ListTrainingJobs",
        "sagemaker:ListProcessingJobs",
        "sagemaker:ListEndpoints",
    }
)
"""Without these a patrol still judges every machine, knowing less."""

UNTRIED = frozenset(
    {
        "sts:GetCallerIdentity",
        "sagemaker:DescribeTrainingJob",
        "s3:GetBucketLocation",
        "s3:ListBucketMultipartUploads",
        "s3express:ListAllMyDirectoryBuckets",
        "sagemaker:DescribeProcessingJob",
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
    }
)
"""Tried as credentials; need a job, a bucket or an endpoint to be tried with; answer in some
regions only."""
SDK_NAMES = {"tag": "resourcegroupstaggingapi"}
ASKED_IN = {"pricing": price_list.REGION}
"""Services that answer in few regions."""


def probes(session: AwsSession, namespaces: tuple[str, ...], *, sagemaker: bool) -> Iterator[Probe]:
    """In the home region only: a permission is granted for all regions or for none.

    `sagemaker`: whether patrols look at what SageMaker runs.
    """
    yield _credentials(session)
    for permission, why in PERMISSIONS:
        wanted = sagemaker or not permission.startswith("sagemaker:")
        if wanted and permission not in UNTRIED:
            yield _permission(session, permission, why)
    yield _gpu_metrics(session, namespaces)


def _credentials(session: AwsSession) -> Probe:
    try:
        answer = session.client("sts", session.home).get_caller_identity()
        return Probe(
            what="credentials", ok=True, told=f"account {answer['Account']} as {answer['Arn']}"
        )
    except AWS_ERRORS as error:
        return Probe(what="credentials", ok=False, told=_why(error, session, "credentials"))


def _permission(session: AwsSession, permission: str, why: str) -> Probe:
    service, operation = permission.split(":")
    region = ASKED_IN.get(service, session.home)
    client = session.client(SDK_NAMES.get(service, service), region, attempts=1)
    try:
        _TRIALS[operation](client)
    except AWS_ERRORS as error:
        if not (isinstance(error, ClientError) and error.response["Error"]["Code"] == ALLOWED):
            lacking = None if permission in OPTIONAL else False
            told = f"needed to {why}; {_why(error, session, permission)}"
            return Probe(what=permission, ok=lacking, told=told)
    return Probe(what=permission, ok=True, told=f"allowed; needed to {why}")


def _gpu_metrics(session: AwsSession, namespaces: tuple[str, ...]) -> Probe:
    what = f"GPU metrics in {session.home}"
    client = session.client("cloudwatch", session.home, attempts=1)
    try:
        for namespace in namespaces:
            page = client.list_metrics(
                Namespace=namespace, MetricName=GPU_METRIC, RecentlyActive="PT3H"
            )
            if page["Metrics"]:
                return Probe(what=what, ok=True, told=f"the agent writes to {namespace}")
    except AWS_ERRORS as error:
        return Probe(what=what, ok=None, told=_why(error, session, "cloudwatch:ListMetrics"))
    return Probe(what=what, ok=None, told=f"none in the last three hours; {HOW_TO_MEASURE}")


def _try_metric(client: Any) -> None:
    """One query over ten minutes; it costs a thousandth of a cent."""
    now = datetime.now(UTC).replace(microsecond=0)
    metric = {"Namespace": HOST_NAMESPACE, "MetricName": "CPUUtilization"}
    stat = {"Metric": metric, "Period": 300, "Stat": "Maximum"}
    client.get_metric_data(
        MetricDataQueries=[{"Id": "q0", "MetricStat": stat}],
        StartTime=now - timedelta(minutes=10),
        EndTime=now,
    )


_TRIALS: dict[str, Callable[[Any], object]] = {
    "DescribeRegions": lambda ec2: ec2.describe_regions(DryRun=True),
    "DescribeInstances": lambda ec2: ec2.describe_instances(DryRun=True, MaxResults=5),
    "DescribeInstanceTypes": lambda ec2: ec2.describe_instance_types(
        DryRun=True, Filters=[{"Name": "instance-type", "Values": ["g5.xlarge"]}]
    ),
    "DescribeSpotInstanceRequests": lambda ec2: ec2.describe_spot_instance_requests(
        DryRun=True, MaxResults=5
    ),
    "DescribeNatGateways": lambda ec2: ec2.describe_nat_gateways(DryRun=True, MaxResults=5),
    "DescribeSpotPriceHistory": lambda ec2: ec2.describe_spot_price_history(
        DryRun=True, MaxResults=5
    ),
    "DescribeCapacityReservations": lambda ec2: ec2.describe_capacity_reservations(
        DryRun=True, MaxResults=5
    ),
    "DescribeReservedInstances": lambda ec2: ec2.describe_reserved_instances(DryRun=True),
    "DescribeSavingsPlans": lambda plans: plans.describe_savings_plans(maxResults=1),
    "GetProducts": lambda pricing: pricing.get_products(
        ServiceCode="AmazonEC2",
        Filters=[{"Type": "TERM_MATCH", "Field": "instanceType", "Value": "g5.xlarge"}],
        MaxResults=1,
    ),
    "ListMetrics": lambda cloudwatch: cloudwatch.list_metrics(Namespace=HOST_NAMESPACE),
    "GetMetricData": _try_metric,
    "DescribeVolumes": lambda ec2: ec2.describe_volumes(DryRun=True, MaxResults=5),
    "DescribeVolumesModifications": lambda ec2: ec2.describe_volumes_modifications(
        DryRun=True, MaxResults=5
    ),
    "DescribeSnapshots": lambda ec2: ec2.describe_snapshots(
        DryRun=True, OwnerIds=["self"], MaxResults=5
    ),
    "DescribeAddresses": lambda ec2: ec2.describe_addresses(DryRun=True),
    "ListAllMyBuckets": lambda s3: s3.list_buckets(MaxBuckets=1),
    "GetResources": lambda tagging: tagging.get_resources(
        ResourceTypeFilters=["s3"], ResourcesPerPage=1
    ),
    "ListNotebookInstances": lambda sagemaker: sagemaker.list_notebook_instances(MaxResults=1),
    "ListDomains": lambda sagemaker: sagemaker.list_domains(MaxResults=1),
    "ListApps": lambda sagemaker: sagemaker.list_apps(MaxResults=1),
    "ListSpaces": lambda sagemaker: sagemaker.list_spaces(MaxResults=1),
    "ListTrainingJobs": lambda sagemaker: sagemaker.list_training_jobs(MaxResults=1),
    "ListProcessingJobs": lambda sagemaker: sagemaker.list_processing_jobs(MaxResults=1),
    "ListEndpoints": lambda sagemaker: sagemaker.list_endpoints(MaxResults=1),
    "LookupEvents": lambda cloudtrail: cloudtrail.lookup_events(MaxResults=1),
}


def _why(error: BaseException, session: AwsSession, needs: str) -> str:
    scope = Scope(provider="aws", account=None, region=session.home)
    return gap_from(error, scope, "", needs).why
