"""The read-only role under moto's own enforcement of IAM: enough for a patrol, too little to stop.

Where moto is not AWS: it denies EC2 with `AccessDenied` (AWS: `UnauthorizedOperation`), ignores
conditions and resources of a policy, and wants `monitoring:` for CloudWatch's actions.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from policies.rules import load_pack
from providers.aws.adapter import AwsProvider
from providers.aws.errors import DENIED
from providers.aws.permissions import PERMISSIONS, read_only_policy
from providers.aws.probes import UNTRIED
from providers.aws.session import open_session
from tests.moto_aws import AwsServer
from tests.providers.aws.estate import (
    BUCKET,
    REGION,
    credentials,
    enforced,
    furnish,
    only_this_region,
)
from tests.providers.aws.iam_actions import action_of
from tests.providers.aws.quick import QUICK
from watchdog.ledger.store import Ledger
from watchdog.mapping import load_mapping
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import PatrolReport

DECLARED = [permission for permission, _ in PERMISSIONS]
TRIED = [each for each in DECLARED if each not in UNTRIED]
COMMAND = str(Path(sys.executable).parent / "spend-watchdog")
NOT_ENFORCED = {
    "cloudtrail:LookupEvents": "moto does not know the call and answers 500 to whoever asks",
    "sts:GetCallerIdentity": "moto, like AWS, answers it whatever a role says",
    "ec2:DescribeCapacityReservations": "moto has none: the answer is the test's own",
    "ec2:DescribeReservedInstances": "moto has none: the answer is the test's own",
    "savingsplans:DescribeSavingsPlans": "moto has none: the answer is the test's own",
    "sagemaker:ListApps": "moto does not know the call, so the estate answers in its place",
    "sagemaker:ListSpaces": "moto does not know the call, so the estate answers in its place",
}
"""Permissions whose lack moto does not tell; the test refuses the call in its place."""
BESIDES_PATROLS = {
    "pricing:GetProducts": "prices refresh",
}
"""Permissions that another command than `patrol` needs, and which one."""
NEEDED_WHERE_NOTHING_RUNS = frozenset({"sts:GetCallerIdentity"})
"""Where there are machines, their owner is the account."""
DENIAL = "not allowed"


@pytest.fixture
def account(aws: AwsServer, monkeypatch: pytest.MonkeyPatch) -> AwsServer:
    """One with machines, and credentials that may do what `enforced` says."""
    only_this_region(aws)
    for name, value in credentials(aws).items():
        monkeypatch.setenv(name, value)
    return aws


@pytest.fixture
def reset_calls(account: AwsServer) -> Iterator[None]:
    """What a test asked of purpose is nothing that the adapter asked."""
    yield
    account.forget_calls()


def patrolled(folder: Path) -> PatrolReport:
    parts = Parts(
        providers=[AwsProvider(sagemaker=True, limits=QUICK)],
        ledger=Ledger.open(str(folder / "ledger")),
        policy=load_pack("observe"),
        mapping=load_mapping(NAMED, "mapping.yaml"),
        storage=True,
        commitments=True,
    )
    return patrol(parts, now=datetime.now(UTC))


NAMED = f"""
schema: spend-watchdog/mapping/1
workloads:
  - workload: llama
    match: {{name: {BUCKET}}}
"""
"""Uploads are listed only for buckets that somebody names."""


def without(permission: str) -> dict[str, Any]:
    policy = read_only_policy()
    (statement,) = policy["Statement"]
    left = [action for action in statement["Action"] if action != permission]
    assert len(left) == len(statement["Action"]) - 1
    return {**policy, "Statement": [{**statement, "Action": left}]}


def denials(report: PatrolReport) -> list[str]:
    return [f"{gap.what}: {gap.why}" for gap in report.gaps if DENIAL in gap.why]


def test_a_patrol_needs_no_more_than_the_role(account: AwsServer, tmp_path: Path) -> None:
    furnish(account)
    with enforced(account, read_only_policy()):
        report = patrolled(tmp_path)
    assert denials(report) == []
    judged = {each.machine.name: each.phase.phase.value for each in report.machines}
    assert judged["trainer-1"] == "idle"
    assert set(judged) == {"trainer-1", None, "fit", "chat", "desk"}


def used(report: PatrolReport) -> set[str]:
    """By what the SDK itself says before each request."""
    calls = report.cost_of_watching.api_calls
    return {action_of(*operation.split(":")) for operation in calls}


def test_patrols_use_the_whole_role_and_nothing_else(account: AwsServer, tmp_path: Path) -> None:
    asked = used(patrolled(tmp_path / "empty"))
    furnish(account)
    asked |= used(patrolled(tmp_path / "furnished"))
    assert asked == set(DECLARED) - set(BESIDES_PATROLS)


@pytest.mark.slow
def test_the_command_works_with_the_role(account: AwsServer, tmp_path: Path) -> None:
    furnish(account)
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SPEND_WATCHDOG_LEDGER": str(tmp_path / "ledger"),
        "SPEND_WATCHDOG_PROVIDERS": "aws",
        **{name: os.environ[name] for name in account.environment},
    }

    def run(*arguments: str) -> tuple[int, Any]:
        done = subprocess.run(
            [COMMAND, *arguments, "--json"],
            capture_output=True,
            text=True,
            check=False,
            cwd=tmp_path,
            env=environment,
            timeout=120,
        )
        return done.returncode, json.loads(done.stdout)

    with enforced(account, read_only_policy()):
        _, told = run("patrol", "--region", REGION, "--no-alerts")
        _, checked = run("doctor")
    assert [machine["decision"] for machine in told["machines"]].count("notify") == 1
    assert [gap for gap in told["gaps"] if DENIAL in gap["why"]] == []
    assert [check for check in checked["checks"] if DENIAL in check["told"]] == []
    assert {check["what"] for check in checked["checks"]} >= {f"aws: {each}" for each in TRIED}


def test_an_empty_account_needs_no_more_either(account: AwsServer, tmp_path: Path) -> None:
    with enforced(account, read_only_policy()):
        report = patrolled(tmp_path)
    assert (denials(report), report.machines) == ([], ())
    assert account.calls["sts:GetCallerIdentity"] == 1


@pytest.mark.parametrize("operation", ["stop_instances", "terminate_instances", "start_instances"])
@pytest.mark.usefixtures("reset_calls")
def test_the_role_is_refused_what_changes_a_machine(account: AwsServer, operation: str) -> None:
    machine = furnish(account)
    with enforced(account, read_only_policy()):
        ec2: Any = open_session().client("ec2", region_name=REGION)
        for dry_run in (True, False):
            with pytest.raises(ClientError) as refusal:
                getattr(ec2, operation)(InstanceIds=[machine], DryRun=dry_run)
            assert refusal.value.response["Error"]["Code"] in DENIED
    (seen,) = account.client("ec2", REGION).describe_instances(InstanceIds=[machine])[
        "Reservations"
    ]
    assert seen["Instances"][0]["State"]["Name"] == "running"


def test_who_may_stop_is_not_refused(account: AwsServer) -> None:
    """Else the test above would pass for a role that may do nothing, or an action misspelt."""
    machine = furnish(account)
    policy = read_only_policy()
    policy["Statement"][0]["Action"] = ["ec2:StopInstances"]
    with enforced(account, policy):
        ec2: Any = open_session().client("ec2", region_name=REGION)
        ec2.stop_instances(InstanceIds=[machine])
    account.forget_calls()


@pytest.mark.parametrize("permission", [each for each in DECLARED if each not in BESIDES_PATROLS])
def test_a_permission_that_is_lacking_is_a_gap_that_names_it(
    account: AwsServer, tmp_path: Path, permission: str
) -> None:
    if permission in NOT_ENFORCED:
        account.fail(permission, status=403, code="AccessDenied")
    if permission not in NEEDED_WHERE_NOTHING_RUNS:
        furnish(account)
    with enforced(account, without(permission)):
        report = patrolled(tmp_path)
    named = [told for told in denials(report) if permission in told]
    assert named, (
        f"a patrol without {permission} tells nothing of it: let tests/providers/aws/estate.py hold"
        f" what it is needed for, or take it out of the table; told was {denials(report)}"
    )
    assert report.patrol_id
