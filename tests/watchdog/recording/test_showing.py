"""`runs show`, and what the wrapper loads."""

from __future__ import annotations

import json
import subprocess
import sys

from tests.watchdog.recording.process import COMMAND, ROOT, Desk


def show(desk: Desk, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [COMMAND, "runs", "show", *words],
        env=desk.environment,
        cwd=desk.home,
        capture_output=True,
        text=True,
        check=False,
    )


def test_all_that_is_known_of_one_run(desk: Desk) -> None:
    desk.run("sh", "-c", "exit 6")
    done = show(desk, "record-", "--json")
    told = json.loads(done.stdout)
    assert told["schema"] == "spend-watchdog/run/1"
    assert (told["outcome"], told["exit_code"], told["gpus"]) == ("failed", 6, None)
    assert told["duration_seconds"] >= 0
    plain = show(desk, told["run_id"]).stdout.splitlines()
    assert "outcome: failed" in plain
    assert "exit_code: 6" in plain
    assert not any(line.startswith("peak_gpu_memory_mib") for line in plain)


def test_no_run_and_more_than_one_are_one_line_each(desk: Desk) -> None:
    desk.run("true")
    desk.run("true")
    for asked, why in (("nope", "there is no such run"), ("record-", "2 runs begin like this")):
        done = show(desk, asked)
        assert (done.returncode, done.stdout) == (1, "")
        assert why in done.stderr
        assert len(done.stderr.splitlines()) == 1


def test_the_wrapper_loads_nothing_heavy_and_the_command_starts_before_anything_slow() -> None:
    slow = (
        "import sys\n"
        "import watchdog.cli.record, watchdog.recording.wrapper\n"
        "slow = {'pydantic', 'obstore', 'platformdirs', 'boto3'}\n"
        "print(sorted(slow & set(sys.modules)))\n"
        "import watchdog.recording.posting, watchdog.settings\n"
        "heavy = {'pandas', 'numpy', 'deltalake', 'duckdb', 'boto3'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", slow], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert done.stdout.split() == ["[]", "[]"]
