"""What the wrapper knows of a run, as rows of the ledger. Pure."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import datetime

from policies.facts import Run, RunCause, RunOutcome, WorkloadKind
from watchdog.recording.fingerprints import Fingerprints
from watchdog.recording.usage import Use
from watchdog.runs.columns import COLUMNS
from watchdog.runs.revision import cells_of, revision_of

SOURCE = "record"
LEDGER_NAMES = {"group": "workload_group"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The machine. None: not told yet."""

    host: str
    location: str | None = None
    provider: str | None = None
    region: str | None = None
    machine_type: str | None = None
    machine_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What is known when the command starts."""

    run_id: str
    workload: str
    started_at: datetime
    group: str | None
    owner: str | None
    kind: WorkloadKind
    data_class: str | None
    nodes: int | None
    gpus: int | None
    """All that the run holds, as its launcher tells; None: it does not."""
    copies: int
    """How many processes like the one that is watched are this run."""
    aliases: tuple[str, ...]


def run_of(
    start: Start,
    place: Place,
    prints: Fingerprints,
    use: Use,
    *,
    outcome: RunOutcome = RunOutcome.RUNNING,
    ended_at: datetime | None = None,
    cause: RunCause | None = None,
    error: str | None = None,
    sent_bytes: int | None = None,
) -> Run:
    models = {gpu.model for gpu in use.gpus if gpu.model is not None}
    totals = [gpu.memory_total_mib for gpu in use.gpus if gpu.memory_total_mib is not None]
    return Run(
        run_id=start.run_id,
        workload=start.workload,
        started_at=start.started_at,
        outcome=outcome,
        ended_at=ended_at,
        group=start.group,
        owner=start.owner,
        kind=start.kind,
        cause=cause,
        error=error,
        location=place.location,
        provider=place.provider,
        region=place.region,
        machine_type=place.machine_type,
        machine_id=place.machine_id,
        host=place.host,
        gpus=start.gpus or len(use.gpus) * start.copies or None,
        nodes=start.nodes,
        gpu_model=models.pop() if len(models) == 1 else None,
        gpu_memory_mib=round(min(totals)) if totals else None,
        peak_gpu_memory_mib=use.peak_memory_mib,
        gpu_utilisation_mean_pct=use.utilisation_mean_pct,
        setup_seconds=use.setup_seconds,
        code=prints.code,
        environment=prints.environment,
        image=prints.image,
        data=prints.data,
        config=prints.config,
        data_class=start.data_class,
        sent_bytes=sent_bytes,
        source=SOURCE,
        aliases=";".join(start.aliases) or None,
    )


def row_of(run: Run, observed_at: datetime) -> dict[str, object]:
    """A row of the table `runs`."""
    row = {LEDGER_NAMES.get(each.name, each.name): getattr(run, each.name) for each in COLUMNS}
    row["kind"] = run.kind.value
    row["outcome"] = run.outcome.value
    row["cause"] = None if run.cause is None else run.cause.value
    row["revision"] = revision_of(cells_of(run))
    row["observed_at"] = observed_at
    return {name: value for name, value in row.items() if value is not None}


def end_event(run: Run, use: Use, *, exit_code: int, observed_at: datetime) -> dict[str, object]:
    """A row of the table `events`: what of an end has no column among runs."""
    detail = {"exit_code": exit_code, "each_gpu": [asdict(gpu) for gpu in use.gpus]}
    row = {
        "subject": run.run_id,
        "n": "ended",
        "at": run.ended_at,
        "kind": "run_ended",
        "machine": run.machine_id,
        "detail_json": json.dumps(detail),
        "observed_at": observed_at,
    }
    return {name: value for name, value in row.items() if value is not None}
