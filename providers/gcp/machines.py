"""GCE machines: turned into facts by one pure function."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from policies.facts import Accelerator, Machine, MachineState, utc
from providers.gcp.controllers import group_of
from providers.gcp.instance_types import TypeFacts, guest_accelerators, vcpus_of
from providers.gcp.listing import region_of, tail
from providers.gcp.prices import LINUX, NOTHING_LISTED, PriceList, price_of
from providers.gcp.stopping import created_by, purchase_of, stop_terms

STATES = {
    "PROVISIONING": MachineState.PENDING,
    "STAGING": MachineState.PENDING,
    "PENDING": MachineState.PENDING,
    "REPAIRING": MachineState.PENDING,
    "RUNNING": MachineState.RUNNING,
    "PENDING_STOP": MachineState.STOPPING,
    "STOPPING": MachineState.STOPPING,
    "SUSPENDING": MachineState.STOPPING,
    "STOPPED": MachineState.STOPPED,
    "SUSPENDED": MachineState.STOPPED,
    "TERMINATED": MachineState.STOPPED,
    "DEPROVISIONING": MachineState.TERMINATING,
}
"""TERMINATED is stopped, not deleted: what is deleted is listed no more."""
METERED = {
    MachineState.PENDING: False,
    MachineState.RUNNING: True,
    MachineState.STOPPED: False,
    MachineState.TERMINATING: False,
}
"""Whether compute is billed. A machine that stops is billed until its shutdown is over, and nobody
tells when: unknown."""
GRACEFUL = "PENDING_STOP"
"""Runs on, and is billed, until its graceful shutdown is over."""
WINDOWS = "Windows"
PAID_SYSTEMS = (
    ("windows", WINDOWS),
    ("rhel", "RHEL"),
    ("sles", "SLES"),
    ("ubuntu-pro", "Ubuntu Pro"),
)
"""By a part of the name of a licence: systems that cost more than Linux."""

Raw = Mapping[str, Any]


def machine_from(
    raw: Raw,
    *,
    project: str,
    facts: TypeFacts,
    listed: PriceList = NOTHING_LISTED,
) -> Machine:
    """One instance in the names of Google's JSON."""
    zone = tail(raw["zone"])
    region = region_of(zone)
    scope = f"gcp:{project}:{region}"
    native = f"{scope}:{raw['id']}"
    labels = dict(raw.get("labels") or {})
    purchase = purchase_of(raw)
    status = raw.get("status", "")
    state = STATES.get(status, MachineState.UNKNOWN)
    machine_type = tail(raw["machineType"])
    ssd = _local_ssd_gib(raw, facts)
    machine = Machine(
        id=native,
        provider="gcp",
        account=project,
        region=region,
        zone=zone,
        name=raw.get("name"),
        state=state,
        metered=True if status == GRACEFUL else METERED.get(state),
        machine_type=machine_type,
        accelerators=accelerators_of(raw, facts),
        purchase=purchase,
        first_launched_at=moment(raw.get("creationTimestamp")),
        started_at=moment(raw.get("lastStartTimestamp")) or moment(raw.get("creationTimestamp")),
        stopped_at=None if state is not MachineState.STOPPED else _stopped_at(raw),
        group=group_of(labels, created_by(raw), scope=scope, alone=native),
        stop_terms=stop_terms(raw, labels, purchase, local_ssd_gib=ssd),
        tags=labels,
        operating_system=operating_system(raw),
        host_names=tuple(dict.fromkeys(_host_names(raw, project, zone))),
        vcpus=facts.vcpus or vcpus_of(machine_type),
        image=None,
    )
    extra = None if ssd is None else max(0.0, ssd - (facts.local_ssd_gib or 0))
    return replace(machine, price=price_of(machine, listed, extra_ssd_gib=extra))


def accelerators_of(raw: Raw, facts: TypeFacts) -> tuple[Accelerator, ...]:
    """The type's own, which some answers repeat as guest accelerators; else those attached."""
    return facts.accelerators or guest_accelerators(raw)


def moment(text: str | None) -> datetime | None:
    """RFC 3339, as Google writes it with its own offset; None where there is none."""
    return utc(datetime.fromisoformat(text)) if text else None


def operating_system(raw: Raw) -> str:
    """By the licences of its boot disk; one that nobody pays for counts as Linux."""
    names = [
        tail(licence).lower()
        for disk in raw.get("disks", ())
        if disk.get("boot")
        for licence in disk.get("licenses", ())
    ]
    for part, system in PAID_SYSTEMS:
        if any(part in name for name in names):
            return system
    return LINUX


def local_ssds(raw: Raw) -> list[Raw]:
    return [disk for disk in raw.get("disks", ()) if disk.get("type") == "SCRATCH"]


def _local_ssd_gib(raw: Raw, facts: TypeFacts) -> float | None:
    """What stands among its disks, and at least what its type brings; None: unknown."""
    attached = float(sum(int(disk.get("diskSizeGb", 375)) for disk in local_ssds(raw)))
    if facts.local_ssd_gib is None and not attached:
        # Without an entry of the type, the machine's own list of disks is all that there is.
        return 0.0 if raw.get("disks") else None
    return max(attached, facts.local_ssd_gib or 0.0)


def _stopped_at(raw: Raw) -> datetime | None:
    times = (moment(raw.get("lastStopTimestamp")), moment(raw.get("lastSuspendedTimestamp")))
    return max((time for time in times if time is not None), default=None)


def _host_names(raw: Raw, project: str, zone: str) -> Iterator[str]:
    """Names that an agent on the machine may give as its host, in lower case."""
    name = str(raw.get("name", "")).lower()
    yield name
    if raw.get("hostname"):
        yield str(raw["hostname"]).lower()
    yield f"{name}.{zone}.c.{project}.internal"
    yield f"{name}.c.{project}.internal"
    for interface in raw.get("networkInterfaces", ()):
        if interface.get("networkIP"):
            yield str(interface["networkIP"])
