"""All projects at once: what the aggregated list shows of each, and what their types carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from policies.facts import Gap, Machine, Scope
from providers.base import Seen
from providers.errors import one_line
from providers.gcp import tpus
from providers.gcp.errors import GCP_ERRORS, gap_from, is_disabled, is_missing
from providers.gcp.instance_types import (
    TypeFacts,
    may_carry,
    type_from,
    type_from_catalogue,
)
from providers.gcp.listing import PAGE, Listing, aggregated, as_json, region_of, tail
from providers.gcp.machines import accelerators_of, machine_from
from providers.gcp.prices import NOTHING_LISTED, PriceList
from providers.gcp.session import GcpSession

LISTS = "compute.instances.list"
NAMES_AT_ONCE = 20
"""Machine types that one filter names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectListing:
    """One project in Google's words."""

    project: str
    instances: Listing
    tpus: tpus.TpuListing
    gaps: tuple[Gap, ...] = ()


@dataclass(slots=True)
class InventoryReader:
    """Lists machines. Types never change, so what was learnt of one is kept."""

    session: GcpSession
    regions: Sequence[str] | None
    """None: every region."""
    types: dict[str, TypeFacts] = field(default_factory=dict)
    looked_at: tuple[Scope, ...] = ()
    """What the last listing saw, in part or whole."""
    stopped: frozenset[str] = frozenset()
    """Of the last listing, `PROJECT/ZONE/NAME` of instances that did not run."""
    ids: dict[str, str] = field(default_factory=dict)
    """By `PROJECT/ZONE/NAME`, the machine's id; every instance of the last listing."""
    listed: PriceList = field(default_factory=lambda: NOTHING_LISTED)
    """Prices that Google told; machines are priced by them first."""
    projects: tuple[str, ...] = ()
    """Those of the last listing that answered."""

    def read(self) -> Seen[Machine]:
        projects, gaps = self.session.projects()
        answers = self.session.side_by_side(projects, self._project)
        seen: list[ProjectListing] = []
        for project, answer in answers.items():
            if isinstance(answer, ProjectListing):
                seen.append(answer)
            elif self.session.named or not is_disabled(answer):
                gaps.append(gap_from(answer, _scope(project), "machines", LISTS))
        self.projects = tuple(each.project for each in seen)
        self._remember(seen)
        machines: list[Machine] = []
        scopes: list[Scope] = []
        for each in seen:
            machines += self._machines(each)
            whole, troubles = self._scopes(each)
            scopes += whole
            gaps += [*each.gaps, *troubles, *self._unknown(each)]
        self.looked_at = tuple(scopes)
        machines.sort(key=lambda machine: machine.id)
        return Seen(
            values=tuple(machines),
            gaps=tuple(dict.fromkeys((*gaps, *self._never_seen(seen)))),
            scopes=tuple(scopes),
        )

    def one(self, machine: Machine) -> Machine | None:
        """The same machine as it is this moment; None: it is gone. Raises what the call raises."""
        raw = self.one_raw(machine)
        if raw is None or str(raw["id"]) != machine.native_id:
            return None
        facts = self.facts(tail(raw["machineType"]))
        return machine_from(raw, project=machine.account, facts=facts or TypeFacts(accelerators=()))

    def one_raw(self, machine: Machine) -> Mapping[str, Any] | None:
        try:
            found = self.session.compute("InstancesClient").get(
                project=machine.account,
                zone=machine.zone,
                instance=machine.name,
                retry=self.session.retry,
                timeout=self.session.timeout,
            )
        except GCP_ERRORS as error:
            if is_missing(error):
                return None
            raise
        return as_json(type(found).pb(found))

    def facts(self, name: str) -> TypeFacts | None:
        """What the catalogue tells, else what Google described; None: nobody knows the type."""
        if name not in self.types:
            known = type_from_catalogue(name)
            if known is None:
                return None
            self.types[name] = known
        return self.types[name]

    def _project(self, project: str) -> ProjectListing:
        """Everything that is asked of one project."""
        from google.cloud.compute_v1 import AggregatedListInstancesRequest  # noqa: PLC0415

        gaps: list[Gap] = []
        listing = aggregated(
            self.session,
            "InstancesClient",
            AggregatedListInstancesRequest(project=project, max_results=PAGE),
            "instances",
        )
        self._learn(project, listing, gaps)
        found = tpus.TpuListing()
        try:
            found = tpus.fetch_tpus(self.session, project)
        except GCP_ERRORS as error:
            if not is_disabled(error) and not is_missing(error):
                gaps.append(gap_from(error, _scope(project), "TPU machines", tpus.LISTS))
        return ProjectListing(project=project, instances=listing, tpus=found, gaps=tuple(gaps))

    def _learn(self, project: str, listing: Listing, gaps: list[Gap]) -> None:
        """Types that the catalogue does not know are asked for together."""
        seen = {tail(each.machine_type) for each in _messages(listing)}
        new = sorted(name for name in seen if may_carry(name) and self.facts(name) is None)
        for begin in range(0, len(new), NAMES_AT_ONCE):
            try:
                self.types |= self._fetch_types(project, new[begin : begin + NAMES_AT_ONCE])
            except GCP_ERRORS as error:
                needs = "compute.machineTypes.list"
                gaps.append(gap_from(error, _scope(project), "machine types", needs))

    def _fetch_types(self, project: str, names: Sequence[str]) -> dict[str, TypeFacts]:
        from google.cloud.compute_v1 import AggregatedListMachineTypesRequest  # noqa: PLC0415

        wanted = " OR ".join(f'(name = "{name}")' for name in names)
        request = AggregatedListMachineTypesRequest(
            project=project, filter=wanted, max_results=PAGE
        )
        listing = aggregated(self.session, "MachineTypesClient", request, "machine_types")
        return {
            raw["name"]: type_from(raw) for _, raw in listing.raws() if raw.get("name") in names
        }

    def _remember(self, seen: Sequence[ProjectListing]) -> None:
        """What disks, addresses and later looks need to know of instances without accelerators."""
        self.ids = {}
        resting = set()
        for each in seen:
            for zone, instances in each.instances.places.items():
                for instance in instances:
                    name = f"{each.project}/{zone}/{instance.name}"
                    self.ids[name] = f"gcp:{each.project}:{region_of(zone)}:{instance.id}"
                    if instance.status in {"TERMINATED", "STOPPED", "SUSPENDED"}:
                        resting.add(name)
        self.stopped = frozenset(resting)

    def _machines(self, each: ProjectListing) -> Iterator[Machine]:
        for zone, instances in each.instances.places.items():
            if not self._wanted(region_of(zone)):
                continue
            for message in instances:
                facts = self.facts(tail(message.machine_type))
                if facts is None and not message.guest_accelerators:
                    continue
                if facts is not None and not facts.accelerators and not message.guest_accelerators:
                    continue
                told: Mapping[str, Any] = {**as_json(message), "zone": zone}
                known = facts or TypeFacts(accelerators=())
                if accelerators_of(told, known):
                    yield machine_from(told, project=each.project, facts=known, listed=self.listed)
        for raw in each.tpus.nodes:
            machine = tpus.machine_from(raw, project=each.project)
            if machine is not None and self._wanted(machine.region):
                yield machine

    def _scopes(self, each: ProjectListing) -> tuple[list[Scope], list[Gap]]:
        """The regions that were seen whole, and a gap for each that was not."""
        regions = {region_of(zone) for zone in each.instances.places}
        troubled: dict[str, str] = {}
        for zone, why in each.instances.troubles.items():
            told = f"{zone or 'some zones'} could not be seen ({why}): machines there are unknown"
            troubled.setdefault(region_of(zone) if zone else "", told)
        for place in each.tpus.unreachable:
            why = f"TPUs of {place} could not be reached"
            troubled.setdefault(region_of(place) if place.count("-") > 1 else place, why)
        gaps = [
            Gap(
                provider="gcp",
                account=each.project,
                region=region or None,
                what="machines",
                why=one_line(why),
            )
            for region, why in sorted(troubled.items())
            if not region or self._wanted(region)
        ]
        cut = each.instances.cut
        if cut is not None:
            gaps.append(gap_from(cut, _scope(each.project), "machines", LISTS))
        if cut is not None or "" in troubled:
            return [], gaps
        whole = sorted(region for region in regions - set(troubled) if self._wanted(region))
        return [_scope(each.project, region) for region in whole], gaps

    def _unknown(self, each: ProjectListing) -> Iterator[Gap]:
        """A gap for each type that nobody could describe."""
        unknown: Counter[tuple[str, str]] = Counter()
        for zone, instances in each.instances.places.items():
            for message in instances:
                name = tail(message.machine_type)
                if self.facts(name) is None and not message.guest_accelerators:
                    unknown[region_of(zone), name] += 1
        for (region, name), count in sorted(unknown.items()):
            if self._wanted(region):
                machines = "1 machine of it is" if count == 1 else f"{count} machines of it are"
                why = f"what {name} carries could not be found out; {machines} not watched"
                yield Gap(
                    provider="gcp",
                    account=each.project,
                    region=region,
                    what=f"machine type {name}",
                    why=why,
                )

    def _never_seen(self, seen: Sequence[ProjectListing]) -> Iterator[Gap]:
        """Regions that were asked for by name and that no project has."""
        if self.regions is None or not seen:
            return
        there = {region_of(zone) for each in seen for zone in _zones(each)}
        for region in dict.fromkeys(self.regions):
            if region not in there and not any(each.instances.cut for each in seen):
                why = f"no project lists a zone of {region}: is that its name?"
                yield Gap(provider="gcp", region=region, what="machines", why=why)

    def _wanted(self, region: str) -> bool:
        return self.regions is None or region in self.regions


def _zones(each: ProjectListing) -> Iterable[str]:
    return (*each.instances.places, *each.instances.troubles)


def _messages(listing: Listing) -> Iterator[Any]:
    for instances in listing.places.values():
        yield from instances


def _scope(project: str, region: str | None = None) -> Scope:
    return Scope(provider="gcp", account=project, region=region)
