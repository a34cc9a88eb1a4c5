"""Azure VMs as Resource Graph and Azure Resource Manager tell them, turned into facts. Pure.

Both tell a VM in the same words; its power state stands in `extended.instanceView` there, in the
statuses of `instanceView` here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from policies.facts import Machine, MachineState, Purchase, utc
from providers.azure.controllers import group_of, tags_of
from providers.azure.instance_types import TypeFacts, spelled
from providers.azure.prices import LINUX, NOTHING_LISTED, WINDOWS, PriceList, price_of
from providers.azure.stopping import stop_terms

Raw = Mapping[str, Any]
HYBRID_BENEFIT = frozenset({"windows_server", "windows_client"})
"""Licences that were brought along: Azure bills such a VM like one with Linux."""
OFF_BUT_BILLED = (
    "it is powered off but still allocated, so it is billed on: only deallocating it ends that"
)


@dataclass(frozen=True, slots=True)
class Power:
    state: MachineState
    metered: bool | None


POWER = {
    "creating": Power(MachineState.PENDING, metered=False),
    "starting": Power(MachineState.PENDING, metered=True),
    "running": Power(MachineState.RUNNING, metered=True),
    # Off, yet it keeps its hardware and its meter runs: it burns like any other.
    "stopped": Power(MachineState.RUNNING, metered=True),
    "stopping": Power(MachineState.RUNNING, metered=True),
    "deallocating": Power(MachineState.STOPPING, metered=False),
    "deallocated": Power(MachineState.STOPPED, metered=False),
    "hibernated": Power(MachineState.STOPPED, metered=False),
}
"""By power state, what it is here and whether it is billed (Azure, "States and billing status")."""
UNKNOWN_POWER = Power(MachineState.UNKNOWN, metered=None)

PRIORITIES = {
    "": Purchase.ON_DEMAND,
    "regular": Purchase.ON_DEMAND,
    "spot": Purchase.SPOT,
    "spotplus": Purchase.SPOT,
    "low": Purchase.SPOT,
}


def machine_from(raw: Raw, facts: TypeFacts, listed: PriceList = NOTHING_LISTED) -> Machine:
    """One VM or member of a scale set. Raises `KeyError` where what names it is missing."""
    properties = raw["properties"]
    account, region = subscription_of(raw), region_of(raw)
    scope = f"azure:{account}:{region}"
    native = str(properties["vmId"]).lower()
    power = power_of(raw)
    purchase = purchase_of(raw)
    zones = raw.get("zones") or ()
    machine = Machine(
        id=f"{scope}:{native}",
        provider="azure",
        account=account,
        region=region,
        zone=str(zones[0]) if zones else None,
        name=_name(raw),
        state=power.state,
        metered=power.metered,
        machine_type=spelled(size_of(raw) or "unknown"),
        accelerators=facts.accelerators,
        purchase=purchase,
        first_launched_at=moment_of(properties.get("timeCreated")),
        started_at=None,
        stopped_at=None,
        group=group_of(raw, scope=scope, alone=f"{scope}:{native}"),
        stop_terms=stop_terms(raw, facts, purchase),
        tags=tags_of(raw),
        operating_system=_operating_system(properties),
        host_names=_host_names(raw),
        vcpus=facts.vcpus,
        image=_image(properties),
        how_to_measure=_deallocate(raw) if is_powered_off(raw) else None,
        on_readings=OFF_BUT_BILLED if is_powered_off(raw) else None,
    )
    return replace(machine, price=price_of(machine, listed))


def _deallocate(raw: Raw) -> str:
    return f"{OFF_BUT_BILLED}: `az vm deallocate --ids {raw['id']}`"


def size_of(raw: Raw) -> str | None:
    """A member of a scale set may tell it as its SKU only."""
    told = ((raw.get("properties") or {}).get("hardwareProfile") or {}).get("vmSize")
    return told or (raw.get("sku") or {}).get("name")


def region_of(raw: Raw) -> str:
    """`eastus`, also where it is told as `East US`."""
    return str(raw["location"]).replace(" ", "").lower()


def subscription_of(raw: Raw) -> str:
    """Its own column in Resource Graph; elsewhere a part of the resource's id."""
    return str(raw.get("subscriptionId") or str(raw["id"]).split("/")[2]).lower()


def power_code(raw: Raw) -> str | None:
    """`running`, `deallocated`; None: not told."""
    properties = raw.get("properties") or {}
    extended = (properties.get("extended") or {}).get("instanceView") or {}
    told = (extended.get("powerState") or {}).get("code")
    for status in (properties.get("instanceView") or {}).get("statuses") or ():
        if str(status.get("code")).lower().startswith("powerstate/"):
            told = status["code"]
    return str(told).rsplit("/", 1)[-1].lower() if told else None


def power_of(raw: Raw) -> Power:
    """While a VM is being deleted nobody should act on it any more."""
    if str((raw.get("properties") or {}).get("provisioningState")).lower() == "deleting":
        return Power(MachineState.TERMINATING, metered=None)
    return POWER.get(power_code(raw) or "", UNKNOWN_POWER)


def is_powered_off(raw: Raw) -> bool:
    """Off inside, and billed all the same."""
    return power_code(raw) == "stopped"


def changed_at(raw: Raw) -> datetime | None:
    """When the control plane last did something to it, by its instance view: a start counts, and
    so does an update of a tag. None: not told.
    """
    view = (raw.get("properties") or {}).get("instanceView") or {}
    times = [moment_of(status.get("time")) for status in view.get("statuses") or ()]
    return max((each for each in times if each is not None), default=None)


def purchase_of(raw: Raw) -> Purchase:
    properties = raw.get("properties") or {}
    purchase = PRIORITIES.get(str(properties.get("priority") or "").lower(), Purchase.UNKNOWN)
    reserved = (properties.get("capacityReservation") or {}).get("capacityReservationGroup")
    if purchase is Purchase.ON_DEMAND and reserved:
        return Purchase.RESERVED
    return purchase


def resource_id_of(machine: Machine) -> str:
    """Its path at Azure Resource Manager. Raises `KeyError` for a machine that bears none."""
    for name in machine.host_names:
        if name.startswith("/subscriptions/"):
            return name
    raise KeyError(f"{machine.id} bears no resource id")


def _name(raw: Raw) -> str | None:
    """Members of a scale set are named by their number; their host's name tells more."""
    computer = ((raw["properties"].get("osProfile")) or {}).get("computerName")
    name = str(raw.get("name") or "") or None
    return str(computer) if computer and (name is None or name.isdecimal()) else name


def _host_names(raw: Raw) -> tuple[str, ...]:
    """Names by which monitoring may know it, in lower case but for its path."""
    properties = raw["properties"]
    extended = (properties.get("extended") or {}).get("instanceView") or {}
    told = (
        str(raw["id"]),
        str((properties.get("osProfile") or {}).get("computerName") or "").lower(),
        str(extended.get("computerName") or "").lower(),
    )
    return tuple(dict.fromkeys(name for name in told if name))


def _operating_system(properties: Raw) -> str:
    """What it is billed as."""
    disk = (properties.get("storageProfile") or {}).get("osDisk") or {}
    brought = str(properties.get("licenseType") or "").lower() in HYBRID_BENEFIT
    return WINDOWS if str(disk.get("osType")).lower() == "windows" and not brought else LINUX


def _image(properties: Raw) -> str | None:
    image = (properties.get("storageProfile") or {}).get("imageReference") or {}
    if image.get("id"):
        return str(image["id"])
    parts = [image.get(name) for name in ("publisher", "offer", "sku", "exactVersion")]
    return ":".join(str(part) for part in parts if part) or None


def moment_of(told: object) -> datetime | None:
    if told is None:
        return None
    moment = told if isinstance(told, datetime) else _parsed(str(told))
    return utc(moment)


def _parsed(text: str) -> datetime:
    """Azure writes up to seven digits of a second; Python reads six."""
    whole, dot, rest = text.partition(".")
    if not dot:
        return datetime.fromisoformat(text)
    digits = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return datetime.fromisoformat(f"{whole}.{digits[:6].ljust(6, '0')}{rest[len(digits) :]}")
