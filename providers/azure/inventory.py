"""All subscriptions at once: what Resource Graph shows of them, and what their sizes carry."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from policies.facts import Gap, Machine, Scope
from providers.azure import resource_graph
from providers.azure.errors import AZURE_ERRORS, gap_from
from providers.azure.instance_types import (
    FAMILY,
    TypeFacts,
    may_carry,
    type_from_catalogue,
    types_from,
)
from providers.azure.machines import machine_from, region_of, size_of, subscription_of
from providers.azure.prices import NOTHING_LISTED, PriceList
from providers.azure.session import AzureSession
from providers.base import Seen

NEEDS = "Microsoft.ResourceGraph/resources/read and Microsoft.Compute/*/read"
SKUS = "Microsoft.Compute/skus/read"
SUBSCRIPTIONS = "Microsoft.Resources/subscriptions/read"
SUBSCRIPTIONS_VERSION = "2022-12-01"
COLUMNS = "id, name, type, subscriptionId, resourceGroup, location, zones, tags, managedBy, sku"
SCALE_SET = "microsoft.compute/virtualmachinescalesets"
_OF_FAMILY = f"""| where tostring(properties.hardwareProfile.vmSize) startswith '{FAMILY}'
    or tostring(sku.name) startswith '{FAMILY}'
| project {COLUMNS}, properties
| order by id asc"""
QUERY = f"""resources
| where type in~ ('microsoft.compute/virtualmachines', '{SCALE_SET}')
{_OF_FAMILY}"""
"""VMs, members of Flexible scale sets among them; and scale sets, which tell whether there are
members of Uniform ones. Rows are in Azure's own words."""
MEMBERS = f"""computeresources
| where type =~ '{SCALE_SET}/virtualmachines'
{_OF_FAMILY}"""
"""Members of Uniform scale sets, which have a table of their own that joins no other."""

Raw = Mapping[str, Any]


@dataclass(slots=True)
class InventoryReader:
    """Lists machines. Sizes never change, so what was learnt of one is kept."""

    session: AzureSession
    subscriptions: Sequence[str] | None
    """None: every one that the credentials show."""
    regions: Sequence[str] | None
    """None: every one."""
    clock: Callable[[], datetime]
    types: dict[str, TypeFacts] = field(default_factory=dict)
    """By size in lower case."""
    listed: PriceList = field(default_factory=lambda: NOTHING_LISTED)
    """Prices that Azure told; machines are priced by them first."""
    looked_at: Sequence[str] = ()
    """The subscriptions of the last listing, those that did not answer included."""
    machines: Sequence[Machine] = ()
    """Those of the last listing."""
    listed_at: datetime | None = None
    """When the last listing began."""
    _places: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    """By subscription, the regions in which it was ever seen to have machines."""

    def read(self) -> Seen[Machine]:
        self.listed_at = self.clock()
        subscriptions, gaps = self.known_subscriptions()
        self.looked_at = subscriptions
        answers = resource_graph.ask(self.session, subscriptions, QUERY)
        self._add_members(answers)
        rows = [row for row in answers.rows if self._wanted(row)]
        for subscription, error in answers.failed.items():
            gaps += self._unseen(subscription, error)
        gaps += self._learnt(rows)
        machines, trouble = self._machines(rows)
        gaps += trouble
        self.machines = machines
        for row in rows:
            self._places[subscription_of(row)].add(region_of(row))
        return Seen(
            values=tuple(machines),
            gaps=tuple(dict.fromkeys(gaps)),
            scopes=tuple(self._scopes(answers.whole)),
        )

    def facts(self, size: str) -> TypeFacts | None:
        """What Azure described, else the catalogue; None: nobody knows."""
        known = self.types.get(size.lower())
        return known or type_from_catalogue(size)

    def known_subscriptions(self) -> tuple[list[str], list[Gap]]:
        """Those of the settings, else those that the credentials show and that are in use."""
        if self.subscriptions is not None:
            return list(dict.fromkeys(each.lower() for each in self.subscriptions)), []
        try:
            return sorted(self._shown()), []
        except AZURE_ERRORS as error:
            scope = Scope(provider="azure", account=None, region=None)
            return [], [gap_from(error, scope, "subscriptions", SUBSCRIPTIONS)]

    def _shown(self) -> Iterator[str]:
        version = {"api-version": SUBSCRIPTIONS_VERSION}
        for page in self.session.pages("/subscriptions", version, most=50):
            for each in page["value"]:
                if each.get("state", "Enabled") != "Deleted":
                    yield str(each["subscriptionId"]).lower()

    def _add_members(self, answers: resource_graph.Answers) -> None:
        """Asks further only where there is a Uniform scale set of a size with GPUs."""
        having = sorted(
            {subscription_of(row) for row in answers.rows if _is_uniform(row)} & answers.whole
        )
        if not having:
            return
        members = resource_graph.ask(self.session, having, MEMBERS)
        answers.rows += members.rows
        answers.failed |= members.failed
        answers.whole -= members.failed.keys()

    def _wanted(self, row: Raw) -> bool:
        """By size and region; an answer that was not narrowed is narrowed here."""
        size = None if str(row.get("type")).lower() == SCALE_SET else size_of(row)
        inside = self.regions is None or region_of(row) in {each.lower() for each in self.regions}
        return size is not None and may_carry(size) and inside

    def _unseen(self, subscription: str, error: Exception) -> list[Gap]:
        """One gap a region where it is known to have machines, else one for all of it."""
        regions: Iterable[str | None] = self.regions or self._places[subscription] or (None,)
        return [
            gap_from(
                error,
                Scope(provider="azure", account=subscription, region=region),
                "machines",
                NEEDS,
            )
            for region in sorted(regions, key=str)
        ]

    def _learnt(self, rows: Sequence[Raw]) -> list[Gap]:
        """Sizes that nobody here knows are asked for, once a region that has them."""
        unknown: dict[tuple[str, str], set[str]] = defaultdict(set)
        for row in rows:
            size = str(size_of(row))
            if self.facts(size) is None:
                unknown[subscription_of(row), region_of(row)].add(size.lower())
        gaps = []
        for (subscription, region), sizes in sorted(unknown.items()):
            if sizes <= self.types.keys():
                continue
            try:
                self.types |= self._described(subscription, region)
            except AZURE_ERRORS as error:
                scope = Scope(provider="azure", account=subscription, region=region)
                gaps.append(gap_from(error, scope, "machine types", SKUS))
        return gaps

    def _described(self, subscription: str, region: str) -> dict[str, TypeFacts]:
        skus = self.session.compute(subscription).resource_skus.list(
            filter=f"location eq '{region}'"
        )
        return types_from(sku.as_dict() for sku in skus)

    def _machines(self, rows: Sequence[Raw]) -> tuple[list[Machine], list[Gap]]:
        """Machines with accelerators, and a gap for each size or VM that nobody could describe."""
        machines: dict[str, Machine] = {}
        unknown: Counter[tuple[str, str, str]] = Counter()
        gaps = []
        for row in rows:
            size = str(size_of(row))
            facts = self.facts(size)
            if facts is None:
                unknown[subscription_of(row), region_of(row), size] += 1
                continue
            if not facts.accelerators:
                continue
            try:
                machine = machine_from(row, facts, self.listed)
            except (AttributeError, KeyError, TypeError, ValueError) as error:
                gaps.append(_not_understood(row, error))
            else:
                machines[machine.id] = machine
        gaps += _unknown_sizes(unknown)
        return [machines[key] for key in sorted(machines)], gaps

    def _scopes(self, whole: Iterable[str]) -> Iterator[Scope]:
        """Places that were seen whole and where there are, or were, machines."""
        for subscription in sorted(whole):
            regions = self.regions if self.regions is not None else self._places[subscription]
            for region in sorted({each.lower() for each in regions}):
                yield Scope(provider="azure", account=subscription, region=region)


def _is_uniform(row: Raw) -> bool:
    mode = str((row.get("properties") or {}).get("orchestrationMode") or "Uniform")
    return str(row.get("type")).lower() == SCALE_SET and mode.lower() == "uniform"


def _not_understood(row: Raw, error: Exception) -> Gap:
    name = str(row.get("id") or row.get("name") or "a VM")
    return Gap(
        provider="azure",
        account=subscription_of(row),
        region=region_of(row),
        what=f"machine {name.rsplit('/', 1)[-1]}",
        why=f"what Azure tells of {name} could not be understood"
        f" ({type(error).__name__}: {error}): it is not watched",
    )


def _unknown_sizes(unknown: Counter[tuple[str, str, str]]) -> Iterator[Gap]:
    for (subscription, region, size), count in sorted(unknown.items()):
        machines = "1 machine of it is" if count == 1 else f"{count} machines of it are"
        yield Gap(
            provider="azure",
            account=subscription,
            region=region,
            what=f"machine type {size}",
            why=f"what {size} carries could not be found out; {machines} not watched",
        )
