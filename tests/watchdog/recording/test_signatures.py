"""What the last lines say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.facts import RunCause
from watchdog.recording.signatures import LONGEST_ERROR, Told, lines_of, told_by


def told(text: str) -> Told:
    return told_by(lines_of(text.encode()))


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("torch.cuda.OutOfMemoryError: CUDA out of memory. Tried to allocate", RunCause.OOM),
        ("RuntimeError: CUDA error: out of memory", RunCause.OOM),
        ("torch.OutOfMemoryError: HIP out of memory. Tried to allocate 1 GiB", RunCause.OOM),
        ("RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling", RunCause.OOM),
        ("jaxlib.xla_extension.XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory", RunCause.OOM),
        ("tensorflow: OOM when allocating tensor with shape[8,8]", RunCause.OOM),
        ("ValueError: No available memory for the cache blocks.", RunCause.OOM),
        ("MemoryError", RunCause.OOM),
        ("terminate called after throwing an instance of 'std::bad_alloc'", RunCause.OOM),
        ("OSError: [Errno 12] Cannot allocate memory", RunCause.OOM),
        (
            "RuntimeError: DataLoader worker (pid 17) is killed by signal: Killed. ",
            RunCause.OOM,
        ),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=1.0.", RunCause.OOM),
        (
            "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-23 DUE TO TIME LIMIT ***",
            RunCause.TIMEOUT,
        ),
        (
            "slurmstepd: error: *** STEP 7.0 ON n1 CANCELLED AT 2026-11-23 DUE TO PREEMPTION ***",
            RunCause.PREEMPTED,
        ),
        ("RuntimeError: CUDA error: uncorrectable ECC error encountered", RunCause.NODE_FAILURE),
        (
            "botocore.exceptions.ClientError: An error occurred (InsufficientInstanceCapacity)",
            RunCause.CAPACITY,
        ),
        ("KeyError: 'loss'", RunCause.ERROR),
        ("subprocess.TimeoutExpired: no", None),
        ("loss 0.3", None),
    ],
)
def test_what_a_last_line_says(line: str, cause: RunCause | None) -> None:
    assert told(f"step 1\n{line}\n").cause is cause


def test_the_last_error_decides() -> None:
    survived = "torch.OutOfMemoryError: CUDA out of memory.\ntrying a smaller batch\n"
    assert told(f"{survived}KeyError: 'x'\n") == Told(cause=RunCause.ERROR, error="KeyError: 'x'")


def test_what_only_follows_from_another_rank_does_not() -> None:
    text = (
        "[rank3]: torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB\n"
        "[rank0]: torch.distributed.DistBackendError: NCCL error: remote process exited\n"
        "Traceback (most recent call last):\n"
        "torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
        "train.py FAILED\n"
    )
    assert told(text).cause is RunCause.OOM
    assert told(text).error == (
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB"
    )


def test_a_warning_decides_nothing() -> None:
    assert told("ValueError: bad\nUserWarning: resource_tracker: leaked\n").error == (
        "ValueError: bad"
    )


def test_ctrl_c() -> None:
    assert told("Traceback (most recent call last):\nKeyboardInterrupt\n").interrupted


def test_progress_bars_and_colours_are_left_out() -> None:
    text = " 1%|   |\r 2%|   |\r\x1b[31mValueError: bad\x1b[0m\r\n"
    assert told(text).error == "ValueError: bad"


@given(st.binary(max_size=2000))
def test_any_bytes_can_be_read(tail: bytes) -> None:
    found = told_by(lines_of(tail))
    assert found.error is None or len(found.error) <= LONGEST_ERROR + 2
