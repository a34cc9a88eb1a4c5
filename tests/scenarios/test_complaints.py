"""What users of such tools complain of, at a real AWS API: docs/complaints.md says which is which.

The number in a test's docstring is the complaint's. Those that other scenarios meet are not met
again here.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from policies.verdicts import Wanted
from tests.moto_aws import ACCOUNT, AwsServer
from tests.scenarios.acting_world import IDLE_POLICY, REGION, STEP, People, World, booted
from tests.scenarios.test_thirty_kinds import LIMITS, default_pack, spot
from watchdog import rows
from watchdog.costs.breakdown import breakdown
from watchdog.explain import explain, explain_json
from watchdog.keeps import keep_row
from watchdog.patrol import patrol
from watchdog.patrol_report import JudgedMachine

pytestmark = pytest.mark.slow
HOUR = timedelta(hours=1)
GRACE = timedelta(minutes=15)
"""The policy's ten minutes, from a warning that took a moment to arrive."""
RULES = f"""
schema: spend-watchdog/policy/1
mode: act
{LIMITS}
"""


@pytest.fixture
def slack() -> Iterator[People]:
    with People() as people:
        yield people


@pytest.fixture
def world(signed_in: AwsServer, slack: People, tmp_path: Path) -> World:
    return World(signed_in, slack, tmp_path, IDLE_POLICY)


def judged(world: World, machine: str) -> JudgedMachine:
    found = world.judged(machine)
    assert found is not None
    return found


def phase(world: World, machine: str) -> str:
    return judged(world, machine).phase.phase.value


def why(world: World, machine: str) -> str:
    decision = judged(world, machine).decision
    return "; ".join([*decision.why, *(veto.why for veto in decision.vetoes)])


def done(world: World) -> list[tuple[str, str]]:
    return [(each.action, each.result.value) for each in world.reports[-1].outcomes]


def id_of(machine: str) -> str:
    return f"aws:{ACCOUNT}:{REGION}:{machine}"


def test_a_long_cell_and_a_long_download_are_neither_warned_nor_stopped(
    world: World, slack: People
) -> None:
    """1: running work was taken for idle."""
    cell = world.machine("cell")
    world.measured(cell, gpu=(60.0,), cpu=3.0, since=-5 * HOUR)
    download = world.machine("download")
    world.measured(download, network=9e8, since=-5 * HOUR)
    for _ in range(3):
        world.patrol(after=timedelta(minutes=30))
    assert (phase(world, cell), phase(world, download)) == ("active", "transfer")
    assert slack.headlines == []
    assert not world.stops()


def test_a_quiet_cpu_is_no_idle_gpu(world: World) -> None:
    """2: GPU work hardly loads a CPU."""
    training = world.machine("training")
    world.measured(training, gpu=(90.0,), cpu=6.0)
    unmeasured = world.machine("no-gpu-metric")
    world.measured(unmeasured, gpu=None, cpu=1.0)
    world.patrol()
    world.patrol(after=GRACE)
    assert phase(world, training) == "active"
    assert judged(world, training).decision.wanted is Wanted.LEAVE
    assert judged(world, unmeasured).phase.confidence < 0.5
    assert "GPU metric" in why(world, unmeasured)
    assert not world.stops()


def test_a_stop_that_failed_is_told_and_made_again(world: World, slack: People) -> None:
    """3: it did not stop, and nobody noticed."""
    machine = world.machine("trainer")
    world.measured(machine)
    world.patrol()
    world.aws.fail("ec2:StopInstances", status=500)
    world.patrol(after=GRACE)
    assert ("stop", "failed") in done(world)
    assert any("could not be stopped" in str(call.body) for call in slack.calls)
    world.aws.mend()
    world.patrol()
    assert ("stop", "stopped") in done(world)
    assert world.state(machine) == "stopped"
    assert world.kinds(machine).count("warned") == 1


TAKEN = (
    '<StopInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">'
    "<requestId>test</requestId><instancesSet/></StopInstancesResponse>"
)


def test_a_stop_that_ec2_took_and_did_not_make_is_noticed(world: World, slack: People) -> None:
    """3: it said that it had stopped."""
    machine = world.machine("trainer")
    world.measured(machine)
    world.patrol()
    world.aws.answer("ec2:StopInstances", TAKEN, times=2)
    world.patrol(after=GRACE)
    assert done(world) == [("stop", "requested")]
    assert "asked to stop: EC2 took it; it is running" in str(slack.calls[-1].body)
    assert not any("was stopped" in str(call.body) for call in slack.calls)
    world.patrol()
    assert done(world) == [("warn", "delivered")]
    world.patrol(after=GRACE)
    assert done(world) == [("stop", "stopped")]
    assert world.state(machine) == "stopped"
    assert "trainer was stopped" in str(slack.calls[-2].body)


PARKED_TOO = """
  - name: parked
    when: phase == "parked" && idle.minutes >= 60
    because: A process holds the GPU and computes nothing.
    then: stop
    grace: 10m
"""


def test_a_process_that_lives_and_does_nothing_goes_as_far_as_the_policy_says(
    world: World,
) -> None:
    """5: alive, and no useful work; and a check that cannot tell counts as work."""
    kernel = world.machine("idle-kernel")
    world.measured(kernel, memory=9000.0)
    silent = world.machine("agent-is-down")
    world.measured(silent, gpu=(None,), memory=9000.0)
    world.patrol()
    assert phase(world, kernel) == "parked"
    assert not world.incidents(kernel)
    world.policy = IDLE_POLICY + PARKED_TOO
    world.patrol()
    world.patrol(after=GRACE)
    assert world.stops() == {kernel: 1}
    assert "only 40% sure" in why(world, silent)


def test_a_hundred_percent_at_idle_power_is_a_hang_and_at_full_power_is_none(
    world: World, slack: People
) -> None:
    """6: a deadlocked GPU shows 100 %."""
    world.policy = default_pack()
    still: dict[str, Any] = {"gpu": (100.0,), "written": 0.0, "network": 0.0}
    hung = world.machine("hung", "g5.xlarge")
    world.measured(hung, power=20.0, **still)
    computing = world.machine("computing", "g5.xlarge")
    world.measured(computing, power=280.0, **still)
    dark = world.machine("power-not-measured", "g5.xlarge")
    world.measured(dark, **still)
    world.patrol()
    assert [phase(world, each) for each in (hung, computing, dark)] == ["hung", "active", "active"]
    (headline,) = slack.headlines
    assert headline.startswith("hung is hung for")
    assert not world.stops()


def test_what_worked_for_days_is_judged_by_what_it_does_now(world: World) -> None:
    """7: an average over its life hides that a machine idles."""
    machine = world.machine("was-busy")
    world.measured(machine, gpu=(95.0,), since=-48 * HOUR, until=-timedelta(minutes=45))
    world.measured(machine, since=-timedelta(minutes=45))
    world.patrol()
    assert judged(world, machine).idle_minutes == pytest.approx(50, abs=5.1)
    assert done(world) == [("warn", "delivered")]


def test_memory_that_is_held_says_neither_work_nor_idleness(world: World) -> None:
    """8: frameworks take a GPU's memory before they need it."""
    world.policy = default_pack()
    world.failed("lost-cause")
    held = world.machine("held")
    world.measured(held, memory=14_000.0)
    used = world.machine("used")
    world.measured(used, memory=14_000.0, gpu=(30.0,))
    world.patrol()
    world.patrol(after=HOUR)
    assert (phase(world, held), phase(world, used)) == ("parked", "active")
    assert "13.7 GiB held" in why(world, held)
    assert judged(world, held).decision.wanted is Wanted.WARN
    assert not world.stops()


def test_one_machine_that_cannot_be_stopped_hinders_no_other(world: World) -> None:
    """11: one spot machine broke the whole batch."""
    one_time = spot("one-time")(world)
    dear, cheap = world.machine("dear", "g5g.2xlarge"), world.machine("cheap")
    for each in (dear, cheap):
        world.measured(each)
    world.patrol()
    world.aws.fail("ec2:StopInstances", status=400, code="UnsupportedOperation", times=1)
    world.patrol(after=GRACE)
    assert sorted(done(world)) == [("stop", "refused"), ("stop", "stopped")]
    assert [world.state(each) for each in (dear, cheap)] == ["running", "stopped"]
    world.aws.mend()
    world.patrol()
    assert world.stops() == {dear: 1, cheap: 1}
    assert "one-time spot request" in why(world, one_time)


def by_restart(cost: str) -> str:
    return f"""{RULES}
restart_cost: {cost}
rules:
  - name: patience
    when: phase == "idle" && patience.exhausted
    because: A restart is cheaper than waiting.
    then: stop
"""


def test_a_stop_weighs_what_a_restart_costs(world: World) -> None:
    """12: after the stop there was no GPU to be had."""
    world.failed("lost-cause")
    machine = world.machine("trainer")
    world.measured(machine)
    world.policy = by_restart("500 USD")
    world.patrol()
    assert done(world) == []
    world.policy = by_restart("5m")
    world.patrol()
    assert done(world) == [("warn", "delivered")]
    assert "a restart" in why(world, machine)


def test_checkpoints_of_a_dead_job_are_a_cost_of_its_workload(world: World) -> None:
    """14: checkpoints outlived their job, and nobody saw the bill."""
    world.failed("lost-cause", aliases="s3://checkpoints/lost-cause")
    world.aws.client("s3").create_bucket(Bucket="checkpoints")
    day = world.begin.replace(hour=0, minute=0) - timedelta(days=1)
    of = {"BucketName": "checkpoints", "StorageType": "StandardStorage"}
    world.points.put(REGION, "AWS/S3", "BucketSizeBytes", of, [800 * 2.0**30], day)
    world.now += STEP
    report = patrol(replace(world.parts(), storage=True), now=world.now)
    (bucket,) = report.storage
    assert bucket.attribution.workload == "lost-cause"
    assert bucket.storage.monthly_cost_usd == 800 * Decimal("0.023")
    costs = breakdown(world.ledger, since=day, until=day + 24 * HOUR, by="workload")
    (row,) = costs.rows
    assert (row.key, row.amounts()["storage"]) == ("lost-cause", row.amounts()["total"])


def test_a_machine_that_was_resized_costs_each_size_for_its_own_time(world: World) -> None:
    """15: figures were wrong after a stop or a change of size."""
    machine = world.machine("resized", up=HOUR)
    world.measured(machine, since=-HOUR)
    world.patrol()
    ec2 = world.aws.client("ec2")
    ec2.stop_instances(InstanceIds=[machine])
    instance: Any = ec2_backends[ACCOUNT][REGION].get_instance(machine)
    ended = world.now + timedelta(minutes=2)
    instance._reason = f"User initiated ({ended:%Y-%m-%d %H:%M:%S} UTC)"
    world.patrol()
    ec2.modify_instance_attribute(InstanceId=machine, InstanceType={"Value": "g5g.2xlarge"})
    world.patrol(after=HOUR)
    ec2.start_instances(InstanceIds=[machine])
    booted(machine, world.now)
    world.patrol(after=HOUR)
    paid: dict[str, Decimal] = defaultdict(Decimal)
    for row in world.ledger.rows("charges"):
        paid[str(row["ResourceType"])] += Decimal(str(row["ListCost"]))
    cent = Decimal("0.000001")
    assert {kind: usd.quantize(cent) for kind, usd in paid.items()} == {
        "g5g.xlarge": (Decimal("0.42") * 67 / 60).quantize(cent),
        "g5g.2xlarge": Decimal("0.556").quantize(cent),
    }


def test_who_switches_the_guard_off_is_named_and_stays_on_record(world: World) -> None:
    """17: anybody could switch it off, and nobody could see who had."""
    kept = world.machine("kept")
    world.measured(kept)
    protected = world.machine("protected")
    world.measured(protected)
    world.patrol()
    until = world.now + 24 * HOUR
    world.ledger.drop_in_inbox("events", [keep_row(id_of(kept), until, "ana", world.now)])
    tags = [{"Key": "spend-watchdog:protected", "Value": "bob"}]
    world.aws.client("ec2").create_tags(Resources=[protected], Tags=tags)
    world.patrol(after=GRACE)
    assert not world.stops()
    assert "by ana" in why(world, kept)
    assert "spend-watchdog:protected=bob" in why(world, protected)
    told: Any = json.loads(
        json.dumps(explain_json(explain(world.ledger, "kept", now=world.now), events=True))
    )
    assert [each["by"] for each in told["events"] if each["kind"] == "keep"] == ["ana"]
    known = [row for row in world.ledger.rows("machines") if row["id"] == id_of(protected)]
    known.sort(key=lambda row: str(row["observed_at"]))
    seen = ["spend-watchdog:protected" in str(row["tags_json"]) for row in known]
    assert seen == [False, True]


def test_a_budget_of_an_owner_is_told_and_gives_rules_their_edge(world: World) -> None:
    """18: no ceiling for a person or a team."""
    world.policy = f"""{RULES}
budgets:
  - name: ana
    owner: ana
    usd_per_week: 5
    then: stop
    grace: 10m
rules:
  - name: idle
    when: phase == "idle" && idle.minutes >= 30
    because: Nothing was computed for half an hour.
    then: notify
"""
    world.failed("lost-cause")
    anas = world.machine("anas", told={"spend-watchdog:owner": "ana"})
    bobs = world.machine("bobs", told={"spend-watchdog:owner": "bob"})
    for each in (anas, bobs):
        world.measured(each, since=-48 * HOUR)
    world.patrol()
    world.patrol(after=GRACE)
    assert world.stops() == {anas: 1}
    assert "of 5 USD a week are spent" in why(world, anas)
    assert judged(world, bobs).decision.wanted is Wanted.NOTIFY


def test_series_that_name_no_machine_make_it_unmeasured_and_say_what_to_mend(
    world: World,
) -> None:
    """19: metrics were missing, or could not be joined."""
    by_host, nowhere = world.machine("by-host"), world.machine("nowhere")
    for machine, host in ((by_host, None), (nowhere, "elsewhere")):
        seen = world.aws.client("ec2").describe_instances(InstanceIds=[machine])
        name = host or seen["Reservations"][0]["Instances"][0]["PrivateDnsName"]
        for metric, value in (("utilization_gpu", 0.0), ("memory_used", 3.0)):
            of = {"InstanceId": "${aws:InstanceId}", "host": name, "index": "0"}
            begin = world.begin - HOUR
            world.points.put(REGION, "CWAgent", f"nvidia_smi_{metric}", of, [value] * 36, begin)
    world.patrol()
    assert (phase(world, by_host), phase(world, nowhere)) == ("idle", "unknown")
    assert "agent" in why(world, nowhere)
    assert not world.stops()


def test_each_class_of_gpus_has_a_patience_of_its_own(world: World) -> None:
    """20: one limit for every GPU."""
    world.policy = IDLE_POLICY.replace(
        "limits: {", 'limits: {gpu_classes: {"T4*": {min_idle: 6h}}, '
    )
    small, large = world.machine("small"), world.machine("large", "g5.xlarge")
    for each in (small, large):
        world.measured(each)
    world.patrol()
    wanted = [judged(world, each).decision.wanted for each in (small, large)]
    assert wanted == [Wanted.NOTIFY, Wanted.STOP]
    assert "a T4* may be quiet for 360 minutes" in why(world, small)


def test_what_was_activity_last_is_told_beside_the_pause(world: World) -> None:
    """22: nobody could see what had counted as activity last."""
    machine = world.machine("downloaded")
    world.measured(machine, network=9e8, until=-HOUR)
    world.measured(machine, since=-HOUR)
    world.patrol()
    until = world.begin - HOUR
    assert f"it last worked (transfer) until {until:%Y-%m-%d %H:%M} UTC" in why(world, machine)


def test_an_inference_server_that_answers_is_at_work(world: World) -> None:
    """23: only one kind of activity counted."""
    server, shell = world.machine("server"), world.machine("shell")
    world.measured(server, network=3e7)
    world.measured(shell)
    for _ in range(2):
        world.patrol(after=GRACE)
    assert world.stops() == {shell: 1}
    assert "it sends 100 kB/s" in why(world, server)


def test_a_stop_shuts_down_in_order_and_keeps_the_disks(world: World) -> None:
    """24: state was lost with the stop."""
    machine = world.machine("trainer")
    world.measured(machine)
    world.patrol()
    world.patrol(after=GRACE)
    asked = [each for each in world.aws.requests if each.operation == "ec2:StopInstances"]
    names = {name for each in asked for name in each.parameters}
    assert names <= {"Action", "Version", "InstanceId.1", "DryRun"}
    assert not any(name.startswith("ec2:Terminate") for name in world.aws.calls)
    (disk,) = world.aws.client("ec2").describe_volumes()["Volumes"]
    assert disk["Attachments"][0]["InstanceId"] == machine


def test_a_sum_of_five_minutes_is_no_rate(world: World) -> None:
    """27: sums, averages, bytes and megabytes were taken for each other."""
    below, above = world.machine("400-kB-a-second"), world.machine("600-kB-a-second")
    world.measured(below, network=400_000.0 * 300)
    world.measured(above, network=600_000.0 * 300)
    world.patrol()
    assert (phase(world, below), phase(world, above)) == ("idle", "transfer")


def test_an_empty_account_and_a_blind_watch_do_not_look_alike(world: World) -> None:
    """28: nothing was found, because nothing could be seen."""
    world.patrol()
    empty = world.reports[-1]
    assert (empty.machines, empty.gaps) == ((), ())
    assert [each.region for each in empty.watched] == [REGION]
    world.aws.fail("ec2:DescribeInstances", status=403, code="UnauthorizedOperation")
    world.patrol()
    blind = world.reports[-1]
    assert (blind.machines, blind.watched) == ((), ())
    (gap,) = blind.gaps
    assert "ec2:DescribeInstances" in gap.why


def test_a_script_that_only_looks_busy_does_not_pass_for_work(world: World) -> None:
    """30: people keep machines alive by scripts."""
    pinged = world.machine("keep-alive.py")
    world.measured(pinged, gpu=(0.0, 2.0), cpu=4.0, network=500_000.0)
    world.patrol()
    world.patrol(after=GRACE)
    assert world.stops() == {pinged: 1}


def test_what_was_done_when_can_be_asked_afterwards(world: World) -> None:
    """31: only the present was shown."""
    machine = world.machine("trainer")
    world.measured(machine, gpu=(95.0,), since=-24 * HOUR, until=-12 * HOUR)
    world.measured(machine, since=-12 * HOUR)
    world.patrol()
    since = world.begin - 24 * HOUR
    costs = breakdown(world.ledger, since=since, until=world.begin, by="phase")
    hours = {row.key: (row.amounts()["total"] or 0) / Decimal("0.42") for row in costs.rows}
    assert hours.keys() == {"active", "idle"}
    assert hours["active"] == pytest.approx(12, abs=1), "hours that were read coarsely count whole"
    assert sum(hours.values()) == pytest.approx(24, abs=1)
    used = [row for row in world.ledger.rows("readings") if row["utilisation_max_pct"] == 95.0]
    assert used
    assert min(rows.moment_of(row["started_at"]) for row in used) <= since
