"""Causal replay of run histories: microseconds a run, bytes a workload.

    python -m tests.bench.replay [RUNS …]

Histories are drawn with a fixed seed: fifty runs a workload, twenty workloads a group, several runs
at once, finishing rates that differ between workloads and change when their code does. Each size
runs in a process of its own. Beside it stands a floor in the same run: the plain success rate of
the workload, by the same walk. Limits: 1,000,000 runs of 20,000 workloads within 60 s and 2 GB.
"""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
import tracemalloc
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from policies.facts import Run, RunCause, RunOutcome, WorkloadKey
from policies.history import Attempt, History, finished
from policies.maturity import Memory, replayed
from policies.replay import walk

SIZES = (10_000, 100_000, 1_000_000)
RUNS_A_WORKLOAD = 50
WORKLOADS_A_GROUP = 20
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
SEED = 20261201


def runs(count: int) -> Iterator[Run]:
    """In the order of their starts."""
    drawn = random.Random(SEED)
    workloads = max(1, count // RUNS_A_WORKLOAD)
    rates = [drawn.betavariate(2, 1) for _ in range(workloads)]
    codes = [0] * workloads
    at = BEGIN
    for number in range(count):
        at += timedelta(seconds=drawn.expovariate(workloads / 20_000))
        workload = drawn.randrange(workloads)
        if drawn.random() < 0.1:
            codes[workload] += 1
            rates[workload] = drawn.betavariate(2, 1)
        won = drawn.random() < rates[workload]
        seconds = drawn.expovariate(1 / 5_000) if won else drawn.expovariate(1 / 300)
        outcome = RunOutcome.SUCCEEDED if won else RunOutcome.FAILED
        if drawn.random() < 0.05:
            outcome = drawn.choice([RunOutcome.CANCELLED, RunOutcome.LOST])
        yield Run(
            run_id=f"r{number}",
            workload=f"train_{workload % 97}_v{workload}",
            group=f"project-{workload // WORKLOADS_A_GROUP}",
            started_at=at,
            ended_at=at + timedelta(seconds=seconds),
            outcome=outcome,
            cause=RunCause.ERROR if outcome is RunOutcome.FAILED else None,
            host=f"h{drawn.randrange(8)}",
            gpus=1,
            code=f"c{codes[workload]}",
            config=f"k{drawn.randrange(5)}",
            peak_gpu_memory_mib=drawn.gauss(20_000, 500),
            environment="e1",
            data="d1",
        )


def floor_s(history: list[Run]) -> float:
    """The same walk with the plain success rate of the workload in the score's place."""
    counts: dict[WorkloadKey, list[float]] = defaultdict(lambda: [0.5, 1.0])
    began = time.process_time()

    def look(key: WorkloadKey, attempt: Attempt, run: Run) -> float:
        del attempt, run
        won, counted = counts[key]
        return won / counted

    def on_end(key: WorkloadKey, run: Run) -> None:
        value = finished(run)
        if value is not None:
            counts[key][0] += value
            counts[key][1] += 1

    for _ in walk(history, History(memory=1.0), look, on_end=on_end):
        pass
    return time.process_time() - began


def replay_s(history: list[Run]) -> float:
    began = time.process_time()
    for _ in replayed(history):
        pass
    return time.process_time() - began


def state_bytes(history: list[Run]) -> int:
    """What the fold remembers, a workload."""
    memory = Memory()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in walk(history, memory.history, memory.judge, on_end=memory.ended):
        pass
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return (after - before) // len(memory.newest)


def measure(count: int) -> None:
    history = list(runs(count))
    floor, took = floor_s(history), replay_s(history)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    state = f"{state_bytes(history):,} B a workload" if count <= SIZES[0] * 5 else ""
    print(
        f"{count:>9,} runs: {took:6.2f} s, {took / count * 1e6:5.1f} µs a run,"
        f" {took / floor:4.1f} times the floor ({floor:.2f} s), peak {peak:.2f} GB {state}",
        flush=True,
    )


def main(sizes: tuple[int, ...] = SIZES) -> None:
    for size in sizes:
        subprocess.run([sys.executable, "-m", "tests.bench.replay", "--one", str(size)], check=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        measure(int(sys.argv[2]))
    else:
        main(tuple(map(int, sys.argv[1:])) or SIZES)
