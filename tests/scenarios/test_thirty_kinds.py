"""An account with more than thirty kinds of machine: what may be stopped is, and nothing else."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

import pytest
from moto.ec2.models import ec2_backends

from policies.verdicts import Result, Wanted
from tests.moto_aws import ACCOUNT, AwsServer, tag
from tests.scenarios.acting_world import REGION, STEP, People, World, booted, unexplained
from watchdog.agent.happenings import input_row
from watchdog.keeps import keep_row
from watchdog.ledger.incidents import IncidentLog

pytestmark = pytest.mark.slow
NEAR = "us-west-2"
"""Where the role may stop nothing."""
TWO_GPUS = "g5g.16xlarge"
LIMITS = "limits: {stops_per_patrol: 100, stop_share: 1.0, stop_usd_per_hour: 1000}"
MAPPING = """
schema: spend-watchdog/mapping/1
workloads:
  - match: {name: "mapped-*"}
    workload: mapped-work
  - match: {name: "served-*"}
    workload: served-work
    kind: service
"""


def default_pack(limits: str = LIMITS) -> str:
    """The pack as it comes, with wider limits: how many at once is another test's question."""
    text = (files("policies") / "packs/default.yaml").read_text(encoding="utf-8")
    return re.sub(r"^limits: .*$", limits, text, flags=re.MULTILINE)


@pytest.fixture
def slack() -> Iterator[People]:
    with People() as people:
        yield people


@pytest.fixture
def world(signed_in: AwsServer, slack: People, tmp_path: Path) -> World:
    made = World(
        signed_in, slack, tmp_path, default_pack(), mapping=MAPPING, regions=(REGION, NEAR)
    )
    made.failed("lost-cause")
    made.failed("failing", runs=6)
    made.failed("mapped-work")
    made.failed("served-work")
    made.finished("steady")
    return made


Make = Callable[[World], str]
Happen = Callable[[World, str], None]


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    make: Make
    then: Happen | None = None
    """What happens after it was warned."""
    may: bool = False
    """Whether it may be stopped."""


def may(name: str, make: Make) -> Kind:
    return Kind(name, make, may=True)


def quiet(world: World, machine: str, **told: object) -> str:
    world.measured(machine, **told)  # type: ignore[arg-type]
    return machine


def plain(name: str, kind: str = "g5g.xlarge", **options: object) -> Make:
    """Idle, on exploratory work, on network disks."""
    return lambda world: quiet(world, world.machine(name, kind, **options))  # type: ignore[arg-type]


def measuring(name: str, **told: object) -> Make:
    return lambda world: quiet(world, world.machine(name), **told)


def tagged(name: str, workload: str | None = "lost-cause", **tags: str) -> Make:
    return plain(name, workload=workload, told=tags)


def described(name: str, pattern: str, instead: str) -> Make:
    """Idle, and EC2 says something special of it."""

    def make(world: World) -> str:
        machine = quiet(world, world.machine(name))
        world.says(machine, pattern, instead)
        return machine

    return make


ID = r"</instanceId>"
LEASE = "<instanceLifecycle>lease</instanceLifecycle>"
KEEP = "spend-watchdog:keep-until"
PCLUSTER = "parallelcluster:node-type"


def spot(kind: str) -> Make:
    def make(world: World) -> str:
        specification = {"ImageId": "ami-760aaa0f", "InstanceType": "g5g.xlarge"}
        ec2 = world.aws.client("ec2")
        before = set(_instances(world))
        ec2.request_spot_instances(Type=kind, LaunchSpecification=specification)
        (machine,) = set(_instances(world)) - before
        _adopt(world, machine, f"spot-{kind}")
        return quiet(world, machine)

    return make


def _instances(world: World) -> Iterator[str]:
    for reservation in world.aws.client("ec2").describe_instances()["Reservations"]:
        for instance in reservation["Instances"]:
            yield instance["InstanceId"]


def _adopt(world: World, machine: str, name: str) -> None:
    tag(machine, {"Name": name, "spend-watchdog:workload": "lost-cause"})
    booted(machine, world.begin - timedelta(days=2))


def protected_by_api(world: World, machine: str) -> None:
    world.aws.client("ec2").modify_instance_attribute(
        InstanceId=machine, DisableApiStop={"Value": True}
    )


def api_protected(world: World) -> str:
    machine = plain("api-protected")(world)
    protected_by_api(world, machine)
    return machine


def tag_protects(world: World, machine: str) -> None:
    tags = [{"Key": "spend-watchdog:protected", "Value": "true"}]
    world.aws.client("ec2").create_tags(Resources=[machine], Tags=tags)


def somebody_keeps(world: World, machine: str) -> None:
    of = f"aws:{ACCOUNT}:{REGION}:{machine}"
    row = keep_row(of, world.now + timedelta(days=1), "ana", world.now)
    world.ledger.drop_in_inbox("events", [row])


def somebody_types(world: World, machine: str) -> None:
    of = f"aws:{ACCOUNT}:{REGION}:{machine}"
    typed_at = world.now + timedelta(minutes=20)
    world.ledger.drop_in_inbox("events", [input_row(of, typed_at, typed_at)])


def works_again(world: World, machine: str) -> None:
    since = world.now - world.begin
    world.measured(machine, gpu=(90.0,), since=since, until=since + timedelta(minutes=15))


def host_works(world: World, machine: str) -> None:
    since = world.now - world.begin
    until = since + timedelta(hours=2)
    world.measured(machine, gpu=None, cpu=85.0, since=since, until=until)


def is_started_again(world: World, machine: str) -> None:
    ec2 = world.aws.client("ec2")
    ec2.stop_instances(InstanceIds=[machine])
    ec2.start_instances(InstanceIds=[machine])
    booted(machine, world.now)


def is_stopped(world: World, machine: str) -> None:
    world.aws.client("ec2").stop_instances(InstanceIds=[machine])


def is_gone(world: World, machine: str) -> None:
    world.aws.client("ec2").terminate_instances(InstanceIds=[machine])


def already_stopped(world: World) -> str:
    machine = plain("stopped-already")(world)
    is_stopped(world, machine)
    return machine


def already_gone(world: World) -> str:
    machine = plain("gone-already")(world)
    is_gone(world, machine)
    return machine


def low_coverage(world: World) -> str:
    return quiet(world, world.machine("half-measured"), gpu=(0.0, 0.0, None, 0.0, None))


def member(cluster: str, number: int, **told: object) -> Make:
    def make(world: World) -> str:
        machine = world.machine(f"{cluster}-{number}", told={"ray-cluster-name": cluster})
        if told.get("gpu", 0) != "unmeasured":
            quiet(world, machine, **told)
        return machine

    return make


def member_protected(world: World) -> str:
    machine = member("guarded", 2)(world)
    protected_by_api(world, machine)
    return machine


HUNG: dict[str, object] = {"gpu": (100.0,), "power": 9.0, "written": 0.0, "network": 0.0}
BUSY: dict[str, object] = {"gpu": (90.0,), "cpu": 60.0}


QUIET_AGAIN = ("at work later", "typed at later")


def _half_busy(world: World) -> str:
    machine = world.machine("half-busy", TWO_GPUS)
    world.measured(machine, gpus=2)
    of = {"InstanceId": machine, "index": "1"}
    count = int(timedelta(hours=5) / STEP)
    since = world.begin - timedelta(hours=3)
    name = "nvidia_smi_utilization_gpu"
    world.points.put(REGION, "CWAgent", name, of, [70.0] * count, since)
    return machine


def _far(world: World) -> str:
    machine = world.machine("far", region=NEAR)
    world.measured(machine, region=NEAR)
    return machine


KINDS = [
    # What may be stopped.
    *(may(f"plain-{n}", plain(f"plain-{n}")) for n in range(4)),
    may("larger", plain("larger", "g5g.2xlarge")),
    may("two GPUs", lambda world: quiet(world, world.machine("two", TWO_GPUS), gpus=2)),
    may("largest", plain("largest", "g5g.8xlarge")),
    may("after many failures", tagged("failing", "failing")),
    may("workload by mapping", plain("mapped-1", workload=None)),
    may("protected=false", tagged("unprotected", **{"spend-watchdog:protected": "false"})),
    may("keep that is over", tagged("kept-once", **{KEEP: "2020-01-01"})),
    may("persistent spot", spot("persistent")),
    may("idle cluster 1", member("empty", 1)),
    may("idle cluster 2", member("empty", 2)),
    may("idle cluster 3", member("empty", 3)),
    may("ParallelCluster head", tagged("head", **{PCLUSTER: "HeadNode"})),
    # What works, or may work.
    Kind("busy", measuring("busy", **BUSY)),
    Kind("busy one GPU of two", _half_busy),
    Kind("short bursts", measuring("bursty", gpu=(0.0, 40.0))),
    Kind("transfer", measuring("downloading", network=9e8)),
    Kind("setup", plain("fresh", up=timedelta(minutes=20))),
    Kind("parked", measuring("notebook", memory=9000.0)),
    Kind("host computes", measuring("preparing", cpu=85.0)),
    Kind("host writes", measuring("writing", written=9e9)),
    Kind("hung", lambda world: quiet(world, world.machine("hung", "g5.xlarge"), **HUNG)),
    # What was not seen well enough.
    Kind("unmeasured", lambda world: world.machine("dark")),
    Kind("CPU alone", measuring("cpu-only", gpu=None)),
    Kind("half measured", low_coverage),
    Kind("stale", measuring("stale", until=timedelta(minutes=-25))),
    Kind("dark after the warning", measuring("going-dark", until=timedelta(minutes=6))),
    Kind("one GPU of two unmeasured", plain("one-eyed", TWO_GPUS)),
    # Whose work, and who says so.
    Kind("mature", tagged("steady", "steady")),
    Kind("unknown workload", tagged("nobodys", None)),
    Kind("workload without a run", tagged("new", "brand-new")),
    Kind("service by mapping", plain("served-1", workload=None)),
    Kind("service by tag", tagged("api", **{"spend-watchdog:kind": "service"})),
    Kind("protected by tag", tagged("mine", **{"spend-watchdog:protected": "true"})),
    Kind("keep by tag", tagged("kept", **{KEEP: "2099-01-01"})),
    Kind("unreadable keep", tagged("kept-2", **{KEEP: "soon"})),
    Kind("stop protection", api_protected),
    # What EC2 cannot stop, or would not save or would lose.
    Kind("one-time spot", spot("one-time")),
    Kind("fleet's spot", tagged("fleet", **{"aws:ec2:fleet-id": "fleet-1"})),
    Kind("ASG member", tagged("asg", **{"aws:autoscaling:groupName": "workers"})),
    Kind("EKS node", tagged("eks", **{"eks:cluster-name": "c", "eks:nodegroup-name": "n"})),
    Kind("Karpenter node", tagged("karpenter", **{"karpenter.sh/nodepool": "gpu"})),
    Kind("Batch", tagged("batch", **{"aws:batch:compute-environment": "ce"})),
    Kind("EMR", tagged("emr", **{"aws:elasticmapreduce:job-flow-id": "j-1"})),
    Kind("local NVMe", plain("nvme", "g5.xlarge")),
    Kind("disks that nobody describes", plain("v100", "p3.2xlarge")),
    Kind(
        "instance-store root",
        described("root", r"<rootDeviceType>ebs<", "<rootDeviceType>instance-store<"),
    ),
    Kind(
        "capacity block",
        described("block", ID, f"{ID}<instanceLifecycle>capacity-block</instanceLifecycle>"),
    ),
    Kind(
        "reservation",
        described("odcr", ID, f"{ID}<capacityReservationId>cr-1</capacityReservationId>"),
    ),
    Kind("ParallelCluster node", tagged("node", **{PCLUSTER: "Compute"})),
    Kind(
        "bought in a new way",
        described("leased", ID, f"{ID}{LEASE}"),
    ),
    # Groups.
    Kind("beside a busy one", member("working", 1)),
    Kind("busy member", member("working", 2, **BUSY)),
    Kind("beside a dark one", member("dark", 1)),
    Kind("dark member", member("dark", 2, gpu="unmeasured")),
    Kind("beside a protected one", member("guarded", 1)),
    Kind("protected member", member_protected),
    # What changes after the warning.
    Kind("protected later", plain("later-1"), tag_protects),
    Kind("stop protection later", plain("later-2"), protected_by_api),
    Kind("kept later", plain("later-3"), somebody_keeps),
    Kind("typed at later", plain("later-4"), somebody_types),
    Kind("at work later", plain("later-5"), works_again),
    Kind("host at work later", plain("later-6"), host_works),
    Kind("started again", plain("later-7"), is_started_again),
    Kind("stopped by a person", plain("later-8"), is_stopped),
    Kind("terminated by a person", plain("later-9"), is_gone),
    # What does not run, and where the role may not.
    Kind("stopped already", already_stopped),
    Kind("gone already", already_gone),
    Kind("role may not", _far),
]


def test_only_what_may_be_stopped_is_stopped_once_after_its_warning(
    world: World, server: AwsServer, slack: People
) -> None:
    server.fail("ec2:StopInstances", NEAR, status=403, code="UnauthorizedOperation")
    made = {kind.name: kind.make(world) for kind in KINDS}
    may = {made[kind.name] for kind in KINDS if kind.may}
    world.patrol()
    warned = _warned(world)
    assert may <= warned, [name for name, one in made.items() if one in may - warned]
    assert not world.stops()
    for kind in KINDS:
        if kind.then is not None:
            assert made[kind.name] in warned, kind.name
            kind.then(world, made[kind.name])
    for _ in range(5):
        world.patrol()
    assert not world.stops(), "the grace is not over"
    slack.down = True
    world.patrol()
    world.patrol()
    assert not world.stops(), "nobody can be told"
    assert {each.result for each in world.reports[-1].outcomes} >= {Result.FAILED}
    slack.down = False
    world.patrol()
    first = world.stops()
    world.patrol()
    names = {machine: name for name, machine in made.items()}
    stopped = {names[machine]: times for machine, times in world.stops().items()}
    assert stopped == dict.fromkeys((names[machine] for machine in may), 1)
    assert len(first) >= 0.95 * len(may), "within grace and two patrols, outages left out"
    for _ in range(4):
        world.patrol(after=timedelta(minutes=15))
    later = {names[machine]: times for machine, times in world.stops().items()}
    assert {name: later[name] for name in later if name not in stopped} == dict.fromkeys(
        QUIET_AGAIN, 1
    ), "who worked, or typed, and then did so no more"
    assert unexplained(world) == []
    left = [_left_alone(world, kind, made[kind.name]) for kind in KINDS if not kind.may]
    assert [name for name, why in left if not why] == []
    assert len(KINDS) - sum(kind.name.startswith("plain-") for kind in KINDS) >= 30
    told = Counter(text.split()[0].rstrip(":") for text in slack.headlines)
    incidents = {
        one.machine.name: len(world.incidents(one.machine.native_id, one.machine.region))
        for one in world.reports[0].machines
    }
    assert {name: n for name, n in told.items() if n > incidents[name]} == {}


def _warned(world: World) -> set[str]:
    log = IncidentLog(world.ledger)
    open_ones = [kept for found in log.unended({}).values() for kept in found]
    return {
        kept.incident.machine.rsplit(":", 1)[-1]
        for kept in open_ones
        if kept.incident.warned_at is not None
    }


def _left_alone(world: World, kind: Kind, machine: str) -> tuple[str, str]:
    """Why it was not stopped, as the last patrol that saw it says."""
    for report in reversed(world.reports):
        judged = world.judged(machine, report)
        if judged is None:
            continue
        outcomes = [one.why for one in report.outcomes if one.machine == judged.machine.id]
        vetoes = [veto.why for veto in judged.decision.vetoes]
        if judged.decision.wanted is Wanted.STOP and not outcomes and not vetoes:
            return kind.name, ""
        return kind.name, "; ".join([*outcomes, *vetoes, *judged.decision.why])
    return kind.name, "it was never listed" if "gone" in kind.name else ""


@pytest.mark.parametrize(
    ("limits", "most"),
    [
        ("limits: {stops_per_patrol: 2}", 2),
        ("limits: {stop_share: 0.25}", 2),
        ("limits: {stop_usd_per_hour: 1}", 2),
    ],
)
def test_no_patrol_stops_more_than_its_limits_and_all_are_stopped_in_the_end(
    world: World, limits: str, most: int
) -> None:
    """g5g.xlarge costs 0.42 USD an hour, so that a dollar is two of them."""
    world.policy = default_pack(limits)
    made = [plain(f"plain-{n}")(world) for n in range(6)]
    world.patrol()
    before = 0
    for _ in range(8):
        world.patrol(after=timedelta(minutes=30) if not before else STEP)
        done = world.stops().total()
        assert done - before <= most
        before = done
    assert set(world.stops()) == set(made)
    assert set(world.stops().values()) == {1}


def test_what_is_vetoed_at_the_last_moment_takes_nobodys_turn(world: World) -> None:
    world.policy = default_pack("limits: {stops_per_patrol: 1}")
    dear = plain("dear", "g5g.2xlarge")(world)
    cheap = plain("cheap")(world)
    world.patrol()
    protected_by_api(world, dear)
    world.patrol(after=timedelta(minutes=31))
    assert set(world.stops()) == {cheap}


def test_a_machine_that_is_gone_closes_its_incident_and_its_message(
    world: World, slack: People
) -> None:
    machine = plain("short-lived")(world)
    world.patrol()
    is_gone(world, machine)
    backend = ec2_backends[ACCOUNT][REGION]
    for reservation in backend.reservations.values():
        reservation.instances[:] = [one for one in reservation.instances if one.id != machine]
    world.patrol()
    assert world.kinds(machine)[-1] == "closed"
    assert "nothing to do any more" in str(slack.calls[-2].body["text"])
