"""Which workload a storage belongs to: by tag, mapping, the machine it is attached to, the runs
that wrote there, or its launcher's tags. First match wins, and the answer says which rule it was.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from policies.facts import Attribution, Run, Storage, WorkloadKey
from watchdog.attribution import BEGINNING, attribution_at, claimed, launched, unattributed
from watchdog.mapping import WorkloadMapping

SOON = timedelta(hours=1)
"""A disk that was attached this soon after it was made was made for that machine."""

_BUCKET_URL = re.compile(r"\bs3[an]?://([a-z0-9][a-z0-9.-]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stay:
    """From when on a disk was attached to a machine, or (None) to nothing."""

    machine: str | None
    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What is known beside the storage itself."""

    mapping: WorkloadMapping
    runs_by_bucket: Mapping[str, Sequence[Run]]
    machines: Mapping[str, Sequence[Attribution]]
    """By machine, gone ones included, what it belonged to when."""
    stays: Mapping[str, Sequence[Stay]]
    """By disk, oldest first, the present one included."""


def buckets_of_runs(runs: Iterable[Run]) -> dict[str, list[Run]]:
    """By bucket, the runs whose data or aliases name it, as `s3://bucket/…`."""
    found: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        told = " ".join(text for text in (run.data, run.aliases, run.config) if text)
        for bucket in dict.fromkeys(_BUCKET_URL.findall(told)):
            found[bucket].append(run)
    return found


def storage_attributions(
    storage: Sequence[Storage], around: Surroundings
) -> dict[str, tuple[Attribution, ...]]:
    """By storage, its attributions over time. Snapshots follow the disk that they were made of."""
    found = {each.id: _of_one(each, around) for each in storage if each.made_from is None}
    for each in storage:
        if each.made_from is not None:
            found[each.id] = _of_snapshot(each, found.get(each.made_from, ()), around)
    return found


def _of_one(storage: Storage, around: Surroundings) -> tuple[Attribution, ...]:
    base = claimed(storage, around.mapping)
    if base is not None:
        return (base,)
    stays = around.stays.get(storage.id, ())
    if any(stay.machine in around.machines for stay in stays):
        return tuple(_by_stays(storage, stays, around.machines))
    if storage.kind == "bucket" and storage.native_id in around.runs_by_bucket:
        return _by_runs(storage, around.runs_by_bucket[storage.native_id])
    return (launched(storage) or unattributed(storage),)


def _of_snapshot(
    snapshot: Storage, of_disk: Sequence[Attribution], around: Surroundings
) -> tuple[Attribution, ...]:
    base = claimed(snapshot, around.mapping) or launched(snapshot)
    if base is not None:
        return (base,)
    if not of_disk or all(each.workload is None for each in of_disk):
        return (unattributed(snapshot),)
    disk = str(snapshot.made_from).rsplit(":", 1)[-1]
    return tuple(
        replace(each, resource=snapshot.id, rule=f"made of {disk}: {each.rule}") for each in of_disk
    )


def _by_stays(
    storage: Storage, stays: Sequence[Stay], machines: Mapping[str, Sequence[Attribution]]
) -> list[Attribution]:
    """While attached it shares its machine's fate; afterwards the machine's last workload pays on.

    What nobody uses any more was left behind by somebody.
    """
    pieces: list[Attribution] = []
    begin = _begin(storage, stays[0])
    if begin > BEGINNING:
        pieces.append(replace(unattributed(storage), ended_at=begin))
    last: Attribution | None = None
    ends = [*(stay.started_at for stay in stays[1:]), None]
    for place, (stay, end) in enumerate(zip(stays, ends, strict=True)):
        start = begin if place == 0 else stay.started_at
        known = machines.get(stay.machine or "", ())
        if known:
            pieces += _clipped(storage, stay.machine or "", known, start, end)
            last = _at(known, end)
            last = replace(last, rule=f"was attached to {_native(stay.machine)}: {last.rule}")
        else:
            rest = last if stay.machine is None and last is not None else unattributed(storage)
            pieces.append(
                replace(rest, resource=storage.id, started_at=start, ended_at=end, share=1.0)
            )
    return pieces


def _begin(storage: Storage, first: Stay) -> datetime:
    made = storage.created_at
    if made is not None and first.started_at - made > SOON:
        return first.started_at
    return BEGINNING


def _clipped(
    storage: Storage,
    machine: str,
    known: Sequence[Attribution],
    start: datetime,
    end: datetime | None,
) -> list[Attribution]:
    found = []
    for each in known:
        low = max(start, each.started_at)
        high = each.ended_at if end is None else min(end, each.ended_at or end)
        if high is None or low < high:
            rule = f"attached to {_native(machine)}: {each.rule}"
            found.append(
                replace(each, resource=storage.id, started_at=low, ended_at=high, rule=rule)
            )
    return found


def _at(known: Sequence[Attribution], end: datetime | None) -> Attribution:
    """The machine's attribution when the disk left it."""
    return known[-1] if end is None else attribution_at(known, end - timedelta(microseconds=1))


def _by_runs(storage: Storage, runs: Sequence[Run]) -> tuple[Attribution, ...]:
    """What runs wrote stays after them: the workloads that wrote there share it alike."""
    by_workload: dict[WorkloadKey, Run] = {}
    for run in sorted(runs, key=lambda run: run.started_at):
        by_workload[WorkloadKey(group=run.group or run.owner, name=run.workload)] = run
    return tuple(
        Attribution(
            resource=storage.id,
            started_at=BEGINNING,
            ended_at=None,
            workload=run.workload,
            rule=f"run {run.run_id} names the bucket",
            group=run.group,
            owner=run.owner,
            kind=run.kind,
            data_class=run.data_class,
            share=1 / len(by_workload),
        )
        for run in by_workload.values()
    )


def _native(machine: str | None) -> str:
    return (machine or "").rsplit(":", 1)[-1]
