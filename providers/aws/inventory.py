"""All regions at once: what DescribeInstances shows of each, and what their types carry."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from policies.facts import Gap, Machine, Scope
from providers.aws.errors import AWS_ERRORS, gap_from, is_unusable_credentials
from providers.aws.instance_types import TypeFacts, fetch_types, type_from_catalogue
from providers.aws.machines import (
    Listing,
    fetch_instance,
    fetch_instances,
    fetch_spot_kinds,
    machine_from,
    spot_among,
    tenancy_of,
)
from providers.aws.prices import NOTHING_LISTED, PriceList
from providers.aws.session import AwsSession
from providers.base import Seen

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionListing:
    """One region in AWS's words; `gaps` do not know the account yet."""

    region: str
    listing: Listing
    spot_kinds: Mapping[str, str]
    gaps: tuple[Gap, ...]


@dataclass(slots=True)
class InventoryReader:
    """Lists machines. Types never change, so what was learnt of one is kept."""

    session: AwsSession
    regions: Sequence[str] | None
    """None: every region that the account has enabled."""
    types: dict[str, TypeFacts] = field(default_factory=dict)
    account: str | None = None
    """The account of the last listing."""
    looked_at: Sequence[str] = ()
    """The regions of the last listing, those that did not answer included."""
    stopped: frozenset[str] = frozenset()
    """Instances that were stopped then, with or without accelerators."""
    listed: PriceList = field(default_factory=lambda: NOTHING_LISTED)
    """Prices that AWS told; machines are priced by them first."""
    tenancies: dict[str, str] = field(default_factory=dict)
    """By machine, where it is not the default one."""

    def read(self) -> Seen[Machine]:
        regions, gaps = self._regions()
        answers = self.session.side_by_side(regions, self._region)
        seen = [answer for answer in answers.values() if isinstance(answer, RegionListing)]
        account, trouble = self._account(seen)
        gaps += trouble
        self.account, self.looked_at = account, regions
        self.stopped = frozenset(_stopped(seen))
        for region, answer in answers.items():
            if isinstance(answer, RegionListing):
                gaps += answer.gaps
            else:
                gaps.append(gap_from(answer, _scope(region), "machines", "ec2:DescribeInstances"))
        machines = []
        self.tenancies = {}
        for each in seen:
            found, unknown = self._machines(each, account)
            machines += found
            gaps += unknown
        return Seen(
            values=tuple(machines),
            gaps=tuple(replace(gap, account=account) for gap in gaps),
            scopes=tuple(
                Scope(provider="aws", account=account, region=each.region) for each in seen
            ),
        )

    def one(self, ec2: Any, machine: Machine) -> Machine | None:
        """The same machine as it is this moment; None: it is gone. Raises what the call raises."""
        instances = fetch_instance(ec2, machine.native_id).instances
        facts = self.facts(machine.machine_type)
        if not instances or facts is None:
            return None
        (raw,) = instances
        kinds: Mapping[str, str] = {}
        if spot_among([raw]):
            kinds = fetch_spot_kinds(ec2)
        return machine_from(
            raw,
            account=machine.account,
            region=machine.region,
            facts=self.facts(raw["InstanceType"]) or facts,
            spot_kind=kinds.get(raw["InstanceId"]),
        )

    def carries(self, machine_type: str) -> bool:
        """Whether this type is known to have accelerators."""
        facts = self.facts(machine_type)
        return facts is not None and bool(facts.accelerators)

    def enabled_regions(self) -> list[str] | None:
        """None where the list cannot be read."""
        try:
            answer = self.session.client("ec2", self.session.home, attempts=1).describe_regions()
            return sorted(region["RegionName"] for region in answer["Regions"])
        except AWS_ERRORS:
            return None

    def _regions(self) -> tuple[list[str], list[Gap]]:
        if self.regions is not None:
            return list(dict.fromkeys(self.regions)), []
        home = self.session.home
        try:
            answer = self.session.client("ec2", home).describe_regions()
            return sorted(region["RegionName"] for region in answer["Regions"]), []
        except AWS_ERRORS as error:
            gap = gap_from(error, _scope(None), "regions", "ec2:DescribeRegions")
            if is_unusable_credentials(error):
                return [], [gap]
            only = f"{gap.why}; only {home} is watched: name regions with --region to watch others"
            return [home], [replace(gap, why=only)]

    def _region(self, region: str) -> RegionListing:
        """Everything that is asked of EC2 in one region."""
        ec2 = self.session.client("ec2", region)
        listing = fetch_instances(ec2)
        gaps: list[Gap] = []

        def tolerated(ask: Callable[[Any], Mapping[str, T]], what: str, needs: str) -> dict[str, T]:
            try:
                return dict(ask(ec2))
            except AWS_ERRORS as error:
                gaps.append(gap_from(error, _scope(region), what, needs))
                return {}

        seen = {raw["InstanceType"] for raw in listing.instances}
        new = {name for name in seen if name not in self.types}
        if new:
            self.types |= tolerated(
                lambda client: fetch_types(client, new),
                "machine types",
                "ec2:DescribeInstanceTypes",
            )
        spot_kinds: dict[str, str] = {}
        if spot_among(raw for raw in listing.instances if self._may_carry(raw)):
            spot_kinds = tolerated(
                fetch_spot_kinds, "kinds of spot requests", "ec2:DescribeSpotInstanceRequests"
            )
        return RegionListing(
            region=region, listing=listing, spot_kinds=spot_kinds, gaps=tuple(gaps)
        )

    def _may_carry(self, raw: Mapping[str, Any]) -> bool:
        facts = self.types.get(raw["InstanceType"])
        return facts is None or bool(facts.accelerators)

    def _account(self, seen: Sequence[RegionListing]) -> tuple[str | None, list[Gap]]:
        """By the machines' owner; where there is no machine at all, by asking who one is."""
        owners = [each.listing.account for each in seen if each.listing.account]
        if owners or not seen:
            return (owners[0] if owners else None), []
        try:
            answer = self.session.client("sts", self.session.home).get_caller_identity()
            return str(answer["Account"]), []
        except AWS_ERRORS as error:
            return None, [gap_from(error, _scope(None), "account", "sts:GetCallerIdentity")]

    def _machines(
        self, each: RegionListing, account: str | None
    ) -> tuple[list[Machine], Iterator[Gap]]:
        """Machines with accelerators, and a gap for each type that nobody could describe."""
        machines = []
        unknown: Counter[str] = Counter()
        for raw in each.listing.instances:
            facts = self.facts(raw["InstanceType"])
            if facts is None:
                unknown[raw["InstanceType"]] += 1
            elif facts.accelerators:
                machine = machine_from(
                    raw,
                    account=account or "unknown",
                    region=each.region,
                    facts=facts,
                    spot_kind=each.spot_kinds.get(raw["InstanceId"]),
                    listed=self.listed,
                )
                machines.append(machine)
                if tenancy_of(raw) != "default":
                    self.tenancies[machine.id] = tenancy_of(raw)
        machines.sort(key=lambda machine: machine.id)
        return machines, unknown_types(unknown, each.region)

    def facts(self, name: str) -> TypeFacts | None:
        """What EC2 described in any region (some regions miss types), else the catalogue."""
        if name not in self.types:
            known = type_from_catalogue(name)
            if known is None:
                return None
            self.types[name] = known
        return self.types[name]


def _stopped(seen: Sequence[RegionListing]) -> Iterator[str]:
    for each in seen:
        for raw in each.listing.instances:
            if raw.get("State", {}).get("Name") == "stopped":
                yield raw["InstanceId"]


def unknown_types(unknown: Counter[str], region: str) -> Iterator[Gap]:
    for name, count in sorted(unknown.items()):
        machines = "1 machine of it is" if count == 1 else f"{count} machines of it are"
        yield Gap(
            provider="aws",
            region=region,
            what=f"machine type {name}",
            why=f"what {name} carries could not be found out; {machines} not watched",
        )


def _scope(region: str | None) -> Scope:
    return Scope(provider="aws", account=None, region=region)
