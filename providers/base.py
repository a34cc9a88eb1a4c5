"""What the watchdog asks of a provider: one mandatory protocol, and small optional ones.

An adapter reports and does not judge. What it cannot see is a `Gap` beside what it saw; it raises
only for a mistake of the programmer. Every call to the outside is counted by its name in the
provider's own words, `service:Operation`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Generic, Literal, Protocol, TypeVar, runtime_checkable

from policies.facts import Gap, Machine, Price, Reading, Run, Scope, Storage, Transition, Window
from providers.egress import EgressCounter
from providers.price_facts import (
    CommitmentAnswer,
    CommitmentQuestion,
    ListPrice,
    PriceQuestion,
    Progress,
    SpotMarket,
    SpotPrice,
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Unread:
    """The part of an asked time that an answer left out, so that it can be asked for again."""

    scope: Scope
    window: Window


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen(Generic[T]):
    """What was seen, beside what could not be."""

    values: tuple[T, ...] = ()
    gaps: tuple[Gap, ...] = ()
    scopes: tuple[Scope, ...] = ()
    """The scopes that were seen whole."""
    unread: tuple[Unread, ...] = ()
    """Of scopes with a gap that were read in part. Without it, a gap means that nothing was."""


@runtime_checkable
class Inventory(Protocol):
    """The one thing every provider must do."""

    @property
    def name(self) -> str:
        """`aws`, `gcp`, `azure` or `local`."""

    def machines(self) -> Seen[Machine]:
        """Every machine with accelerators in every scope, whatever its state."""

    def api_calls(self) -> Mapping[str, int]:
        """Requests sent so far, retries included, by `service:Operation`."""

    def role_text(self) -> str:
        """The least role that watching needs, in the provider's own language."""

    def watching_usd(self) -> Decimal | None:
        """What the calls so far cost at list price; None where unknown."""


@runtime_checkable
class ReadsUsage(Protocol):
    @property
    def how_to_measure(self) -> str:
        """The one line that makes a machine without GPU metrics visible."""

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        """Readings of these machines; a machine without any is simply absent."""


@runtime_checkable
class SeesOnlyNow(Protocol):
    """A provider whose readings hold the present alone: what it told earlier lies in the ledger."""

    sees_only_now: Literal[True]
    """Marks it; there is nothing to ask."""


@runtime_checkable
class ReadsLifecycle(Protocol):
    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        """Starts and ends from the audit trail, in the scopes of these machines.

        What a gap leaves out is asked for again by the next patrol.
        """


@runtime_checkable
class KnowsRegions(Protocol):
    def enabled_regions(self) -> Sequence[str] | None:
        """The names of all regions that can be watched; None where that cannot be found out."""


@runtime_checkable
class Prices(Protocol):
    def price(self, machine: Machine) -> Price:
        """The price of one hour of this machine; unknown stays unknown."""


@runtime_checkable
class ListsPrices(Inventory, Protocol):
    """Has a price list of its own that can be asked, and prices machines by a copy of it."""

    def list_prices(self, wanted: Sequence[PriceQuestion], progress: Progress) -> Seen[ListPrice]:
        """What the provider's own price list says; what it does not list is a gap."""

    def use_prices(self, prices: Sequence[ListPrice]) -> None:
        """Prices that machines seen from now on have, before any other source."""


@runtime_checkable
class ReadsSpotPrices(Inventory, Protocol):
    def spot_market(self, machine: Machine) -> SpotMarket | None:
        """Whose price this machine pays; None: none, or no history tells of it."""

    def spot_prices(self, asked: Mapping[SpotMarket, datetime], now: datetime) -> Seen[SpotPrice]:
        """Prices of markets since a moment, the one that held then included.

        Scopes: the regions that told everything until `now`.
        """


@runtime_checkable
class ReadsCommitments(Inventory, Protocol):
    def commitment_questions(self, machines: Sequence[Machine]) -> Sequence[CommitmentQuestion]:
        """What must be asked to know everything that may cover these machines."""

    def commitments(self, asked: Sequence[CommitmentQuestion]) -> Seen[CommitmentAnswer]:
        """One answer a question that could be read."""


@runtime_checkable
class PricesStopped(Inventory, Protocol):
    def stopped_hourly_usd(self, machine: Machine, storage: Sequence[Storage]) -> Decimal | None:
        """An hour of what stays of a stopped machine; `storage`: all that is attached to it."""


@runtime_checkable
class MetersEgress(Protocol):
    def egress(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        """Bytes that left these machines, and buckets and NAT gateways of these scopes.

        The window lies on clock hours and has periods of one hour. A counter that no metric tells
        of is simply absent.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageAsked:
    """What a listing of storage should know before it asks."""

    now: datetime
    sized_at: Mapping[str, datetime]
    """By bucket's id, when its daily size was read last. It is read once a day (UTC)."""
    named: Callable[[Storage], bool]
    """Whether somebody named this bucket: only then are its unfinished uploads listed."""


@runtime_checkable
class ListsStorage(Protocol):
    def storage(self, asked: StorageAsked) -> Seen[Storage]:
        """Everything that is billed while it exists, in the regions of the last `machines`.

        A bucket whose size was not read in this pass has no eras. Scopes: those listed whole.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StopAnswer:
    """What became of one stop, by looking at the machine afterwards."""

    result: Literal["stopped", "requested", "refused", "failed", "gone"]
    """`requested`: on its way. `refused`: asking again as things stand is in vain. `failed`: it may
    work next time."""
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """One machine at this moment."""

    machine: Machine
    """With whatever protects it from being stopped."""
    host: Reading | None
    """What its CPU, network and disk did in the last half hour; None: that could not be read."""


@runtime_checkable
class Stops(Protocol):
    """Stops machines, and never terminates or deletes one."""

    def look(self, machine: Machine) -> Looked | Gap | None:
        """The machine as it is this moment: a few calls, for candidates alone.

        None: it is gone. A gap: it cannot be seen, so it must not be stopped.
        """

    def stop(self, machine: Machine) -> StopAnswer:
        """Stop this one. Raises nothing: what goes wrong is an answer."""


@runtime_checkable
class WritesKeeps(Protocol):
    """Puts a keep onto the machine itself, as the watchdog's own tag, and writes no other."""

    def write_keep(self, machine: str, until: datetime) -> str | None:
        """`machine`: its id. None: it stands there now. Else why not; it raises nothing.

        Each provider spells the time so that its tags can hold it and `fromisoformat` reads it.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class RunNotRead:
    """One attempt of a source that cannot be understood; the others can."""

    where: str
    """What names it there: a file and line, a folder, a job."""
    field: str
    why: str

    def __str__(self) -> str:
        return f"{self.where}: {self.field}: {self.why}"


class RunSourceError(Exception):
    """The source as a whole cannot be read, or not to its end. Says how to mend it."""

    exit_code = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRun:
    """What is known of a run already, so that a source need not ask twice for what is dear."""

    running: bool
    ended_at: datetime | None
    gpus: int | None
    peak_gpu_memory_mib: float | None
    gpu_utilisation_mean_pct: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsAsked:
    since: datetime | None
    """Runs that changed since then are enough, as far as the source can tell. None: all runs."""
    known: Mapping[str, KnownRun] = field(default_factory=dict)
    """By run id: those that still ran when they were read last, or whose GPUs were measured."""


@runtime_checkable
class ListsRuns(Protocol):
    """A system that knows which attempts there were: a scheduler or an experiment tracker."""

    @property
    def name(self) -> str:
        """Names the source and the place, the same in every call: `slurm:lab`."""

    @property
    def prefix(self) -> str:
        """How the ids of its runs begin: `slurm:lab:`."""

    @property
    def incremental(self) -> bool:
        """Whether it can be asked for what changed since a time; else it is read whole."""

    @property
    def look_again(self) -> timedelta | None:
        """How far back rows are asked for once more now and then, since not every change of a row
        shows in its times; None: every change does.
        """

    @property
    def notices(self) -> Sequence[str]:
        """What was read in a way that its writer may not mean; complete after the last run."""

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        """Each run once, with all that is known of it now. Raises `RunSourceError`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One thing that was tried out, for `doctor`."""

    what: str
    ok: bool | None
    """None: works, but with something left out."""
    told: str
    """What was found, and how to mend it. One line."""


@runtime_checkable
class ChecksItself(Protocol):
    def probes(self) -> Iterator[Probe]:
        """Credentials, permissions and metrics, by dry runs where the cloud has them."""


class ProviderUnavailable(Exception):  # noqa: N818 - it is a state, told to the user as a gap
    """The provider cannot be used here: no SDK or no credentials. Says how to mend it."""
