"""How long it takes to find confusion in many runs, and how much there is in real ones.

`python -m tests.bench.confusion [RUNS …]`; without the real histories only the first.
"""

from __future__ import annotations

import gc
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random

from policies.confusion import confusions
from policies.facts import Run, RunCause, RunOutcome
from policies.streaks import Confusion, ConfusionKind
from tests.bench.sacred import SOURCE, sacred_runs

START = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = datetime(2100, 1, 1, tzinfo=UTC)
RUNS_A_WORKLOAD = 50


def many_runs(count: int, seed: int = 5) -> Iterator[Run]:
    """Runs of a fleet in which two of five fail, in a few ways; a year, whatever their number."""
    chance = Random(seed)
    for number in range(count):
        start = START + timedelta(days=365) * (number / count)
        failed = chance.random() < 0.4
        yield Run(
            run_id=f"r{number}",
            workload=f"w{chance.randrange(max(1, count // RUNS_A_WORKLOAD))}",
            started_at=start,
            ended_at=start + timedelta(seconds=chance.choice([20, 40, 3600, 7200])),
            outcome=RunOutcome.FAILED if failed else RunOutcome.SUCCEEDED,
            cause=RunCause.ERROR if failed else None,
            error=f"ValueError: shape ({number}, {chance.randrange(9)})" if failed else None,
            gpus=chance.choice([1, 8]),
            code=f"c{number % 7}",
            environment="e",
            config=f"f{number % 3}",
            data="d",
            setup_seconds=chance.choice([20.0, 600.0]),
        )


def measure(count: int) -> None:
    runs = list(many_runs(count))
    gc.freeze()  # as a patrol does: the runs are there to stay
    gc.set_threshold(100_000, 50, 50)
    began = time.perf_counter()
    found = confusions(runs, as_of=AS_OF)
    seconds = time.perf_counter() - began
    print(
        f"{count:>9,} runs: {seconds:6.2f} s, {seconds / count * 1e6:4.1f} µs a run,"
        f" {len(found):,} findings"
    )


def real() -> None:
    found = confusions(sacred_runs(errors=True), as_of=AS_OF)
    of_kind: dict[ConfusionKind, list[Confusion]] = defaultdict(list)
    for each in found:
        of_kind[each.kind].append(each)
    for kind in ConfusionKind:
        print(_line(kind, of_kind[kind]))


def _line(kind: ConfusionKind, found: Sequence[Confusion]) -> str:
    runs = {run for each in found for run in each.runs}
    hours = sum(piece.hours for each in found for piece in each.repeats)
    workloads = {each.key for each in found}
    groups = {key.group for key in workloads}
    return (
        f"{kind.value:>15}: {len(found):3} findings in {len(workloads):2} workloads of"
        f" {len(groups):2} projects, {len(runs):3} runs, {hours:.1f} h repeated"
    )


if __name__ == "__main__":
    for told in sys.argv[1:] or ["20000", "200000"]:
        measure(int(told))
    if SOURCE.exists():
        real()
