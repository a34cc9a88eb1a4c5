"""The columns that every importer and export of runs share: one table for reader, docs and help."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from policies.facts import RunCause, RunOutcome, WorkloadKind

LARGEST_INTEGER = 2**63 - 1


class Cell(StrEnum):
    """What stands in a column's cells."""

    TEXT = "text"
    TIME = "time"
    WORD = "word"
    INTEGER = "integer"
    NUMBER = "number"
    MONEY = "money"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column. Except where it is required, an empty or missing cell means unknown."""

    name: str
    cell: Cell
    meaning: str
    unit: str | None = None
    words: tuple[str, ...] = ()
    """The words that are allowed; empty where any text is."""
    least: int | None = None
    most: int | None = None
    required: bool = False


COLUMNS: tuple[Column, ...] = (
    Column(
        name="run_id",
        cell=Cell.TEXT,
        meaning="Names this attempt; no other run has the same.",
        required=True,
    ),
    Column(
        name="workload",
        cell=Cell.TEXT,
        meaning="The piece of work that this is one attempt of.",
        required=True,
    ),
    Column(
        name="started_at",
        cell=Cell.TIME,
        unit="RFC 3339",
        meaning="When the attempt began to run.",
        required=True,
    ),
    Column(
        name="outcome",
        cell=Cell.WORD,
        meaning="How it ended. lost: nobody saw the end; unknown: nobody told.",
        words=tuple(RunOutcome),
        required=True,
    ),
    Column(
        name="ended_at",
        cell=Cell.TIME,
        unit="RFC 3339",
        meaning="When it ended; empty while it runs.",
    ),
    Column(
        name="submitted_at",
        cell=Cell.TIME,
        unit="RFC 3339",
        meaning="When it was queued.",
    ),
    Column(
        name="group",
        cell=Cell.TEXT,
        meaning="The project or owner that several workloads share.",
    ),
    Column(name="owner", cell=Cell.TEXT, meaning="Who started it."),
    Column(
        name="kind",
        cell=Cell.WORD,
        meaning="What kind of work it is.",
        words=tuple(WorkloadKind),
    ),
    Column(
        name="cause",
        cell=Cell.WORD,
        meaning="Why it did not succeed.",
        words=tuple(RunCause),
    ),
    Column(name="error", cell=Cell.TEXT, meaning="The error as the program told it."),
    Column(
        name="location",
        cell=Cell.WORD,
        meaning="Whether it ran at home or on a rented machine.",
        words=("local", "cloud"),
    ),
    Column(
        name="provider",
        cell=Cell.TEXT,
        meaning="Whose machine it was: aws, gcp, azure, local.",
    ),
    Column(name="region", cell=Cell.TEXT, meaning="The provider's region."),
    Column(name="machine_type", cell=Cell.TEXT, meaning="The provider's name of the type."),
    Column(
        name="machine_id",
        cell=Cell.TEXT,
        meaning="The machine's id, provider:account:region:native-id; several with ; between.",
    ),
    Column(name="host", cell=Cell.TEXT, meaning="The host's name."),
    Column(
        name="gpus",
        cell=Cell.INTEGER,
        unit="GPUs",
        meaning="GPUs that it held, all nodes together.",
        least=0,
        most=LARGEST_INTEGER,
    ),
    Column(
        name="nodes",
        cell=Cell.INTEGER,
        unit="machines",
        meaning="Machines that it ran on.",
        least=0,
        most=LARGEST_INTEGER,
    ),
    Column(
        name="gpu_model",
        cell=Cell.TEXT,
        meaning="The GPU's model without the vendor: A100.",
    ),
    Column(
        name="gpu_memory_mib",
        cell=Cell.INTEGER,
        unit="MiB",
        meaning="Memory of one GPU.",
        least=0,
        most=LARGEST_INTEGER,
    ),
    Column(
        name="peak_gpu_memory_mib",
        cell=Cell.NUMBER,
        unit="MiB",
        meaning="The most memory in use on one GPU.",
        least=0,
    ),
    Column(
        name="gpu_utilisation_mean_pct",
        cell=Cell.NUMBER,
        unit="percent",
        meaning="Mean GPU utilisation over the run.",
        least=0,
        most=100,
    ),
    Column(
        name="setup_seconds",
        cell=Cell.NUMBER,
        unit="seconds",
        meaning="From the start to the first GPU activity.",
        least=0,
    ),
    Column(
        name="throughput",
        cell=Cell.NUMBER,
        unit="the workload's own, per second",
        meaning="Work done in a second: samples, tokens, steps.",
        least=0,
    ),
    Column(name="code", cell=Cell.TEXT, meaning="Fingerprint of the code; equal: unchanged."),
    Column(
        name="environment",
        cell=Cell.TEXT,
        meaning="Fingerprint of the installed packages; equal: unchanged.",
    ),
    Column(name="image", cell=Cell.TEXT, meaning="Digest of the container image."),
    Column(name="data", cell=Cell.TEXT, meaning="Fingerprint of the input data; equal: unchanged."),
    Column(
        name="config",
        cell=Cell.TEXT,
        meaning="Fingerprint of the configuration; equal: unchanged.",
    ),
    Column(name="data_class", cell=Cell.TEXT, meaning="How sensitive the data is."),
    Column(name="metric_name", cell=Cell.TEXT, meaning="The result that is judged: val_loss."),
    Column(name="metric_value", cell=Cell.NUMBER, meaning="Its value; may be negative."),
    Column(
        name="sent_bytes",
        cell=Cell.INTEGER,
        unit="bytes",
        meaning="Bytes that left the machine.",
        least=0,
        most=LARGEST_INTEGER,
    ),
    Column(
        name="cost_usd",
        cell=Cell.MONEY,
        unit="US dollars",
        meaning="What the attempt cost; kept to nine decimals.",
        least=0,
        most=999_999_999,
    ),
    Column(name="source", cell=Cell.TEXT, meaning="Who told of this attempt."),
    Column(
        name="aliases",
        cell=Cell.TEXT,
        meaning="Ids of the same attempt in other systems, with ; between.",
    ),
)

COLUMN: Mapping[str, Column] = MappingProxyType({column.name: column for column in COLUMNS})

REQUIRED: tuple[str, ...] = tuple(column.name for column in COLUMNS if column.required)
