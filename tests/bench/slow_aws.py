"""The server of `tests.bench.custodian`, in a process of its own: moto with latency and counts.

    with slow_aws(machines=1_000, latency_s=0.05) as server:
        run([...], env=server.environment("watchdog"))
        server.counts("watchdog").calls["ec2:DescribeInstances"]
        server.instances  # the id of each machine of the fleet

Machines, credentials and event history are moto's own answers; metrics come from an index; the
account has no commitments and nothing on SageMaker, which moto does not answer. moto
needs 3 ms to write one machine as XML, so its answers to the same question about machines are kept:
whoever is to be measured asks once before. Who asks is told by the access key.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from moto.ec2.models import ec2_backends

from tests.aws_prices import commits
from tests.bench.gpu_fleet import FleetMachine, fleet, metrics
from tests.bench.quick_cloudwatch import QuickCloudWatch
from tests.fake_sagemaker import FakeSageMaker
from tests.moto_aws import ACCOUNT, AwsServer, Call, Start, _call, _respond, launch, tag

PERIOD_S = 300
METRICS_SINCE, METRICS_UNTIL = timedelta(hours=4), timedelta(hours=1)
"""Points lie from so long before the start to so long after it: no run outlives them."""
LAUNCHED_BEFORE = timedelta(days=2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one caller asked since it was counted last."""

    calls: Mapping[str, int]
    metrics_asked: int
    """Series times statistics that were to be read; listing asks none."""
    served_s: float
    """Seconds that the server worked on them, latency left out."""

    @property
    def metric_calls(self) -> int:
        return sum(n for name, n in self.calls.items() if name.startswith("cloudwatch:"))


class SlowServer:
    """The running server, seen from outside."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        ready = self._told()
        self.instances: list[str] = ready["instances"]
        """By number of the fleet's machine."""
        self._environment: dict[str, str] = ready["environment"]

    def environment(self, caller: str) -> dict[str, str]:
        """Variables that point any AWS SDK at the server, and nowhere else."""
        return {**self._environment, "AWS_ACCESS_KEY_ID": caller}

    def counts(self, caller: str) -> Counts:
        """What this caller asked; counting then begins anew."""
        assert self._process.stdin is not None
        print(caller, file=self._process.stdin, flush=True)
        return Counts(**self._told())

    def _told(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        while line and not line.startswith("{"):  # moto prints what it does not know
            line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the server ended; what it said stands above")
        told: dict[str, Any] = json.loads(line)
        return told


@contextmanager
def slow_aws(*, machines: int, latency_s: float) -> Iterator[SlowServer]:
    command = [sys.executable, "-m", __name__, str(machines), str(latency_s)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield SlowServer(process)
        finally:
            assert process.stdin is not None
            process.stdin.close()


class _CountingServer(AwsServer):
    """Answers metrics itself; measures how long each answer takes."""

    def __init__(self, metrics: QuickCloudWatch) -> None:
        super().__init__()
        self.metrics = metrics
        self.served_s: dict[str, float] = defaultdict(float)
        self._kept: dict[tuple[str, bytes], bytes] = {}

    def __enter__(self) -> Self:
        super().__enter__()
        self._everything_else, self._moto = self._moto, self._timed
        return self

    def _timed(self, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        call = _call(environ)
        began = time.perf_counter()
        answer = self._answered(call, environ, start)
        self.served_s[call.key] += time.perf_counter() - began
        return answer

    def _answered(self, call: Call, environ: dict[str, Any], start: Start) -> Iterable[bytes]:
        key = (call.region, call.body)
        if key in self._kept:
            return _respond(start, 200, "text/xml", self._kept[key])
        body = self.metrics.answer(call)
        if body is not None:
            return _respond(start, 200, "application/x-amz-json-1.0", body)
        answer = b"".join(self._everything_else(environ, start))
        if call.operation.startswith("ec2:Describe"):
            self._kept[key] = answer
        return [answer]

    def taken(self, caller: str) -> Counts:
        """What this caller asked; it is forgotten here."""
        mine = [call for call in self.requests if call.key == caller]
        self.requests = [call for call in self.requests if call.key != caller]
        asked = {"cloudwatch:GetMetricData", "cloudwatch:GetMetricStatistics"}
        reads = [call.parameters for call in mine if call.operation in asked]
        return Counts(
            calls=dict(Counter(call.operation for call in mine)),
            metrics_asked=sum(len(read.get("MetricDataQueries", (read,))) for read in reads),
            served_s=self.served_s.pop(caller, 0.0),
        )


def _launched(aws: AwsServer, machines: Sequence[FleetMachine], at: datetime) -> list[str]:
    """One reservation a machine, as people launch them."""
    instances = []
    for machine in machines:
        (instance,) = launch(aws.client("ec2", machine.region), machine.machine_type)
        tag(instance, machine.tags, machine.region)
        started = ec2_backends[ACCOUNT][machine.region].get_instance(instance)
        started.launch_time = at.replace(tzinfo=None)  # moto's own times are naive UTC
        instances.append(instance)
    return instances


def _serve(machines: int, latency_s: float) -> None:
    now = datetime.now(UTC)
    begin, end = (now - METRICS_SINCE).timestamp(), (now + METRICS_UNTIL).timestamp()
    cloudwatch = QuickCloudWatch(range(int(begin // PERIOD_S * PERIOD_S), int(end), PERIOD_S))
    with _CountingServer(cloudwatch) as aws:
        seeded = fleet(machines)
        instances = _launched(aws, seeded, now - LAUNCHED_BEFORE)
        for machine, instance in zip(seeded, instances, strict=True):
            cloudwatch.add(machine.region, metrics(machine, instance))
        commits(aws)
        aws.stand_in("sagemaker", FakeSageMaker())
        aws.delay(latency_s)
        print(json.dumps({"instances": instances, "environment": aws.environment}), flush=True)
        for line in sys.stdin:
            counts = aws.taken(line.strip())
            print(json.dumps(asdict(counts)), flush=True)


if __name__ == "__main__":
    _serve(int(sys.argv[1]), float(sys.argv[2]))
