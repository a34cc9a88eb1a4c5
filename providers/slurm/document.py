"""The document that `sacct --json` prints, of old and new versions. Pure.

Old ones (22.05) write `"state": {"current": "FAILED"}` and plain numbers; newer ones lists of
states, and numbers as `{"set": true, "infinite": false, "number": 5}`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from providers.slurm.jobs import Row
from providers.slurm.states import bare_state
from providers.slurm.text import CellError, known

Job = Mapping[str, Any]


def rows_of(job: Job, *, cluster: str) -> Iterator[Row]:
    """A job's own row, then those of its steps. Raises `CellError`."""
    if not isinstance(job, dict) or number(job.get("job_id")) is None:
        raise CellError("job_id", "missing")
    where = text(job.get("cluster")) or cluster
    shown = _shown_id(job)
    times = job.get("time") or {}
    yield Row(
        job_id=shown,
        raw_id=str(number(job["job_id"])),
        cluster=where,
        state=_state(job.get("state")),
        name=text(job.get("name")),
        user=text(job.get("user")) or text((job.get("association") or {}).get("user")),
        account=text(job.get("account")),
        submitted_at=_moment("time.submission", times.get("submission")),
        started_at=_moment("time.start", times.get("start")),
        ended_at=_moment("time.end", times.get("end")),
        nodes=number(job.get("allocation_nodes")) or None,
        node_list=text(job.get("nodes")),
        tres=_tres((job.get("tres") or {}).get("allocated")),
        exit_code=_exit_code(job.get("exit_code")),
    )
    for step in job.get("steps") or ():
        times = step.get("time") or {}
        yield Row(
            job_id=f"{shown}.step",
            raw_id=None,
            cluster=where,
            state=_state(step.get("state")),
            started_at=_moment("steps.time.start", times.get("start")),
        )


def number(told: Any) -> int | None:
    if isinstance(told, dict):
        told = told.get("number") if told.get("set") and not told.get("infinite") else None
    if isinstance(told, str):
        told = int(told) if told.strip().isdecimal() else None
    return int(told) if isinstance(told, int | float) and not isinstance(told, bool) else None


def text(told: Any) -> str | None:
    return known(told) if isinstance(told, str) else None


def _shown_id(job: Job) -> str:
    """As `sacct` prints it: an array's task and a part of a heterogeneous job by the whole's id."""
    own = number(job["job_id"])
    array, het = job.get("array") or {}, job.get("het") or {}
    task = number(array.get("task_id"))
    if number(array.get("job_id")) and task is not None:
        return f"{number(array.get('job_id'))}_{task}"
    if number(het.get("job_id")):
        return f"{number(het.get('job_id'))}+{number(het.get('job_offset')) or 0}"
    return str(own)


def _state(told: Any) -> str:
    """Steps tell it bare; the first of several is the state, the others are flags."""
    if isinstance(told, dict):
        told = told.get("current")
    if isinstance(told, list):
        told = told[0] if told else ""
    return bare_state(str(told or ""))


def _moment(field: str, told: Any) -> datetime | None:
    """Seconds since 1970; 0: none."""
    seconds = number(told)
    if not seconds:
        return None
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        raise CellError(field, f"{told!r} is no time in seconds since 1970") from None


def _tres(told: Any) -> str | None:
    if isinstance(told, str):
        return known(told)
    parts = [
        f"{each.get('type')}{'/' + each['name'] if each.get('name') else ''}={each.get('count')}"
        for each in told or ()
    ]
    return ",".join(parts) or None


def _exit_code(told: Any) -> str | None:
    if not isinstance(told, dict):
        return None
    signal = told.get("signal") or {}
    by_signal = number(signal.get("id")) or number(signal.get("signal_id")) or 0
    return f"{number(told.get('return_code')) or 0}:{by_signal}"
