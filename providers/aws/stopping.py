"""What a stop would mean for an EC2 machine: possible or not, what it loses, what it saves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from policies.facts import Purchase, StopTerms
from providers.aws.controllers import controller_of, in_fleet
from providers.aws.instance_types import TypeFacts

PROTECTED_TAG = "spend-watchdog:protected"


def stop_terms(
    raw: Mapping[str, Any],
    tags: Mapping[str, str],
    facts: TypeFacts,
    purchase: Purchase,
    spot_kind: str | None,
) -> StopTerms:
    """`spot_kind`: `one-time` or `persistent`; None where the machine is no spot, or not known."""
    can_stop, why = _possible(raw, tags, facts, purchase, spot_kind)
    controller = controller_of(tags, _operator(raw))
    return StopTerms(
        can_stop=can_stop,
        why=why,
        loses=(facts.local_disk,) if facts.local_disk else (),
        controller=controller.name if controller else None,
        controller_advice=controller.advice if controller else None,
        protected=protected_by(tags),
        prepaid=prepaid(raw, purchase),
    )


def prepaid(raw: Mapping[str, Any], purchase: Purchase) -> str | None:
    """What is paid whether or not the machine runs."""
    if purchase is Purchase.CAPACITY_BLOCK:
        return f"capacity block {raw.get('CapacityBlockId') or raw.get('CapacityReservationId')}"
    if purchase is Purchase.SCHEDULED:
        return "a scheduled reservation"
    if raw.get("CapacityReservationId"):
        return f"capacity reservation {raw['CapacityReservationId']}"
    if purchase is Purchase.RESERVED:
        return "a capacity reservation"
    placement = raw.get("Placement", {})
    if placement.get("Tenancy") == "host":
        return f"dedicated host {placement.get('HostId', '')}".strip()
    return None


def _possible(
    raw: Mapping[str, Any],
    tags: Mapping[str, str],
    facts: TypeFacts,
    purchase: Purchase,
    spot_kind: str | None,
) -> tuple[bool | None, str]:
    if raw.get("RootDeviceType") == "instance-store":
        return False, "its root disk is an instance store: it can be terminated, never stopped"
    if purchase is Purchase.SPOT:
        return _spot(tags, spot_kind)
    if purchase is Purchase.SCHEDULED:
        return False, "EC2 does not stop scheduled instances"
    if purchase in {Purchase.CAPACITY_BLOCK, Purchase.UNKNOWN}:
        return None, "whether EC2 stops a machine that was bought this way is not known"
    if not facts.local_disk_known:
        return None, "whether it has local disks, which a stop erases, could not be found out"
    return True, "an on-demand machine with its root on a network disk"


def _spot(tags: Mapping[str, str], kind: str | None) -> tuple[bool | None, str]:
    if in_fleet(tags):
        return False, "a spot machine of a fleet: EC2 can terminate it, never stop it"
    if kind == "one-time":
        return False, "a one-time spot request: EC2 can terminate the machine, never stop it"
    if kind == "persistent":
        return True, "a persistent spot request: a stop disables it until the next start"
    return None, "the kind of its spot request is not known, and a one-time one cannot be stopped"


def protected_by(tags: Mapping[str, str]) -> str | None:
    """Any value but "false" protects, an empty or a misspelt one too."""
    value = tags.get(PROTECTED_TAG)
    if value is None or value.strip().lower() == "false":
        return None
    return f"tag {PROTECTED_TAG}={value}" if value else f"tag {PROTECTED_TAG}"


def _operator(raw: Mapping[str, Any]) -> str | None:
    operator = raw.get("Operator") or {}
    if not operator.get("Managed"):
        return None
    return str(operator.get("Principal") or "an AWS service")
