"""Runs in the order in which things became known: the one fold behind scores, live or replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from typing import TypeVar

from policies.facts import Run, RunOutcome, WorkloadKey
from policies.history import Attempt, History, attempt_of
from policies.track_record import key_of

T = TypeVar("T")
Look = Callable[[WorkloadKey, Attempt, Run], T]
Ended = Callable[[WorkloadKey, Run], None]


def walk(
    runs: Iterable[Run],
    history: History,
    look: Look[T],
    *,
    on_end: Ended = lambda _key, _run: None,
) -> Iterator[tuple[Run, T]]:
    """Each run with what `look` makes of it just before it starts, in the order of starts.

    A run that ended at the very moment at which another starts is known to that one. A run without
    an end never becomes known, whatever its outcome says.
    """
    pending: list[tuple[float, int, WorkloadKey, Attempt, Run]] = []
    for number, run in enumerate(sorted(runs, key=lambda run: (run.started_at, run.run_id))):
        key, attempt = key_of(run), attempt_of(run)
        while pending and pending[0][0] <= attempt.started_s:
            _, _, ended_key, ended, ended_run = heappop(pending)
            history.ended(ended_key, ended, ended_run)
            on_end(ended_key, ended_run)
        seen = look(key, attempt, run)
        history.started(key, attempt)
        if run.ended_at is not None and run.outcome is not RunOutcome.RUNNING:
            heappush(pending, (run.ended_at.timestamp(), number, key, attempt, run))
        yield run, seen
    while pending:
        _, _, ended_key, ended, ended_run = heappop(pending)
        history.ended(ended_key, ended, ended_run)
        on_end(ended_key, ended_run)
