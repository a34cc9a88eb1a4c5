"""A small simulated AWS account on this machine: a real AWS API on loopback, with a seeded fleet.

The server is moto's. Nothing here reaches a cloud; what it answers is invented, and whoever shows
it says so. The adapter that reads it is the real one.
"""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

ACCOUNT = "123456789012"
REGION = "us-east-1"
IMAGE = "ami-760aaa0f"
"""One of moto's own Linux images."""
FINE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a simulated machine spends its time."""

    busy_pct: float = 0.0
    """GPU utilisation while it works."""
    busy_until: timedelta = timedelta(0)
    """Time before the story's end at which work stops; zero: it works to the end."""
    held_mib: float = 12.0
    """GPU memory in use while it does not work."""
    resting_cpu_pct: float = 0.7
    agent: bool = True
    """Whether a CloudWatch agent reports its GPUs."""
    bursts_every_hours: int = 0
    """A service: busy for five minutes this often."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """One machine of the fleet."""

    name: str
    machine_type: str
    gpus: int
    habit: Habit
    launched_before: timedelta
    tags: Mapping[str, str] = field(default_factory=dict)
    spot: bool = False


WEEKEND = timedelta(hours=62)
"""From Friday evening, 18:00, to Monday morning, 08:00."""

FLEET = (
    Simulated(
        name="notebook-ana",
        machine_type="g5.12xlarge",
        gpus=4,
        habit=Habit(busy_pct=70, busy_until=WEEKEND),
        launched_before=timedelta(days=4),
        tags={"spend-watchdog:workload": "vision-probe", "spend-watchdog:owner": "ana"},
    ),
    Simulated(
        name="explore-ben-1",
        machine_type="g5.2xlarge",
        gpus=1,
        habit=Habit(busy_pct=80, busy_until=timedelta(hours=20), held_mib=18_400),
        launched_before=timedelta(days=3),
        tags={"owner": "ben"},
    ),
    Simulated(
        name="sweep-carla-2",
        machine_type="g5.xlarge",
        gpus=1,
        habit=Habit(busy_pct=96),
        launched_before=timedelta(days=3),
        tags={"spend-watchdog:workload": "sweep", "spend-watchdog:owner": "carla"},
    ),
    Simulated(
        name="p4d-dora",
        machine_type="p4d.24xlarge",
        gpus=8,
        habit=Habit(busy_pct=85, busy_until=WEEKEND),
        launched_before=timedelta(days=4),
        tags={"spend-watchdog:workload": "pretrain-try", "spend-watchdog:owner": "dora"},
    ),
    Simulated(
        name="mystery-box",
        machine_type="p3dn.24xlarge",
        gpus=8,
        habit=Habit(agent=False, resting_cpu_pct=9.0),
        launched_before=timedelta(days=4),
    ),
    Simulated(
        name="ranker-api",
        machine_type="g4dn.xlarge",
        gpus=1,
        habit=Habit(busy_pct=35, bursts_every_hours=6, held_mib=6_100),
        launched_before=timedelta(days=4),
        tags={"spend-watchdog:workload": "ranker", "spend-watchdog:kind": "service"},
    ),
    Simulated(
        name="nightly-embed-1",
        machine_type="g5.xlarge",
        gpus=1,
        habit=Habit(busy_pct=92, busy_until=timedelta(hours=2)),
        launched_before=timedelta(days=4),
        tags={"spend-watchdog:workload": "nightly-embed", "spend-watchdog:kind": "batch"},
    ),
    Simulated(
        name="spot-ablation",
        machine_type="g4dn.2xlarge",
        gpus=1,
        habit=Habit(busy_pct=60, busy_until=timedelta(hours=9)),
        launched_before=timedelta(days=2),
        tags={"spend-watchdog:workload": "ablation"},
        spot=True,
    ),
    Simulated(
        name="asg-infer",
        machine_type="g4dn.xlarge",
        gpus=1,
        habit=Habit(busy_pct=40, busy_until=timedelta(hours=12)),
        launched_before=timedelta(days=2),
        tags={"team": "infer", "demo-auto-scaling": "infer-asg"},
    ),
    *(
        Simulated(
            name=f"finetune-{index}",
            machine_type="g5.4xlarge",
            gpus=1,
            habit=Habit(busy_pct=88, busy_until=timedelta(0) if index == 0 else WEEKEND),
            launched_before=timedelta(days=4),
            tags={"skypilot-cluster-name": "finetune", "spend-watchdog:owner": "emil"},
        )
        for index in range(4)
    ),
)


class SimulatedAws:
    """The server, while it runs."""

    def __init__(self, url: str, ends_at: datetime) -> None:
        self.url = url
        self.ends_at = ends_at

    def environment(self) -> Mapping[str, str]:
        """Variables that point every AWS SDK at this server, and nowhere else."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "simulated",
            "AWS_SECRET_ACCESS_KEY": "simulated",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }


@contextmanager
def simulated_aws(
    ends_at: datetime, *, fine: Sequence[tuple[datetime, datetime]]
) -> Iterator[SimulatedAws]:
    """The account as it is at `ends_at`; metrics are five-minute in `fine`, else hourly."""
    from moto.server import ThreadedMotoServer  # noqa: PLC0415 - an extra, needed here alone

    logging.getLogger("werkzeug").disabled = True
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    running = SimulatedAws(f"http://{host}:{port}", ends_at)
    before = {name: os.environ.get(name) for name in running.environment()}
    os.environ.update(running.environment())
    try:
        with _indexed_metrics(), _no_spot_prices():
            _seed(running, fine)
            yield running
    finally:
        server.stop()
        _restore(before)


def _restore(before: Mapping[str, str | None]) -> None:
    for name, value in before.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _seed(aws: SimulatedAws, fine: Sequence[tuple[datetime, datetime]]) -> None:
    import boto3  # noqa: PLC0415 - an extra

    ec2 = boto3.client("ec2", region_name=REGION, endpoint_url=aws.url)
    points: list[dict[str, Any]] = []
    for machine in FLEET:
        instance = _launch(ec2, machine)
        launched_at = aws.ends_at - machine.launched_before
        _back_date(instance, launched_at)
        for moment in _moments(launched_at, aws.ends_at, fine):
            points.extend(_points(machine, instance, moment, aws.ends_at))
    cloudwatch = boto3.client("cloudwatch", region_name=REGION, endpoint_url=aws.url)
    for namespace in ("CWAgent", "AWS/EC2"):
        told = [point["datum"] for point in points if point["namespace"] == namespace]
        for start in range(0, len(told), 1000):
            chunk = told[start : start + 1000]
            cloudwatch.put_metric_data(Namespace=namespace, MetricData=chunk)


def _launch(ec2: Any, machine: Simulated) -> str:
    tags = {"Name": machine.name, **machine.tags}
    group = tags.pop("demo-auto-scaling", None)
    if group:
        tags["aws:autoscaling:groupName"] = group
    options: dict[str, Any] = {}
    if machine.spot:
        options["InstanceMarketOptions"] = {"MarketType": "spot"}
    answer = ec2.run_instances(
        ImageId=IMAGE, MinCount=1, MaxCount=1, InstanceType=machine.machine_type, **options
    )
    instance: str = answer["Instances"][0]["InstanceId"]
    _tag(instance, tags)
    return instance


def _tag(instance: str, tags: Mapping[str, str]) -> None:
    """Tags that begin with `aws:` can only be set from inside the simulation."""
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - an extra

    ec2_backends[ACCOUNT][REGION].create_tags([instance], dict(tags))


def _back_date(instance: str, launched_at: datetime) -> None:
    from moto.ec2.models import ec2_backends  # noqa: PLC0415 - an extra

    moved: Any = ec2_backends[ACCOUNT][REGION].get_instance(instance)
    moved.launch_time = f"{launched_at:%Y-%m-%dT%H:%M:%S.000Z}"


def _moments(
    launched_at: datetime, ends_at: datetime, fine: Sequence[tuple[datetime, datetime]]
) -> Iterator[tuple[datetime, timedelta]]:
    """Start and length of each interval: five minutes in the fine spans, an hour elsewhere."""
    at = launched_at.replace(minute=0, second=0, microsecond=0)
    while at < ends_at:
        step = FINE if any(begin <= at < end for begin, end in fine) else timedelta(hours=1)
        yield at, step
        at += step


def _points(
    machine: Simulated, instance: str, moment: tuple[datetime, timedelta], ends_at: datetime
) -> Iterator[dict[str, Any]]:
    at, step = moment
    busy = _busy(machine.habit, at, ends_at)
    seconds = step.total_seconds()
    host = {
        "CPUUtilization": 22.0 if busy else machine.habit.resting_cpu_pct,
        "NetworkIn": (60_000 if busy else 2_000) * seconds,
        "NetworkOut": (30_000 if busy else 1_500) * seconds,
    }
    for name, value in host.items():
        yield _point("AWS/EC2", name, value, at, InstanceId=instance)
    if not machine.habit.agent:
        return
    for gpu in range(machine.gpus):
        held = 20_800.0 if busy else machine.habit.held_mib
        told = {
            "nvidia_smi_utilization_gpu": machine.habit.busy_pct if busy else 0.0,
            "nvidia_smi_memory_used": held,
            "nvidia_smi_memory_total": 24_564.0,
            "nvidia_smi_power_draw": 210.0 if busy else 26.0,
        }
        for name, value in told.items():
            yield _point("CWAgent", name, value, at, InstanceId=instance, index=str(gpu))


def _busy(habit: Habit, at: datetime, ends_at: datetime) -> bool:
    if habit.bursts_every_hours:
        return at.hour % habit.bursts_every_hours == 0 and at.minute == 0
    return habit.busy_pct > 0 and at < ends_at - habit.busy_until


def _point(
    namespace: str, name: str, value: float, at: datetime, **dimensions: str
) -> dict[str, Any]:
    told = [{"Name": key, "Value": dimension} for key, dimension in dimensions.items()]
    datum = {"MetricName": name, "Dimensions": told, "Timestamp": at, "Value": value}
    return {"namespace": namespace, "datum": datum}


@contextmanager
def _indexed_metrics() -> Iterator[None]:
    """Moto looks at every point for every query; here each query sees its own series alone."""
    from moto.cloudwatch.models import CloudWatchBackend  # noqa: PLC0415 - an extra

    moto: Any = CloudWatchBackend
    asked = moto.get_metric_data
    listed = moto.get_filtered_metrics
    series: dict[int, tuple[int, dict[Any, list[Any]]]] = {}

    def by_series(backend: Any) -> dict[Any, list[Any]]:
        size, index = series.get(id(backend), (-1, {}))
        if size != len(backend.metric_data):
            index = defaultdict(list)
            for point in backend.metric_data:
                index[_series_of(point)].append(point)
            series[id(backend)] = (len(backend.metric_data), index)
        return index

    def get_metric_data(backend: Any, queries: Any, *rest: Any, **named: Any) -> Any:
        index, results = by_series(backend), []
        for query in queries:
            metric = query["MetricStat"]["Metric"]
            wanted = frozenset((d["Name"], d["Value"]) for d in metric.get("Dimensions", ()))
            points = index.get((metric["Namespace"], metric["MetricName"], wanted), [])
            backend.get_all_metrics = lambda points=points: points
            try:
                results.extend(asked(backend, [query], *rest, **named))
            finally:
                del backend.get_all_metrics
        return results

    def get_filtered_metrics(backend: Any, *wanted: Any, **named: Any) -> Any:
        backend.get_all_metrics = lambda: [points[0] for points in by_series(backend).values()]
        try:
            return listed(backend, *wanted, **named)
        finally:
            del backend.get_all_metrics

    moto.get_metric_data = get_metric_data
    moto.get_filtered_metrics = get_filtered_metrics
    try:
        yield
    finally:
        moto.get_metric_data = asked
        moto.get_filtered_metrics = listed


@contextmanager
def _no_spot_prices() -> Iterator[None]:
    """Moto's spot price of a thousandth of a cent would pass for a real one: here none is told."""
    from moto.ec2.models import EC2Backend  # noqa: PLC0415 - an extra

    moto: Any = EC2Backend
    asked = moto.describe_spot_price_history
    moto.describe_spot_price_history = lambda *_: []
    try:
        yield
    finally:
        moto.describe_spot_price_history = asked


def _series_of(point: Any) -> tuple[str, str, frozenset[tuple[str, str]]]:
    return point.namespace, point.name, frozenset((d.name, d.value) for d in point.dimensions)
