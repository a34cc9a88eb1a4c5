"""What a job's state says of an attempt. By state, never by exit code: Slurm 22.05 writes
`SUCCESS, 0` for a failed job in its JSON, and a node's failure has exit code 0:0. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping

from policies.facts import RunCause, RunOutcome

Ending = tuple[RunOutcome, RunCause | None]

RUNNING: Ending = (RunOutcome.RUNNING, None)
_LOST_MACHINE: Ending = (RunOutcome.FAILED, RunCause.NODE_FAILURE)
_REQUEUED: Ending = (RunOutcome.CANCELLED, RunCause.UNKNOWN)

ENDINGS: Mapping[str, Ending] = {
    "COMPLETED": (RunOutcome.SUCCEEDED, None),
    "FAILED": (RunOutcome.FAILED, RunCause.ERROR),
    "OUT_OF_MEMORY": (RunOutcome.FAILED, RunCause.OOM),
    "TIMEOUT": (RunOutcome.FAILED, RunCause.TIMEOUT),
    "DEADLINE": (RunOutcome.FAILED, RunCause.TIMEOUT),
    "NODE_FAIL": _LOST_MACHINE,
    "BOOT_FAIL": _LOST_MACHINE,
    "LAUNCH_FAILED": _LOST_MACHINE,
    "RECONFIG_FAIL": _LOST_MACHINE,
    "PREEMPTED": (RunOutcome.CANCELLED, RunCause.PREEMPTED),
    "CANCELLED": (RunOutcome.CANCELLED, RunCause.USER),
    "REVOKED": (RunOutcome.CANCELLED, RunCause.UNKNOWN),
    "REQUEUED": _REQUEUED,
    "REQUEUE_FED": _REQUEUED,
    "REQUEUE_HOLD": _REQUEUED,
    "SPECIAL_EXIT": _REQUEUED,
    "RUNNING": RUNNING,
    "COMPLETING": RUNNING,
    "RESIZING": RUNNING,
    "SIGNALING": RUNNING,
    "STAGE_OUT": RUNNING,
    "STOPPED": RUNNING,
    "SUSPENDED": RUNNING,
}
"""`sacct`'s manual page, JOB STATE CODES. A word that is not here is an unknown outcome."""
NOT_BEGUN = frozenset({"PENDING", "CONFIGURING", "RESV_DEL_HOLD", "POWER_UP_NODE"})
SHORT = {
    "BF": "BOOT_FAIL",
    "CA": "CANCELLED",
    "CD": "COMPLETED",
    "DL": "DEADLINE",
    "F": "FAILED",
    "NF": "NODE_FAIL",
    "OOM": "OUT_OF_MEMORY",
    "PD": "PENDING",
    "PR": "PREEMPTED",
    "R": "RUNNING",
    "RQ": "REQUEUED",
    "RS": "RESIZING",
    "RV": "REVOKED",
    "S": "SUSPENDED",
    "TO": "TIMEOUT",
}
"""How `--format=State%2` and older tools write them."""


def bare_state(told: str) -> str:
    """`CANCELLED by 1000` and `CANCELLED+` are CANCELLED."""
    words = told.strip().rstrip("+").split()
    word = words[0].upper().rstrip("+") if words else ""
    return SHORT.get(word, word)


def ending_of(state: str) -> Ending:
    """`state` as `bare_state` gives it."""
    return ENDINGS.get(state, (RunOutcome.UNKNOWN, None))
