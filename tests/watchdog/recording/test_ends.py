"""How a command may end, and what is recorded of it."""

from __future__ import annotations

import os
import signal
import sys
import time

import pytest

from tests.watchdog.recording.process import Desk, running, until

PYTHON = sys.executable
WAITS = "echo ready; exec sleep 60"
CUDA = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"
    " capacity of 79.11 GiB"
)


def test_one_that_ends_well(desk: Desk) -> None:
    done = desk.run("sh", "-c", "cat; echo told >&2", stdin=b"words\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"words\n", b"told\n")
    run = desk.the_run()
    assert (run["outcome"], run["cause"], run["error"]) == ("succeeded", None, None)
    assert (run["workload"], run["source"], run["location"]) == ("llama", "record", "local")
    assert str(run["machine_id"]).startswith("local:")
    assert run["ended_at"] is not None
    assert desk.waiting() == []
    assert list((desk.home / "state").rglob("lock")) == []


def test_one_that_fails(desk: Desk) -> None:
    done = desk.run(PYTHON, "-c", "raise KeyError('x')")
    assert done.returncode == 1
    run = desk.the_run()
    assert (run["outcome"], run["cause"], run["error"]) == ("failed", "error", "KeyError: 'x'")


def test_one_that_runs_out_of_gpu_memory(desk: Desk) -> None:
    done = desk.run("sh", "-c", f"echo '{CUDA}' >&2; exit 1")
    assert done.returncode == 1
    run = desk.the_run()
    assert (run["outcome"], run["cause"], run["error"]) == ("failed", "oom", CUDA)


def test_a_memory_error_that_it_survives_is_a_success(desk: Desk) -> None:
    desk.run("sh", "-c", f"echo '{CUDA}' >&2; exit 0")
    assert desk.how_it_went() == ("succeeded", None)


def test_one_that_is_killed(desk: Desk) -> None:
    assert desk.run("sh", "-c", "kill -9 $$").returncode == 128 + 9
    run = desk.the_run()
    assert (run["outcome"], run["cause"], run["error"]) == ("failed", "unknown", "ended by SIGKILL")


def test_one_that_crashes(desk: Desk) -> None:
    assert desk.run("sh", "-c", "kill -SEGV $$").returncode == 128 + 11
    assert desk.how_it_went() == ("failed", "error")


def test_one_whose_time_is_up(desk: Desk) -> None:
    assert desk.run("timeout", "0.2", "sleep", "60").returncode == 124
    assert desk.how_it_went() == ("failed", "timeout")


def test_while_it_runs_the_ledger_says_so(desk: Desk) -> None:
    with running(desk, "sh", "-c", WAITS):
        until(lambda: len(desk.letters()) > 0)
        run = desk.the_run()
        assert (run["outcome"], run["ended_at"]) == ("running", None)
        (patrolled,) = desk.patrol()
        assert patrolled["outcome"] == "running"


def test_ctrl_c_at_a_terminal_reaches_the_command_once(desk: Desk) -> None:
    counts = (
        "import signal, sys, time\n"
        "heard = []\n"
        "signal.signal(signal.SIGINT, lambda *_: heard.append(1))\n"
        "print('ready', flush=True)\n"
        "until = time.monotonic() + 1.5\n"
        "while time.monotonic() < until: time.sleep(0.05)\n"
        "sys.exit(len(heard) + 40)\n"
    )
    with running(desk, PYTHON, "-c", counts) as process:
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.wait(60) == 41


def test_stopped_by_ctrl_c(desk: Desk) -> None:
    code = "import time; print('ready', flush=True); time.sleep(60)"
    with running(desk, PYTHON, "-c", code) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 128 + 2
    assert desk.how_it_went() == ("cancelled", "user")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_to_the_wrapper_alone_is_passed_on(desk: Desk, number: signal.Signals) -> None:
    with running(desk, "sh", "-c", WAITS) as process:
        process.send_signal(number)
        assert process.wait(60) == 128 + number


def test_a_signal_to_all_reaches_the_command_once(desk: Desk) -> None:
    counts = (
        "import signal, sys, time\n"
        "heard = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: heard.append(1))\n"
        "print('ready', flush=True)\n"
        "until = time.monotonic() + 1.5\n"
        "while time.monotonic() < until: time.sleep(0.05)\n"
        "sys.exit(len(heard) + 40)\n"
    )
    with running(desk, PYTHON, "-c", counts) as process:
        os.killpg(process.pid, signal.SIGTERM)
        assert process.wait(60) == 41
    run = desk.the_run()
    assert (run["outcome"], run["cause"]) == ("cancelled", "unknown")


def test_what_it_ignores_stays_ignored(desk: Desk) -> None:
    """As under `nohup`, whose terminal may go."""
    ignoring = ("sh", "-c", "trap '' HUP; exec \"$@\"", "sh")
    with running(desk, "sh", "-c", "echo ready; sleep 1; exit 7", under=ignoring) as process:
        process.send_signal(signal.SIGHUP)
        assert process.wait(60) == 7
    assert desk.how_it_went() == ("failed", "error")


def test_what_it_says_after_ctrl_c_is_passed_on_too(desk: Desk) -> None:
    code = "trap 'echo tidied >&2; exit 3' INT; echo ready; while :; do sleep 0.1; done"
    with running(desk, "sh", "-c", code) as process:
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 3
        assert process.stderr is not None
        assert process.stderr.read() == b"tidied\n"


def test_one_that_forks_is_not_waited_for_beyond_its_end(desk: Desk) -> None:
    """What it leaves behind keeps its standard error, as without the wrapper."""
    began = time.monotonic()
    process = desk.start("sh", "-c", "(sleep 3; echo late >&2) & echo gone", start_new_session=True)
    assert process.wait(60) == 0
    assert time.monotonic() - began < 2.9
    assert process.stderr is not None
    assert process.stderr.read() == b"late\n"
    process.communicate()
    assert desk.how_it_went() == ("succeeded", None)


def test_one_that_floods_standard_error(desk: Desk) -> None:
    """Byte for byte, and only the end of it is kept."""
    code = (
        "import os, sys\n"
        "line = bytes(range(256)) * 256\n"
        "for _ in range(2000): os.write(2, line)\n"
        f"os.write(2, b'\\n{CUDA}\\n')\n"
        "sys.exit(1)\n"
    )
    done = desk.run(PYTHON, "-c", code)
    assert done.stderr == bytes(range(256)) * 256 * 2000 + f"\n{CUDA}\n".encode()
    assert desk.how_it_went() == ("failed", "oom")


def test_standard_error_in_a_file_is_left_alone(desk: Desk) -> None:
    log = desk.home / "log"
    log.write_text("MemoryError\n")  # of an earlier run
    with log.open("a") as file:
        process = desk.start("sh", "-c", "readlink /proc/self/fd/2 >&2; exit 1", stderr=file)
        process.communicate(timeout=60)
    assert log.read_text() == f"MemoryError\n{log}\n"
    run = desk.the_run()
    assert (run["cause"], run["error"]) == ("error", str(log))


def test_a_wrapper_that_is_killed_leaves_the_command_alone(desk: Desk) -> None:
    """It goes on, its standard error too; nobody saw the end, and the next patrol says so."""
    code = "echo ready; sleep 1.5; echo still here >&2; echo done >file"
    with running(desk, "sh", "-c", code) as process:
        until(lambda: len(desk.letters()) > 0)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(60)
        until((desk.home / "file").exists)
        assert process.stderr is not None
        assert process.stderr.readline() == b"still here\n"
    (run,) = desk.patrol()
    assert (run["outcome"], run["cause"]) == ("lost", None)
    assert run["ended_at"] is not None
    (again,) = desk.patrol()
    assert again == run


def test_no_such_command(desk: Desk) -> None:
    done = desk.run("no-such-command")
    assert (done.returncode, done.stdout) == (127, b"")
    assert done.stderr == b"spend-watchdog record: no-such-command: there is no such command\n"
    assert desk.runs() == []


def test_a_file_that_is_no_program(desk: Desk) -> None:
    (desk.home / "plain").write_text("words")
    assert desk.run("./plain").returncode == 126


def test_a_script_without_a_shell_line_runs(desk: Desk) -> None:
    script = desk.home / "script"
    script.write_text("exit 9\n")
    script.chmod(0o755)
    assert desk.run("./script", "a").returncode == 9


def test_open_files_reach_the_command(desk: Desk) -> None:
    reader, writer = os.pipe()
    code = f"import os; os.write({writer}, b'through')"
    process = desk.start(PYTHON, "-c", code, pass_fds=[writer])
    os.close(writer)
    assert os.read(reader, 100) == b"through"
    os.close(reader)
    process.communicate(timeout=60)


def test_without_a_command_it_is_a_mistake(desk: Desk) -> None:
    assert desk.run().returncode == 2
