"""Rows of Slurm's accounting, folded into one run for each attempt of a job or array task. Pure."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from policies.facts import Run, RunCause, RunOutcome
from providers.slurm.states import NOT_BEGUN, ending_of

JOB_ID = re.compile(
    r"(?P<job>\d+)(?:_(?P<task>\d+|\[.*\]))?(?:\+(?P<part>\d+))?(?:\.(?P<step>[\w+]+))?"
)
NONE_ASSIGNED = "None assigned"
GPU = re.compile(r"(?:gres/)?gpu(?::(?P<model>[^=]+))?=(?P<count>\d+)")
FIRST_GPU_MODEL = re.compile(r"^nvidia[_ -]?(?:tesla[_ -])?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of `sacct`: a job, an array task, a part of a heterogeneous job, or a step."""

    job_id: str
    """As shown: `17`, `17_3`, `17+1`, `17_3.batch`."""
    raw_id: str | None
    cluster: str
    state: str
    """Bare; see `states`."""
    name: str | None = None
    user: str | None = None
    account: str | None = None
    submitted_at: datetime | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    nodes: int | None = None
    node_list: str | None = None
    tres: str | None = None
    """What was allocated, as `billing=2,cpu=2,gres/gpu:a100=1`."""
    exit_code: str | None = None
    """`3:0`: exit code and signal."""


class Jobs:
    """Gathers the rows of jobs; afterwards tells their attempts."""

    def __init__(self) -> None:
        self._attempts: dict[tuple[str, str], dict[tuple[datetime, str], Row]] = defaultdict(dict)
        self._out_of_memory: dict[tuple[str, str], list[datetime]] = defaultdict(list)
        """When steps began that ran out of memory."""
        self.never_ran = 0
        """Rows of jobs that wait, or that ended in the queue: no attempts."""

    def __len__(self) -> int:
        return len(self._attempts)

    def add(self, row: Row) -> None:
        """Raises `ValueError` for an id that is no job's."""
        match = JOB_ID.fullmatch(row.job_id)
        if match is None:
            raise ValueError(f"{row.job_id!r} is no job's id")
        task = f"_{match['task']}" if match["task"] else ""
        job = f"{match['job']}{task}"
        if match["step"] is not None:
            if row.state == "OUT_OF_MEMORY" and row.started_at is not None:
                self._out_of_memory[row.cluster, job].append(row.started_at)
            return
        # Of a job that ended in the queue older versions write the end as its start.
        in_the_queue = row.node_list == NONE_ASSIGNED and row.ended_at is not None
        if row.started_at is None or row.state in NOT_BEGUN or in_the_queue:
            self.never_ran += 1
            return
        self._attempts[row.cluster, job][row.started_at, match["part"] or "0"] = row

    def runs(self) -> Iterator[Run]:
        """In the order of the first row of each job; attempts by their start.

        An attempt after the first one has its number behind the id, as in SLURM_RESTART_COUNT.
        """
        for (cluster, job), rows in self._attempts.items():
            for number, parts in enumerate(_attempts(rows.values())):
                restart = f":{number}" if number else ""
                run = _run(f"slurm:{cluster}:{job}{restart}", job, parts)
                yield self._with_steps(run, cluster, job)

    def _with_steps(self, run: Run, cluster: str, job: str) -> Run:
        """A script that goes on after a step ran out of memory fails with an exit code."""
        if run.cause is not RunCause.ERROR:
            return run
        inside = any(
            run.started_at <= at and (run.ended_at is None or at <= run.ended_at)
            for at in self._out_of_memory.get((cluster, job), ())
        )
        return replace(run, cause=RunCause.OOM) if inside else run


def _attempts(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The parts of a heterogeneous job start together and are one attempt."""
    parts: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        parts[_part(row)].append(row)
    by_part = [
        sorted(each, key=lambda row: (row.started_at, row.submitted_at is None, row.submitted_at))
        for each in parts.values()
    ]
    longest = max(map(len, by_part))
    for number in range(longest):
        yield [each[number] for each in by_part if number < len(each)]


def _part(row: Row) -> str:
    match = JOB_ID.fullmatch(row.job_id)
    return (match and match["part"]) or "0"


def _run(run_id: str, job: str, parts: Sequence[Row]) -> Run:
    """The first part leads; how the job ended says the first part that did not succeed."""
    leader = parts[0]
    told = next((part for part in parts if part.state != "COMPLETED"), leader)
    outcome, cause = ending_of(told.state)
    running = outcome is RunOutcome.RUNNING
    ends = [part.ended_at for part in parts if part.ended_at is not None]
    starts = [part.started_at for part in parts if part.started_at is not None]
    return Run(
        run_id=run_id,
        workload=leader.name or "unnamed",
        started_at=min(starts),
        outcome=outcome,
        ended_at=None if running or len(ends) < len(parts) else max(ends),
        submitted_at=leader.submitted_at,
        group=leader.account,
        owner=leader.user,
        cause=cause,
        error=_error(told.exit_code) if cause is RunCause.ERROR else None,
        host=_host(parts),
        gpus=_sum([gpus_of(part.tres) for part in parts]),
        nodes=_sum([part.nodes for part in parts]),
        gpu_model=_one([gpu_model_of(part.tres) for part in parts]),
        source="slurm",
        aliases=";".join(_aliases(job, parts)),
    )


def _aliases(job: str, parts: Sequence[Row]) -> list[str]:
    """What `record` writes of SLURM_JOB_ID and of an array's task."""
    ids = [job, *(part.raw_id for part in parts if part.raw_id)]
    return [f"slurm:{each}" for each in dict.fromkeys(ids) if ";" not in each]


def gpus_of(tres: str | None) -> int | None:
    """The untyped count holds all; None where no GPU is named, for not every site counts them."""
    found = list(GPU.finditer(tres or ""))
    whole = [int(match["count"]) for match in found if match["model"] is None]
    typed = [int(match["count"]) for match in found if match["model"] is not None]
    return whole[0] if whole else sum(typed) if typed else None


def gpu_model_of(tres: str | None) -> str | None:
    """`nvidia_a100-sxm4-80gb` is A100-SXM4-80GB; None where the models are several or untyped."""
    models = {match["model"] for match in GPU.finditer(tres or "") if match["model"]}
    if len(models) != 1:
        return None
    return FIRST_GPU_MODEL.sub("", models.pop()).upper()


def _error(exit_code: str | None) -> str | None:
    code, _, signal = (exit_code or "").partition(":")
    if signal.isdecimal() and int(signal):
        return f"signal {signal}"
    return f"exit code {code}" if code.isdecimal() and int(code) else None


def _host(parts: Sequence[Row]) -> str | None:
    """Of one node; several are no host."""
    lists = {part.node_list for part in parts}
    if len(lists) != 1:
        return None
    only = lists.pop()
    return None if not only or only == NONE_ASSIGNED or set(only) & set(",[") else only


def _sum(told: Sequence[int | None]) -> int | None:
    """Unknown parts are left out only where none is known."""
    known = [each for each in told if each is not None]
    return sum(known) if known else None


def _one(told: Sequence[str | None]) -> str | None:
    models = {each for each in told if each}
    return models.pop() if len(models) == 1 else None
