"""What was seen. Frozen values that every provider reports and every judgement reads.

`None` always means *unknown*: never zero, never idle, never free. Times are aware and in UTC. Money
is `Decimal` US dollars unless a field names another currency. A unit stands in the field's name.
"""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from math import isnan
from types import MappingProxyType
from typing import NamedTuple, TypeAlias

NO_TAGS: Mapping[str, str] = MappingProxyType({})


class MachineState(StrEnum):
    """The state of a machine in words that every cloud shares."""

    PENDING = "pending"
    RUNNING = "running"
    STOPPING = "stopping"
    STOPPED = "stopped"
    TERMINATING = "terminating"
    TERMINATED = "terminated"
    UNKNOWN = "unknown"


class Purchase(StrEnum):
    """How the machine's time was bought."""

    ON_DEMAND = "on_demand"
    SPOT = "spot"
    RESERVED = "reserved"
    CAPACITY_BLOCK = "capacity_block"
    SCHEDULED = "scheduled"
    UNKNOWN = "unknown"


class WorkloadKind(StrEnum):
    TRAINING = "training"
    BATCH = "batch"
    NOTEBOOK = "notebook"
    SERVICE = "service"
    UNKNOWN = "unknown"


class RunOutcome(StrEnum):
    """How one attempt ended. `LOST`: nobody saw the end. `UNKNOWN`: seen, but not told."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"
    RUNNING = "running"
    UNKNOWN = "unknown"


class RunCause(StrEnum):
    """Why an attempt did not succeed."""

    ERROR = "error"
    OOM = "oom"
    TIMEOUT = "timeout"
    USER = "user"
    PREEMPTED = "preempted"
    NODE_FAILURE = "node_failure"
    CAPACITY = "capacity"
    UNKNOWN = "unknown"


NOT_THE_WORKS_FAULT = frozenset(
    {RunCause.USER, RunCause.PREEMPTED, RunCause.NODE_FAILURE, RunCause.CAPACITY}
)
"""Causes that never count against maturity."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """One place that is watched as a whole: an account in a region."""

    provider: str
    account: str | None
    region: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap:
    """Something that was asked for and could not be seen. A gap never reads as a number."""

    provider: str
    what: str
    """What could not be seen, as a noun: `machines`, `GPU metrics`, `start and stop history`."""
    why: str
    """Why, and what a person can do about it. One line."""
    account: str | None = None
    region: str | None = None
    resource: str | None = None
    """The id of the one resource concerned; None where the whole scope is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A span of time `[started_at, ended_at)` that is read at one resolution."""

    started_at: datetime
    ended_at: datetime
    period_s: int

    def __post_init__(self) -> None:
        if self.started_at.tzinfo is None or self.ended_at.tzinfo is None:
            raise ValueError("a window needs aware times")
        if self.period_s <= 0 or self.ended_at < self.started_at:
            raise ValueError("a window needs a positive period and an end after its start")

    @property
    def intervals(self) -> int:
        return int((self.ended_at - self.started_at).total_seconds()) // self.period_s


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """One kind of accelerator on a machine type."""

    model: str
    """The vendor's name without the vendor: `A100`, `H100`, `Trainium2`."""
    count: float
    """May be a fraction: some clouds rent a slice of a GPU."""
    kind: str
    """`gpu`, `neuron` or `inference`."""
    manufacturer: str | None
    memory_mib: int | None
    """Memory of one accelerator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one hour of a machine costs, and who says so."""

    hourly_usd: Decimal | None
    """None: nobody could price it. Never zero for an unknown."""
    basis: str
    """`list`, `spot`, `reserved`, `electricity` …: what kind of price this is."""
    source: str | None
    as_of: str | None
    """The date of the source, ISO 8601."""
    why: str | None = None
    """Why there is no price, or what the price leaves out."""
    saves_usd: Decimal | None = None
    """What a stop would save in an hour: zero where the time is already paid."""
    stopped_hourly_usd: Decimal | None = None
    """What the machine goes on costing while stopped (its disks and addresses), where known."""


def unpriced(why: str) -> Price:
    """Nobody could price it."""
    return Price(hourly_usd=None, basis="unknown", source=None, as_of=None, why=why)


UNPRICED = unpriced("not priced yet")


@dataclass(frozen=True, slots=True, kw_only=True)
class StopTerms:
    """What a stop would mean for this machine: everything that is special about a cloud.

    `can_stop` is None where the provider could not tell. Sentences are for people.
    """

    can_stop: bool | None
    why: str
    loses: tuple[str, ...] = ()
    """What a stop would destroy: `3.8 TB of local NVMe disk`."""
    empties: tuple[str, ...] = ()
    """What a stop empties and nobody should rely on: told with a warning, and no veto."""
    controller: str | None = None
    """Who owns the machine and would replace it: `Auto Scaling group train-asg`."""
    controller_advice: str | None = None
    protected: str | None = None
    """The tag or setting that forbids a stop; None where nothing does."""
    prepaid: str | None = None
    """The reservation or capacity block that is paid whether or not the machine runs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A compute instance with accelerators, whoever launched it."""

    id: str
    """`provider:account:region:native-id`; a re-created machine never inherits it."""
    provider: str
    account: str
    region: str
    zone: str | None
    name: str | None
    state: MachineState
    metered: bool | None
    """Whether compute is billed in this state."""
    machine_type: str
    accelerators: tuple[Accelerator, ...]
    """Empty only together with a gap: what the type carries could not be found out."""
    purchase: Purchase
    first_launched_at: datetime | None
    started_at: datetime | None
    """The time of the last start."""
    stopped_at: datetime | None
    """When it last stopped, where the cloud tells."""
    group: str
    """Machines that live and die together share it; alone, it is the machine's own id."""
    stop_terms: StopTerms
    price: Price = UNPRICED
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    operating_system: str | None = None
    host_names: tuple[str, ...] = ()
    """Names by which monitoring may know it: private DNS name, addresses."""
    vcpus: int | None = None
    image: str | None = None
    needs_setup: bool = True
    """False: what boots is ready to work, so no time after a boot counts as set-up."""
    last_input_at: datetime | None = None
    """When somebody last typed at a terminal of it, where an agent tells; None: unknown."""
    held_by: str | None = None
    """Which processes are on its GPUs, in one sentence for people; None: not told, or none."""
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    """What the service that runs it runs there; UNKNOWN: any kind of work."""
    owner: str | None = None
    """Whose it is, where the cloud itself tells; None: it does not."""
    how_to_measure: str | None = None
    """The line that makes it visible; None: the one of its provider does."""
    on_readings: str | None = None
    """What its readings cannot tell, in one sentence for people; None: they are each GPU's own."""

    @property
    def native_id(self) -> str:
        return self.id.rsplit(":", 1)[-1]

    @property
    def boot(self) -> str:
        """Names the stretch since the last start: a new boot is another machine to be judged."""
        return "unknown" if self.started_at is None else f"{self.started_at:%Y%m%dT%H%M%SZ}"

    @property
    def gpus(self) -> int | None:
        """Accelerators that carry utilisation of their own; a slice counts as one."""
        if not self.accelerators:
            return None
        return sum(max(1, int(each.count)) for each in self.accelerators)

    @property
    def gpu_model(self) -> str | None:
        return " + ".join(each.model for each in self.accelerators) or None

    @property
    def gpu_memory_mib(self) -> int | None:
        sizes = [each.memory_mib for each in self.accelerators if each.memory_mib is not None]
        return max(sizes, default=None)

    @property
    def running(self) -> bool:
        return self.state is MachineState.RUNNING

    def may_have_run_since(self, moment: datetime) -> bool:
        """Whether its meter may have run after then; a stop at an unknown time counts."""
        if self.state in {MachineState.STOPPED, MachineState.TERMINATED}:
            return self.stopped_at is None or self.stopped_at > moment
        return self.state is not MachineState.PENDING


@dataclass(frozen=True, slots=True, kw_only=True)
class Transition:
    """A start or an end of a machine's metered time, from the cloud's own audit trail."""

    machine: str
    at: datetime
    started: bool
    """True: metering began. False: it ended."""
    event: str
    """The provider's name of it: `StartInstances`."""
    by: str | None
    machine_type: str | None = None


Series: TypeAlias = "array[float]"
"""Doubles on a regular grid; NaN where nothing was measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The utilisation series of one GPU, or of the machine's host, on a regular grid.

    Columns are parallel: element i covers `[started_at + i * period_s, … + period_s)`. A column
    that the source does not have is None; an element that it did not deliver is NaN. Percent
    everywhere.
    """

    resource: str
    gpu: str | None
    """UUID, MIG id or index; None: the host's CPU, network and disk, which stand in for a GPU."""
    source: str
    started_at: datetime
    period_s: int
    utilisation_max_pct: Series
    utilisation_mean_pct: Series | None = None
    memory_used_mib: Series | None = None
    memory_total_mib: Series | None = None
    power_w: Series | None = None
    received_bytes: Series | None = None
    sent_bytes: Series | None = None
    written_bytes: Series | None = None

    @property
    def intervals(self) -> int:
        return len(self.utilisation_max_pct)

    @property
    def ended_at(self) -> datetime:
        return self.started_at + timedelta(seconds=self.period_s * self.intervals)

    @property
    def coverage(self) -> float:
        """The share of intervals in which utilisation was measured, 0 to 1."""
        if not self.intervals:
            return 0.0
        return 1.0 - sum(map(isnan, self.utilisation_max_pct)) / self.intervals


READING_COLUMNS = (
    "utilisation_max_pct",
    "utilisation_mean_pct",
    "memory_used_mib",
    "memory_total_mib",
    "power_w",
    "received_bytes",
    "sent_bytes",
    "written_bytes",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageMeter:
    """One thing about a storage that is billed on its own: capacity, IOPS, one storage class."""

    name: str
    """The price list's word for it: `gp3 capacity`, `StandardIAStorage`."""
    unit: str
    """`GB` (2^30 bytes), `IOPS`, `MiB/s` or `address`."""
    quantity: Decimal | None
    """How much of it is billed; None: unknown."""
    unit_month_usd: Decimal | None
    """A month (730 hours) of one unit; None: unpriced."""

    @property
    def month_usd(self) -> Decimal | None:
        """Nothing of it costs nothing; else None where quantity or price is unknown."""
        if self.quantity == 0:
            return Decimal(0)
        if self.quantity is None or self.unit_month_usd is None:
            return None
        return self.quantity * self.unit_month_usd


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageEra:
    """What was billed about a storage from a moment on, until the next era or until now."""

    started_at: datetime
    meters: tuple[StorageMeter, ...]

    @property
    def month_usd(self) -> Decimal | None:
        """None where any meter has no cost: a part of the sum is not the sum."""
        costs = [meter.month_usd for meter in self.meters]
        known = [cost for cost in costs if cost is not None]
        return sum(known, Decimal(0)) if costs and len(known) == len(costs) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Storage:
    """A bucket, disk, snapshot, file share or idle address that is billed while it exists."""

    id: str
    """`provider:account:region:native-id`."""
    kind: str
    """`volume`, `snapshot`, `bucket`, `directory bucket` or `address`."""
    name: str | None
    size_bytes: int | None
    """A disk's provisioned size; all classes of a bucket together."""
    monthly_cost_usd: Decimal | None
    """730 hours of what is billed now, at list price."""
    attached_to: str | None = None
    """The id of the machine it is attached to; None: to none, or it cannot be attached."""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    why: tuple[str, ...] = ()
    """What the figures leave out or cannot know, in sentences."""
    asides: tuple[str, ...] = ()
    """More of them, which hold for this pass only."""
    created_at: datetime | None = None
    attached_at: datetime | None = None
    unattached_since: datetime | None = None
    """Since when at least a disk is attached to nothing; None: it is attached, or nobody knows."""
    made_from: str | None = None
    """The id of the disk that a snapshot was taken of."""
    sized_at: datetime | None = None
    """When its daily size was read; None: it has none, or it was not read in this pass."""
    eras: tuple[StorageEra, ...] = ()
    """What was billed from when on, oldest first, as far back as its cloud tells."""

    @property
    def provider(self) -> str:
        return self.id.split(":", 1)[0]

    @property
    def account(self) -> str:
        return self.id.split(":", 2)[1]

    @property
    def region(self) -> str:
        return self.id.split(":", 3)[2]

    @property
    def native_id(self) -> str:
        return self.id.rsplit(":", 1)[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressMeter:
    """A counter of bytes that leave a machine, a bucket or a NAT gateway."""

    id: str
    kind: str
    bytes: int | None
    started_at: datetime
    ended_at: datetime
    scope: str
    """`internet`, or `all` where the counter cannot tell."""
    cost_usd: Decimal | None
    why: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One attempt of a workload as one source told it. Only the first four are always known."""

    run_id: str
    workload: str
    started_at: datetime
    outcome: RunOutcome
    ended_at: datetime | None = None
    submitted_at: datetime | None = None
    group: str | None = None
    owner: str | None = None
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    cause: RunCause | None = None
    error: str | None = None
    location: str | None = None
    provider: str | None = None
    region: str | None = None
    machine_type: str | None = None
    machine_id: str | None = None
    """Several ids are joined by `;`."""
    host: str | None = None
    gpus: int | None = None
    nodes: int | None = None
    gpu_model: str | None = None
    gpu_memory_mib: int | None = None
    peak_gpu_memory_mib: float | None = None
    gpu_utilisation_mean_pct: float | None = None
    setup_seconds: float | None = None
    throughput: float | None = None
    code: str | None = None
    environment: str | None = None
    image: str | None = None
    data: str | None = None
    config: str | None = None
    data_class: str | None = None
    metric_name: str | None = None
    metric_value: float | None = None
    sent_bytes: int | None = None
    cost_usd: Decimal | None = None
    source: str | None = None
    aliases: str | None = None

    @property
    def duration_s(self) -> float | None:
        if self.ended_at is None:
            return None
        return (self.ended_at - self.started_at).total_seconds()

    @property
    def gpu_hours(self) -> float | None:
        """None where the end or the number of GPUs is unknown."""
        duration_s = self.duration_s
        if duration_s is None or self.gpus is None:
            return None
        return duration_s / 3600 * self.gpus

    @property
    def machine_ids(self) -> tuple[str, ...]:
        return tuple(part for part in (self.machine_id or "").split(";") if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribution:
    """Which workload a resource belonged to during a stretch of time, and which rule said so."""

    resource: str
    started_at: datetime
    ended_at: datetime | None
    """None: until further notice."""
    workload: str | None
    """None: no rule matched."""
    rule: str
    """The rule that matched, in words: `tag spend-watchdog:workload`, `mapping file, entry 3`."""
    group: str | None = None
    owner: str | None = None
    kind: WorkloadKind = WorkloadKind.UNKNOWN
    data_class: str | None = None
    share: float = 1.0
    """The share of the resource's cost in this stretch."""
    gpu: str | None = None

    @property
    def key(self) -> WorkloadKey | None:
        if self.workload is None:
            return None
        return WorkloadKey(group=self.group or self.owner, name=self.workload)


class WorkloadKey(NamedTuple):
    """A workload is known by its group (else its owner) and its name, on whatever cloud."""

    group: str | None
    name: str

    def __str__(self) -> str:
        return self.name if self.group is None else f"{self.group}/{self.name}"


def utc(moment: datetime) -> datetime:
    """The same moment in UTC. A naive time is refused: nobody knows when it was."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment} has no time zone")
    return moment.astimezone(UTC)
