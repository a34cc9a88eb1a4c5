"""The ledger's tables: a literal that code, documentation and other engines read alike.

Every table has a natural key. An append may be repeated; of rows with the same key the one with the
newest `observed_at` is believed. NULL means unknown everywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from policies.facts import READING_COLUMNS


class Type(StrEnum):
    """A column's type, by its name in SQL."""

    TEXT = "varchar"
    TIME = "timestamp with time zone"
    DAY = "date"
    MONEY = "decimal(18,9)"
    INTEGER = "bigint"
    NUMBER = "double"
    FLAG = "boolean"

    @property
    def delta(self) -> str:
        """The same type in the words of Delta Lake."""
        return _DELTA[self]


_DELTA: Mapping[Type, str] = MappingProxyType(
    {
        Type.TEXT: "string",
        Type.TIME: "timestamp",
        Type.DAY: "date",
        Type.MONEY: "decimal(18,9)",
        Type.INTEGER: "long",
        Type.NUMBER: "double",
        Type.FLAG: "boolean",
    }
)


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: Type
    meaning: str
    required: bool = False
    """Whether every row must have a value; else NULL means unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    name: str
    meaning: str
    """What one row is."""
    key: tuple[str, ...]
    """Rows that agree here speak of the same thing; NULLs agree with each other. In SQL."""
    columns: tuple[Column, ...]
    day_of: str | None = None
    """The time whose UTC date is the column `date`, by which the table is partitioned."""
    observed: str = "observed_at"
    """The time by which the newest of several rows is known."""

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def partitions(self) -> tuple[str, ...]:
        return () if self.day_of is None else (DAY.name,)


DAY = Column("date", Type.DAY, "UTC date; the table is partitioned by it.")
OBSERVED_AT = Column("observed_at", Type.TIME, "When this was found out.", required=True)


def _must(name: str, kind: Type, meaning: str) -> Column:
    return Column(name, kind, meaning, required=True)


MACHINES = Table(
    name="machines",
    meaning="What was seen of a machine, whenever it changed.",
    key=("id", "observed_at"),
    columns=(
        OBSERVED_AT,
        _must("id", Type.TEXT, "provider:account:region:native-id."),
        Column("provider", Type.TEXT, "aws, gcp, azure or local."),
        Column("account", Type.TEXT, "Account, project or subscription."),
        Column("region", Type.TEXT, "Region."),
        Column("zone", Type.TEXT, "Zone in the region."),
        Column("name", Type.TEXT, "The name that its owner gave it."),
        Column("state", Type.TEXT, "running, stopped, …"),
        Column("metered", Type.FLAG, "Whether compute is billed in this state."),
        Column("machine_type", Type.TEXT, "The provider's name of the type."),
        Column("gpus", Type.INTEGER, "Accelerators; a slice counts as one."),
        Column("gpu_model", Type.TEXT, "Accelerator model without the vendor."),
        Column("gpu_memory_mib", Type.INTEGER, "Memory of one accelerator, MiB."),
        Column("purchase", Type.TEXT, "How its time was bought: on_demand, spot, …"),
        Column("first_launched_at", Type.TIME, "When it was made."),
        Column("started_at", Type.TIME, "When it last started."),
        Column("stopped_at", Type.TIME, "When it last stopped."),
        Column("machine_group", Type.TEXT, "Machines that live and die together share it."),
        Column("boot", Type.TEXT, "Names the stretch since the last start."),
        Column("hourly_usd", Type.MONEY, "US dollars for an hour of it."),
        Column("saves_usd", Type.MONEY, "US dollars an hour that a stop would save."),
        Column("stopped_hourly_usd", Type.MONEY, "US dollars an hour that it costs stopped."),
        Column("price_basis", Type.TEXT, "list, spot, reserved, …"),
        Column("price_source", Type.TEXT, "Who says so."),
        Column("price_as_of", Type.TEXT, "Date of the source."),
        Column("price_why", Type.TEXT, "Why there is no price, or what it leaves out."),
        Column("tags_json", Type.TEXT, "Its tags."),
        Column("stop_terms_json", Type.TEXT, "What a stop would mean."),
        Column("operating_system", Type.TEXT, "Operating system."),
        Column("controller", Type.TEXT, "Who would replace it."),
    ),
)

READINGS = Table(
    name="readings",
    meaning="One GPU, or the host that stands in for it, over one interval.",
    key=("resource", "gpu", "source", "started_at"),
    day_of="started_at",
    columns=(
        _must("resource", Type.TEXT, "The machine's id."),
        Column("gpu", Type.TEXT, "UUID, MIG id or index; NULL: the host."),
        _must("source", Type.TEXT, "Who measured."),
        _must("started_at", Type.TIME, "Start of the interval."),
        _must("ended_at", Type.TIME, "Its end."),
        DAY,
        *(Column(name, Type.NUMBER, "NULL: not measured.") for name in READING_COLUMNS),
        Column("coverage", Type.NUMBER, "Share of the interval that was measured, 0 to 1."),
        Column("workload", Type.TEXT, "Where the source itself names it."),
        OBSERVED_AT,
    ),
)

RUNS = Table(
    name="runs",
    meaning="One attempt of a workload as one source told it.",
    key=("run_id", "revision"),
    columns=(
        _must("run_id", Type.TEXT, "Names the attempt."),
        _must("revision", Type.TEXT, "Fingerprint of the row's content."),
        _must("workload", Type.TEXT, "The piece of work that this is one attempt of."),
        _must("started_at", Type.TIME, "When it began to run."),
        _must("outcome", Type.TEXT, "succeeded, failed, cancelled, lost, running or unknown."),
        Column("ended_at", Type.TIME, "When it ended."),
        Column("submitted_at", Type.TIME, "When it was queued."),
        Column("workload_group", Type.TEXT, "Project or owner that workloads share."),
        Column("owner", Type.TEXT, "Who started it."),
        Column("kind", Type.TEXT, "training, batch, notebook, service or unknown."),
        Column("cause", Type.TEXT, "Why it did not succeed."),
        Column("error", Type.TEXT, "The error as the program told it."),
        Column("location", Type.TEXT, "local or cloud."),
        Column("provider", Type.TEXT, "Whose machine it was."),
        Column("region", Type.TEXT, "Region."),
        Column("machine_type", Type.TEXT, "The provider's name of the type."),
        Column("machine_id", Type.TEXT, "The machine's id; several with ; between."),
        Column("host", Type.TEXT, "The host's name."),
        Column("gpus", Type.INTEGER, "GPUs, all nodes together."),
        Column("nodes", Type.INTEGER, "Machines."),
        Column("gpu_model", Type.TEXT, "GPU model without the vendor."),
        Column("gpu_memory_mib", Type.INTEGER, "Memory of one GPU, MiB."),
        Column("peak_gpu_memory_mib", Type.NUMBER, "The most in use on one GPU, MiB."),
        Column("gpu_utilisation_mean_pct", Type.NUMBER, "Percent."),
        Column("setup_seconds", Type.NUMBER, "From the start to the first GPU activity."),
        Column("throughput", Type.NUMBER, "The workload's own unit, per second."),
        Column("code", Type.TEXT, "Fingerprint; equal means unchanged."),
        Column("environment", Type.TEXT, "Fingerprint; equal means unchanged."),
        Column("image", Type.TEXT, "Digest of the container image."),
        Column("data", Type.TEXT, "Fingerprint; equal means unchanged."),
        Column("config", Type.TEXT, "Fingerprint; equal means unchanged."),
        Column("data_class", Type.TEXT, "How sensitive the data is."),
        Column("metric_name", Type.TEXT, "The result that is judged."),
        Column("metric_value", Type.NUMBER, "Its value."),
        Column("sent_bytes", Type.INTEGER, "Bytes that left the machine."),
        Column("cost_usd", Type.MONEY, "US dollars that the attempt cost."),
        Column("source", Type.TEXT, "Who told of it."),
        Column("aliases", Type.TEXT, "Its ids in other systems, with ; between."),
        OBSERVED_AT,
    ),
)

ATTRIBUTIONS = Table(
    name="attributions",
    meaning="Which workload a resource belonged to during a stretch of time.",
    key=("resource", "gpu", "started_at", "workload", "workload_group", "rule"),
    columns=(
        _must("resource", Type.TEXT, "The machine's id."),
        Column("gpu", Type.TEXT, "NULL: the whole machine."),
        _must("started_at", Type.TIME, "From when on."),
        Column("ended_at", Type.TIME, "Until when; NULL: until further notice."),
        Column("workload", Type.TEXT, "NULL: no rule matched."),
        Column("workload_group", Type.TEXT, "Project or owner that workloads share."),
        Column("owner", Type.TEXT, "Whose work it is."),
        Column("kind", Type.TEXT, "training, batch, notebook, service or unknown."),
        Column("data_class", Type.TEXT, "How sensitive the data is."),
        Column("share", Type.NUMBER, "Share of the resource's cost, 0 to 1."),
        _must("rule", Type.TEXT, "The rule that matched, in words."),
        OBSERVED_AT,
    ),
)

CHARGES = Table(
    name="charges",
    meaning="Metered use of one resource in one clock hour and phase, in columns of FOCUS.",
    key=("ResourceId", "x_Meter", "date_trunc('hour', ChargePeriodStart)", "x_Phase"),
    day_of="ChargePeriodStart",
    columns=(
        Column("ProviderName", Type.TEXT, "aws, gcp, azure or local."),
        Column("SubAccountId", Type.TEXT, "Account, project or subscription."),
        Column("RegionId", Type.TEXT, "Region."),
        _must("ResourceId", Type.TEXT, "The resource's id."),
        Column("ResourceName", Type.TEXT, "The name that its owner gave it."),
        Column("ResourceType", Type.TEXT, "Machine type."),
        Column("ServiceName", Type.TEXT, "Compute, Storage, …"),
        Column("ChargeCategory", Type.TEXT, "Usage."),
        _must("ChargePeriodStart", Type.TIME, "Its clock hour is part of the key."),
        _must("ChargePeriodEnd", Type.TIME, "End of the period."),
        Column("ConsumedQuantity", Type.MONEY, "How much, in ConsumedUnit."),
        Column("ConsumedUnit", Type.TEXT, "Hours."),
        Column("ListUnitPrice", Type.MONEY, "List price of one unit."),
        Column("ListCost", Type.MONEY, "NULL: unpriced."),
        Column("EffectiveCost", Type.MONEY, "What it really costs, as far as known."),
        Column("BillingCurrency", Type.TEXT, "USD."),
        Column("Tags", Type.TEXT, "The resource's tags, as JSON."),
        _must("x_Phase", Type.TEXT, "What the time was spent on."),
        Column("x_Basis", Type.TEXT, "What kind of price this is."),
        _must("x_Meter", Type.TEXT, "What was metered: compute, …"),
        Column("x_MachineGroup", Type.TEXT, "Machines that live and die together share it."),
        Column("x_Boot", Type.TEXT, "The boot that ran last in the hour."),
        DAY,
        OBSERVED_AT,
    ),
)

STORAGE = Table(
    name="storage",
    meaning="What was seen of a bucket, disk, snapshot or idle address, whenever it changed.",
    key=("id", "observed_at"),
    columns=(
        OBSERVED_AT,
        _must("id", Type.TEXT, "provider:account:region:native-id."),
        _must("kind", Type.TEXT, "volume, snapshot, bucket, directory bucket or address."),
        Column("provider", Type.TEXT, "aws, gcp, azure or local."),
        Column("account", Type.TEXT, "Account, project or subscription."),
        Column("region", Type.TEXT, "Region."),
        Column("name", Type.TEXT, "The name that its owner gave it."),
        _must("state", Type.TEXT, "present, or gone: no longer listed."),
        Column("size_bytes", Type.INTEGER, "Provisioned size, or all classes of a bucket."),
        Column("monthly_cost_usd", Type.MONEY, "US dollars for 730 hours of it."),
        Column("billed_from", Type.TIME, "Since when it is billed as meters_json says."),
        Column("meters_json", Type.TEXT, "What is billed: meters with quantity and price."),
        Column("attached_to", Type.TEXT, "The machine's id."),
        Column("attached_at", Type.TIME, "Since when it is attached to it."),
        Column("unattached_since", Type.TIME, "Since when at least it is attached to nothing."),
        Column("made_from", Type.TEXT, "The disk that a snapshot was taken of."),
        Column("created_at", Type.TIME, "When it was made."),
        Column("sized_at", Type.TIME, "When a bucket's daily size was read."),
        Column("tags_json", Type.TEXT, "Its tags."),
        Column("why_json", Type.TEXT, "What the figures leave out or cannot know."),
    ),
)

PRICES = Table(
    name="prices",
    meaning="What a provider's own price list says that an hour on demand costs.",
    key=("provider", "region", "machine_type", "operating_system", "component"),
    columns=(
        _must("provider", Type.TEXT, "aws, gcp or azure."),
        _must("region", Type.TEXT, "Region."),
        _must("machine_type", Type.TEXT, "The provider's name of the type."),
        _must("operating_system", Type.TEXT, "As the provider names it on the machine."),
        Column("component", Type.TEXT, "Of a managed service: Notebook, …; NULL: a machine."),
        Column("hourly_usd", Type.MONEY, "US dollars for an hour; NULL: unknown."),
        Column("source", Type.TEXT, "Who says so."),
        Column("as_of", Type.TEXT, "When the list was published."),
        Column("why", Type.TEXT, "Why there is no price."),
        Column("changed_from_usd", Type.MONEY, "What it was before its last change."),
        Column("changed_at", Type.TIME, "When that change was seen."),
        OBSERVED_AT,
    ),
)

SPOT_PRICES = Table(
    name="spot_prices",
    meaning="What an hour on spot cost in one zone, from one moment on.",
    key=("provider", "account", "region", "zone", "machine_type", "product", "started_at"),
    columns=(
        _must("provider", Type.TEXT, "aws, gcp or azure."),
        _must("account", Type.TEXT, "Account: it has names of its own for zones."),
        _must("region", Type.TEXT, "Region."),
        _must("zone", Type.TEXT, "Zone in the region."),
        _must("machine_type", Type.TEXT, "The provider's name of the type."),
        _must("product", Type.TEXT, "The operating system, as spot prices name it."),
        _must("started_at", Type.TIME, "From when on."),
        Column("hourly_usd", Type.MONEY, "US dollars for an hour."),
        _must("told_until", Type.TIME, "Until when it is known to have held, at least."),
        OBSERVED_AT,
    ),
)

EVENTS = Table(
    name="events",
    meaning="Something that was found, decided or done: the audit trail.",
    key=("subject", "n"),
    columns=(
        _must("subject", Type.TEXT, "The incident or thing that it belongs to."),
        _must("n", Type.TEXT, "Names the event within its subject."),
        _must("at", Type.TIME, "When it happened."),
        _must("kind", Type.TEXT, "finding, delivered, …"),
        Column("machine", Type.TEXT, "The machine's id."),
        Column("boot", Type.TEXT, "The machine's boot."),
        Column("detail_json", Type.TEXT, "Everything else."),
        OBSERVED_AT,
    ),
)

PATROLS = Table(
    name="patrols",
    meaning="One pass. It is written last: the time that it watched was really watched.",
    key=("patrol_id",),
    observed="at",
    columns=(
        _must("patrol_id", Type.TEXT, "Names the pass."),
        _must("at", Type.TIME, "The moment that it judged."),
        Column("started_at", Type.TIME, "When it began."),
        Column("ended_at", Type.TIME, "When it ended."),
        Column("mode", Type.TEXT, "observe or act."),
        Column("scopes_json", Type.TEXT, "Scopes that were seen whole, and from when until when."),
        Column("gaps_json", Type.TEXT, "What could not be seen."),
        Column("api_calls_json", Type.TEXT, "Requests by service:Operation."),
        Column("usd", Type.MONEY, "US dollars that the calls cost."),
        Column("seconds", Type.NUMBER, "How long it took."),
        Column("version", Type.TEXT, "Version of the watchdog."),
    ),
)

TABLES: Mapping[str, Table] = MappingProxyType(
    {
        table.name: table
        for table in (
            MACHINES,
            READINGS,
            RUNS,
            ATTRIBUTIONS,
            CHARGES,
            STORAGE,
            PRICES,
            SPOT_PRICES,
            EVENTS,
            PATROLS,
        )
    }
)
