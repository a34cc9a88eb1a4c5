"""Everything that the GCP adapter may call, and why. The roles in infra/gcp are made from it."""

from __future__ import annotations

PERMISSIONS = (
    ("compute.instances.list", "find machines in every zone at once"),
    ("compute.instances.get", "look at one machine again before it is stopped"),
    ("compute.machineTypes.list", "know what a new machine type carries"),
    ("compute.disks.list", "see disks, attached or not"),
    ("compute.snapshots.list", "see snapshots"),
    ("compute.addresses.list", "see addresses that serve nothing"),
    ("monitoring.timeSeries.list", "read GPU, CPU, network and storage metrics"),
    ("logging.logEntries.list", "read when machines were started and stopped"),
    ("resourcemanager.projects.get", "find the projects, where the settings name none"),
    ("storage.buckets.list", "see buckets"),
    ("tpu.nodes.list", "find TPU VMs"),
)
"""Of the read-only role. Audit logs of admin activity need nothing beyond logEntries.list."""

STOP_PERMISSIONS = (
    ("compute.instances.get", "see the machine before and after"),
    ("compute.instances.stop", "stop it"),
    ("compute.zoneOperations.get", "follow the stop to its end"),
)
"""Of the stop role, which stands beside the read-only one."""


KEEP_PERMISSIONS = (
    ("compute.instances.list", "find the machine by its number"),
    ("compute.instances.setLabels", "write spend-watchdog-keep-until"),
)
"""Of the role that writes keeps onto machines. Google grants labels as a whole or not at all."""


def read_only_role() -> str:
    """A custom role for `gcloud iam roles create`; it can change nothing."""
    return _role(
        "Spend watchdog, read-only",
        "Finds GPU machines, storage and egress, and reads their metrics. Changes nothing.",
        PERMISSIONS,
    )


def stop_role() -> str:
    """To be granted besides, to whoever may act: it can stop machines, and delete none."""
    return _role(
        "Spend watchdog, stop",
        "Stops machines. Never deletes one.",
        STOP_PERMISSIONS,
    )


def keep_role() -> str:
    """To be granted besides, where keeps shall stand as labels on the machines."""
    return _role(
        "Spend watchdog, keep",
        "Writes the label spend-watchdog-keep-until.",
        KEEP_PERMISSIONS,
    )


def _role(title: str, description: str, permissions: tuple[tuple[str, str], ...]) -> str:
    lines = [f"title: {title}", f"description: {description}", "stage: GA", "includedPermissions:"]
    for permission, why in permissions:
        lines += [f"  # to {why}", f"  - {permission}"]
    return "\n".join(lines) + "\n"
