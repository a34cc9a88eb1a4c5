"""What `doctor` tries out at GCP: projects, each permission, and whether GPUs report."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from policies.facts import Scope, Window
from providers.base import Probe
from providers.gcp.errors import GCP_ERRORS, gap_from, is_missing
from providers.gcp.permissions import PERMISSIONS
from providers.gcp.series import AGENT_METERS, DCGM_METERS
from providers.gcp.session import GcpSession
from providers.gcp.usage import HOW_TO_MEASURE, READS, fetch_series

OPTIONAL = frozenset(
    {
        "compute.instances.get",
        "compute.machineTypes.list",
        "compute.disks.list",
        "compute.snapshots.list",
        "compute.addresses.list",
        "logging.logEntries.list",
        "resourcemanager.projects.get",
        "storage.buckets.list",
        "tpu.nodes.list",
    }
)
"""Without these a patrol still judges every machine, knowing less."""
PERIOD_S = 3600


def probes(session: GcpSession, clock: Callable[[], datetime]) -> Iterator[Probe]:
    """In the first project only, where there are several: a role is usually granted to all."""
    projects, gaps = session.projects()
    for gap in gaps:
        yield Probe(what="projects", ok=None if projects else False, told=gap.why)
    if not projects:
        return
    if not gaps:
        several = ", ".join(projects[:5]) + (" …" if len(projects) > 5 else "")  # noqa: PLR2004
        yield Probe(what="projects", ok=True, told=f"{len(projects)} to watch: {several}")
    project = projects[0]
    yield from _permissions(session, project)
    yield _gpu_metrics(session, project, clock())


def _permissions(session: GcpSession, project: str) -> Iterator[Probe]:
    """One question for all of them, which itself needs no permission."""
    names = [permission for permission, _ in PERMISSIONS]
    try:
        answer = session.post(
            "cloudresourcemanager",
            f"/v3/projects/{project}:testIamPermissions",
            {"permissions": names},
        )
    except GCP_ERRORS as error:
        told = _why(error, project, "resourcemanager.projects.testIamPermissions")
        # Somebody else's server need not know it; the patrol then finds out by itself.
        ok = None if is_missing(error) else False
        yield Probe(what=f"permissions in {project}", ok=ok, told=told)
        return
    granted = frozenset(answer.get("permissions", ()))
    for permission, why in PERMISSIONS:
        if permission in granted:
            yield Probe(what=permission, ok=True, told=f"allowed; needed to {why}")
            continue
        told = f"not allowed in {project}: grant it to the identity that patrols, to {why}"
        yield Probe(what=permission, ok=None if permission in OPTIONAL else False, told=told)


def _gpu_metrics(session: GcpSession, project: str, now: datetime) -> Probe:
    what = f"GPU metrics in {project}"
    end = now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    window = Window(started_at=end - timedelta(hours=4), ended_at=end, period_s=PERIOD_S)
    try:
        for meter in (AGENT_METERS[0], DCGM_METERS[0]):
            text = f'metric.type="{meter.metric}"'
            found = fetch_series(session, project, text, window, aligner=meter.aligner)
            machines = {each.resource.labels.get("instance_id") for each in found}
            if machines:
                return Probe(what=what, ok=True, told=f"{len(machines)} machines write them")
    except GCP_ERRORS as error:
        return Probe(what=what, ok=None, told=_why(error, project, READS))
    return Probe(what=what, ok=None, told=f"none in the last three hours; {HOW_TO_MEASURE}")


def _why(error: BaseException, project: str, needs: str) -> str:
    scope = Scope(provider="gcp", account=project, region=None)
    return gap_from(error, scope, "", needs).why
