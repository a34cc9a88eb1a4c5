"""A keep as a label on the machine itself, so that every ledger and person sees it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from policies.facts import Scope
from providers.gcp.errors import GCP_ERRORS, gap_from
from providers.gcp.listing import PAGE, aggregated
from providers.gcp.session import GcpSession

KEEP_LABEL = "spend-watchdog-keep-until"
SET = "compute.instances.setLabels"


def write_keep(session: GcpSession, machine: str, until: datetime) -> str | None:
    """`machine`: its id. None: Google took the label; else why not.

    A label's value holds neither capitals nor colons: `20261201t180000z`.
    """
    _, project, region, native_id = machine.split(":", 3)
    scope = Scope(provider="gcp", account=project, region=region)
    try:
        found = _found(session, project, native_id)
        if found is None:
            return f"{native_id} is no instance of Compute Engine, or is gone"
        zone, instance = found
        labels = {**dict(instance.labels), KEEP_LABEL: f"{until.astimezone(UTC):%Y%m%dt%H%M%Sz}"}
        session.compute("InstancesClient").set_labels_unary(
            project=project,
            zone=zone,
            instance=instance.name,
            instances_set_labels_request_resource={
                "labels": labels,
                "label_fingerprint": instance.label_fingerprint,
            },
            retry=session.once,
            timeout=session.timeout,
        )
    except GCP_ERRORS as error:
        return gap_from(error, scope, "keep label", SET).why
    return None


def _found(session: GcpSession, project: str, native_id: str) -> tuple[str, Any] | None:
    """The zone and the instance of a number: its other labels are sent back with the new one."""
    from google.cloud.compute_v1 import AggregatedListInstancesRequest  # noqa: PLC0415

    request = AggregatedListInstancesRequest(
        project=project, filter=f"id = {native_id}", max_results=PAGE
    )
    listing = aggregated(session, "InstancesClient", request, "instances")
    for zone, instances in listing.places.items():
        for instance in instances:
            if str(instance.id) == native_id:
                return zone, instance
    return None
