"""The command as others script against it: output, exit codes, and one clear line a mistake."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.moto_aws import AwsServer
from watchdog.cli.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
RUN = (str(Path(sys.executable).parent / "spend-watchdog"),)


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(frozen=True)
class Shell:
    """A user's shell: a folder, and nothing in the environment but what the test says."""

    folder: Path
    environment: Mapping[str, str]

    def __call__(self, *arguments: str, **variables: str) -> Done:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "PYTHONPATH": str(ROOT),
            "AWS_EC2_METADATA_DISABLED": "true",
            "COLUMNS": "100",
            "SPEND_WATCHDOG_LEDGER": str(self.folder / "ledger"),
            **self.environment,
            **variables,
        }
        done = subprocess.run(
            [*RUN, *arguments],
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            env=environment,
            timeout=120,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


@pytest.fixture(scope="module")
def server() -> Iterator[AwsServer]:
    with AwsServer() as running:
        yield running


@pytest.fixture
def aws(server: AwsServer) -> AwsServer:
    server.reset()
    return server


@pytest.fixture
def cloud(tmp_path: Path, aws: AwsServer) -> Shell:
    return Shell(tmp_path, aws.environment)


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_and_stands_in_the_readme(shell: Shell, command: str) -> None:
    done = shell(command, "--help")
    assert done.code == 0
    assert "Usage:" in done.out
    assert f"`{command}" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_names_no_command_that_does_not_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^spend-watchdog ([a-z]+)", readme, re.MULTILINE))
    assert named <= set(COMMANDS)


def test_an_unknown_command_is_a_usage_error(shell: Shell) -> None:
    assert shell("patroll").code == 2


def test_completion_offers_commands_and_options(shell: Shell) -> None:
    asked = {"_SPEND_WATCHDOG_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    done = shell(**asked, COMP_WORDS="spend-watchdog pat")
    assert "patrol" in done.out
    asked["COMP_CWORD"] = "2"
    assert "--backfill" in shell(**asked, COMP_WORDS="spend-watchdog patrol --ba").out


def test_without_any_cloud_a_patrol_says_so_and_still_prints_its_json(shell: Shell) -> None:
    done = shell("patrol", "--json")
    assert done.code == 4
    assert done.json["schema"] == "spend-watchdog/patrol/1"
    assert "no cloud is configured" in done.json["gaps"][0]["why"]


def test_a_provider_that_was_asked_for_and_has_no_credentials_is_a_gap(shell: Shell) -> None:
    done = shell("patrol", "--json", "--provider", "aws")
    assert done.code == 4
    (gap,) = done.json["gaps"]
    assert gap["provider"] == "aws"
    assert "credentials" in gap["why"]


def test_an_unknown_provider_is_a_usage_error_with_a_suggestion(shell: Shell) -> None:
    done = shell("patrol", "--provider", "asw")
    assert (done.code, done.out) == (2, "")
    assert "did you mean aws?" in done.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("patrol", "--act", "--no-alerts"), "--act with --no-alerts is refused"),
        (("patrol", "--region", ""), "regions: an empty name is no region"),
        (("patrol", "--policy", "observ"), "observ: there is no such policy file"),
        (("patrol", "--backfill", "soon"), "must be a duration such as 90s, 15m, 6h or 3d"),
        (("patrol", "--config", "no.toml"), "no.toml: there is no such settings file"),
        (("costs", "--since", "yesterday"), "'yesterday' is no time"),
        (("costs", "--since", "2026-02-01", "--until", "2026-01-01"), "is not before --until"),
        (("costs", "--by", "colour"), "colour"),
        (("explain", "nobody"), "neither a machine nor a workload is called nobody"),
        (("runs", "import", "no.csv"), "no.csv: does not exist"),
        (("ledger", "export", "runs", "out.xlsx"), "say --format"),
        (("ledger", "export", "run", "out.csv"), "did you mean runs? There are attributions,"),
    ],
)
def test_a_mistake_is_one_clear_line_and_exit_code_2(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    done = shell(*arguments)
    assert (done.code, done.out) == (2, "")
    assert message in " ".join(done.err.replace("│", " ").split())


def test_a_settings_file_with_an_unknown_key_names_file_and_line(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "spend-watchdog.toml").write_text('policy = "observe"\nledgr = "x"\n')
    done = shell("patrol", "--json")
    assert (done.code, done.out) == (2, "")
    assert (
        "spend-watchdog.toml:2: ledgr: there is no such setting; did you mean ledger?" in done.err
    )


def test_empty_states_say_what_to_do_next(shell: Shell) -> None:
    assert "runs import" in shell("workloads").err
    assert "patrol" in shell("costs").err
    assert "runs import" in shell("runs", "list").err
    assert shell("workloads", "--json").json == {"schema": "spend-watchdog/workloads/1", "rows": []}
    assert shell("costs", "--json").json["rows"] == []


def test_good_rows_enter_bad_ones_are_told_and_the_same_file_adds_nothing(
    shell: Shell, tmp_path: Path
) -> None:
    (tmp_path / "runs.csv").write_text(
        "run_id,workload,started_at,ended_at,outcome\n"
        "a,llama,2026-01-01T00:00:00Z,2026-01-01T02:00:00Z,succeeded\n"
        "b,llama,2026-01-02T00:00:00Z,2026-01-01T02:00:00Z,failed\n"
    )
    done = shell("runs", "import", "runs.csv")
    assert done.code == 4
    assert "runs.csv:3: ended_at:" in done.err
    again = shell("runs", "import", "runs.csv", "--json")
    assert (again.json["files"][0]["added"], again.json["files"][0]["unchanged"]) == (0, 1)
    listed = shell("runs", "list", "--json").json["rows"]
    assert [row["run_id"] for row in listed] == ["a"]
    strict = shell("runs", "import", "runs.csv", "--strict")
    assert strict.code == 1
    rows = shell("workloads", "--json").json["rows"]
    assert rows[0]["workload"] == "llama"
    assert set(rows[0]["questions"]) == {
        "finishes",
        "memory",
        "environment",
        "portable",
        "data",
        "duration",
        "uses_what_it_rents",
    }
    assert "Workload llama" in shell("explain", "llama").out


def test_prices_show_their_source_and_date(shell: Shell) -> None:
    done = shell("prices", "show", "p4d.24xlarge", "--provider", "aws", "--json")
    rows = done.json["prices"]
    assert rows
    assert all(float(row["hourly_usd"]) > 0 and row["source"] for row in rows)
    assert "unknown" in shell("prices", "show", "no-such-type").err or done.code == 0


def test_prices_show_what_a_gb_costs_that_leaves(shell: Shell) -> None:
    told = shell("prices", "show", "--provider", "aws", "--region", "us-east-1", "--json").json
    tiers = [each for each in told["egress"] if each["service"] == "Data Transfer"]
    assert [float(each["usd_per_gb"]) for each in tiers] == [0, 0.09, 0.085, 0.07, 0.05]
    assert [float(each["from_gb"]) for each in tiers] == [0, 100, 10340, 51300, 153700]
    assert {"infracost", "aws-free-tier"} <= {each["id"] for each in told["sources"]}


def test_init_writes_once_prints_the_role_and_changes_no_cloud(
    cloud: Shell, aws: AwsServer, tmp_path: Path
) -> None:
    first = cloud("init")
    assert first.code == 0
    assert "ec2:DescribeInstances" in first.out
    written = (tmp_path / "spend-watchdog.toml").read_text()
    second = cloud("init", "--json")
    assert second.json["written"] is False
    assert (tmp_path / "spend-watchdog.toml").read_text() == written
    assert all(call.split(":")[1].startswith(("Describe", "List", "Get")) for call in aws.calls)


def test_doctor_tells_what_is_missing(shell: Shell) -> None:
    done = shell("doctor", "--json")
    checks = {check["what"]: check for check in done.json["checks"]}
    assert done.code == 1
    assert checks["providers"]["health"] == "problem"
    assert checks["ledger"]["health"] == "ok"


def test_doctor_is_content_with_an_account_that_answers(cloud: Shell) -> None:
    done = cloud("doctor", "--json")
    checks = {check["what"]: check for check in done.json["checks"]}
    assert checks["aws: credentials"]["health"] == "ok"
    assert checks["aws: ec2:DescribeInstances"]["health"] == "ok"
    assert done.code == 0


def test_ledger_info_and_export(shell: Shell, tmp_path: Path) -> None:
    shell("patrol", "--json")
    tables = {row["table"] for row in shell("ledger", "info", "--json").json["tables"]}
    assert {"machines", "readings", "runs", "charges", "patrols"} <= tables
    assert shell("ledger", "export", "patrols", "patrols.csv").code == 0
    assert (tmp_path / "patrols.csv").read_text().startswith("patrol_id")
    assert shell("ledger", "compact").code == 0
    told = shell("ledger", "compact", "--thin-after", "30d", "--dry-run", "--json").json
    assert told["dry_run"] is True
    assert {row["old_files_deleted"] for row in told["tables"]} == {0}
    assert shell("ledger", "compact", "--thin-after", "1h").code == 2
    sound = shell("ledger", "verify", "--json")
    assert (sound.code, sound.json["sound"]) == (0, True)
    for file in (tmp_path / "ledger/patrols").glob("*.parquet"):
        file.unlink()
    broken = shell("ledger", "verify")
    assert broken.code == 1
    assert "broken  patrols: patrols/" in broken.out
