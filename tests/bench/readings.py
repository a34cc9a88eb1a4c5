"""From the SDK's parsed answer to the phase: microseconds and bytes a point.

    python -m tests.bench.readings [MACHINES …]

A *point* is one GPU in one interval, with all of its metrics, and its share of the host's. Limits:
1 µs and 60 bytes.
"""

import sys
import time
import tracemalloc
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from policies.facts import Machine, Reading, Window
from policies.phases import Span, timeline
from policies.verdicts import Phase
from providers.aws.series import (
    TRAFFIC,
    Ask,
    Laying,
    Source,
    empty_rows,
    first_asks,
    host_source,
    readings_from,
)
from providers.aws.times import moment
from tests.builders import machine

GPUS, POINTS = 8, 36
SIZES = (1_000, 10_000, 100_000)
US_A_POINT, BYTES_A_POINT = 1.0, 60.0
AT_ONCE = 1_000
"""Machines whose answers are held at once; a patrol reads them region by region."""
START = datetime(2026, 11, 23, 5, tzinfo=UTC)
WINDOW = Window(started_at=START, ended_at=START + timedelta(hours=3), period_s=300)
NOW = WINDOW.ended_at


Answer: TypeAlias = tuple[list[datetime], list[float]]


def asks_of(sources: Sequence[Source]) -> list[Ask]:
    """All that a patrol may ask of quiet GPUs and their hosts."""
    hosts = [number for number, source in enumerate(sources) if source.gpu is None]
    return first_asks(sources) + [(number, column) for number in hosts for column in TRAFFIC]


def answers(count: int) -> list[Answer]:
    """What the SDK hands over: for each query a list of aware times and a list of floats."""
    begin = START.timestamp()
    return [
        ([moment(begin + 300 * i) for i in range(POINTS)], [float(n % 90)] * POINTS)
        for n in range(count)
    ]


def sources_of(one: Machine) -> list[Source]:
    gpus = [
        Source(
            resource=one.id,
            gpu=str(gpu),
            namespace="CWAgent",
            dimensions=[],
            memory_total_mib=one.gpu_memory_mib,
        )
        for gpu in range(GPUS)
    ]
    return [host_source(one), *gpus]


def read(sources: Sequence[Source], asks: Sequence[Ask], parsed: Sequence[Answer]) -> list[Reading]:
    laying = Laying(WINDOW)
    rows = empty_rows(sources)
    for (source, column), (times, values) in zip(asks, parsed, strict=True):
        rows[source][column] = laying.column(times, values)
    return readings_from(sources, rows, WINDOW)


def chunks(machines: int) -> Iterator[list[Machine]]:
    for begin in range(0, machines, AT_ONCE):
        count = min(AT_ONCE, machines - begin)
        yield [machine(f"m{begin + index}", gpus=GPUS) for index in range(count)]


def phase_of(one: Machine, readings: Sequence[Reading]) -> Phase:
    spans = (Span(started_at=START - timedelta(days=1), ended_at=None),)
    return timeline(readings, spans=spans, until=NOW, gpus=GPUS).now.phase


def measured(machines: int) -> tuple[float, float]:
    """Seconds from parsed answers to phases, and bytes that the readings keep."""
    seconds, kept = 0.0, 0
    for several in chunks(machines):
        sources = [source for one in several for source in sources_of(one)]
        asks = asks_of(sources)
        parsed = answers(len(asks))
        tracemalloc.start()
        readings = read(sources, asks, parsed)
        kept += tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        began = time.perf_counter()
        readings = read(sources, asks, parsed)
        each = GPUS + 1
        for index, one in enumerate(several):
            phase_of(one, readings[index * each : (index + 1) * each])
        seconds += time.perf_counter() - began
    return seconds, kept


def main(sizes: Sequence[int]) -> None:
    heads = ("machines", "points", "µs/point", "of limit", "B/point", "of limit")
    print("{:>9} {:>12} {:>9} {:>9} {:>8} {:>9}".format(*heads))
    for machines in sizes:
        points = machines * GPUS * POINTS
        seconds, kept = measured(machines)
        us, size = seconds / points * 1e6, kept / points
        print(
            f"{machines:>9,} {points:>12,} {us:>9.3f} {us / US_A_POINT:>9.2f}"
            f" {size:>8.1f} {size / BYTES_A_POINT:>9.2f}"
        )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or SIZES)
