"""Machines that no stop helps, against a real AWS API: each is told, and none is stopped."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from policies.facts import RunOutcome
from policies.rules import load_pack, load_policy
from policies.verdicts import Verdict
from providers.aws.adapter import AwsProvider
from tests.moto_aws import ACCOUNT, AwsServer, tag
from tests.providers.aws.quick import QUICK
from tests.scenarios.test_acting import POLICY, REGION, START, Account, results
from tests.watchdog.test_verdict_changes import ran
from watchdog.actions import Acting
from watchdog.alerts.console import render
from watchdog.alerts.incident_news import Stage
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json
from watchdog.patrol_report import JudgedMachine, PatrolReport

pytestmark = pytest.mark.slow
DAY = timedelta(days=1)


class Fleet(Account):
    """Patrols with storage, by a policy of choice."""

    policy = load_policy(POLICY, "test.yaml")

    def patrol(self, *, after: timedelta = timedelta(), acting: bool = True) -> PatrolReport:
        self.now += after
        provider = AwsProvider(
            regions=[REGION], limits=QUICK, session=self.session, clock=lambda: self.now
        )
        parts = Parts(
            providers=[provider],
            ledger=self.ledger,
            policy=self.policy,
            acting=Acting(channels=[self.channel]) if acting else None,
            egress=False,
            storage=True,
        )
        self.reports.append(patrol(parts, now=self.now))
        return self.reports[-1]

    def judged(self, machine: str) -> JudgedMachine:
        of = f"aws:{ACCOUNT}:{REGION}:{machine}"
        return next(each for each in self.reports[-1].machines if each.machine.id == of)

    def screen(self) -> str:
        console = Console(width=160, file=StringIO())
        for each in render(self.reports[-1]):
            console.print(each)
        written = console.file
        assert isinstance(written, StringIO)
        return written.getvalue()


@pytest.fixture
def fleet(signed_in: AwsServer, tmp_path: Path) -> Fleet:
    return Fleet(signed_in, tmp_path)


def test_what_was_stopped_and_forgotten_is_told_after_a_week_and_then_weekly(fleet: Fleet) -> None:
    machine = fleet.machine("trainer-1")
    fleet.aws.client("ec2").stop_instances(InstanceIds=[machine])
    assert fleet.patrol(after=DAY).notices == ()
    fleet.patrol(after=7 * DAY)
    finding = fleet.judged(machine).decision.findings[0]
    assert finding.rule == "forgotten"
    assert finding.waste_usd_per_hour is not None
    (notice,) = fleet.reports[-1].notices
    month = (finding.waste_usd_per_hour * 730).quantize(Decimal("0.01"))
    assert month > 0
    assert (notice.month_usd, notice.subject) == (month, fleet.judged(machine).machine.id)
    assert f"its disks and addresses cost {month} USD a month" in notice.text
    assert [news.sentences for news in fleet.channel.shown] == [(notice.text,)]
    told: Any = patrol_json(fleet.reports[-1])
    assert told["machines"][0]["why"][-1] == notice.text
    assert told["notices"][0]["month_usd"] == str(month)
    assert "1 machine stopped and forgotten" in fleet.screen()
    for _ in range(6):
        fleet.patrol(after=DAY)
    assert len(fleet.channel.shown) == 1
    fleet.patrol(after=DAY)
    assert len(fleet.channel.shown) == 2
    assert fleet.state(machine) == "stopped"


def test_a_notice_that_no_channel_took_is_told_by_the_next_patrol(fleet: Fleet) -> None:
    machine = fleet.machine("trainer-1")
    fleet.aws.client("ec2").stop_instances(InstanceIds=[machine])
    fleet.patrol()
    fleet.channel.works = False
    assert fleet.patrol(after=8 * DAY).gaps
    fleet.channel.works = True
    fleet.patrol(after=timedelta(minutes=5))
    assert len(fleet.channel.shown) == 1
    fleet.patrol(after=timedelta(minutes=5))
    assert len(fleet.channel.shown) == 1


def test_what_cannot_be_stopped_is_ranked_with_why_and_who_can(fleet: Fleet) -> None:
    owned = fleet.machine("worker-1")
    tag(owned, {"aws:autoscaling:groupName": "train-asg"})
    kept = fleet.machine("notebook-1", **{"spend-watchdog:protected": "true"})
    for machine in (owned, kept):
        fleet.quiet(machine)
    report = fleet.patrol()
    assert sorted(results(report)) == [("notify", "delivered")] * 2 + [("stop", "vetoed")] * 2
    screen = fleet.screen()
    assert "2 machines quiet, and not to be stopped from here" in screen
    assert "Auto Scaling group train-asg owns it and would replace it" in screen
    assert "protected by" in screen
    told: Any = patrol_json(report)["machines"]
    assert all(each["cannot_be_stopped"] for each in told)
    fleet.patrol(after=timedelta(minutes=30))
    assert [fleet.state(each) for each in (owned, kept)] == ["running", "running"]


def test_mature_work_on_an_empty_machine_is_told_daily_with_the_bill_and_never_stopped(
    fleet: Fleet,
) -> None:
    fleet.policy = load_pack("default")
    machine = fleet.machine("trainer-1", **{"spend-watchdog:workload": "llama"})
    ran(fleet.ledger, [RunOutcome.SUCCEEDED] * 40, until=START - timedelta(hours=6))
    fleet.quiet(machine, hours=60)
    fleet.patrol()
    assert fleet.judged(machine).maturity.verdict is Verdict.MATURE
    assert results(fleet.reports[-1]) == []
    fleet.patrol(after=timedelta(hours=2))
    assert results(fleet.reports[-1]) == [("notify", "delivered")]
    assert any("this pause has cost" in why for why in fleet.judged(machine).decision.why)
    for _ in range(4):
        assert results(fleet.patrol(after=timedelta(hours=5, minutes=50))) == []
    assert results(fleet.patrol(after=timedelta(hours=1))) == [("notify", "delivered")]
    first, second = fleet.channel.shown
    assert "so far" in first.facts
    assert first.facts != second.facts
    assert "told for the 2. time" in second.history
    assert fleet.channel.stages() == [Stage.TOLD, Stage.TOLD]
    assert fleet.state(machine) == "running"


def test_an_unmeasured_machine_is_told_daily_and_never_warned_or_stopped(fleet: Fleet) -> None:
    fleet.policy = load_pack("strict")
    machine = fleet.machine("trainer-1")
    fleet.patrol()
    assert results(fleet.reports[-1]) == [("notify", "delivered")]
    (news,) = fleet.channel.shown
    assert news.headline.startswith("trainer-1 is unmeasured for 2 d at $")
    assert any("unmeasured for 2.0 d at" in each for each in news.sentences)
    advice = fleet.judged(machine).decision.why[-1]
    assert "agent" in advice
    assert advice in news.sentences
    for _ in range(23):
        assert results(fleet.patrol(after=timedelta(hours=1))) == []
    assert results(fleet.patrol(after=timedelta(hours=2))) == [("notify", "delivered")]
    assert fleet.state(machine) == "running"
    assert not {"warned", "stop_intended"} & set(fleet.kinds(machine))


def test_what_the_host_does_makes_no_unmeasured_machine_look_young(fleet: Fleet) -> None:
    """EC2 itself measures each host; between quiet and busy it tells nothing of the GPUs."""
    machine = fleet.machine("trainer-1")
    fleet.host(machine, cpu_pct=10.0)
    assert results(fleet.patrol()) == [("notify", "delivered")]
    assert fleet.judged(machine).phase.phase.value == "unknown"
    (news,) = fleet.channel.shown
    assert news.headline.startswith("trainer-1 is unmeasured for 2 d at $")


def test_a_machine_that_just_started_is_not_told_as_unmeasured(fleet: Fleet) -> None:
    machine = fleet.machine("trainer-1")
    fleet.now = START - 2 * DAY + timedelta(minutes=5)
    fleet.patrol()
    assert results(fleet.reports[-1]) == []
    assert fleet.judged(machine).phase.phase.value == "unknown"
