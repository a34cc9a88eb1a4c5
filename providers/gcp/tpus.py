"""TPU VMs: another API lists them, and each is a machine with its own accelerators."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from policies.facts import Accelerator, Machine, MachineState, Purchase, StopTerms
from providers.gcp.controllers import group_of
from providers.gcp.listing import region_of, tail
from providers.gcp.machines import METERED, moment
from providers.gcp.prices import LINUX, tpu_price
from providers.gcp.session import GcpSession
from providers.gcp.stopping import protected_by

LISTS = "tpu.nodes.list"
HOW_TO_MEASURE = (
    "record its runs with `spend-watchdog record`: no GPU metric tells how busy a TPU is, and its"
    " own metrics are not read by this version"
)
STATES = {
    "CREATING": MachineState.PENDING,
    "STARTING": MachineState.PENDING,
    "RESTARTING": MachineState.PENDING,
    "REPAIRING": MachineState.PENDING,
    "READY": MachineState.RUNNING,
    "STOPPING": MachineState.STOPPING,
    "STOPPED": MachineState.STOPPED,
    "DELETING": MachineState.TERMINATING,
    "PREEMPTED": MachineState.TERMINATED,
    "TERMINATED": MachineState.TERMINATED,
}
GENERATIONS: Mapping[str, tuple[str, int, int]] = {
    "v2": ("TPU v2", 2, 16 * 1024),
    "v3": ("TPU v3", 2, 32 * 1024),
    "v4": ("TPU v4", 2, 32 * 1024),
    "v5p": ("TPU v5p", 2, 95 * 1024),
    "v5litepod": ("TPU v5e", 1, 16 * 1024),
    "v6e": ("TPU v6e", 1, 32 * 1024),
}
"""By the beginning of the accelerator type: model, how many of the number in its name are one chip,
memory of a chip. Google's pages on TPU versions, 2026-10."""

_TYPE = re.compile(r"(v\d+[a-z]*)-(\d+)")

Raw = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class TpuListing:
    """The TPU nodes of one project, in Google's words."""

    nodes: tuple[Raw, ...] = ()
    unreachable: tuple[str, ...] = ()
    """Places that could not be asked."""


def fetch_tpus(session: GcpSession, project: str) -> TpuListing:
    """Every node in every zone: one call. Raises one of `GCP_ERRORS`."""
    path = f"/v2/projects/{project}/locations/-/nodes"
    pages = session.pages("tpu", path, pageSize=500)
    return TpuListing(
        nodes=tuple(node for page in pages for node in page.get("nodes", ())),
        unreachable=tuple(tail(place) for page in pages for place in page.get("unreachable", ())),
    )


def machine_from(raw: Raw, *, project: str) -> Machine | None:
    """One TPU node; None for one that has no number of its own yet."""
    place, native = _place(raw), raw.get("id")
    if place is None or not native:
        return None
    region = region_of(place)
    scope = f"gcp:{project}:{region}"
    labels = dict(raw.get("labels") or {})
    state = STATES.get(raw.get("state", ""), MachineState.UNKNOWN)
    spot = _is_spot(raw)
    created = moment(raw.get("createTime"))
    return Machine(
        id=f"{scope}:{native}",
        provider="gcp",
        account=project,
        region=region,
        zone=place,
        name=tail(raw["name"]),
        state=state,
        metered=METERED.get(state),
        machine_type=_type_of(raw),
        accelerators=(chips(_type_of(raw)),),
        purchase=_purchase(raw, spot=spot),
        first_launched_at=created,
        started_at=created,
        stopped_at=None,
        group=group_of(labels, None, scope=scope, alone=f"{scope}:{native}"),
        stop_terms=StopTerms(
            can_stop=False,
            why="a TPU VM is stopped by its own API, which this version does not do",
            controller_advice="stop it with `gcloud compute tpus tpu-vm stop`, or delete it",
            protected=protected_by(labels),
        ),
        price=tpu_price(region, _type_of(raw), _purchase(raw, spot=spot)),
        tags=labels,
        operating_system=LINUX,
        host_names=tuple(
            str(each["ipAddress"])
            for each in raw.get("networkEndpoints", ())
            if "ipAddress" in each
        ),
        how_to_measure=HOW_TO_MEASURE,
    )


def chips(name: str) -> Accelerator:
    """`v5litepod-8` has 8 chips, `v4-8` 4: it counts cores. What is not known counts 1."""
    match = _TYPE.fullmatch(name.lower())
    generation = GENERATIONS.get(match[1]) if match else None
    if match is None or generation is None:
        return Accelerator(
            model=f"TPU {name}", count=1, kind="tpu", manufacturer="Google", memory_mib=None
        )
    model, per_chip, memory = generation
    return Accelerator(
        model=model,
        count=max(1, int(match[2]) // per_chip),
        kind="tpu",
        manufacturer="Google",
        memory_mib=memory,
    )


def is_tpu(machine: Machine) -> bool:
    return machine.provider == "gcp" and any(each.kind == "tpu" for each in machine.accelerators)


def _place(raw: Raw) -> str | None:
    """`us-central1-b` of `projects/p/locations/us-central1-b/nodes/n`."""
    match = re.search(r"/locations/([^/]+)/nodes/", str(raw.get("name", "")))
    return None if match is None else match[1]


def _type_of(raw: Raw) -> str:
    """Some nodes tell a generation and a topology instead: `V5LITE_POD 2x4`."""
    told = raw.get("acceleratorType")
    config = raw.get("acceleratorConfig") or {}
    return str(told or f"{config.get('type', 'TPU')} {config.get('topology', '')}".strip())


def _is_spot(raw: Raw) -> bool:
    scheduling = raw.get("schedulingConfig") or {}
    return bool(scheduling.get("spot") or scheduling.get("preemptible"))


def _purchase(raw: Raw, *, spot: bool) -> Purchase:
    if spot:
        return Purchase.SPOT
    reserved = (raw.get("schedulingConfig") or {}).get("reserved")
    return Purchase.RESERVED if reserved else Purchase.ON_DEMAND
