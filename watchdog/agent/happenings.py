"""What happened on the machine, beside what was measured: rows of the ledger's table `events`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime

from providers.local.containers import ContainerEnd

Row = Mapping[str, object]


def input_row(machine: str, at: datetime, observed_at: datetime) -> Row:
    """Somebody typed. Always under the same key: only the newest time counts."""
    detail = {"why": "somebody typed at a terminal"}
    return _row(machine, "last_input", "last_input", at, detail, observed_at)


def container_row(machine: str, end: ContainerEnd) -> Row:
    """A container ended: what a run's outcome can be read from."""
    detail = {
        "why": str(end),
        "container": end.container,
        "name": end.name,
        "image": end.image,
        "exit_code": end.exit_code,
        "ran_s": end.ran_s,
        "out_of_memory": end.out_of_memory,
    }
    n = f"container/{end.container}/{end.ended_at:%Y%m%dT%H%M%SZ}"
    return _row(machine, n, "container_exit", end.ended_at, detail, end.ended_at)


def holders_row(machine: str, held_by: str | None, at: datetime) -> Row:
    """Which processes are on the GPUs since then. Under one key: only the newest counts."""
    detail = {"why": held_by or "no process is on a GPU", "held_by": held_by}
    return _row(machine, "gpu_processes", "gpu_processes", at, detail, at)


def memory_row(machine: str, kills: int, at: datetime) -> Row:
    """The kernel ended processes because memory ran out, in the interval that ended then."""
    detail = {"why": f"the kernel ended {kills} process(es): out of memory", "kills": kills}
    return _row(machine, f"oom_kill/{at:%Y%m%dT%H%M%SZ}", "oom_kill", at, detail, at)


def _row(
    machine: str,
    n: str,
    kind: str,
    at: datetime,
    detail: Mapping[str, object],
    observed_at: datetime,
) -> Row:
    return {
        "subject": machine,
        "n": n,
        "at": at,
        "kind": kind,
        "machine": machine,
        "detail_json": json.dumps(detail, separators=(",", ":")),
        "observed_at": observed_at,
    }
