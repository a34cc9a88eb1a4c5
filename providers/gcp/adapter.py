"""GCP: machines of Compute Engine and TPU VMs, Cloud Monitoring, audit logs and prices.

Reads only, but for a stop; see `permissions.py`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from importlib.util import find_spec

from policies.facts import (
    UNPRICED,
    Gap,
    Machine,
    Price,
    Reading,
    Scope,
    Storage,
    Transition,
    Window,
)
from providers.base import Looked, Probe, Seen, StopAnswer, StorageAsked, Unread
from providers.egress import EgressCounter
from providers.gcp.egress import EgressReader
from providers.gcp.inventory import InventoryReader
from providers.gcp.keep_labels import write_keep
from providers.gcp.lifecycle import ProjectHistory, gaps_of, project_history
from providers.gcp.permissions import read_only_role
from providers.gcp.price_list import read_prices
from providers.gcp.prices import price_list, price_of
from providers.gcp.probes import probes
from providers.gcp.session import GcpSession, Limits
from providers.gcp.stop import InstanceStopper
from providers.gcp.storage import StorageReader
from providers.gcp.storage_prices import address_meter
from providers.gcp.tpus import is_tpu
from providers.gcp.usage import HOW_TO_MEASURE, UsageReader
from providers.machine_prices import stopped_hourly_usd
from providers.price_facts import ListPrice, PriceQuestion, Progress

SDKS = ("google.cloud.billing_v1", "google.cloud.compute_v1", "google.cloud.monitoring_v3")


def _require_sdks() -> None:
    """They are imported when first needed, which is too late to say how to get them."""
    for name in SDKS:
        if find_spec(name) is None:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


_require_sdks()


def _now() -> datetime:
    return datetime.now(UTC)


class GcpProvider:
    """The machines of the projects that the credentials show."""

    name = "gcp"
    how_to_measure = HOW_TO_MEASURE

    def __init__(
        self,
        *,
        projects: Sequence[str] | None = None,
        regions: Sequence[str] | None = None,
        endpoint: str | None = None,
        monitoring_endpoint: str | None = None,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """None: every project and region that the credentials show, at Google's own addresses.

        Raises `ProviderUnavailable` without credentials.
        """
        self._session = GcpSession(
            projects=projects,
            endpoint=endpoint,
            monitoring_endpoint=monitoring_endpoint,
            limits=limits,
        )
        self._clock = clock
        self._inventory = InventoryReader(self._session, regions)
        self._usage = UsageReader(self._session, clock)
        self._storage = StorageReader(self._session, self._inventory)
        self._egress = EgressReader(
            session=self._session, usage=self._usage, bucket_tags=lambda: self._storage.tags_of
        )
        self._stopper = InstanceStopper(
            session=self._session, inventory=self._inventory, usage=self._usage, clock=clock
        )

    def machines(self) -> Seen[Machine]:
        self._usage.forget()
        return self._inventory.read()

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        readings, gaps = self._usage.read(machines, window)
        return Seen(values=tuple(readings), gaps=tuple(gaps))

    def enabled_regions(self) -> Sequence[str] | None:
        """Those in which some project has a zone; known once machines were listed."""
        return sorted({str(scope.region) for scope in self._inventory.looked_at}) or None

    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        """Of these machines, and of machines with accelerators that are gone by now.

        TPU VMs have logs of another kind, which are not read.
        """
        places: dict[str, set[str]] = defaultdict(set)
        for machine in machines:
            if not is_tpu(machine):
                places[machine.account].add(machine.region)
        known = {machine.id for machine in machines}

        def history(project: str) -> ProjectHistory:
            return project_history(
                self._session,
                project,
                sorted(places[project]),
                window,
                lambda each: each.machine in known or self._carries(each.machine_type),
            )

        answers = self._session.side_by_side(sorted(places), history)
        parts = {
            project: answer
            if isinstance(answer, ProjectHistory)
            else ProjectHistory(gaps=gaps_of(answer, project, sorted(places[project])))
            for project, answer in answers.items()
        }
        return Seen(
            values=tuple(each for part in parts.values() for each in part.transitions),
            gaps=tuple(gap for part in parts.values() for gap in part.gaps),
            unread=tuple(
                Unread(scope=Scope(provider="gcp", account=project, region=region), window=unread)
                for project, part in parts.items()
                if (unread := part.unread) is not None
                for region in sorted(places[project])
            ),
        )

    def egress(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        return self._egress.read(machines, scopes, window)

    def storage(self, asked: StorageAsked) -> Seen[Storage]:
        return self._storage.read(asked)

    def stopped_hourly_usd(self, machine: Machine, storage: Sequence[Storage]) -> Decimal | None:
        addresses = self._storage.addresses_of[machine.id]
        month_usd = address_meter(machine.region).month_usd
        return stopped_hourly_usd(machine, storage, [month_usd] * addresses)

    def look(self, machine: Machine) -> Looked | Gap | None:
        return self._stopper.look(machine)

    def stop(self, machine: Machine) -> StopAnswer:
        return self._stopper.stop(machine)

    def write_keep(self, machine: str, until: datetime) -> str | None:
        return write_keep(self._session, machine, until)

    def price(self, machine: Machine) -> Price:
        """The listing prices each machine, for it also sees local SSD; others by their facts."""
        return price_of(machine) if machine.price == UNPRICED else machine.price

    def list_prices(self, wanted: Sequence[PriceQuestion], progress: Progress) -> Seen[ListPrice]:
        return read_prices(self._session, wanted, progress)

    def use_prices(self, prices: Sequence[ListPrice]) -> None:
        self._inventory.listed = price_list(prices)

    def api_calls(self) -> Mapping[str, int]:
        return self._session.meter.calls()

    def watching_usd(self) -> Decimal | None:
        return self._session.meter.usd()

    def role_text(self) -> str:
        return read_only_role()

    def probes(self) -> Iterator[Probe]:
        return probes(self._session, self._clock)

    def _carries(self, machine_type: str | None) -> bool:
        facts = None if machine_type is None else self._inventory.facts(machine_type)
        return facts is not None and bool(facts.accelerators)
