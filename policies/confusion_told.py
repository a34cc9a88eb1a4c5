"""Findings of confusion in sentences. Pure; text from outside stands in them as it was seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta

from policies.facts import Run, RunOutcome
from policies.streaks import ConfusionKind, Streak

LONGEST_ERROR = 100
SHORT_FINGERPRINT = 12


def told(streak: Streak) -> str:
    """One sentence with figures that a person can check."""
    return _SENTENCES[streak.kind](streak)


def _same_error(streak: Streak) -> str:
    return (
        f"the same error in {_share(streak)} within {lasting(streak.span)}: {_error(streak)};"
        f" {streak.warned} of them started after it had been seen{_won(streak)}"
    )


def _bigger_machine(streak: Streak) -> str:
    first, *rest = streak.runs
    places = " and ".join(dict.fromkeys(_size(run) for run in rest))
    again = "once" if len(rest) == 1 else f"{len(rest)} times"
    return (
        f"the same error as on {_size(first)} again on {places}, {again}:"
        f" a larger version of the same uncertainty; {_error(streak)}"
    )


def _same_result(streak: Streak) -> str:
    run = streak.runs[0]
    if run.outcome is not RunOutcome.SUCCEEDED:
        result = f"failed with {_error(streak)}"
    elif run.metric_value is None:
        result = "succeeded; no run tells a metric"
    else:
        result = f"{run.metric_name or 'its metric'} {run.metric_value:g}"
    return (
        f"the same code, environment, config and data had the same result in {_share(streak)}"
        f" within {lasting(streak.span)}: {result}"
    )


def _setup_again(streak: Streak) -> str:
    run = streak.runs[0]
    fingerprint = run.image or run.environment
    if fingerprint is None:
        what = f"the same machine ({run.machine_id})"
    else:
        what = f"an unchanged environment ({fingerprint[:SHORT_FINGERPRINT]})"
    return (
        f"{what} was set up again for {_share(streak)} within {lasting(streak.span)},"
        f" {_each(streak)} each"
    )


def _transfer_again(streak: Streak) -> str:
    return (
        f"GPUs waited while data moved, for {_each(streak)} each, before {_share(streak)}"
        f" within {lasting(streak.span)}"
    )


def _retry_storm(streak: Streak) -> str:
    longest = timedelta(seconds=max(run.duration_s or 0.0 for run in streak.runs))
    codes = {run.code for run in streak.runs}
    code = "" if None in codes else f", with {len(codes)} fingerprints of the code"
    if len(codes) == 1 and code:
        code = ", the code's fingerprint unchanged"
    return (
        f"{len(streak.runs)} starts within {lasting(streak.span)} failed, each after at most"
        f" {lasting(longest)}{code}"
    )


def _capacity_storm(streak: Streak) -> str:
    return (
        f"{len(streak.runs)} starts within {lasting(streak.span)} got no machine: a lack of"
        " capacity, not the work's fault; another zone, region or type may have one"
    )


def _share(streak: Streak) -> str:
    """`4 of 7 runs`: of all that the workload ended meanwhile."""
    return f"{len(streak.runs)} of {streak.ended[1] - streak.ended[0] + 1} runs"


def _won(streak: Streak) -> str:
    won = streak.won[1] - streak.won[0]
    count = {0: "no run", 1: "1 run"}.get(won, f"{won} runs")
    return f", {count} succeeded in between"


def _error(streak: Streak) -> str:
    text = next((run.error for run in streak.runs if run.error), None) or streak.what
    line = " ".join(text.split())
    short = line if len(line) <= LONGEST_ERROR else f"{line[: LONGEST_ERROR - 1]}…"
    return f"“{short}”"


def _size(run: Run) -> str:
    memory = "" if run.gpu_memory_mib is None else f" ({run.gpu_memory_mib / 1024:.0f} GiB)"
    return f"{run.gpus} × {run.gpu_model or 'GPU'}{memory}"


def _each(streak: Streak) -> str:
    """`5 min`, `5 min to 12 min`."""
    low, high = (lasting(timedelta(seconds=each(streak.seconds))) for each in (min, max))
    return low if low == high else f"{low} to {high}"


def lasting(span: timedelta) -> str:
    """`40 s`, `12 min`, `3.5 h`, `4 d`: one unit, the largest that leaves more than one of it."""
    seconds = span.total_seconds()
    for unit, name in ((86_400.0, "d"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds:.0f} s"


_SENTENCES: Mapping[ConfusionKind, Callable[[Streak], str]] = {
    ConfusionKind.SAME_ERROR: _same_error,
    ConfusionKind.BIGGER_MACHINE: _bigger_machine,
    ConfusionKind.SAME_RESULT: _same_result,
    ConfusionKind.SETUP_AGAIN: _setup_again,
    ConfusionKind.TRANSFER_AGAIN: _transfer_again,
    ConfusionKind.RETRY_STORM: _retry_storm,
    ConfusionKind.CAPACITY_STORM: _capacity_storm,
}
