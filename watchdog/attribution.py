"""Which workload a machine belongs to, and which rule said so. First match wins.

Order: tags, the mapping file, a run that names the machine at that time, the launcher's own tags,
the machine's name without its counter. Attributions are derived anew at each patrol and replace the
older ones as a whole, so that a tag set today re-attributes the past.
"""

import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import Protocol

from policies.facts import Attribution, Machine, Run, RunOutcome, WorkloadKind
from watchdog.mapping import Entry, WorkloadMapping

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""An attribution without a beginning of its own holds for the resource's whole past."""

FOREVER = datetime.max.replace(tzinfo=UTC)

OWN_PREFIXES = ("spend-watchdog:", "spend-watchdog-")
"""The second form is for clouds whose label keys hold no colon."""

UNATTRIBUTED = "unattributed"

_STAMP = re.compile(r"-\d{4}(-\d{2}){5}-\d{3}$|(-\d{6}-\d{4})?-\d{3}-[0-9a-f]{8}$")
"""What SageMaker's Python SDK (`name_from_base`) and its tuner put behind a job's name."""


class Resource(Protocol):
    """What attribution looks at: a machine, a storage, anything that has a name and tags."""

    @property
    def id(self) -> str: ...

    @property
    def name(self) -> str | None: ...

    @property
    def provider(self) -> str: ...

    @property
    def account(self) -> str: ...

    @property
    def region(self) -> str: ...

    @property
    def tags(self) -> Mapping[str, str]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Launcher:
    """The tags by which a launcher marks its machines."""

    name: str
    workload_tags: tuple[str, ...]
    group_tag: str | None = None
    owner_tag: str | None = None


LAUNCHERS = (
    Launcher(name="SkyPilot", workload_tags=("skypilot-cluster-name",)),
    Launcher(
        name="dstack",
        workload_tags=("dstack_name",),
        group_tag="dstack_project",
        owner_tag="dstack_user",
    ),
    Launcher(name="Ray", workload_tags=("ray-cluster-name",)),
    Launcher(name="SageMaker", workload_tags=("sagemaker:job-name",)),
    Launcher(
        name="ParallelCluster",
        workload_tags=("parallelcluster:queue-name", "parallelcluster:cluster-name"),
        group_tag="parallelcluster:cluster-name",
    ),
    Launcher(
        name="AWS Batch", workload_tags=("aws:batch:job-queue", "aws:batch:compute-environment")
    ),
    Launcher(name="Karpenter", workload_tags=("karpenter.sh/nodepool",)),
    Launcher(
        name="EKS",
        workload_tags=("eks:nodegroup-name", "eks:cluster-name", "aws:eks:cluster-name"),
        group_tag="eks:cluster-name",
    ),
    Launcher(name="GKE", workload_tags=("goog-k8s-node-pool-name", "goog-k8s-cluster-name")),
    Launcher(name="AKS", workload_tags=("aks-managed-poolName", "aks-managed-cluster-name")),
    Launcher(name="Vertex AI", workload_tags=("vertex-ai-job-name",)),
    Launcher(name="Azure ML", workload_tags=("azureml-job-name",)),
    Launcher(name="Auto Scaling", workload_tags=("aws:autoscaling:groupName",)),
)
"""A literal table, specific launchers before general ones."""


def attributions_of(
    machine: Machine, *, mapping: WorkloadMapping, runs: Sequence[Run], now: datetime
) -> tuple[Attribution, ...]:
    """The machine's attributions: disjoint in time, shares of each moment summing to one.

    `runs` are those that name this machine, in any order.
    """
    base = claimed(machine, mapping)
    if base is not None:
        return (base,)
    return _with_runs(machine, without_runs(machine, mapping=mapping), runs, now)


def without_runs(machine: Machine, *, mapping: WorkloadMapping) -> Attribution:
    """Whose the machine's time is while no run names it."""
    base = claimed(machine, mapping)
    if base is not None:
        return base
    return _told(machine, _by_launcher(machine) or _by_name(machine)) or _none(machine)


def claimed(resource: Resource, mapping: WorkloadMapping) -> Attribution | None:
    """What somebody said of it: by tag, else by the mapping file."""
    return _told(resource, _by_tag(resource) or _by_mapping(resource, mapping))


def launched(resource: Resource) -> Attribution | None:
    """What the tags of the tool that made it say."""
    return _told(resource, _by_launcher(resource))


def unattributed(resource: Resource) -> Attribution:
    return _none(resource)


def attribution_of(resource: Resource, *, mapping: WorkloadMapping) -> Attribution:
    """Of something that is no machine: by its tags, else the mapping file, else its launcher's."""
    return claimed(resource, mapping) or launched(resource) or unattributed(resource)


def attribution_at(attributions: Sequence[Attribution], moment: datetime) -> Attribution:
    """The attribution in force at a moment: of several, the one with the largest share."""
    holding = [
        each
        for each in attributions
        if each.started_at <= moment and (each.ended_at is None or moment < each.ended_at)
    ]
    return max(holding, key=lambda each: each.share)


def runs_by_machine(machines: Iterable[Machine], runs: Iterable[Run]) -> dict[str, list[Run]]:
    """The runs that name each machine, by its whole id or by its native id alone."""
    ids = {name: machine.id for machine in machines for name in (machine.id, machine.native_id)}
    found: dict[str, list[Run]] = {}
    for run in runs:
        for name in run.machine_ids:
            if name in ids:
                found.setdefault(ids[name], []).append(run)
    return found


def own_tag(tags: Mapping[str, str], name: str) -> str | None:
    """The value of the watchdog's own tag `name`, in either spelling; blank is as good as none."""
    for prefix in OWN_PREFIXES:
        value = tags.get(f"{prefix}{name}", "").strip()
        if value:
            return value
    return None


def _by_tag(machine: Resource) -> Attribution | None:
    workload = own_tag(machine.tags, "workload")
    return None if workload is None else _whole(machine, workload, "tag spend-watchdog:workload")


def _by_mapping(machine: Resource, mapping: WorkloadMapping) -> Attribution | None:
    for entry in mapping.entries:
        if matches(entry, machine):
            found = _whole(machine, entry.workload, f"mapping file, line {entry.line}")
            return replace(
                found,
                group=entry.group,
                kind=entry.kind,
                owner=entry.owner,
                data_class=entry.data_class,
            )
    return None


def matches(entry: Entry, machine: Resource) -> bool:
    """Whether every glob of the entry matches. A missing value matches no glob."""
    asked = {
        "name": machine.name,
        "account": machine.account,
        "provider": machine.provider,
        "region": machine.region,
        "owner": _owner(machine),
    }
    plain = all(_glob(asked[name], glob) for name, glob in entry.globs.items())
    return plain and all(_glob(machine.tags.get(tag), glob) for tag, glob in entry.tags.items())


def _glob(value: str | None, glob: str) -> bool:
    return value is not None and fnmatchcase(value, glob)


def _by_launcher(machine: Resource) -> Attribution | None:
    for launcher in LAUNCHERS:
        for tag in launcher.workload_tags:
            if not machine.tags.get(tag):
                continue
            found = _whole(machine, machine.tags[tag], f"{launcher.name} tag {tag}")
            return replace(
                found,
                group=machine.tags.get(launcher.group_tag or ""),
                owner=machine.tags.get(launcher.owner_tag or ""),
            )
    return None


def _by_name(machine: Machine) -> Attribution | None:
    if not machine.name:
        return None
    return _whole(machine, without_counter(machine.name), "name without its counter")


def without_counter(name: str) -> str:
    """`trainer-3` and `trainer_07` are `trainer`; a name that is all counter stays as it is.

    So are `trainer-2026-11-20-09-00-00-123`, as SageMaker's SDK names a job of `trainer`, and
    `trainer-261120-0900-007-1a2b3c4d`, as its tuner names one.
    """
    plain = _STAMP.sub("", name)
    return re.sub(r"[-_. #]+\d+$", "", plain) or plain or name


def _none(machine: Resource) -> Attribution:
    return Attribution(
        resource=machine.id,
        started_at=BEGINNING,
        ended_at=None,
        workload=None,
        rule=UNATTRIBUTED,
        owner=_owner(machine),
        kind=_kind(machine) or _kind_of_service(machine),
    )


def _whole(machine: Resource, workload: str, rule: str) -> Attribution:
    return Attribution(
        resource=machine.id, started_at=BEGINNING, ended_at=None, workload=workload, rule=rule
    )


def _told(machine: Resource, found: Attribution | None) -> Attribution | None:
    """The attribution with what the machine's own tags say of kind, owner, group and data class."""
    if found is None:
        return None
    known = found.kind is not WorkloadKind.UNKNOWN
    return replace(
        found,
        kind=_kind(machine) or (found.kind if known else _kind_of_service(machine)),
        owner=own_tag(machine.tags, "owner") or found.owner or _owner(machine),
        group=own_tag(machine.tags, "project") or found.group,
        data_class=own_tag(machine.tags, "data-class") or found.data_class,
    )


def _owner(machine: Resource) -> str | None:
    """Its own tag, else the tag that most teams use anyway, else whom the cloud names."""
    told = own_tag(machine.tags, "owner")
    if told:
        return told
    usual = next((value for tag, value in machine.tags.items() if tag.lower() == "owner"), None)
    return usual or (machine.owner if isinstance(machine, Machine) else None)


def _kind(machine: Resource) -> WorkloadKind | None:
    """None where no tag says it, or says a word that is no kind."""
    told = (own_tag(machine.tags, "kind") or "").lower()
    return WorkloadKind(told) if told in set(WorkloadKind) else None


def _kind_of_service(machine: Resource) -> WorkloadKind:
    """An endpoint is a service, a notebook instance a notebook, whatever runs on it."""
    return machine.kind if isinstance(machine, Machine) else WorkloadKind.UNKNOWN


def _with_runs(
    machine: Machine, rest: Attribution, runs: Sequence[Run], now: datetime
) -> tuple[Attribution, ...]:
    """Time split at the starts and ends of runs; what no run covers belongs to `rest`."""
    spans = [(run.started_at, end_of_run(run, now), run) for run in runs]
    spans = sorted((span for span in spans if span[0] < span[1]), key=lambda span: span[0])
    edges = {BEGINNING, *(edge for begin, end, _ in spans for edge in (begin, end))}
    times = sorted(edges - {FOREVER})
    pieces: list[Attribution] = []
    waiting = deque(spans)
    at_work: list[tuple[datetime, datetime, Run]] = []
    for begin, end in zip(times, [*times[1:], None], strict=True):
        at_work = [span for span in at_work if span[1] > begin]
        while waiting and waiting[0][0] <= begin:
            at_work.append(waiting.popleft())
        pieces.extend(_piece(machine, rest, [run for _, _, run in at_work], begin, end))
    return tuple(_merged(pieces))


def end_of_run(run: Run, now: datetime) -> datetime:
    """A run that goes on has no end yet; one whose end nobody told reaches to now at most."""
    if run.ended_at is not None:
        return run.ended_at
    return FOREVER if run.outcome is RunOutcome.RUNNING else now


def _piece(
    machine: Machine, rest: Attribution, runs: Sequence[Run], begin: datetime, end: datetime | None
) -> list[Attribution]:
    """Runs at the same time share by their GPUs where all tell them, else alike."""
    if not runs:
        return [replace(rest, started_at=begin, ended_at=end)]
    weights = [float(run.gpus or 0) for run in runs]
    if not all(weights):
        weights = [1.0] * len(runs)
    found = []
    for run, weight in zip(runs, weights, strict=True):
        piece = Attribution(
            resource=machine.id,
            started_at=begin,
            ended_at=end,
            workload=run.workload,
            rule=f"run {run.run_id}",
            group=run.group,
            owner=run.owner,
            kind=run.kind,
            data_class=run.data_class,
            share=weight / sum(weights),
        )
        found.append(_told(machine, piece) or piece)
    return found


def _merged(pieces: Sequence[Attribution]) -> list[Attribution]:
    """Neighbours in time that say the same become one."""
    merged: list[Attribution] = []
    for piece in pieces:
        before = merged[-1] if merged else None
        if before is not None and before.ended_at == piece.started_at:
            joined = replace(before, ended_at=piece.ended_at)
            if replace(piece, started_at=before.started_at) == joined:
                merged[-1] = joined
                continue
        merged.append(piece)
    return merged
