"""A user with a read-only profile and no set-up: the command, a real adapter, an AWS over HTTP."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from tests.aws_prices import commits
from tests.fake_slack import TOKEN, FakeSlack, limited
from tests.moto_aws import ACCOUNT, AwsServer, launch, put_metric, tag

REGION = "us-east-1"
COMMAND = str(Path(sys.executable).parent / "spend-watchdog")
pytestmark = pytest.mark.slow


@pytest.fixture
def aws(server: AwsServer) -> AwsServer:
    server.reset()
    commits(server)
    return server


class User:
    """Somebody with credentials, a folder and nothing else."""

    def __init__(self, folder: Path, aws: AwsServer) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "SPEND_WATCHDOG_LEDGER": str(folder / "ledger"),
            "SPEND_WATCHDOG_REGIONS": "us-east-1,us-west-2",
            "SPEND_WATCHDOG_ACCEPTED_GAPS": "start and stop history",
            **aws.environment,
        }

    def run(self, *arguments: str, **variables: str) -> tuple[int, Any]:
        done = subprocess.run(
            [COMMAND, *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=self.environment | variables,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr


@pytest.fixture
def user(tmp_path: Path, aws: AwsServer) -> User:
    return User(tmp_path, aws)


def start(
    aws: AwsServer, name: str, machine_type: str = "g5.xlarge", region: str = REGION, **tags: str
) -> str:
    """A machine that booted two days ago."""
    (machine,) = launch(aws.client("ec2", region), machine_type, tags={"Name": name})
    tag(machine, {key.replace("__", ":").replace("_", "-"): v for key, v in tags.items()}, region)
    booted = datetime.now(UTC) - timedelta(days=2)
    instance: Any = ec2_backends[ACCOUNT][region].get_instance(machine)
    instance.launch_time = f"{booted:%Y-%m-%dT%H:%M:%S.000Z}"
    return machine


def report(
    aws: AwsServer, machine: str, utilisation: list[float], held: float = 10.0, gpu: int = 0
) -> None:
    """What the CloudWatch agent and the hypervisor told in the hours up to now."""
    cloudwatch = aws.client("cloudwatch", REGION)
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    begin = now - timedelta(minutes=now.minute % 5) - timedelta(minutes=5 * len(utilisation))
    of_gpu = {"InstanceId": machine, "index": str(gpu)}
    told = {
        "nvidia_smi_utilization_gpu": utilisation,
        "nvidia_smi_memory_used": [held] * len(utilisation),
        "nvidia_smi_memory_total": [24_564.0] * len(utilisation),
    }
    for metric, values in told.items():
        put_metric(cloudwatch, metric, values, dimensions=of_gpu, started_at=begin)
    for metric in ("NetworkIn", "NetworkOut"):
        put_metric(
            cloudwatch,
            metric,
            [1000.0] * len(utilisation),
            dimensions={"InstanceId": machine},
            started_at=begin,
            namespace="AWS/EC2",
        )


QUIET, BUSY = [0.0] * 40, [95.0] * 40


def by_name(told: Any) -> dict[str, Any]:
    """Machines carry their Name tag; the fixture's names are unique."""
    return {machine["name"]: machine for machine in told["machines"]}


def test_one_look_says_what_idles_what_works_and_what_nobody_can_see(
    user: User, aws: AwsServer
) -> None:
    report(aws, start(aws, "forgotten-1", spend_watchdog__workload="probe"), QUIET)
    report(aws, start(aws, "open-notebook"), QUIET, held=18_000)
    report(aws, start(aws, "busy"), BUSY)
    start(aws, "silent", "p4d.24xlarge")
    launch(aws.client("ec2", REGION), "m5.large", tags={"Name": "web"})
    code, told = user.run("patrol", "--exit-code")
    assert code == 3
    machines = by_name(told)
    assert {name: each["phase"] for name, each in machines.items()} == {
        "forgotten-1": "idle",
        "open-notebook": "parked",
        "busy": "active",
        "silent": "unknown",
    }
    assert {name: each["decision"] for name, each in machines.items()} == {
        "forgotten-1": "notify",
        "open-notebook": "notify",
        "busy": "leave",
        "silent": "unknown",
    }
    assert machines["forgotten-1"]["confidence"] > 0.9
    assert machines["forgotten-1"]["hourly_cost_usd"] == "1.006"
    assert machines["silent"]["gpus"] == 8
    assert machines["silent"]["idle_minutes"] is None
    assert "CloudWatch agent" in machines["silent"]["why"][-1]
    assert told["gaps"] == []
    ranked = [line["name"] for line in told["backfill"]["machines"]]
    assert ranked[0] == "silent"
    assert told["cost_of_watching"]["api_calls"] == dict(aws.calls)


def test_the_second_patrol_asks_less_and_changes_nothing(user: User, aws: AwsServer) -> None:
    report(aws, start(aws, "forgotten-1"), QUIET)
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": []}))
    user.run("patrol")
    _, before = user.run("costs", "--by", "machine")
    aws.forget_calls()
    code, told = user.run("patrol")
    assert code == 0
    assert dict(aws.calls) == {
        "ec2:DescribeRegions": 1,
        "ec2:DescribeInstances": 2,
        "ec2:DescribeInstanceTypes": 1,
        "cloudwatch:ListMetrics": 1,
        "cloudwatch:GetMetricData": 2,
        "ec2:DescribeVolumes": 2,
        "ec2:DescribeVolumesModifications": 1,
        "ec2:DescribeSnapshots": 2,
        "ec2:DescribeAddresses": 2,
        "s3:ListBuckets": 1,
        "s3:ListDirectoryBuckets": 2,
        "sagemaker:ListNotebookInstances": 2,
        "sagemaker:ListDomains": 2,
        "sagemaker:ListTrainingJobs": 2,
        "sagemaker:ListProcessingJobs": 2,
        "sagemaker:ListEndpoints": 2,
    }, "egress is read once an hour"
    _, after = user.run("costs", "--by", "machine")
    assert Decimal(after["totals"]["idle"]) == pytest.approx(
        Decimal(before["totals"]["idle"]), abs=Decimal("0.1")
    )
    assert told["backfill"]["from"] is None


def test_starts_and_stops_that_were_denied_are_asked_for_until_they_come(
    user: User, aws: AwsServer
) -> None:
    """Of a boot that ended two days ago only the audit trail knows."""
    machine = start(aws, "forgotten-1")
    report(aws, machine, QUIET)
    aws.fail("cloudtrail:LookupEvents", status=400, code="AccessDeniedException")
    strict = {"SPEND_WATCHDOG_ACCEPTED_GAPS": ""}
    for _ in range(2):
        aws.forget_calls()
        code, told = user.run("patrol", **strict)
        assert code == 4
        (gap,) = told["gaps"]
        assert gap["what"] == "start and stop history"
        assert "grant cloudtrail:LookupEvents" in gap["why"]
        assert aws.calls["cloudtrail:LookupEvents"] == 1
    code, told = user.run("patrol")
    assert (code, told["gaps"]) == (0, [])
    _, before = user.run("costs", "--by", "machine")
    aws.mend()
    commits(aws)
    moves = [
        moved("RunInstances", machine, timedelta(days=6)),
        moved("StopInstances", machine, timedelta(days=4)),
    ]
    aws.answer("cloudtrail:LookupEvents", json.dumps({"Events": moves}))
    aws.forget_calls()
    code, told = user.run("patrol", **strict)
    assert (code, told["gaps"]) == (0, [])
    assert aws.calls["cloudtrail:LookupEvents"] == 4
    assert aws.calls["cloudwatch:GetMetricData"] == 2
    assert told["backfill"]["from"] is not None
    _, after = user.run("costs", "--by", "machine")
    more = Decimal(after["totals"]["total"]) - Decimal(before["totals"]["total"])
    assert more == pytest.approx(Decimal("1.006") * 48, abs=Decimal("0.1"))
    aws.forget_calls()
    user.run("patrol", **strict)
    assert aws.calls["cloudtrail:LookupEvents"] == 0


def moved(name: str, machine: str, ago: timedelta) -> dict[str, Any]:
    """An event of CloudTrail's history."""
    item = {"instanceId": machine, "instanceType": "g5.xlarge"}
    told = {"eventName": name, "responseElements": {"instancesSet": {"items": [item]}}}
    return {
        "EventName": name,
        "EventTime": (datetime.now(UTC) - ago).timestamp(),
        "Username": "ana",
        "CloudTrailEvent": json.dumps(told),
    }


@pytest.mark.parametrize(
    ("fault", "word"),
    [
        ({"code": "UnauthorizedOperation", "status": 403}, "not allowed"),
        ({"status": 503}, "503"),
        ({"code": "RequestLimitExceeded", "status": 503}, "throttl"),
    ],
)
def test_a_region_that_fails_is_a_gap_and_the_other_still_comes(
    user: User, aws: AwsServer, fault: dict[str, Any], word: str
) -> None:
    report(aws, start(aws, "forgotten-1"), QUIET)
    aws.fail("ec2:DescribeInstances", region="us-west-2", **fault)
    code, told = user.run("patrol", AWS_MAX_ATTEMPTS="1")
    assert code == 4
    assert by_name(told)["forgotten-1"]["phase"] == "idle"
    (gap,) = told["gaps"]
    assert (gap["provider"], gap["region"]) == ("aws", "us-west-2")
    assert word in gap["why"].lower()


def test_metrics_that_cannot_be_read_make_nothing_look_idle(user: User, aws: AwsServer) -> None:
    report(aws, start(aws, "forgotten-1"), QUIET)
    aws.fail("cloudwatch:GetMetricData", status=500)
    code, told = user.run("patrol", AWS_MAX_ATTEMPTS="1")
    assert code == 4
    assert by_name(told)["forgotten-1"]["phase"] == "unknown"
    assert by_name(told)["forgotten-1"]["decision"] == "unknown"


def test_slack_hears_of_it_once_even_where_it_asks_to_wait(user: User, aws: AwsServer) -> None:
    report(aws, start(aws, "<!channel>*bold*"), QUIET)
    with FakeSlack() as slack:
        slack.answer_next(limited("1"))
        code, told = user.run(
            "patrol",
            SPEND_WATCHDOG_SLACK__TOKEN=TOKEN,
            SPEND_WATCHDOG_SLACK__CHANNEL="C0123456789",
            SPEND_WATCHDOG_SLACK__API_URL=slack.api_url,
        )
        assert code == 0
        refused, posted = slack.messages
        assert refused == posted
        assert "<!channel>" not in json.dumps(posted)
    assert [outcome["result"] for outcome in told["outcomes"]] == ["delivered"]


def test_a_slack_that_refuses_is_told_and_nobody_was_warned(user: User, aws: AwsServer) -> None:
    report(aws, start(aws, "forgotten-1"), QUIET)
    with FakeSlack() as slack:
        code, told = user.run(
            "patrol",
            SPEND_WATCHDOG_SLACK__TOKEN="xoxb-wrong",
            SPEND_WATCHDOG_SLACK__CHANNEL="C0123456789",
            SPEND_WATCHDOG_SLACK__API_URL=slack.api_url,
        )
    assert code == 4
    assert [outcome["result"] for outcome in told["outcomes"]] == ["failed"]
    assert told["gaps"][-1]["what"] == "alert"


def test_costs_add_up_and_explain_says_why(user: User, aws: AwsServer) -> None:
    report(aws, start(aws, "forgotten-1", spend_watchdog__workload="probe"), QUIET)
    user.run("patrol")
    _, costs = user.run("costs")
    (row,) = costs["rows"]
    parts = (
        "setup",
        "transfer",
        "active",
        "parked",
        "idle",
        "hung",
        "unknown",
        "storage",
        "egress",
        "other",
    )
    assert row["key"] == "probe"
    assert Decimal(row["total"]) == sum(Decimal(row[part]) for part in parts)
    assert costs["totals"]["total"] == row["total"]
    _, why = user.run("explain", "forgotten-1", "--events")
    assert why["findings"][0]["wanted"] == "notify"
    assert {event["kind"] for event in why["events"]} == {"finding"}


def test_what_nobody_recorded_becomes_a_run_until_somebody_tells_of_it(
    user: User, aws: AwsServer
) -> None:
    machine = start(aws, "trainer-1", spend_watchdog__workload="llama")
    report(aws, machine, [0.0] * 6 + [95.0] * 16 + [0.0] * 18, held=18_000)
    for _ in range(2):
        assert user.run("patrol")[0] == 0
    _, listed = user.run("runs", "list")
    (episode,) = listed["rows"]
    assert (episode["outcome"], episode["told_by"]) == ("unknown", "episode")
    assert (episode["workload"], episode["machine_type"]) == ("llama", "g5.xlarge")
    assert (episode["peak_gpu_memory_mib"], episode["gpus"]) == (18_000.0, 1)
    begin, end = (datetime.fromisoformat(episode[name]) for name in ("started_at", "ended_at"))
    assert end - begin == timedelta(minutes=80)
    (llama,) = user.run("workloads")[1]["rows"]
    assert (llama["verdict"], llama["runs"], llama["succeeded"]) == ("unknown", 1, 0)

    told = {
        "run_id": "job-7",
        "workload": "llama",
        "started_at": (begin - timedelta(minutes=2)).isoformat(),
        "ended_at": (end - timedelta(minutes=1)).isoformat(),
        "outcome": "succeeded",
        "machine_id": machine,
        "source": "slurm",
    }
    history = user.folder / "runs.jsonl"
    history.write_text(json.dumps(told) + "\n", encoding="utf-8")
    assert user.run("runs", "import", str(history))[0] == 0
    (run,) = user.run("runs", "list")[1]["rows"]
    assert (run["run_id"], run["told_by"], run["outcome"]) == (
        "job-7",
        "slurm;episode",
        "succeeded",
    )
    assert run["peak_gpu_memory_mib"] == 18_000.0
    assert user.run("patrol")[0] == 0
    (llama,) = user.run("workloads")[1]["rows"]
    assert (llama["runs"], llama["succeeded"]) == (1, 1)

    assert user.run("runs", "split", "job-7")[0] == 0
    assert len(user.run("runs", "list")[1]["rows"]) == 1  # it still explains the episode
    assert user.run("runs", "show", episode["run_id"])[1]["counts"].startswith("no: recorded runs")
    assert user.run("runs", "split", episode["run_id"])[0] == 0
    assert len(user.run("runs", "list")[1]["rows"]) == 2
