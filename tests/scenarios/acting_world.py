"""An account at a real AWS API, a Slack that people read, and patrols that act on the one and tell
the other, five minutes apart by a clock that is passed in.

    world = World(server, slack, folder)
    machine = world.machine("trainer-1", workload="llama")
    world.quiet(machine)
    world.patrol()
    assert world.stops() == {}
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
from moto.ec2.models import ec2_backends

from providers.aws.adapter import AwsProvider
from providers.aws.session import Limits, open_session
from tests.bench.quick_cloudwatch import STATISTICS
from tests.fake_slack import CHANNEL_ID, TOKEN, Answer, Call, FakeSlack, refusing
from tests.moto_aws import ACCOUNT, AwsServer, launch, tag
from tests.moto_aws import Call as AwsCall
from watchdog.alerts.incident_news import IncidentChannel
from watchdog.alerts.slack_calls import Patience
from watchdog.alerts.slack_incidents import SlackIncidents
from watchdog.composition import parts_of
from watchdog.ledger.incidents import FOLDER, IncidentLog, Kept
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import JudgedMachine, PatrolReport
from watchdog.settings import load_settings

REGION = "us-east-1"
STEP = timedelta(minutes=5)
QUICK = Limits(attempts=2, connect_s=2, read_s=10, scope_s=60)
AT_ONCE = Patience(total_s=5, retries=1, call_s=2, sleep=lambda _: None)
SeriesKey = tuple[str, str, str, frozenset[tuple[str, str]]]
"""Region, namespace, name and dimensions."""


def start() -> datetime:
    """The last whole five minutes of the real clock, which moto goes by."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return now - timedelta(minutes=now.minute % 5)


class People(FakeSlack):
    """A Slack whose messages have names of their own, and that can be down."""

    def __init__(self) -> None:
        self.down = False
        self.posted = 0
        self.headlines: list[str] = []
        """Messages that were posted and are no replies, in the order in which they came."""
        super().__init__()

    def answer_to(self, call: Call) -> Answer:
        if self.down:
            self.calls.append(call)
            return refusing("is_archived")
        answer = super().answer_to(call)
        if call.method != "chat.postMessage" or '"ok": true' not in answer.body:
            return answer
        self.posted += 1
        if "thread_ts" not in call.body:
            self.headlines.append(str(call.body["text"]))
        told = {"ok": True, "channel": CHANNEL_ID, "ts": f"1700000000.{self.posted:06}"}
        return replace(answer, body=json.dumps(told))


class Points:
    """CloudWatch's metrics by an index: moto looks at every point of an account for every query."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, dict[int, float]] = defaultdict(dict)

    def put(
        self,
        region: str,
        namespace: str,
        name: str,
        of: Mapping[str, str],
        values: Sequence[float | None],
        begin: datetime,
    ) -> None:
        """A point every five minutes from `begin` on; what was there is replaced."""
        series = self._series[region, namespace, name, frozenset(of.items())]
        for n, value in enumerate(values):
            moment = int((begin + n * STEP).timestamp())
            series.pop(moment, None)
            if value is not None:
                series[moment] = value

    def answer(self, call: AwsCall) -> tuple[int, str]:
        if call.operation == "cloudwatch:ListMetrics":
            return 200, json.dumps({"Metrics": self._listed(call)})
        if call.operation == "cloudwatch:GetMetricData":
            asked = call.parameters
            results = [
                self._result(call.region, query, asked) for query in asked["MetricDataQueries"]
            ]
            return 200, json.dumps({"MetricDataResults": results, "Messages": []})
        return 400, json.dumps({"__type": "InvalidAction"})

    def _listed(self, call: AwsCall) -> list[Mapping[str, Any]]:
        asked = call.parameters
        return [
            {
                "Namespace": namespace,
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": value} for key, value in sorted(of)],
            }
            for region, namespace, name, of in self._series
            if (region, namespace) == (call.region, asked["Namespace"])
            and name == asked.get("MetricName", name)
        ]

    def _result(
        self, region: str, query: Mapping[str, Any], asked: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        what = query["MetricStat"]
        metric, period = what["Metric"], int(what["Period"])
        of = frozenset((each["Name"], each["Value"]) for each in metric["Dimensions"])
        key = (region, metric["Namespace"], metric["MetricName"], of)
        found: dict[int, list[float]] = defaultdict(list)
        for moment, value in sorted(self._series.get(key, {}).items()):
            begin = moment // period * period
            if int(asked["StartTime"]) <= begin and moment < int(asked["EndTime"]):
                found[begin].append(value)
        return {
            "Id": query["Id"],
            "Label": metric["MetricName"],
            "Timestamps": list(found),
            "Values": [STATISTICS[what["Stat"]](values) for values in found.values()],
            "StatusCode": "Complete",
        }


def booted(machine: str, at: datetime, region: str = REGION) -> None:
    """When it started last: EC2 sets that at each start, moto only at the first."""
    instance: Any = ec2_backends[ACCOUNT][region].get_instance(machine)
    instance.launch_time = f"{at:%Y-%m-%dT%H:%M:%S.000Z}"


@dataclass(slots=True)
class World:
    aws: AwsServer
    slack: People
    folder: Path
    policy: str
    """The policy file's text."""
    mapping: str | None = None
    regions: Sequence[str] = (REGION,)
    channel: Callable[[IncidentChannel], IncidentChannel] = lambda channel: channel
    limits: Limits = QUICK
    now: datetime = field(default_factory=start)
    begin: datetime = field(init=False)
    reports: list[PatrolReport] = field(default_factory=list)
    points: Points = field(default_factory=Points)
    xml: dict[str, list[tuple[str, str]]] = field(default_factory=lambda: defaultdict(list))
    """By instance, what its XML says otherwise than moto's."""
    _session: boto3.Session | None = None
    _ledger: Ledger | None = None

    def __post_init__(self) -> None:
        self.begin = self.now
        self.aws.stand_in("cloudwatch", self.points.answer)
        self.aws.stand_in("cloudtrail", lambda _: (200, '{"Events": []}'))

    # --- The stage.

    def machine(
        self,
        name: str,
        kind: str = "g5g.xlarge",
        *,
        workload: str | None = "lost-cause",
        region: str = REGION,
        up: timedelta = timedelta(days=2),
        told: Mapping[str, str] | None = None,
        **options: Any,
    ) -> str:
        """One instance that has run for two days. `told`: more tags, AWS's own among them."""
        (made,) = launch(self.aws.client("ec2", region), kind, **options)
        tags = {"Name": name, **(told or {})}
        if workload is not None:
            tags["spend-watchdog:workload"] = workload
        tag(made, tags, region)
        booted(made, self.begin - up, region)
        return made

    def failed(self, workload: str, runs: int = 1, **told: object) -> None:
        """So many runs that failed: work that is still being discovered."""
        self._ran(workload, runs, outcome="failed", cause="error", hours=1, **told)

    def finished(self, workload: str, runs: int = 40) -> None:
        """So many runs that succeeded on two hosts: mature work."""
        self._ran(workload, runs, outcome="succeeded", hours=3)

    def _ran(self, workload: str, runs: int, *, hours: int, **told: object) -> None:
        rows = []
        for number in range(runs):
            began = self.begin - timedelta(hours=12 * (runs - number))
            rows.append(
                {
                    "run_id": f"{workload}-{number}",
                    "revision": "1",
                    "workload": workload,
                    "kind": "training",
                    "started_at": began,
                    "ended_at": began + timedelta(hours=hours),
                    "host": f"host-{number % 2}",
                    "gpus": 1,
                    "observed_at": self.begin,
                    **told,
                }
            )
        self.ledger.append("runs", rows)

    def measured(
        self,
        machine: str,
        *,
        gpu: Sequence[float | None] | None = (0.0,),
        memory: float = 3.0,
        cpu: float = 1.0,
        network: float = 1000.0,
        written: float = 1000.0,
        power: float | None = None,
        gpus: int = 1,
        region: str = REGION,
        since: timedelta = timedelta(hours=-3),
        until: timedelta = timedelta(hours=2),
    ) -> None:
        """Points every five minutes; `gpu` repeats. None there: nothing was measured."""
        count = int((until - since) / STEP)
        of_host = {"InstanceId": machine}
        series: list[tuple[str, str, Mapping[str, str], list[float | None]]] = [
            ("AWS/EC2", "CPUUtilization", of_host, [cpu] * count),
            ("AWS/EC2", "NetworkIn", of_host, [network] * count),
            ("AWS/EC2", "NetworkOut", of_host, [network] * count),
            ("AWS/EC2", "EBSWriteBytes", of_host, [written] * count),
        ]
        for index in range(gpus if gpu is not None else 0):
            of_gpu = {"InstanceId": machine, "index": str(index)}
            assert gpu is not None
            values = [gpu[n % len(gpu)] for n in range(count)]
            held = [None if value is None else memory for value in values]
            series.append(("CWAgent", "nvidia_smi_utilization_gpu", of_gpu, values))
            series.append(("CWAgent", "nvidia_smi_memory_used", of_gpu, held))
            if power is not None:
                drawn: list[float | None] = [power] * count
                series.append(("CWAgent", "nvidia_smi_power_draw", of_gpu, drawn))
        for namespace, name, of, values in series:
            self.points.put(region, namespace, name, of, values, self.begin + since)

    def says(self, machine: str, pattern: str, instead: str) -> None:
        """Lets EC2 describe one instance otherwise than moto does."""
        if not self.xml:
            self.aws.edit("ec2:DescribeInstances", self._edited)
        self.xml[machine].append((pattern, instead))

    def _edited(self, body: bytes) -> bytes:
        text = body.decode()
        for machine, changes in self.xml.items():
            named = text.find(f"<instanceId>{machine}</instanceId>")
            if named < 0:
                continue
            begin = text.rfind("<architecture>", 0, named)
            end = text.find("<architecture>", named)
            end = len(text) if end < 0 else end
            item = text[begin:end]
            for pattern, instead in changes:
                item = re.sub(pattern, instead, item, count=1)
            text = text[:begin] + item + text[end:]
        return text.encode()

    # --- The watch.

    @property
    def ledger(self) -> Ledger:
        if self._ledger is None:
            self._ledger = Ledger.open(str(self.folder / "ledger"))
        return self._ledger

    def reopened(self) -> None:
        """As another process would find the ledger."""
        self._ledger = None

    def parts(self) -> Parts:
        """What the composition root makes of settings, with a test's clock and patience."""
        if self._session is None:
            self._session = open_session()
        (self.folder / "policy.yaml").write_text(self.policy, encoding="utf-8")
        if self.mapping is not None:
            (self.folder / "mapping.yaml").write_text(self.mapping, encoding="utf-8")
        made = composed(
            self.folder,
            self.slack.api_url,
            self.regions,
            session=self._session,
            limits=self.limits,
            clock=lambda: self.now,
        )
        assert made.acting is not None
        (people,) = made.acting.channels
        acting = replace(made.acting, channels=[self.channel(people)])
        return replace(made, ledger=self.ledger, acting=acting)

    def order(self) -> dict[str, object]:
        """The same for a process of its own, which `patrolled` then carries out."""
        self.parts()
        return {
            "folder": str(self.folder),
            "slack": self.slack.api_url,
            "regions": list(self.regions),
            "now": self.now.isoformat(),
        }

    def patrol(self, *, after: timedelta = STEP, skew: timedelta = timedelta(0)) -> PatrolReport:
        """The next one. `skew`: how wrong its host's clock is."""
        self.now += after
        report = patrol(self.parts(), now=self.now + skew)
        self.reports.append(report)
        return report

    # --- What became of it.

    def stops(self) -> Counter[str]:
        """By instance, how often EC2 was asked to stop it for real."""
        asked: Counter[str] = Counter()
        for call in list(self.aws.requests):
            if call.operation != "ec2:StopInstances":
                continue
            told = call.parameters
            if str(told.get("DryRun", "false")).lower() != "true":
                asked[str(told["InstanceId.1"])] += 1
        return asked

    def state(self, machine: str, region: str = REGION) -> str:
        instance: Any = ec2_backends[ACCOUNT][region].get_instance(machine)
        return str(instance._state.name)

    def incidents(self, machine: str, region: str = REGION) -> list[Kept]:
        return IncidentLog(self.ledger).of(f"aws:{ACCOUNT}:{region}:{machine}")

    def kinds(self, machine: str) -> list[str]:
        return [event.kind.value for kept in self.incidents(machine) for event in kept.events]

    def told(self, machine: str) -> str:
        """All that is known of it, for a test that fails."""
        lines = [f"{machine} is {self.state(machine)}; now {self.now:%H:%M}"]
        lines += [
            f"  {kept.key}: {event.at:%H:%M:%S} {event.kind.value} {dict(event.detail)}"
            for kept in self.incidents(machine)
            for event in kept.events
        ]
        if self.reports:
            last = self.reports[-1]
            of_it = [one for one in last.outcomes if machine in one.machine]
            lines += [f"  {one.action} {one.result.value}: {one.why}" for one in of_it]
            judged = self.judged(machine)
            lines += [f"  {judged.decision}" if judged else "  not listed", f"  {last.gaps}"]
        return "\n".join(lines)

    def judged(self, machine: str, report: PatrolReport | None = None) -> JudgedMachine | None:
        last = report or self.reports[-1]
        return next((one for one in last.machines if one.machine.native_id == machine), None)


def unexplained(world: World) -> list[str]:
    """What is wrong with the stops that were made, by the ledger alone: nothing should be."""
    wrong = []
    folders = {key.split("/")[1] for key in world.ledger.objects(FOLDER)}
    asked = world.stops()
    for machine in folders:
        for kept in IncidentLog(world.ledger).of(machine):
            wrong += [f"{kept.key}: {what}" for what in _wrong_in(kept)]
    told = {machine.rsplit(":", 1)[-1] for machine in folders}
    wrong += [f"{machine} was stopped without an incident" for machine in asked.keys() - told]
    for machine, times in asked.items():
        kinds = world.kinds(machine)
        if kinds.count("stop_intended") < times:
            wrong.append(f"{machine}: {times} stops, claimed {kinds.count('stop_intended')} times")
    return wrong


def _wrong_in(kept: Kept) -> list[str]:
    """A claim has a delivered warning before it, and its grace between them."""
    wrong = []
    warned: datetime | None = None
    for event in kept.events:
        if event.kind.value == "warned" and "stop_at" in event.detail:
            warned = datetime.fromisoformat(event.detail["stop_at"])
        if event.kind.value == "stop_intended":
            if warned is None:
                wrong.append("claimed without a delivered warning")
            elif event.at < warned - timedelta(seconds=1):
                wrong.append(f"claimed at {event.at}, announced for {warned}")
    return wrong


def composed(
    folder: Path,
    slack: str,
    regions: Sequence[str],
    *,
    session: boto3.Session,
    limits: Limits,
    clock: Callable[[], datetime],
) -> Parts:
    """A patrol by settings; only the clock and the patience with faults are a test's own."""
    mapping = folder / "mapping.yaml"
    settings = load_settings(
        None,
        providers=("aws",),
        regions=tuple(regions),
        policy=str(folder / "policy.yaml"),
        mapping=mapping if mapping.exists() else None,
        ledger=str(folder / "ledger"),
        act_from_local_ledger=True,
        storage=False,
        egress=False,
        commitments=False,
        slack={"token": TOKEN, "channel": CHANNEL_ID, "api_url": slack},
    )
    made = parts_of(settings, alerts=False, progress=lambda _: None, act=True)
    provider = AwsProvider(regions=regions, limits=limits, session=session, clock=clock)
    people = SlackIncidents(token=TOKEN, channel=CHANNEL_ID, api_url=slack, patience=AT_ONCE)
    assert made.acting is not None
    acting = replace(made.acting, channels=[people])
    return replace(made, providers=[provider], acting=acting, care=None)


def patrolled(folder: Path, slack: str, regions: Sequence[str], now: datetime) -> None:
    """One patrol in a process of its own."""
    parts = composed(
        folder, slack, regions, session=open_session(), limits=QUICK, clock=lambda: now
    )
    patrol(parts, now=now)


IDLE_POLICY = """
schema: spend-watchdog/policy/1
mode: act
limits: {stops_per_patrol: 100, stop_share: 1.0, stop_usd_per_hour: 1000}
rules:
  - name: idle
    when: phase == "idle" && idle.minutes >= 30
    because: Nothing was computed for half an hour.
    then: stop
    grace: 10m
"""
"""Needs no history of runs."""


def lost(world: World) -> list[str]:
    """Events of incidents that the table of events does not have: none should be missing."""
    told = {
        (row["subject"], int(str(row["n"])))
        for row in world.ledger.rows("events")
        if str(row["subject"]).startswith(f"{FOLDER}/")
    }
    machines = {key.split("/")[1] for key in world.ledger.objects(FOLDER)}
    return [
        f"{kept.key}: event {event.n} ({event.kind.value})"
        for machine in sorted(machines)
        for kept in IncidentLog(world.ledger).of(machine)
        for event in kept.events
        if (kept.key, event.n) not in told
    ]
