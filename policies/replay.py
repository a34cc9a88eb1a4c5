"""Runs in the order in which things became known: the one fold behind scores, live or replayed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from heapq import heappop, heappush
from math import inf
from typing import TypeVar

from policies.facts import Run, RunOutcome, WorkloadKey
from policies.history import Attempt, History, attempt_of
from policies.track_record import key_of

T = TypeVar("T")
Look = Callable[[WorkloadKey, Attempt, Run], T]
Ended = Callable[[WorkloadKey, Run], None]


Moment = Callable[[], float | None]


def walk(
    runs: Iterable[Run],
    history: History,
    look: Look[T],
    *,
    on_end: Ended = lambda _key, _run: None,
    pause: Moment = lambda: None,
    on_pause: Callable[[float], None] = lambda _moment_s: None,
) -> Iterator[tuple[Run, T]]:
    """Each run with what `look` makes of it just before it starts, in the order of starts.

    A run that ended at the very moment at which another starts is known to that one. A run without
    an end never becomes known, whatever its outcome says. `pause` tells the next moment at which
    something else is to be judged (seconds since 1970, None: never again), and `on_pause` is called
    then, when all that had ended by then is known.
    """
    pending: list[tuple[float, int, WorkloadKey, Attempt, Run]] = []

    def know_until(moment_s: float) -> None:
        while pending and pending[0][0] <= moment_s:
            _, _, key, attempt, run = heappop(pending)
            history.ended(key, attempt, run)
            on_end(key, run)

    def come_to(moment_s: float) -> None:
        while (at_s := pause()) is not None and at_s <= moment_s:
            know_until(at_s)
            on_pause(at_s)
        know_until(moment_s)

    for number, run in enumerate(sorted(runs, key=lambda run: (run.started_at, run.run_id))):
        key, attempt = key_of(run), attempt_of(run)
        come_to(attempt.started_s)
        seen = look(key, attempt, run)
        history.started(key, attempt)
        if run.ended_at is not None and run.outcome is not RunOutcome.RUNNING:
            heappush(pending, (run.ended_at.timestamp(), number, key, attempt, run))
        yield run, seen
    come_to(inf)
