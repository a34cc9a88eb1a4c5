"""Histories on the real clock, as the command sees it: each test names only what it is about."""

import csv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

NOW = datetime.now(UTC).replace(microsecond=0)
STEADY: Mapping[str, Any] = {
    "outcome": "succeeded",
    "gpus": 1,
    "gpu_model": "RTX 3090",
    "gpu_memory_mib": 24576,
    "peak_gpu_memory_mib": 18000,
    "gpu_utilisation_mean_pct": 96,
    "location": "local",
    "host": "desk",
    "code": "c1",
    "config": "k1",
}
"""What a mature workload's runs on a desk tell."""


def attempts(
    workload: str, count: int, *, hours: float = 2.0, wait: timedelta | None = None, **changes: Any
) -> list[dict[str, Any]]:
    """Runs that begin a day apart, the newest an hour and more ago."""
    rows = []
    for number in range(count):
        start = NOW - timedelta(days=count - 1 - number, hours=hours + 1)
        row = {
            "run_id": f"{workload}-{number}",
            "workload": workload,
            "started_at": start,
            "ended_at": start + timedelta(hours=hours),
            "submitted_at": None if wait is None else start - wait,
            **STEADY,
            **changes,
        }
        rows.append(row)
    return rows


def history(folder: Path, *several: Sequence[Mapping[str, Any]]) -> str:
    """A file that can be imported from the folder."""
    rows = [row for part in several for row in part]
    names = list(dict.fromkeys(name for row in rows for name in row))
    with (folder / "history.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="")
        writer.writeheader()
        writer.writerows([{n: _cell(v) for n, v in row.items()} for row in rows])
    return "history.csv"


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    return "" if value is None else value
