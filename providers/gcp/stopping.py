"""What a stop would mean for a GCE machine: possible or not, what it loses, what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.facts import Purchase, StopTerms
from providers.gcp.controllers import controller_of

PROTECTED_LABEL = "spend-watchdog-protected"

Raw = Mapping[str, Any]
Labels = Mapping[str, str]


def stop_terms(
    raw: Raw, labels: Labels, purchase: Purchase, *, local_ssd_gib: float | None
) -> StopTerms:
    """`local_ssd_gib`: of the machine; None where that is not known."""
    can_stop, why = _possible(raw, purchase, local_ssd_gib)
    controller = controller_of(labels, created_by(raw))
    ends = ends_at(raw)
    return StopTerms(
        can_stop=can_stop,
        why=f"{why}; it ends by itself at {ends}" if ends else why,
        loses=(f"{local_ssd_gib:g} GiB of local SSD",) if local_ssd_gib else (),
        controller=controller.name if controller else None,
        controller_advice=controller.advice if controller else None,
        protected=protected_by(labels),
        prepaid=prepaid(raw, purchase),
    )


def created_by(raw: Raw) -> str | None:
    """Of a member, the managed instance group that made it."""
    for item in (raw.get("metadata") or {}).get("items", ()):
        if item.get("key") == "created-by":
            return str(item.get("value", ""))
    return None


def purchase_of(raw: Raw) -> Purchase:
    """Flex-start is a way of its own: neither on demand nor paid beforehand."""
    scheduling = raw.get("scheduling") or {}
    model = scheduling.get("provisioningModel") or "STANDARD"
    if model == "SPOT" or scheduling.get("preemptible"):
        return Purchase.SPOT
    if model == "RESERVATION_BOUND":
        return Purchase.RESERVED
    if model != "STANDARD":
        return Purchase.UNKNOWN
    return Purchase.RESERVED if _reservation(raw) else Purchase.ON_DEMAND


def prepaid(raw: Raw, purchase: Purchase) -> str | None:
    """What is paid whether or not the machine runs."""
    if purchase is not Purchase.RESERVED:
        return _sole_tenant(raw)
    name = _reservation(raw)
    return f"reservation {name}" if name else "a reservation"


def protected_by(labels: Labels) -> str | None:
    """Any value but "false" protects, an empty or a misspelt one too."""
    value = labels.get(PROTECTED_LABEL)
    if value is None or value.strip().lower() == "false":
        return None
    return f"label {PROTECTED_LABEL}={value}" if value else f"label {PROTECTED_LABEL}"


def ends_at(raw: Raw) -> str | None:
    """When Google ends it, as its own `max_run_duration` or end asks."""
    told = ((raw.get("resourceStatus") or {}).get("scheduling") or {}).get("terminationTimestamp")
    planned = (raw.get("scheduling") or {}).get("terminationTime")
    found = told or planned
    return None if found is None else str(found)


def _possible(raw: Raw, purchase: Purchase, local_ssd_gib: float | None) -> tuple[bool | None, str]:
    model = (raw.get("scheduling") or {}).get("provisioningModel") or "STANDARD"
    if raw.get("startRestricted"):
        return None, "Google has restricted its start, so a stop might be for good"
    if model == "FLEX_START":
        return None, "a flex-start machine gives up its capacity when it stops, perhaps for good"
    if purchase is Purchase.UNKNOWN:
        return None, f"whether a machine of provisioning model {model} can be stopped is not known"
    if local_ssd_gib is None:
        return None, "whether it has local SSD, which a stop erases, could not be found out"
    if purchase is Purchase.SPOT:
        return True, "a spot machine: it stops, and starts again where there is capacity"
    return True, "its disks are network disks, which a stop keeps"


def _reservation(raw: Raw) -> str | None:
    """The reservation that it consumes, else the one that it is bound to."""
    status = (raw.get("resourceStatus") or {}).get("reservationConsumptionInfo") or {}
    consumed = status.get("consumedReservation")
    if consumed:
        return str(consumed).rsplit("/", 1)[-1]
    affinity = raw.get("reservationAffinity") or {}
    if affinity.get("consumeReservationType") != "SPECIFIC_RESERVATION":
        return None
    return ", ".join(str(each).rsplit("/", 1)[-1] for each in affinity.get("values", ())) or None


def _sole_tenant(raw: Raw) -> str | None:
    """Sole-tenant nodes are billed whole, whatever runs on them."""
    for each in (raw.get("scheduling") or {}).get("nodeAffinities", ()):
        if str(each.get("key", "")).startswith("compute.googleapis.com/node"):
            return f"sole-tenant node {', '.join(each.get('values', ()))}".rstrip()
    return None
