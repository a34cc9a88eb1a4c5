"""How a command ended, as the outcome of a run. Pure."""

from __future__ import annotations

import signal
from collections.abc import Collection
from dataclasses import dataclass

from policies.facts import RunCause, RunOutcome
from watchdog.recording.signatures import SILENT, Told

TIMED_OUT = 124
"""What `timeout` exits with."""
BY_SIGNAL = 128
ASKED_TO_END = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT})
BY_A_PERSON = frozenset({signal.SIGINT, signal.SIGQUIT, signal.SIGHUP})
"""A key at a terminal, or a terminal that was closed. SIGTERM may come from anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What could be seen of an end."""

    exit_code: int
    """As a shell shows it: 128 + N where signal N ended the command."""
    received: Collection[int] = ()
    """Signals that reached the wrapper while the command ran."""
    told: Told = SILENT
    memory_kills: int | None = 0
    """Processes that the kernel ended for memory meanwhile, where the command's memory is counted;
    None: it does not tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    outcome: RunOutcome
    cause: RunCause | None = None
    error: str | None = None
    by_itself: bool = False
    """It failed by an error of its own, not by one that followed from another process's."""


def verdict(ended: Ended) -> Verdict:
    """A command that exits with 0 succeeded, whatever it survived."""
    if ended.exit_code == 0:
        return Verdict(outcome=RunOutcome.SUCCEEDED)
    by = _signal_of(ended.exit_code)
    if _memory_ran_out(ended, by):
        told = ended.told.error if ended.told.cause is RunCause.OOM else None
        told = told or "the kernel ended it because memory ran out"
        return _failed(RunCause.OOM, told, by_itself=True)
    if ended.told.cause not in {None, RunCause.ERROR}:
        by_itself = ended.told.cause is RunCause.OOM
        return _failed(ended.told.cause, ended.told.error, by_itself=by_itself)
    asked = _asked_by(ended, by)
    if asked is not None:
        cause = RunCause.USER if asked in BY_A_PERSON else RunCause.UNKNOWN
        return Verdict(outcome=RunOutcome.CANCELLED, cause=cause, error=_by(asked))
    return _failed_by_itself(ended, by)


def _failed_by_itself(ended: Ended, by: signal.Signals | None) -> Verdict:
    if by is signal.SIGXCPU or ended.exit_code == TIMED_OUT:
        return _failed(RunCause.TIMEOUT, ended.told.error or "its time was up")
    if by is signal.SIGKILL:  # whoever sent it left no word
        return _failed(RunCause.UNKNOWN, _by(by))
    if by is not None:
        return _failed(RunCause.ERROR, ended.told.error or _by(by))
    error = ended.told.error or f"exit code {ended.exit_code}"
    return _failed(RunCause.ERROR, error, by_itself=ended.told.cause is RunCause.ERROR)


def _failed(cause: RunCause | None, error: str | None, *, by_itself: bool = False) -> Verdict:
    return Verdict(outcome=RunOutcome.FAILED, cause=cause, error=error, by_itself=by_itself)


def _memory_ran_out(ended: Ended, by: signal.Signals | None) -> bool:
    """The kernel's counter alone is no proof: what it ended may be another's."""
    killed = by is signal.SIGKILL or ended.told.cause is RunCause.OOM
    return killed and bool(ended.memory_kills)


def _asked_by(ended: Ended, by: signal.Signals | None) -> signal.Signals | None:
    """The signal that asked it to end; None: nobody asked, or it ended for another reason."""
    if by in ASKED_TO_END:
        return by
    if ended.told.interrupted:
        return signal.SIGINT
    asked = [signal.Signals(each) for each in ended.received if each in ASKED_TO_END]
    return asked[-1] if asked else None


def _signal_of(exit_code: int) -> signal.Signals | None:
    try:
        return signal.Signals(exit_code - BY_SIGNAL) if exit_code > BY_SIGNAL else None
    except ValueError:
        return None


def _by(number: signal.Signals) -> str:
    return f"ended by {number.name}"
