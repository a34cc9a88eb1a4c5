"""EC2 machines: listed by the thousand, and turned into facts by one pure function."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from policies.facts import Machine, MachineState, Purchase, utc
from providers.aws.controllers import group_of
from providers.aws.instance_types import TypeFacts
from providers.aws.prices import LINUX, NOTHING_LISTED, PriceList, price_of
from providers.aws.stopping import stop_terms

PAGE = 1000

STATES = {
    "pending": MachineState.PENDING,
    "running": MachineState.RUNNING,
    "stopping": MachineState.STOPPING,
    "stopped": MachineState.STOPPED,
    "shutting-down": MachineState.TERMINATING,
    "terminated": MachineState.TERMINATED,
}
ENDED = frozenset(
    {
        MachineState.STOPPING,
        MachineState.STOPPED,
        MachineState.TERMINATING,
        MachineState.TERMINATED,
    }
)
LIFECYCLES = {
    "spot": Purchase.SPOT,
    "scheduled": Purchase.SCHEDULED,
    "capacity-block": Purchase.CAPACITY_BLOCK,
    "interruptible-capacity-reservation": Purchase.RESERVED,
}
HIBERNATING = "Client.UserInitiatedHibernate"
"""The state reason of a machine that writes its memory to disk: billed until that is done."""

_UNKNOWN_PARAMETER = frozenset(
    {"InvalidParameter", "InvalidParameterCombination", "InvalidParameterValue", "UnknownParameter"}
)
_WHEN = re.compile(r"\((\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}) (?:GMT|UTC)\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What DescribeInstances told of one region, still in AWS's words."""

    account: str | None
    """The owner of the reservations; None where there is no machine at all."""
    instances: tuple[Mapping[str, Any], ...]


def fetch_instances(ec2: Any) -> Listing:
    """Every instance in every state, those that AWS services manage and hide included."""
    try:
        return _listed(ec2, IncludeManagedResources=True)
    except ParamValidationError:
        return _listed(ec2)  # an SDK of before the parameter
    except ClientError as error:
        if error.response.get("Error", {}).get("Code") not in _UNKNOWN_PARAMETER:
            raise
        return _listed(ec2)  # an endpoint of before the parameter


def fetch_instance(ec2: Any, native_id: str) -> Listing:
    """One instance alone. Raises `InvalidInstanceID.NotFound` where it is gone."""
    return _told(ec2.describe_instances(InstanceIds=[native_id]))


def fetch_spot_kinds(ec2: Any) -> dict[str, str]:
    """By instance id, `one-time` or `persistent`."""
    pages = ec2.get_paginator("describe_spot_instance_requests")
    return {
        request["InstanceId"]: request["Type"]
        for page in pages.paginate(PaginationConfig={"PageSize": PAGE})
        for request in page["SpotInstanceRequests"]
        if request.get("InstanceId") and request.get("Type")
    }


def machine_from(
    raw: Mapping[str, Any],
    *,
    account: str,
    region: str,
    facts: TypeFacts,
    spot_kind: str | None = None,
    listed: PriceList = NOTHING_LISTED,
) -> Machine:
    """One instance of DescribeInstances as a machine."""
    scope = f"aws:{account}:{region}"
    tags = {tag["Key"]: tag.get("Value", "") for tag in raw.get("Tags", ())}
    purchase = purchase_of(raw)
    placement = raw.get("Placement", {})
    state = STATES.get(raw.get("State", {}).get("Name", ""), MachineState.UNKNOWN)
    machine = Machine(
        id=f"{scope}:{raw['InstanceId']}",
        provider="aws",
        account=account,
        region=region,
        zone=placement.get("AvailabilityZone"),
        name=tags.get("Name") or None,
        state=state,
        metered=_metered(raw, state),
        machine_type=raw["InstanceType"],
        accelerators=facts.accelerators,
        purchase=purchase,
        first_launched_at=_first_launched_at(raw),
        started_at=_utc(raw.get("LaunchTime")),
        stopped_at=_stopped_at(raw) if state in ENDED else None,
        group=group_of(tags, scope=scope, alone=f"{scope}:{raw['InstanceId']}"),
        stop_terms=stop_terms(raw, tags, facts, purchase, spot_kind),
        tags=tags,
        operating_system=_operating_system(raw),
        host_names=host_names(raw),
        vcpus=facts.vcpus,
        image=raw.get("ImageId"),
    )
    return replace(machine, price=price_of(machine, tenancy_of(raw), listed))


def purchase_of(raw: Mapping[str, Any]) -> Purchase:
    lifecycle = raw.get("InstanceLifecycle")
    if lifecycle is not None:
        return LIFECYCLES.get(lifecycle, Purchase.UNKNOWN)
    if raw.get("CapacityBlockId"):
        return Purchase.CAPACITY_BLOCK
    return Purchase.RESERVED if raw.get("CapacityReservationId") else Purchase.ON_DEMAND


def tenancy_of(raw: Mapping[str, Any]) -> str:
    return str(raw.get("Placement", {}).get("Tenancy") or "default")


def host_names(raw: Mapping[str, Any]) -> tuple[str, ...]:
    """Names that an agent on the machine may give as its host, in lower case."""
    private = (raw.get("PrivateDnsName") or "").lower()
    told = (
        private,
        private.split(".")[0],
        raw.get("PrivateIpAddress"),
        (raw.get("PublicDnsName") or "").lower(),
    )
    return tuple(dict.fromkeys(name for name in told if name))


def spot_among(instances: Iterable[Mapping[str, Any]]) -> bool:
    return any(purchase_of(raw) is Purchase.SPOT for raw in instances)


def _listed(ec2: Any, **options: Any) -> Listing:
    account = None
    found: list[Mapping[str, Any]] = []
    pages = ec2.get_paginator("describe_instances")
    for page in pages.paginate(PaginationConfig={"PageSize": PAGE}, **options):
        for reservation in page["Reservations"]:
            account = account or reservation.get("OwnerId")
            found.extend(reservation["Instances"])
    return Listing(account=account, instances=tuple(found))


def _told(answer: Mapping[str, Any]) -> Listing:
    reservations = answer["Reservations"]
    return Listing(
        account=next((each.get("OwnerId") for each in reservations), None),
        instances=tuple(raw for each in reservations for raw in each["Instances"]),
    )


def _metered(raw: Mapping[str, Any], state: MachineState) -> bool | None:
    """Compute is billed while running, and while a hibernating machine still stops."""
    if state is MachineState.UNKNOWN:
        return None
    if state is MachineState.STOPPING:
        return bool((raw.get("StateReason") or {}).get("Code") == HIBERNATING)
    return state is MachineState.RUNNING


def _first_launched_at(raw: Mapping[str, Any]) -> datetime | None:
    """LaunchTime moves with every start; the primary network interface stays attached."""
    for interface in raw.get("NetworkInterfaces", ()):
        attachment = interface.get("Attachment") or {}
        if attachment.get("DeviceIndex") == 0:
            return _utc(attachment.get("AttachTime"))
    return None


def _stopped_at(raw: Mapping[str, Any]) -> datetime | None:
    """`User initiated (2026-11-20 18:02:11 GMT)`; a shutdown from within gives no time."""
    when = _WHEN.search(raw.get("StateTransitionReason") or "")
    return None if when is None else datetime.fromisoformat(when[1]).replace(tzinfo=UTC)


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)


def _operating_system(raw: Mapping[str, Any]) -> str:
    """`Platform` is there for Windows only."""
    told: str | None = raw.get("PlatformDetails")
    return told or ("Windows" if raw.get("Platform") else LINUX)
