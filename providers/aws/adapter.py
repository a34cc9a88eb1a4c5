"""AWS: machines of EC2 and SageMaker, CloudWatch metrics, CloudTrail history. Reads only; see
`permissions.py`.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal

import boto3

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
from providers.aws.commitments import questions, read_commitments
from providers.aws.egress import EgressReader
from providers.aws.errors import gap_from
from providers.aws.inventory import InventoryReader
from providers.aws.keep_tags import write_keep
from providers.aws.lifecycle import ATTEMPTS, NEEDS, WHAT, RegionHistory, region_history
from providers.aws.permissions import read_only_policy
from providers.aws.price_list import read_prices
from providers.aws.prices import managed_prices, price_list, price_of
from providers.aws.probes import probes
from providers.aws.sagemaker import SageMakerReader
from providers.aws.sagemaker_machines import is_sagemaker
from providers.aws.sagemaker_usage import SageMakerUsage
from providers.aws.session import AwsSession, Limits
from providers.aws.spot_prices import market_of, read_history
from providers.aws.stop import InstanceStopper
from providers.aws.storage import StorageReader
from providers.aws.storage_prices import address_meter
from providers.aws.usage import HOW_TO_MEASURE, UsageReader
from providers.base import Looked, Probe, Seen, StopAnswer, StorageAsked, Unread
from providers.egress import EgressCounter
from providers.machine_prices import stopped_hourly_usd
from providers.price_facts import (
    CommitmentAnswer,
    CommitmentQuestion,
    ListPrice,
    PriceQuestion,
    Progress,
    SpotMarket,
    SpotPrice,
)


def _now() -> datetime:
    return datetime.now(UTC)


def _of_ec2(machines: Sequence[Machine]) -> list[Machine]:
    return [machine for machine in machines if not is_sagemaker(machine)]


class AwsProvider:
    """The machines of one AWS account, with every ability of `providers.base`."""

    name = "aws"
    how_to_measure = HOW_TO_MEASURE

    def __init__(
        self,
        *,
        regions: Sequence[str] | None = None,
        agent_namespaces: Sequence[str] = ("CWAgent",),
        sagemaker: bool = False,
        session: boto3.Session | None = None,
        limits: Limits | None = None,
        prices_endpoint: str | None = None,
        stop_role: str | None = None,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`regions` None: every enabled one. `sagemaker`: whether what it runs is looked at.

        `prices_endpoint`: where the price list is asked. `stop_role`: the ARN of the role that may
        stop; None: the credentials' own. Raises `ProviderUnavailable` without
        credentials.
        """
        endpoints = {"pricing": prices_endpoint} if prices_endpoint else {}
        self._session = AwsSession(session, limits, endpoints=endpoints)
        self._namespaces = tuple(agent_namespaces)
        self._inventory = InventoryReader(self._session, regions)
        self._usage = UsageReader(self._session, self._namespaces, clock)
        self._sagemaker = None
        if sagemaker:
            self._sagemaker = SageMakerReader(self._session, self._inventory, clock)
        self._sagemaker_usage = SageMakerUsage(session=self._session, usage=self._usage)
        self._storage = StorageReader(self._session)
        self._stopper = InstanceStopper(
            session=self._session,
            inventory=self._inventory,
            usage=self._usage,
            clock=clock,
            role=stop_role,
        )
        self._egress = EgressReader(session=self._session, clock=clock)

    def machines(self) -> Seen[Machine]:
        self._usage.forget()
        seen = self._inventory.read()
        return seen if self._sagemaker is None else self._sagemaker.joined(seen)

    def enabled_regions(self) -> Sequence[str] | None:
        return self._inventory.enabled_regions()

    def readings(self, machines: Sequence[Machine], window: Window) -> Seen[Reading]:
        readings, gaps = self._usage.read(_of_ec2(machines), window)
        more, further = self._sagemaker_usage.read(list(filter(is_sagemaker, machines)), window)
        return Seen(values=(*readings, *more), gaps=(*gaps, *further))

    def transitions(self, machines: Sequence[Machine], window: Window) -> Seen[Transition]:
        """Of these machines, and of machines with accelerators that are gone by now.

        SageMaker tells starts and ends itself; its machines are none of EC2's events.
        """
        scopes = {
            machine.region: Scope(provider="aws", account=machine.account, region=machine.region)
            for machine in _of_ec2(machines)
        }
        known = {machine.id for machine in machines}

        def history(region: str) -> RegionHistory:
            cloudtrail = self._session.client("cloudtrail", region, attempts=ATTEMPTS)
            return region_history(
                cloudtrail,
                scopes[region],
                window,
                lambda each: each.machine in known or self._carries(each.machine_type),
            )

        parts: dict[str, RegionHistory] = defaultdict(RegionHistory)
        for region, answer in self._session.side_by_side(sorted(scopes), history).items():
            if isinstance(answer, RegionHistory):
                parts[region] = answer
            else:
                parts[region].gaps.append(gap_from(answer, scopes[region], WHAT, NEEDS))
        return Seen(
            values=tuple(each for part in parts.values() for each in part.transitions),
            gaps=tuple(gap for part in parts.values() for gap in part.gaps),
            unread=tuple(
                Unread(scope=scopes[region], window=part.unread)
                for region, part in parts.items()
                if part.unread is not None
            ),
        )

    def storage(self, asked: StorageAsked) -> Seen[Storage]:
        inventory = self._inventory
        return self._storage.read(inventory.account, inventory.looked_at, asked, inventory.stopped)

    def egress(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        return self._egress.read(_of_ec2(machines), scopes, window)

    def look(self, machine: Machine) -> Looked | Gap | None:
        if is_sagemaker(machine):
            why = f"{machine.native_id} is SageMaker's: only its own API may end it"
            return Gap(provider="aws", what="stop", why=why, resource=machine.id)
        return self._stopper.look(machine)

    def stop(self, machine: Machine) -> StopAnswer:
        if is_sagemaker(machine):
            return StopAnswer(result="refused", why="it is SageMaker's, no EC2 instance")
        return self._stopper.stop(machine)

    def write_keep(self, machine: str, until: datetime) -> str | None:
        return write_keep(self._session, machine, until)

    def price(self, machine: Machine) -> Price:
        """The listing prices each machine, for it also sees tenancy; others by their facts."""
        return price_of(machine) if machine.price == UNPRICED else machine.price

    def list_prices(self, wanted: Sequence[PriceQuestion], progress: Progress) -> Seen[ListPrice]:
        return read_prices(self._session, wanted, progress)

    def use_prices(self, prices: Sequence[ListPrice]) -> None:
        self._inventory.listed = price_list(prices)
        if self._sagemaker is not None:
            self._sagemaker.listed = managed_prices(prices)

    def spot_market(self, machine: Machine) -> SpotMarket | None:
        return market_of(machine, self._inventory.tenancies.get(machine.id, "default"))

    def spot_prices(self, asked: Mapping[SpotMarket, datetime], now: datetime) -> Seen[SpotPrice]:
        return read_history(self._session, asked, now)

    def commitment_questions(self, machines: Sequence[Machine]) -> Sequence[CommitmentQuestion]:
        accounts = sorted({machine.account for machine in machines})
        regions = {machine.region for machine in machines}
        return [each for account in accounts for each in questions(account, regions)]

    def commitments(self, asked: Sequence[CommitmentQuestion]) -> Seen[CommitmentAnswer]:
        return read_commitments(self._session, asked)

    def stopped_hourly_usd(self, machine: Machine, storage: Sequence[Storage]) -> Decimal | None:
        addresses = self._storage.addresses_of[machine.id]
        month_usd = address_meter(machine.region).month_usd
        return stopped_hourly_usd(machine, storage, [month_usd] * addresses)

    def api_calls(self) -> Mapping[str, int]:
        return self._session.meter.calls()

    def watching_usd(self) -> Decimal | None:
        return self._session.meter.usd()

    def role_text(self) -> str:
        return json.dumps(read_only_policy(), indent=2)

    def probes(self) -> Iterator[Probe]:
        return probes(self._session, self._namespaces, sagemaker=self._sagemaker is not None)

    def _carries(self, machine_type: str | None) -> bool:
        return machine_type is not None and self._inventory.carries(machine_type)
