"""`stop`, as people type it, against a real AWS API."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from moto.ec2.models import ec2_backends

from tests.moto_aws import ACCOUNT, AwsServer, launch, put_metric
from tests.test_cli import RUN, Shell
from watchdog.ledger.store import Ledger

pytestmark = pytest.mark.slow
REGION = "us-east-1"


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def idle(aws: AwsServer) -> str:
    """A machine that has been quiet for three hours."""
    aws.reset()
    (made,) = launch(aws.client("ec2", REGION), "g5g.xlarge", tags={"Name": "trainer-1"})
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    begin = now - timedelta(minutes=now.minute % 5, hours=3)
    instance: Any = ec2_backends[ACCOUNT][REGION].get_instance(made)
    instance.launch_time = f"{now - timedelta(days=2):%Y-%m-%dT%H:%M:%S.000Z}"
    gpu, host = {"InstanceId": made, "index": "0"}, {"InstanceId": made}
    metrics = [
        ("nvidia_smi_utilization_gpu", 0.0, gpu, "CWAgent"),
        ("nvidia_smi_memory_used", 3.0, gpu, "CWAgent"),
        *((name, 1000.0, host, "AWS/EC2") for name in ("NetworkIn", "NetworkOut", "EBSWriteBytes")),
        ("CPUUtilization", 1.0, host, "AWS/EC2"),
    ]
    for name, value, of, namespace in metrics:
        put_metric(
            aws.client("cloudwatch", REGION),
            name,
            [value] * 37,
            dimensions=of,
            started_at=begin,
            namespace=namespace,
        )
    return made


@pytest.fixture
def shell(aws: AwsServer, idle: str, tmp_path: Path) -> Shell:
    found = Shell(
        tmp_path,
        {**aws.environment, "SPEND_WATCHDOG_REGIONS": REGION, "SPEND_WATCHDOG_PROVIDERS": "aws"},
    )
    found("patrol", "--no-alerts", "--json")
    return found


def state(aws: AwsServer, machine: str) -> str:
    found = aws.client("ec2", REGION).describe_instances(InstanceIds=[machine])
    return str(found["Reservations"][0]["Instances"][0]["State"]["Name"])


def test_it_stops_and_says_so(shell: Shell, aws: AwsServer, idle: str) -> None:
    done = shell("stop", "trainer-1", "--by", "ana", "--json")
    assert (done.code, done.err) == (0, "")
    assert (done.json["result"], done.json["by"], done.json["vetoes"]) == ("stopped", "ana", [])
    assert done.json["machine"] == f"aws:{ACCOUNT}:{REGION}:{idle}"
    assert state(aws, idle) == "stopped"
    events = shell("explain", idle, "--events", "--json").json["events"]
    assert "stopped" in {event["kind"] for event in events}


def test_a_refusal_is_one_line_that_says_how_to_override(
    shell: Shell, aws: AwsServer, idle: str
) -> None:
    shell("keep", idle, "--for", "2h", "--by", "bob")
    done = shell("stop", idle, "--yes")
    assert done.code == 1
    assert len(done.out.splitlines()) == 1
    assert "trainer-1 was not stopped: kept: it is kept until" in done.out
    assert "by bob. To stop it all the same: --override kept" in done.out
    assert state(aws, idle) == "running"
    done = shell("stop", idle, "--yes", "--override", "kept")
    assert (done.code, "against kept: it is kept until" in done.out) == (0, True)


def test_a_keep_stands_on_the_machine_and_ends_there_too(
    shell: Shell, aws: AwsServer, idle: str
) -> None:
    kept = shell("keep", idle, "--for", "2h", "--by", "bob", "--json").json
    assert (kept["tag_written"], kept["tag_why"]) == (True, None)
    assert tag(aws, idle) == kept["until"]
    ended = shell("keep", idle, "--end", "--by", "bob", "--json").json
    assert tag(aws, idle) == ended["until"]
    assert shell("stop", idle, "--yes", "--json").json["result"] == "stopped"


def tag(aws: AwsServer, machine: str) -> str:
    found = aws.client("ec2", REGION).describe_instances(InstanceIds=[machine])
    tags: Any = found["Reservations"][0]["Instances"][0]["Tags"]
    (value,) = [each["Value"] for each in tags if each["Key"] == "spend-watchdog:keep-until"]
    return str(value)


def test_on_a_terminal_it_asks_first(shell: Shell, aws: AwsServer, idle: str) -> None:
    assert _typed(shell, b"n\n").returncode == 1
    assert state(aws, idle) == "running"
    assert _typed(shell, b"y\n").returncode == 0
    assert state(aws, idle) == "stopped"


def _typed(shell: Shell, answer: bytes) -> subprocess.CompletedProcess[str]:
    ours, theirs = pty.openpty()
    os.write(ours, answer)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(shell.folder),
        "SPEND_WATCHDOG_LEDGER": str(shell.folder / "ledger"),
        **shell.environment,
    }
    done = subprocess.run(
        [*RUN, "stop", "trainer-1"],
        stdin=theirs,
        capture_output=True,
        text=True,
        check=False,
        cwd=shell.folder,
        env=environment,
        timeout=120,
    )
    os.close(ours)
    os.close(theirs)
    assert "Stop trainer-1 (g5g.xlarge, $" in done.stderr, done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("trainer-1", "--override", "keptt"), "--override keptt: there is no such veto; did you"),
        (("trainer-1", "--override", "xyzzy"), "there are blast_radius, cannot_stop"),
        (("trainer-9",), "no machine is called trainer-9; did you mean trainer-1?"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    from tests.builders import NOW, machine  # noqa: PLC0415
    from watchdog import rows  # noqa: PLC0415

    store = Ledger.open(str(tmp_path / "ledger"))
    store.append("machines", [rows.machine_row(machine("trainer-1"), NOW)])
    done = Shell(tmp_path, {})("stop", *arguments, "--json")
    assert (done.code, done.out) == (2, "")
    assert message in done.err
    assert len(done.err.splitlines()) == 1


def test_json_is_the_documented_shape() -> None:
    from policies.verdicts import Result, Veto  # noqa: PLC0415
    from watchdog.orders import Order, Ordered, ordered_json  # noqa: PLC0415

    veto = Veto(name="kept", why="it is kept")
    order = Order(machine="aws:1:r:i-1", by="ana", via="command")
    done = Ordered(order=order, result=Result.VETOED, why="kept: it is kept", vetoes=(veto,))
    told = ordered_json(done, datetime(2026, 12, 1, tzinfo=UTC))
    assert json.loads(json.dumps(told)) == {
        "schema": "spend-watchdog/stop/1",
        "at": "2026-12-01T00:00:00Z",
        "machine": "aws:1:r:i-1",
        "by": "ana",
        "result": "vetoed",
        "why": "kept: it is kept",
        "vetoes": [{"name": "kept", "why": "it is kept", "can_be_overridden": True}],
        "overridden": [],
    }
