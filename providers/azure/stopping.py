"""What a stop would mean for an Azure VM: possible or not, what it loses, what it saves.

A stop deallocates: a VM that is merely powered off is billed on (states-billing, Azure docs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.facts import Purchase, StopTerms
from providers.azure.controllers import controller_of, tags_of
from providers.azure.instance_types import TypeFacts

PROTECTED_TAG = "spend-watchdog:protected"

Raw = Mapping[str, Any]


def stop_terms(raw: Raw, facts: TypeFacts, purchase: Purchase) -> StopTerms:
    can_stop, why = _possible(raw, facts, purchase)
    controller = controller_of(raw)
    return StopTerms(
        can_stop=can_stop,
        why=why,
        loses=(facts.local_disk,) if facts.local_disk else (),
        empties=(facts.temp_disk,) if facts.temp_disk else (),
        controller=controller.name if controller else None,
        controller_advice=controller.advice if controller else None,
        protected=protected_by(tags_of(raw)),
        prepaid=prepaid(raw),
    )


def prepaid(raw: Raw) -> str | None:
    """What is paid whether or not the VM runs."""
    properties = raw.get("properties") or {}
    group = ((properties.get("capacityReservation") or {}).get("capacityReservationGroup")) or {}
    if group.get("id"):
        return f"capacity reservation group {_last(group['id'])}"
    if (properties.get("host") or {}).get("id"):
        return f"dedicated host {_last(properties['host']['id'])}"
    if (properties.get("hostGroup") or {}).get("id"):
        return f"dedicated host group {_last(properties['hostGroup']['id'])}"
    return None


def has_ephemeral_os_disk(raw: Raw) -> bool:
    disk = ((raw.get("properties") or {}).get("storageProfile") or {}).get("osDisk") or {}
    return str((disk.get("diffDiskSettings") or {}).get("option")).lower() == "local"


def protected_by(tags: Mapping[str, str]) -> str | None:
    """Any value but "false" protects, an empty or a misspelt one too."""
    value = tags.get(PROTECTED_TAG)
    if value is None or value.strip().lower() == "false":
        return None
    return f"tag {PROTECTED_TAG}={value}" if value else f"tag {PROTECTED_TAG}"


def _possible(raw: Raw, facts: TypeFacts, purchase: Purchase) -> tuple[bool | None, str]:
    properties = raw.get("properties") or {}
    if has_ephemeral_os_disk(raw):
        return False, "its OS disk is ephemeral: Azure can delete or reimage it, never stop it"
    if properties.get("isVMInStandbyPool"):
        return False, "it waits in a standby pool, which would replace it"
    if purchase is Purchase.UNKNOWN:
        return None, "whether Azure stops a VM that was bought this way is not known"
    if not facts.local_disk_known:
        return None, "whether it has local disks, which a stop erases, could not be found out"
    if purchase is Purchase.SPOT:
        return True, "a spot VM: it can be deallocated, and started again while there is capacity"
    return True, "a VM with its OS on a managed disk"


def _last(path: object) -> str:
    return str(path).rsplit("/", 1)[-1]
