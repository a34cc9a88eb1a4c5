"""A person orders a stop: a patrol's vetoes, claim and outcome, against a real AWS API."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from policies.ladder import EventKind
from policies.rules import load_policy
from policies.verdicts import Result, Veto
from providers.aws.adapter import AwsProvider
from tests.moto_aws import ACCOUNT, AwsServer
from tests.providers.aws.quick import QUICK
from tests.scenarios.test_acting import POLICY, REGION, Account, results
from watchdog.actions import Acting
from watchdog.alerts.incident_news import Stage
from watchdog.explain import explain, explain_json
from watchdog.keeps import keep_row
from watchdog.ledger.incidents import IncidentLog
from watchdog.orders import Confirm, Order, Ordered, carried_out, ordered_json
from watchdog.patrol import Parts

pytestmark = pytest.mark.slow


class Desk(Account):
    """The same account, with a person who gives orders."""

    def order(self, machine: str, *override: str, confirm: Confirm | None = None) -> Ordered:
        provider = AwsProvider(
            regions=[REGION], limits=QUICK, session=self.session, clock=lambda: self.now
        )
        parts = Parts(
            providers=[provider], ledger=self.ledger, policy=load_policy(POLICY, "test.yaml")
        )
        order = Order(
            machine=self.id(machine), by="ana", via="command", override=frozenset(override)
        )
        acting = Acting(channels=[self.channel])
        return carried_out(parts, acting, order, now=self.now, confirm=confirm)

    def id(self, machine: str) -> str:
        return f"aws:{ACCOUNT}:{REGION}:{machine}"

    def history(self, machine: str) -> list[dict[str, Any]]:
        told = explain(self.ledger, self.id(machine), now=self.now)
        events: Any = json.loads(json.dumps(explain_json(told, events=True)))["events"]
        return list(events)


@pytest.fixture
def desk(signed_in: AwsServer, tmp_path: Path) -> Desk:
    return Desk(signed_in, tmp_path)


def names(vetoes: Sequence[Veto]) -> list[str]:
    return [each.name for each in vetoes]


def test_an_idle_machine_is_stopped_without_a_warning(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    done = desk.order(machine)
    assert (done.result, done.vetoes) == (Result.STOPPED, ()), done
    assert desk.state(machine) == "stopped"
    assert desk.kinds(machine) == ["opened", "stop_intended", "stopped"]
    assert desk.channel.stages() == [Stage.STOPPED]
    told = [event for event in desk.history(machine) if event["kind"] == "stopped"]
    assert [(event["by"], event["ordered"]) for event in told] == [("ana", "command")]


def test_a_second_order_finds_it_stopped_and_calls_nothing(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    desk.order(machine)
    desk.aws.forget_calls()
    again = desk.order(machine)
    assert (again.result, again.why) == (Result.STOPPED, "it is stopped already")
    assert "ec2:StopInstances" not in desk.aws.calls


def test_an_order_goes_on_with_the_incident_of_a_warning(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    assert results(desk.patrol()) == [("warn", "delivered")]
    assert desk.order(machine).result is Result.STOPPED
    kinds = ["opened", "telling", "warned", "stop_intended", "stopped"]
    assert desk.kinds(machine) == kinds
    assert results(desk.patrol(after=timedelta(minutes=15))) == []


def test_a_machine_at_work_is_not_stopped_unless_that_is_overridden_by_name(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine, hours=3)
    desk.busy(machine, desk.now - timedelta(minutes=20))
    desk.patrol(acting=False)
    refused = desk.order(machine)
    assert (refused.result, names(refused.vetoes)) == (Result.VETOED, ["uncertain"])
    assert "it is active" in refused.why
    assert desk.state(machine) == "running"
    assert [event["kind"] for event in desk.history(machine)][-1] == "stop_refused"
    done = desk.order(machine, "uncertain")
    assert (done.result, names(done.overridden)) == (Result.STOPPED, ["uncertain"])
    (intended,) = [e for e in desk.history(machine) if e["kind"] == "stop_intended"]
    assert intended["overridden"].startswith("uncertain: it is active")


def test_a_keep_and_a_tag_hold_until_each_is_named(desk: Desk) -> None:
    machine = desk.machine("trainer-1", **{"spend-watchdog:protected": "true"})
    desk.quiet(machine)
    desk.patrol(acting=False)
    row = keep_row(desk.id(machine), desk.now + timedelta(hours=1), "bob", desk.now)
    desk.ledger.drop_in_inbox("events", [row])
    assert names(desk.order(machine).vetoes) == ["protected", "kept"]
    assert names(desk.order(machine, "protected").vetoes) == ["kept"]
    assert desk.state(machine) == "running"
    done = desk.order(machine, "protected", "kept", "typing")
    assert (done.result, names(done.overridden)) == (Result.STOPPED, ["protected", "kept"])


def test_what_ec2_would_refuse_cannot_be_overridden_and_is_not_tried(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    desk.aws.client("ec2").modify_instance_attribute(
        InstanceId=machine, DisableApiStop={"Value": True}
    )
    desk.aws.forget_calls()
    refused = desk.order(machine, "protected", "cannot_stop")
    assert (names(refused.vetoes), names(refused.final)) == (["cannot_stop"], ["cannot_stop"])
    assert "ec2:StopInstances" not in desk.aws.calls
    told: Any = ordered_json(refused, desk.now)
    (veto,) = told["vetoes"]
    assert veto["can_be_overridden"] is False


def test_a_controller_that_would_end_it_cannot_be_overridden(desk: Desk) -> None:
    machine = desk.machine("trainer-1", **{"eks:nodegroup-name": "gpus", "eks:cluster-name": "c"})
    desk.quiet(machine)
    desk.patrol(acting=False)
    refused = desk.order(machine, "controller")
    assert "controller" in names(refused.final)
    assert desk.state(machine) == "running"


def test_a_member_of_its_group_at_work_is_a_veto_of_its_own(desk: Desk) -> None:
    cluster = {"ray-cluster-name": "ray-1"}
    head, worker = desk.machine("head", **cluster), desk.machine("worker", **cluster)
    desk.quiet(head)
    desk.quiet(worker, hours=3)
    desk.busy(worker, desk.now - timedelta(minutes=20))
    desk.patrol(acting=False)
    refused = desk.order(head)
    assert names(refused.vetoes) == ["group"]
    assert "worker of its group: active" in refused.why
    assert desk.order(head, "group").result is Result.STOPPED
    assert desk.state(worker) == "running"


def test_nothing_happens_without_the_confirmation_and_all_is_looked_at_again_after_it(
    desk: Desk,
) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    asked = []

    def no(each: Any, overridden: Sequence[Veto]) -> bool:
        asked.append((each.machine.name, overridden))
        return False

    refused = desk.order(machine, confirm=no)
    assert (refused.result, asked) == (Result.REFUSED, [("trainer-1", ())])
    assert desk.kinds(machine) == []

    def while_somebody_protects_it(each: Any, overridden: Sequence[Veto]) -> bool:
        tags = [{"Key": "spend-watchdog:protected", "Value": "true"}]
        desk.aws.client("ec2").create_tags(Resources=[machine], Tags=tags)
        return True

    refused = desk.order(machine, confirm=while_somebody_protects_it)
    assert names(refused.vetoes) == ["protected"]
    assert desk.state(machine) == "running"


def test_a_fresh_claim_of_a_patrol_is_left_to_it_and_an_old_one_is_taken_over(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol()
    log = IncidentLog(desk.ledger)
    (kept,) = log.of(desk.id(machine))
    log.write(kept, EventKind.STOP_INTENDED, "patrol-1", desk.now, {})
    early = desk.order(machine)
    assert (early.result, early.why) == (Result.OVERTAKEN, "patrol-1 is stopping it")
    desk.now += timedelta(minutes=10)
    assert desk.order(machine).result is Result.STOPPED
    assert desk.kinds(machine)[-3:] == ["stop_failed", "stop_intended", "stopped"]


def test_a_machine_that_cannot_be_seen_is_left_alone(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    desk.aws.fail("ec2:DescribeInstanceAttribute", status=403, code="UnauthorizedOperation")
    done = desk.order(machine)
    assert done.result is Result.FAILED
    assert "ec2:DescribeInstanceAttribute" in done.why
    assert desk.state(machine) == "running"


def test_a_stop_by_order_is_nobodys_regret(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol(acting=False)
    desk.order(machine)
    assert desk.ledger.rows("stops", since=desk.now - timedelta(days=1)) == []


def test_an_order_that_was_killed_after_its_stop_is_finished_by_the_next_patrol(desk: Desk) -> None:
    machine = desk.machine("trainer-1")
    desk.quiet(machine)
    desk.patrol()
    log = IncidentLog(desk.ledger)
    (kept,) = log.of(desk.id(machine))
    log.write(kept, EventKind.STOP_INTENDED, "ana", desk.now, {"ordered": "command"})
    desk.aws.client("ec2").stop_instances(InstanceIds=[machine])
    assert results(desk.patrol(after=timedelta(minutes=15))) == [("stop", "stopped")]
    (stopped,) = [e for e in desk.history(machine) if e["kind"] == "stopped" and "incident" in e]
    assert stopped["why"] == "seen stopped; ana did not say so"
    desk.aws.forget_calls()
    assert results(desk.patrol()) == []
    assert "ec2:StopInstances" not in desk.aws.calls
