"""What judging and acting cost: processor time and bytes a machine, and a long incident's fold.

    python -m tests.bench.acting [MACHINES …]

A machine judged: its readings of four hours become phases, its pause patience, its facts a decision
with vetoes. Each size runs in a process of its own. Limits: linear from 1,000 to 100,000 machines,
and 10,000 events of one incident fold in under 50 ms.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from policies.engine import Case, judge
from policies.habits import Before, Habits
from policies.ladder import EventKind, Incident, IncidentEvent, fold
from policies.maturity import unknown_maturity
from policies.patience import patience
from policies.phases import Span, timeline
from policies.rules import load_pack
from policies.verdicts import QUIET, Verdict, Wanted
from tests.builders import NOW, attribution, machine, reading

SIZES = (1_000, 10_000, 100_000)
EVENTS = 10_000
INTERVALS = 48
SPAN = Span(started_at=NOW - timedelta(days=2), ended_at=None, booted_at=NOW - timedelta(days=2))
HABITS = Habits()
EXPLORATORY = replace(unknown_maturity(NOW), verdict=Verdict.EXPLORATORY)


def cases(count: int) -> Iterator[Case]:
    """Half of them idle, a fifth in clusters of four."""
    for number in range(count):
        name = f"m{number}"
        quiet = number % 2 == 0
        levels = [90.0] * (INTERVALS // 2) + [0.0 if quiet else 90.0] * (INTERVALS // 2)
        memory = [3.0] * INTERVALS
        still = [1.0] * INTERVALS
        host = reading(still, gpu=None, received_bytes=still, sent_bytes=still, written_bytes=still)
        gpu = reading(levels, memory_used_mib=memory)
        now = timeline([gpu, host], spans=[SPAN], until=NOW, gpus=1).now
        minutes = now.idle_minutes()
        told = None
        if now.phase in QUIET and minutes:
            before = Before(
                key=None, began_at=NOW - timedelta(minutes=minutes), activity_s=60.0 * (number % 97)
            )
            told = patience(
                HABITS,
                before,
                quiet=timedelta(minutes=minutes),
                restart_cost=timedelta(minutes=15),
                hourly_usd=Decimal(1),
            )
        group = f"cluster-{number // 20}" if number % 20 < 4 else name
        yield Case(
            machine=machine(name, group=group),
            attribution=attribution(),
            phase=now,
            maturity=EXPLORATORY,
            pause_usd=None,
            patience=told,
        )


def events(count: int) -> list[IncidentEvent]:
    """People are told again and again, and a stop is refused again and again."""
    kinds = (
        EventKind.TELLING,
        EventKind.WARNED,
        EventKind.STOP_INTENDED,
        EventKind.STOP_FAILED,
    )
    detail = {"stop_at": NOW.isoformat(), "channel": "C1", "ts": "1.0"}
    return [
        IncidentEvent(
            n=n,
            at=NOW + timedelta(seconds=n),
            kind=kinds[n % len(kinds)],
            by="patrol",
            detail=detail if kinds[n % len(kinds)] is EventKind.WARNED else {},
        )
        for n in range(count)
    ]


def _judged(count: int) -> None:
    policy = load_pack("default")
    judge(list(cases(40)), policy, NOW)  # what is made once is not a machine's
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.process_time()
    decisions = judge(list(cases(count)), policy, NOW)
    seconds = time.process_time() - begun
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    stops = sum(each.wanted is Wanted.STOP and not each.vetoes for each in decisions)
    print(
        f"{count:>7,} machines: {seconds / count * 1e6:6.0f} µs and {grown / count:6.0f} bytes a"
        f" machine, {stops:,} may be stopped"
    )


def _folded() -> None:
    incident = Incident(machine="m", boot="b", opened_at=NOW)
    told = events(EVENTS)
    best = min(_once(incident, told) for _ in range(5))
    verdict = "within" if best < 0.05 else "NOT within"
    print(f"{EVENTS:,} events fold in {best * 1000:.1f} ms, {verdict} 50 ms")


def _once(incident: Incident, told: list[IncidentEvent]) -> float:
    begun = time.perf_counter()
    fold(incident, told)
    return time.perf_counter() - begun


def main(sizes: tuple[int, ...] = SIZES) -> None:
    for size in sizes:
        subprocess.run([sys.executable, "-m", "tests.bench.acting", "one", str(size)], check=True)
    _folded()


if __name__ == "__main__":
    if sys.argv[1:2] == ["one"]:
        _judged(int(sys.argv[2]))
    else:
        main(tuple(int(size) for size in sys.argv[1:]) or SIZES)
