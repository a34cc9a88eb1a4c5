"""Exit codes, signals and evidence become outcomes and causes."""

from __future__ import annotations

import signal

from hypothesis import given
from hypothesis import strategies as st

from policies.facts import RunCause, RunOutcome
from watchdog.recording.ending import Ended, verdict
from watchdog.recording.signatures import Told

OOM = Told(cause=RunCause.OOM, error="CUDA out of memory")
BY_TERM = (signal.SIGTERM,)


def ended(exit_code: int, **seen: object) -> tuple[RunOutcome, RunCause | None]:
    found = verdict(Ended(exit_code=exit_code, **seen))  # type: ignore[arg-type]
    return found.outcome, found.cause


def test_a_killed_one_blames_memory_only_with_the_kernels_word() -> None:
    assert ended(137, memory_kills=1) == (RunOutcome.FAILED, RunCause.OOM)
    assert ended(137, memory_kills=0) == (RunOutcome.FAILED, RunCause.UNKNOWN)
    assert ended(137, memory_kills=None) == (RunOutcome.FAILED, RunCause.UNKNOWN)


def test_anothers_death_is_not_this_ones() -> None:
    assert ended(1, memory_kills=1) == (RunOutcome.FAILED, RunCause.ERROR)


def test_a_memory_error_beats_the_signal_that_followed() -> None:
    assert ended(143, told=OOM, received=BY_TERM) == (RunOutcome.FAILED, RunCause.OOM)


def test_one_that_was_asked_and_tidied_up() -> None:
    assert ended(1, received=BY_TERM) == (RunOutcome.CANCELLED, RunCause.UNKNOWN)
    assert ended(1, received=(signal.SIGINT,)) == (RunOutcome.CANCELLED, RunCause.USER)
    assert ended(0, received=BY_TERM) == (RunOutcome.SUCCEEDED, None)


def test_ctrl_c_that_only_the_program_tells_of() -> None:
    told = Told(cause=None, error="KeyboardInterrupt", interrupted=True)
    assert ended(1, told=told) == (RunOutcome.CANCELLED, RunCause.USER)


def test_other_signals_do_not_cancel() -> None:
    assert ended(1, received=(signal.SIGUSR1,)) == (RunOutcome.FAILED, RunCause.ERROR)


def test_time_limits() -> None:
    assert ended(124) == (RunOutcome.FAILED, RunCause.TIMEOUT)
    assert ended(128 + signal.SIGXCPU) == (RunOutcome.FAILED, RunCause.TIMEOUT)


@given(
    st.integers(0, 255),
    st.sets(st.sampled_from([1, 2, 3, 10, 12, 15])),
    st.sampled_from([OOM, Told(cause=None, error=None), Told(cause=None, error="x")]),
    st.none() | st.integers(0, 3),
)
def test_only_an_exit_with_0_succeeds_and_all_else_has_a_cause(
    code: int, received: set[int], told: Told, kills: int | None
) -> None:
    found = verdict(Ended(exit_code=code, received=sorted(received), told=told, memory_kills=kills))
    assert (found.outcome is RunOutcome.SUCCEEDED) == (code == 0)
    assert (found.cause is None) == (code == 0)
    assert (found.error is None) == (code == 0)
