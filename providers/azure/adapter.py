"""Azure: VMs of all subscriptions, metrics of Azure Monitor, history of the Activity Log."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Literal, Self

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
from providers.azure.egress import EgressReader
from providers.azure.inventory import InventoryReader
from providers.azure.lifecycle import read_history
from providers.azure.permissions import read_only_role
from providers.azure.price_list import read_prices
from providers.azure.prices import price_list, price_of
from providers.azure.probes import probes
from providers.azure.session import AzureSession, Endpoints
from providers.azure.stop import MachineStopper
from providers.azure.storage import StorageReader
from providers.azure.usage import HOW_TO_MEASURE, UsageReader
from providers.base import Looked, Probe, Seen, StopAnswer, StorageAsked
from providers.egress import EgressCounter
from providers.price_facts import ListPrice, PriceQuestion, Progress

if TYPE_CHECKING:
    from providers.registry import AzureWishes


def _now() -> datetime:
    return datetime.now(UTC)


class AzureProvider:
    """The machines of all subscriptions, with the abilities of `providers.base`."""

    name = "azure"
    how_to_measure = HOW_TO_MEASURE
    tells_no_starts: Literal[True] = True

    def __init__(
        self,
        session: AzureSession,
        *,
        subscriptions: Sequence[str] | None = None,
        regions: Sequence[str] | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`subscriptions` and `regions` None: all that the credentials show."""
        self._session = session
        self._clock = clock
        self._inventory = InventoryReader(session, subscriptions, regions, clock)
        self._usage = UsageReader(session)
        self._storage = StorageReader(session)
        self._egress = EgressReader(session=session, usage=self._usage)
        self._stopper = MachineStopper(
            session=session, inventory=self._inventory, usage=self._usage, clock=clock
        )

    @classmethod
    def at(cls, wishes: AzureWishes, *, regions: Sequence[str] | None) -> Self:
        """As the settings say. Raises `ProviderUnavailable` without credentials."""
        session = AzureSession(
            endpoints=Endpoints(
                management=wishes.endpoint,
                metrics=wishes.metrics_endpoint,
                prices=wishes.prices_endpoint,
            ),
            ca_bundle=None if wishes.ca_bundle is None else str(wishes.ca_bundle),
        )
        return cls(session, subscriptions=wishes.subscriptions, regions=regions)

    def machines(self) -> Seen[Machine]:
        self._usage.forget()
        return self._inventory.read()

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        readings, gaps = self._usage.read(machines, window)
        return Seen(values=tuple(readings), gaps=tuple(gaps))

    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        return read_history(self._session, machines, window, self._clock())

    def storage(self, asked: StorageAsked) -> Seen[Storage]:
        inventory = self._inventory
        return self._storage.read(inventory.looked_at, inventory.regions, inventory.machines, asked)

    def egress(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        return self._egress.read(machines, scopes, window)

    def look(self, machine: Machine) -> Looked | Gap | None:
        return self._stopper.look(machine)

    def stop(self, machine: Machine) -> StopAnswer:
        return self._stopper.stop(machine)

    def price(self, machine: Machine) -> Price:
        """The listing prices each machine; others by their facts."""
        return price_of(machine) if machine.price == UNPRICED else machine.price

    def list_prices(self, wanted: Sequence[PriceQuestion], progress: Progress) -> Seen[ListPrice]:
        return read_prices(self._session, wanted, progress, self._clock())

    def use_prices(self, prices: Sequence[ListPrice]) -> None:
        self._inventory.listed = price_list(prices)

    def api_calls(self) -> Mapping[str, int]:
        return self._session.meter.calls()

    def watching_usd(self) -> Decimal | None:
        return self._session.meter.usd()

    def role_text(self) -> str:
        return json.dumps(read_only_role(), indent=2)

    def probes(self) -> Iterator[Probe]:
        return probes(self._session, self._inventory)
