"""The development histories: real runs of public research projects, as `Run`s.

They are recovered from Sacred's records by others and lie beside the project, not in it; so what
uses them is skipped where the folder is absent.
"""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

from policies.facts import Run, RunCause, RunOutcome

SOURCE = Path(__file__).parents[3] / "shared" / "data" / "runs" / "sacred_runs_dev.csv.gz"
OUTCOMES = {
    "COMPLETED": RunOutcome.SUCCEEDED,
    "COMPLETED_OSEXIT": RunOutcome.SUCCEEDED,
    "FAILED": RunOutcome.FAILED,
    "INTERRUPTED": RunOutcome.CANCELLED,
    "LOST": RunOutcome.LOST,
}
NAMED_BY = ("experiment", "mainfile", "algo", "env", "map")


def sacred_runs(source: Path = SOURCE, *, errors: bool = False) -> list[Run]:
    """`errors`: with the whole text of each error, else with its class alone."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as lines:
        return list(_runs(csv.DictReader(lines), "error" if errors else "error_class"))


def _runs(rows: csv.DictReader[str], error: str) -> Iterator[Run]:
    for row in rows:
        outcome = OUTCOMES[row["outcome"]]
        yield Run(
            run_id=row["run_uid"],
            workload="|".join(row[name] for name in NAMED_BY),
            group=row["repo"],
            started_at=_moment(row["start"]),
            ended_at=_end(row),
            outcome=outcome,
            cause=RunCause.USER if outcome is RunOutcome.CANCELLED else None,
            error=row[error] or None,
            host=row["host"],
            gpus=int(row["gpus"]),
            gpu_model=row["gpu_model"] or None,
            code=row["src_sha"] or None,
            config=row["config_sha"] or None,
            source="sacred",
        )


def _end(row: Mapping[str, str]) -> datetime | None:
    """Of a lost run, its last heartbeat."""
    told = row["stop"] or row["heartbeat"]
    if not told:
        return None
    return max(_moment(told), _moment(row["start"]))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
