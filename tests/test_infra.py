"""What is deployed parses, and the role files say what the code says."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from providers.aws.permissions import agent_policy, read_only_policy
from watchdog.agent.unit import unit_text

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
