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

from policies.facts import UNPRICED, Machine, Price, Reading, Scope, Storage, Transition, Window
from providers.aws.egress import EgressReader
from providers.aws.errors import gap_from
from providers.aws.inventory import InventoryReader
from providers.aws.lifecycle import ATTEMPTS, NEEDS, WHAT, RegionHistory, region_history
from providers.aws.permissions import read_only_policy
from providers.aws.prices import price_of
from providers.aws.probes import probes
from providers.aws.sagemaker import SageMakerReader
from providers.aws.sagemaker_machines import is_sagemaker
from providers.aws.sagemaker_usage import SageMakerUsage
from providers.aws.session import AwsSession, Limits
from providers.aws.storage import StorageReader
from providers.aws.usage import HOW_TO_MEASURE, UsageReader
from providers.base import Probe, Seen, StorageAsked, Unread
from providers.egress import EgressCounter


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
        clock: Callable[[], datetime] = _now,
    ) -> None:
        """`regions` None: every enabled one. `sagemaker`: whether what it runs is looked at.

        Raises `ProviderUnavailable` without credentials.
        """
        self._session = AwsSession(session, limits)
        self._namespaces = tuple(agent_namespaces)
        self._inventory = InventoryReader(self._session, regions)
        self._usage = UsageReader(self._session, self._namespaces, clock)
        self._sagemaker = None
        if sagemaker:
            self._sagemaker = SageMakerReader(self._session, self._inventory, clock)
        self._sagemaker_usage = SageMakerUsage(session=self._session, usage=self._usage)
        self._storage = StorageReader(self._session)
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

    def price(self, machine: Machine) -> Price:
        """The listing prices each machine, for it also sees tenancy; others by their facts."""
        return price_of(machine) if machine.price == UNPRICED else machine.price

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
