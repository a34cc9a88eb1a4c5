"""Ranks, steps and ids of launchers."""

from __future__ import annotations

import sys

import pytest

from tests.watchdog.recording.process import Desk, running
from watchdog.recording.launchers import launch_of, workload_of

STEP = {"SLURM_JOB_ID": "4711", "SLURM_STEP_ID": "0", "SLURM_JOB_NAME": "pretrain"}


def rank(number: int, of: int = 4) -> dict[str, str]:
    return {
        **STEP,
        "SLURM_PROCID": str(number),
        "SLURM_STEP_NUM_TASKS": str(of),
        "SLURM_STEP_NUM_NODES": "2",
        "SLURM_GPUS_ON_NODE": "2",
    }


def test_a_step_of_slurm_is_one_run_whatever_its_ranks(desk: Desk) -> None:
    for number in (2, 0, 3, 1):
        done = desk.run("sh", "-c", "exit $((SLURM_PROCID * 0))", more=rank(number), options=())
        assert done.returncode == 0
    run = desk.the_run()
    assert (run["outcome"], run["workload"]) == ("succeeded", "pretrain")
    assert (run["nodes"], run["gpus"]) == (2, 4)
    assert str(run["aliases"]).startswith("slurm:4711;slurm:4711.0;process:")


def test_the_rank_that_failed_says_why(desk: Desk) -> None:
    """The others are ended for it, the first rank among them, and that is no cause."""
    with running(desk, "sh", "-c", "echo ready; exec sleep 60", more=rank(0)) as first:
        failing = "echo 'torch.OutOfMemoryError: CUDA out of memory.' >&2; exit 1"
        assert desk.run("sh", "-c", failing, more=rank(3)).returncode == 1
        first.terminate()
        assert first.wait(60) == 128 + 15
    assert desk.how_it_went() == ("failed", "oom")


def test_what_another_rank_only_suffered_is_not_the_cause(desk: Desk) -> None:
    follows = "echo 'torch.distributed.DistBackendError: remote process exited' >&2; exit 1"
    fails = "echo 'torch.OutOfMemoryError: CUDA out of memory.' >&2; exit 1"
    desk.run("sh", "-c", fails, more=rank(0))
    desk.run("sh", "-c", follows, more=rank(1))
    assert desk.how_it_went() == ("failed", "oom")


def test_a_step_whose_first_rank_went_on_has_failed_all_the_same(desk: Desk) -> None:
    desk.run("sh", "-c", "echo 'KeyError: 1' >&2; exit 1", more=rank(1))
    desk.run("true", more=rank(0))
    assert desk.how_it_went() == ("failed", "error")


def test_a_rank_without_a_step_stands_aside(desk: Desk) -> None:
    """`torchrun --no-python spend-watchdog record -- …`: nothing comes between."""
    for number in ("0", "1"):
        code = "import os; print(os.environ['RANK'])"
        more = {"RANK": number, "WORLD_SIZE": "2"}
        assert desk.run(sys.executable, "-c", code, more=more).stdout == f"{number}\n".encode()
    assert len(desk.runs()) == 1


def test_one_attempt_in_one_batch_job_is_a_run_by_itself(desk: Desk) -> None:
    """A batch script may record several commands."""
    batch = {"SLURM_JOB_ID": "4711", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}
    desk.run("true", more=batch)
    desk.run("true", more=batch)
    first, second = desk.runs()
    assert first["run_id"] != second["run_id"]


def test_ids_of_other_systems() -> None:
    told = launch_of({"MLFLOW_RUN_ID": "abc", "WANDB_RUN_ID": "", "SLURM_JOB_ID": "1;2"})
    assert told.aliases == ("mlflow:abc",)
    array = {"SLURM_JOB_ID": "12", "SLURM_ARRAY_JOB_ID": "10", "SLURM_ARRAY_TASK_ID": "2"}
    assert launch_of(array).aliases == ("slurm:12", "slurm:10_2")


@pytest.mark.parametrize("step", ["4294967291", "4294967292", "", "batch"])
def test_slurms_own_steps_are_no_steps(step: str) -> None:
    assert launch_of({**STEP, "SLURM_STEP_ID": step}).step is None


@pytest.mark.parametrize("environ", [{"RANK": "3"}, {"SLURM_PROCID": "x"}, {}])
def test_no_rank(environ: dict[str, str]) -> None:
    assert launch_of(environ).rank == 0


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["python", "src/train.py", "--lr", "1"], "llama:train.py"),
        (["torchrun", "--nproc", "8", "-m", "my.train"], "llama:my.train"),
        (["./run.sh"], "llama:run.sh"),
        (["/usr/bin/make"], "llama:make"),
    ],
)
def test_work_that_nobody_named(words: list[str], name: str) -> None:
    assert workload_of(words, "/home/me/llama") == name
