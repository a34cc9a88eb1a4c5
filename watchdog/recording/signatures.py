"""What the last lines of standard error say about why a command failed. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from policies.facts import RunCause

LONGEST_ERROR = 500

_KNOWN: tuple[tuple[str, RunCause], ...] = (
    # memory of the GPU: PyTorch, CUDA, cuBLAS, ROCm, JAX and TensorFlow, CuPy, vLLM
    (r"(CUDA|HIP|XPU|MPS backend)( error)?:? out of memory|OutOfMemoryError", RunCause.OOM),
    (r"CUDA_ERROR_OUT_OF_MEMORY|cudaErrorMemoryAllocation|hipErrorOutOfMemory", RunCause.OOM),
    (r"CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_ALLOC_FAILED", RunCause.OOM),
    (r"RESOURCE_EXHAUSTED: .*(memory|allocat)|OOM when allocating tensor", RunCause.OOM),
    (r"No available memory for the cache blocks", RunCause.OOM),
    # memory of the host: Python, C++, PyTorch's loader, the kernel, Slurm
    (r"\bMemoryError\b|std::bad_alloc|Cannot allocate memory", RunCause.OOM),
    (r"DefaultCPUAllocator: (can't|not enough)", RunCause.OOM),
    (r"DataLoader worker \(pid\(?s?\)? .*\) is killed by signal: Killed", RunCause.OOM),
    (r"oom[-_]kill(er)?\b|Exceeded job memory limit|\bOUT_OF_MEMORY\b", RunCause.OOM),
    # what the scheduler says when it ends a job
    (
        r"CANCELLED AT .* DUE TO TIME LIMIT|PBS: job killed: walltime|TERM_RUNLIMIT",
        RunCause.TIMEOUT,
    ),
    (r"CANCELLED AT .* DUE TO PREEMPTION|TERM_PREEMPT", RunCause.PREEMPTED),
    (r"CANCELLED AT .* DUE TO NODE FAILURE", RunCause.NODE_FAILURE),
    # hardware
    (r"uncorrectable ECC error|cudaErrorECCUncorrectable|CUDA_ERROR_ECC", RunCause.NODE_FAILURE),
    (r"GPU has fallen off the bus|GPU is lost|cudaErrorDevicesUnavailable", RunCause.NODE_FAILURE),
    # a cloud that has no machine to give
    (r"InsufficientInstanceCapacity|ZONE_RESOURCE_POOL_EXHAUSTED", RunCause.CAPACITY),
    (r"SkuNotAvailable|AllocationFailed\b|OverconstrainedAllocation", RunCause.CAPACITY),
)
KNOWN = tuple((re.compile(pattern), cause) for pattern, cause in _KNOWN)

INTERRUPTED = re.compile(r"^KeyboardInterrupt\b")
EXCEPTION = re.compile(
    r"^([A-Za-z_]\w*\.)*[A-Z]\w*(Error|Exception|Failure|Interrupt|Exit|Warning)\b(: |$)"
    r"|^terminate called after throwing an instance of"
    r"|^(error|fatal|panic|FATAL ERROR)(\[|: )",
)
FOLLOW_UP = re.compile(
    r"ChildFailedError|CalledProcessError|ProcessExitedException|ProcessRaisedException"
    r"|DistBackendError|Connection (closed|reset) by peer|ConnectionResetError|BrokenPipeError"
    r"|SystemExit|Warning\b|ncclRemoteError|SignalException|srun: error|RayTaskError"
)
"""What a launcher or another rank says of a failure that began elsewhere."""

PREFIX = re.compile(
    r"^(\[(rank|default|trainer)?\d+(,\d+)?\](<std(err|out)>)?:?\s*|\d+: |\(\w+ pid=\d+[^)]*\) )+"
)
"""What torchrun, srun, mpirun and Ray put before a line."""
COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What standard error tells of a failure."""

    cause: RunCause | None
    """None: nothing that is known here."""
    error: str | None
    """The telling line; None: nothing was written."""
    interrupted: bool = False
    """A program ended because somebody pressed Ctrl-C."""


SILENT = Told(cause=None, error=None)
"""Nothing could be seen."""


def lines_of(tail: bytes) -> list[str]:
    """Whole lines as a person sees them; a progress bar's overwritten states are left out."""
    text = COLOUR.sub("", tail.decode("utf-8", errors="replace"))
    shown = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return [PREFIX.sub("", line).strip() for line in shown]


def told_by(lines: Sequence[str]) -> Told:
    """The last error decides; one that only follows from another does not."""
    follow_up: str | None = None
    for line in reversed(lines):
        if not line:
            continue
        if INTERRUPTED.match(line):
            return Told(cause=None, error=_short(line), interrupted=True)
        cause = next((cause for pattern, cause in KNOWN if pattern.search(line)), None)
        if cause is not None:
            return Told(cause=cause, error=_short(line))
        if FOLLOW_UP.search(line):
            follow_up = follow_up or line
        elif EXCEPTION.match(line):
            return Told(cause=RunCause.ERROR, error=_short(line))
    last = follow_up or next((line for line in reversed(lines) if line), None)
    return Told(cause=None, error=None if last is None else _short(last))


def _short(line: str) -> str:
    return line if len(line) <= LONGEST_ERROR else f"{line[:LONGEST_ERROR]} …"
