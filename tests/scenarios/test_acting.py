"""From an idle machine to a stopped one, and all that may come between, against a real AWS API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from policies.rules import load_policy
from providers.aws.adapter import AwsProvider
from providers.aws.session import open_session
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_metric
from tests.providers.aws.quick import QUICK
from watchdog.actions import Acting
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.incident_news import IncidentNews, Message, Stage
from watchdog.keeps import keep_row
from watchdog.ledger.incidents import IncidentLog
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport

pytestmark = pytest.mark.slow
REGION = "us-east-1"
NOW = datetime.now(UTC).replace(second=0, microsecond=0)
START = NOW - timedelta(minutes=NOW.minute % 5)
STEP = timedelta(minutes=5)
POLICY = """
schema: spend-watchdog/policy/1
mode: act
rules:
  - name: service
    when: workload.kind == "service"
    because: A service waits for requests.
    then: leave
  - name: idle
    when: phase == "idle" && idle.minutes >= 30
    because: Nothing was computed for half an hour.
    then: stop
    grace: 10m
"""


class Channel:
    """People who read everything, while it works."""

    def __init__(self) -> None:
        self.shown: list[IncidentNews] = []
        self.works = True

    def __call__(self, news: IncidentNews, known: Sequence[Message]) -> Delivery:
        if not self.works:
            return Delivery(channel="C1", delivered=False, why="Slack is down")
        self.shown.append(news)
        ts = known[-1][1] if known else f"{len(self.shown)}.0"
        return Delivery(channel="C1", delivered=True, why="posted", ts=ts)

    def stages(self) -> list[Stage]:
        return [news.stage for news in self.shown]


class Account:
    """Patrols that act, five minutes apart by their own clock."""

    def __init__(self, aws: AwsServer, folder: Path) -> None:
        self.aws = aws
        self.ledger = Ledger.open(str(folder / "ledger"))
        self.channel = Channel()
        self.session = open_session()
        self.now = START
        self.reports: list[PatrolReport] = []

    def machine(self, name: str, **tags: str) -> str:
        (made,) = launch(self.aws.client("ec2"), "g5g.xlarge", tags={"Name": name, **tags})
        instance: Any = ec2_backends[ACCOUNT][REGION].get_instance(made)
        instance.launch_time = f"{START - timedelta(days=2):%Y-%m-%dT%H:%M:%S.000Z}"
        return made

    def quiet(self, machine: str, *, begin: datetime | None = None, hours: float = 4) -> None:
        """GPUs at zero, and a host that does nothing."""
        started = begin or START - timedelta(hours=3)
        count = int(hours * 12)
        gpu = {"InstanceId": machine, "index": "0"}
        self._put("nvidia_smi_utilization_gpu", [0.0] * count, started, gpu, "CWAgent")
        self._put("nvidia_smi_memory_used", [3.0] * count, started, gpu, "CWAgent")
        self.host(machine, cpu_pct=1.0, begin=started, hours=hours)

    def host(
        self, machine: str, *, cpu_pct: float, begin: datetime | None = None, hours: float = 4
    ) -> None:
        """What EC2 itself measures; no disk and no network worth the name."""
        started, count = begin or START - timedelta(hours=3), int(hours * 12)
        host = {"InstanceId": machine}
        for name in ("NetworkIn", "NetworkOut", "EBSWriteBytes"):
            self._put(name, [1000.0] * count, started, host, "AWS/EC2")
        self._put("CPUUtilization", [cpu_pct] * count, started, host, "AWS/EC2")

    def busy(self, machine: str, begin: datetime) -> None:
        gpu = {"InstanceId": machine, "index": "0"}
        self._put("nvidia_smi_utilization_gpu", [90.0] * 6, begin, gpu, "CWAgent")

    def _put(
        self, name: str, values: list[float], begin: datetime, of: dict[str, str], namespace: str
    ) -> None:
        put_metric(
            self.aws.client("cloudwatch"),
            name,
            values,
            dimensions=of,
            started_at=begin,
            namespace=namespace,
        )

    def patrol(self, *, after: timedelta = STEP, acting: bool = True) -> PatrolReport:
        self.now += after
        provider = AwsProvider(
            regions=[REGION], limits=QUICK, session=self.session, clock=lambda: self.now
        )
        parts = Parts(
            providers=[provider],
            ledger=self.ledger,
            policy=load_policy(POLICY, "test.yaml"),
            acting=Acting(channels=[self.channel]) if acting else None,
            egress=False,
        )
        self.reports.append(patrol(parts, now=self.now))
        return self.reports[-1]

    def state(self, machine: str) -> str:
        found = self.aws.client("ec2").describe_instances(InstanceIds=[machine])
        return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])

    def kinds(self, machine: str) -> list[str]:
        of = f"aws:{ACCOUNT}:{REGION}:{machine}"
        return [
            event.kind.value for kept in IncidentLog(self.ledger).of(of) for event in kept.events
        ]


@pytest.fixture
def account(signed_in: AwsServer, tmp_path: Path) -> Account:
    return Account(signed_in, tmp_path)


def results(report: PatrolReport) -> list[tuple[str, str]]:
    return [(each.action, each.result.value) for each in report.outcomes]


def test_an_idle_machine_is_warned_and_then_stopped_once(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine)
    first = account.patrol()
    assert (first.mode, results(first)) == ("act", [("warn", "delivered")]), first.outcomes
    assert results(account.patrol()) == []
    assert account.state(machine) == "running"
    last = account.patrol(after=timedelta(minutes=10))
    assert results(last) == [("stop", "stopped")]
    assert account.state(machine) == "stopped"
    assert account.kinds(machine) == ["opened", "telling", "warned", "stop_intended", "stopped"]
    assert account.channel.stages() == [Stage.WARNED, Stage.STOPPING, Stage.STOPPED]
    account.aws.forget_calls()
    assert results(account.patrol()) == []
    assert "ec2:StopInstances" not in account.aws.calls
    told = [row["kind"] for row in account.ledger.rows("events")]
    assert {"warned", "stopped"} <= set(told)


def test_nothing_is_stopped_while_nobody_can_be_told(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine)
    account.channel.works = False
    for _ in range(4):
        assert results(account.patrol()) == [("warn", "failed")]
    account.channel.works = True
    assert results(account.patrol()) == [("warn", "delivered")]
    account.channel.works = False
    assert results(account.patrol(after=timedelta(minutes=15))) == [("stop", "failed")]
    assert account.state(machine) == "running"
    account.channel.works = True
    assert results(account.patrol()) == [("stop", "stopped")]


def test_whoever_comes_back_to_work_is_left_alone_and_warned_anew(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine, hours=3)
    account.patrol()
    account.busy(machine, account.now)
    account.now += timedelta(minutes=25)
    report = account.patrol()
    assert results(report) == []
    assert account.kinds(machine)[-1] == "closed"
    assert account.channel.stages() == [Stage.WARNED, Stage.OVER]
    assert account.state(machine) == "running"


def test_a_keep_holds_and_is_followed_by_a_new_warning(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine, hours=6)
    account.patrol()
    of = f"aws:{ACCOUNT}:{REGION}:{machine}"
    row = keep_row(of, account.now + timedelta(hours=1), "ana", account.now)
    account.ledger.drop_in_inbox("events", [row])
    account.patrol(after=timedelta(minutes=15))
    assert account.state(machine) == "running"
    report = account.patrol(after=timedelta(minutes=50))
    assert results(report) == [("warn", "delivered")]
    assert results(account.patrol(after=timedelta(minutes=15))) == [("stop", "stopped")]


def test_stop_protection_is_read_and_told_instead_of_a_warning(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine)
    account.aws.client("ec2").modify_instance_attribute(
        InstanceId=machine, DisableApiStop={"Value": True}
    )
    report = account.patrol()
    assert ("notify", "delivered") in results(report)
    account.patrol(after=timedelta(minutes=30))
    assert account.state(machine) == "running"
    assert account.channel.stages() == [Stage.TOLD]


def test_a_tag_set_after_the_warning_is_seen_before_the_stop(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine)
    account.patrol()
    tags = [{"Key": "spend-watchdog:protected", "Value": "true"}]
    account.aws.client("ec2").create_tags(Resources=[machine], Tags=tags)
    account.patrol(after=timedelta(minutes=15))
    assert account.state(machine) == "running"


def test_without_fresh_metrics_nothing_is_stopped(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine, hours=3.1)
    account.patrol()
    account.patrol(after=timedelta(minutes=14))
    assert account.state(machine) == "running"


def test_observing_stops_nothing(account: Account) -> None:
    machine = account.machine("trainer-1")
    account.quiet(machine)
    for _ in range(5):
        report = account.patrol(acting=False)
    assert report.mode == "observe"
    assert account.state(machine) == "running"
    assert account.kinds(machine) == []
