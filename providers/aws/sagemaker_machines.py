"""What SageMaker runs, as machines: one for each instance that it bills. Pure.

SageMaker bills a job or an endpoint by the instance, and its metrics name the instance of a job. So
a job of four instances is a group of four machines, each with its own price, GPUs and readings, and
is judged as one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from policies.facts import Machine, MachineState, Purchase, StopTerms, WorkloadKind, utc
from providers.aws import sagemaker_stopping as stopping
from providers.aws.controllers import group_of
from providers.aws.instance_types import TypeFacts
from providers.aws.prices import ManagedPrices, managed_price_of

NOTEBOOK, APP, TRAINING, PROCESSING, ENDPOINT, WARM_POOL = (
    "notebook",
    "app",
    "training",
    "processing",
    "endpoint",
    "warmpool",
)
KINDS = {
    NOTEBOOK: WorkloadKind.NOTEBOOK,
    APP: WorkloadKind.NOTEBOOK,
    TRAINING: WorkloadKind.TRAINING,
    PROCESSING: WorkloadKind.BATCH,
    ENDPOINT: WorkloadKind.SERVICE,
    WARM_POOL: WorkloadKind.TRAINING,
}
"""By the first word of a native id. Names at SageMaker hold no dot, so a dot parts the words."""
COMPONENTS = {
    NOTEBOOK: "notebook",
    APP: "studio",
    TRAINING: "training",
    PROCESSING: "processing",
    ENDPOINT: "hosting",
    WARM_POOL: "training",
}
"""How the price list's component begins, by the same word."""
READY = frozenset({ENDPOINT, WARM_POOL})
"""What is ready to work as soon as it runs."""

PREFIX = "ml."
"""`ml.g5.xlarge` is the instance type g5.xlarge, at another price."""
USER_TAG = "sagemaker:user-profile-arn"
"""Set by Studio on jobs that are started in it."""

RUNNING, PENDING, STOPPING = MachineState.RUNNING, MachineState.PENDING, MachineState.STOPPING
UNKNOWN = MachineState.UNKNOWN

State = tuple[MachineState, bool | None]
"""And whether its instances are billed in it."""

NOTEBOOK_STATES: Mapping[str, State] = {
    "Pending": (PENDING, False),
    "InService": (RUNNING, True),
    "PendingMaintenance": (RUNNING, True),
    "Stopping": (STOPPING, False),
    "Stopped": (MachineState.STOPPED, False),
    "Updating": (MachineState.STOPPED, False),
    "Deleting": (MachineState.TERMINATING, False),
}
"""Compute is billed until StopNotebookInstance is called (SageMaker API reference); only a stopped
one can be updated. Of others (`Failed`, `InMaintenance`) nobody knows."""
APP_STATES: Mapping[str, State] = {
    "Pending": (PENDING, False),
    "InService": (RUNNING, True),
    "Deleting": (MachineState.TERMINATING, None),
}
"""`Failed` and `Deleted` ones, listed for a day, have no instance."""
ENDPOINT_STATES: Mapping[str, State] = {
    "Creating": (PENDING, None),
    "InService": (RUNNING, True),
    "Updating": (RUNNING, True),
    "SystemUpdating": (RUNNING, True),
    "RollingBack": (RUNNING, True),
    "Deleting": (MachineState.TERMINATING, None),
}
ENDED_JOBS = frozenset({"Completed", "Failed", "Stopped", "Deleting"})
NO_INSTANCE = frozenset({"Starting", "Pending", "Interrupted"})
"""Secondary states of a job that waits for instances; what it waits is not billed."""

OUTSIDE_INSTANCES = frozenset({"JupyterServer", "Canvas"})
"""Apps that run on SageMaker's own machines: free, or billed by the session."""
SHARED_APPS = "KernelGateway"
"""Such apps of one user on one instance type share an instance, which is billed once."""
HOLDS_INSTANCE = frozenset({"InService", "Pending", "Deleting"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Rented:
    """Instances of one type that SageMaker rents for one thing, in the words of facts."""

    kind: str
    words: tuple[str, ...]
    """Its name and whatever else tells it from others, the time of its creation last."""
    name: str
    arn: str
    arns_around: tuple[str, ...] = ()
    """What it lies in, widest first: a domain, a user profile. Their tags count as well."""
    machine_type: str | None
    """As SageMaker names it; None: it does not say."""
    count: int
    numbered_from: int | None
    """The number of the first instance; None: there can only be one, which bears no number."""
    numbered: str = "{}"
    state: MachineState
    metered: bool | None
    first_launched_at: datetime | None
    started_at: datetime | None
    stopped_at: datetime | None = None
    purchase: Purchase = Purchase.ON_DEMAND
    prepaid: str | None = None
    owner: str | None = None
    space: str | None = None
    """The Studio space that it runs in, which may have an owner."""
    terms: StopTerms
    how_to_measure: str | None = None
    on_readings: str | None = None

    @property
    def ec2_type(self) -> str | None:
        """The instance type behind it; None where SageMaker tells none or none is rented."""
        told = self.machine_type or ""
        return told.removeprefix(PREFIX) if told.startswith(PREFIX) else None


def is_sagemaker(machine: Machine) -> bool:
    return machine.native_id.split(".")[0] in KINDS


def machines_from(
    rented: Rented,
    facts: TypeFacts,
    tags: Mapping[str, str],
    *,
    account: str,
    region: str,
    listed: ManagedPrices,
) -> Iterator[Machine]:
    """One machine for each instance; a price for each, as far as one is known."""
    scope = f"aws:{account}:{region}"
    for native in _native_ids(rented):
        own = f"{scope}:{native}"
        several = f"{scope}:sagemaker/{'.'.join((rented.kind, *rented.words))}"
        machine = Machine(
            id=own,
            provider="aws",
            account=account,
            region=region,
            zone=None,
            name=rented.name,
            state=rented.state,
            metered=rented.metered,
            machine_type=rented.machine_type or "unknown",
            accelerators=facts.accelerators,
            purchase=rented.purchase,
            first_launched_at=rented.first_launched_at,
            started_at=rented.started_at,
            stopped_at=rented.stopped_at,
            group=group_of(tags, scope=scope, alone=own if rented.count == 1 else several),
            stop_terms=stopping.with_tags(rented.terms, tags, rented.prepaid),
            tags=tags,
            vcpus=facts.vcpus,
            needs_setup=rented.kind not in READY,
            kind=KINDS[rented.kind],
            owner=rented.owner or _profile(tags.get(USER_TAG)),
            how_to_measure=(rented.how_to_measure or "").format(machine=own) or None,
        )
        yield replace(
            machine,
            price=managed_price_of(machine, COMPONENTS[rented.kind], listed),
            on_readings=_on_readings(rented, machine.gpus),
        )


def notebook(raw: Mapping[str, Any]) -> Rented:
    """One row of ListNotebookInstances. Its last change of state is its last start or stop."""
    name = raw["NotebookInstanceName"]
    state, metered = NOTEBOOK_STATES.get(raw.get("NotebookInstanceStatus", ""), (UNKNOWN, None))
    changed = _utc(raw.get("LastModifiedTime"))
    return Rented(
        kind=NOTEBOOK,
        words=(name, stamp(raw)),
        name=name,
        arn=raw["NotebookInstanceArn"],
        machine_type=raw.get("InstanceType"),
        count=1,
        numbered_from=None,
        state=state,
        metered=metered,
        first_launched_at=_utc(raw.get("CreationTime")),
        started_at=changed if state is RUNNING else None,
        stopped_at=changed if state is MachineState.STOPPED else None,
        terms=stopping.of_notebook(name),
        how_to_measure=AGENT_IN_NOTEBOOK,
    )


def apps(listed: list[Mapping[str, Any]], domains: Mapping[str, str]) -> Iterator[Rented]:
    """Rows of ListApps. `domains`: by domain's id, its ARN.

    Of apps that share an instance the oldest stands for it. That a younger one once shared it with
    one that is gone is told by the listing for a day: then nobody knows since when it is alone.
    """
    sharing: dict[tuple[object, ...], list[Mapping[str, Any]]] = {}
    for number, raw in enumerate(listed):
        if raw["AppType"] in OUTSIDE_INSTANCES:
            continue
        key = _shared_instance(raw) or (number,)
        sharing.setdefault(key, []).append(raw)
    for several in sharing.values():
        oldest, *_ = in_order = sorted(several, key=lambda raw: raw["CreationTime"])
        there = [raw for raw in in_order if raw.get("Status") in HOLDS_INSTANCE]
        if there:
            rented = _app(there[0], domains)
            yield rented if there[0] is oldest else replace(rented, started_at=None)


def training(raw: Mapping[str, Any]) -> Iterator[Rented]:
    """An answer of DescribeTrainingJob; several instance groups are several kinds of machines."""
    if raw.get("ServerlessJobConfig"):
        return  # billed by the token
    config = raw.get("ResourceConfig") or {}
    name = raw["TrainingJobName"]
    spot = bool(raw.get("EnableManagedSpotTraining"))
    plan = config.get("TrainingPlanArn")
    job = _job(raw, kind=TRAINING, name=name, arn=raw["TrainingJobArn"])
    number = 1
    for machine_type, count in _clusters(config):
        yield replace(
            job,
            machine_type=machine_type,
            count=count,
            numbered_from=number,
            purchase=_purchase(spot=spot, plan=plan),
            prepaid=_plan(plan),
            terms=stopping.of_training(name),
        )
        number += count


def processing(raw: Mapping[str, Any]) -> Iterator[Rented]:
    """An answer of DescribeProcessingJob."""
    config = (raw.get("ProcessingResources") or {}).get("ClusterConfig") or {}
    name = raw["ProcessingJobName"]
    job = _job(raw, kind=PROCESSING, name=name, arn=raw["ProcessingJobArn"])
    for machine_type, count in _clusters(config):
        yield replace(
            job,
            machine_type=machine_type,
            count=count,
            terms=stopping.of_processing(name),
        )


def warm_pool(raw: Mapping[str, Any]) -> Iterator[Rented]:
    """The instances that a training job left behind, ready for the next one.

    They are billed from the job's end on, for `ResourceRetainedBillableTimeInSeconds` once they are
    gone. No container is on them: they are idle by what they are.
    """
    pool = raw.get("WarmPoolStatus") or {}
    ended = _utc(raw.get("TrainingEndTime"))
    if ended is None or pool.get("Status") in {None, "InUse"}:
        return
    available = pool["Status"] == "Available"
    retained = pool.get("ResourceRetainedBillableTimeInSeconds")
    gone = None if available or retained is None else ended + timedelta(seconds=retained)
    if not available and (gone is None or gone <= ended):
        return
    config = raw.get("ResourceConfig") or {}
    name = raw["TrainingJobName"]
    keep_alive = config.get("KeepAlivePeriodInSeconds")
    number = 1
    for machine_type, count in _clusters(config):
        yield Rented(
            kind=WARM_POOL,
            words=(name, stamp(raw)),
            name=name,
            arn=raw["TrainingJobArn"],
            machine_type=machine_type,
            count=count,
            numbered_from=number,
            numbered="algo-{}",
            state=RUNNING if available else MachineState.TERMINATED,
            metered=available,
            first_launched_at=ended,
            started_at=ended,
            stopped_at=gone,
            prepaid=_plan(config.get("TrainingPlanArn")),
            terms=stopping.of_warm_pool(name, keep_alive),
        )
        number += count


def endpoint(raw: Mapping[str, Any], config: Mapping[str, Any]) -> Iterator[Rented]:
    """An answer of DescribeEndpoint, with that of DescribeEndpointConfig.

    Its instances are known to have been as they are since its last change, not for longer.
    """
    name = raw["EndpointName"]
    state, metered = ENDPOINT_STATES.get(raw["EndpointStatus"], (UNKNOWN, None))
    configured = {each["VariantName"]: each for each in _variants(config)}
    for variant in _variants(raw):
        whole = configured.get(variant["VariantName"], {})
        if variant.get("CurrentServerlessConfig") or whole.get("ServerlessConfig"):
            continue
        reserved = variant.get("CapacityReservationConfig") or {}
        reservation = reserved.get("MlReservationArn")
        for label, machine_type, count in _pools(variant, whole):
            yield Rented(
                kind=ENDPOINT,
                words=(name, variant["VariantName"], stamp(raw)),
                name=name,
                arn=raw["EndpointArn"],
                machine_type=machine_type,
                count=count,
                numbered_from=1,
                numbered=label,
                state=state,
                metered=metered,
                first_launched_at=_utc(raw.get("CreationTime")),
                started_at=_utc(raw.get("LastModifiedTime")) if state is RUNNING else None,
                purchase=Purchase.RESERVED if reservation else Purchase.ON_DEMAND,
                prepaid=f"capacity reservation {_tail(reservation)}" if reservation else None,
                terms=stopping.of_endpoint(name),
                how_to_measure=METRICS_OF_ENDPOINTS,
                on_readings=WHOLE_VARIANT if count > 1 else None,
            )


AGENT_IN_NOTEBOOK = (
    "SageMaker measures no GPU of a notebook: run `spend-watchdog agent --machine {machine}` in it,"
    " started by a lifecycle configuration"
)
METRICS_OF_JOBS = (
    "SageMaker writes a job's GPU metrics by itself, once a minute: there are none, which is usual"
    " for Trainium and Inferentia; else see the job's own log"
)
METRICS_OF_ENDPOINTS = (
    "SageMaker writes an endpoint's GPU metrics by itself, once a minute: there are none, which is"
    " usual for Trainium and Inferentia"
)
WHOLE_VARIANT = "its readings are those of the busiest instance of its variant"


def stamp(raw: Mapping[str, Any]) -> str:
    """The time of creation: a name may be used again once its bearer is gone."""
    return f"{utc(raw['CreationTime']):%Y%m%dT%H%M%SZ}"


def _app(raw: Mapping[str, Any], domains: Mapping[str, str]) -> Rented:
    state, metered = APP_STATES[raw["Status"]]
    created = _utc(raw["CreationTime"])
    domain, user, space = raw["DomainId"], raw.get("UserProfileName"), raw.get("SpaceName")
    place = space or user or "nobody"
    spec = raw.get("ResourceSpec") or {}
    base, _, _ = domains.get(domain, "").partition(":domain/")
    words = (domain, place, raw["AppType"].lower(), raw["AppName"])
    around = "space" if space else "user-profile"
    plan = spec.get("TrainingPlanArn")
    return Rented(
        kind=APP,
        words=(*words, stamp(raw)),
        name=place,
        arn=f"{base}:app/{'/'.join(words)}",
        arns_around=(domains.get(domain, ""), f"{base}:{around}/{domain}/{place}"),
        machine_type=spec.get("InstanceType"),
        count=1,
        numbered_from=None,
        state=state,
        metered=metered,
        first_launched_at=created,
        started_at=created if state is RUNNING else None,
        purchase=_purchase(spot=False, plan=plan),
        prepaid=_plan(plan),
        owner=user,
        space=space,
        terms=stopping.of_app(raw),
        how_to_measure=AGENT_IN_NOTEBOOK,
    )


def _shared_instance(raw: Mapping[str, Any]) -> tuple[object, ...] | None:
    """What such apps have in common when they share an instance; None: it has its own."""
    if raw.get("AppType") != SHARED_APPS:
        return None
    machine_type = (raw.get("ResourceSpec") or {}).get("InstanceType")
    return raw["DomainId"], raw.get("UserProfileName"), raw.get("SpaceName"), machine_type


def _job(raw: Mapping[str, Any], *, kind: str, name: str, arn: str) -> Rented:
    """What training and processing jobs have in common."""
    word = "Training" if kind == TRAINING else "Processing"
    status = raw[f"{word}JobStatus"]
    begun = _utc(raw.get(f"{word}StartTime"))
    ended = _utc(raw.get(f"{word}EndTime"))
    if status in ENDED_JOBS:
        state, metered = MachineState.TERMINATED, False
    elif begun is None or raw.get("SecondaryStatus") in NO_INSTANCE:
        state, metered = PENDING, False
    else:
        state, metered = (STOPPING if status == "Stopping" else RUNNING), True
    return Rented(
        kind=kind,
        words=(name, stamp(raw)),
        name=name,
        arn=arn,
        machine_type=None,
        count=1,
        numbered_from=1,
        numbered="algo-{}",
        state=state,
        metered=metered,
        first_launched_at=begun,
        started_at=begun,
        stopped_at=ended,
        terms=stopping.of_processing(name),
        how_to_measure=METRICS_OF_JOBS,
    )


def _clusters(config: Mapping[str, Any]) -> list[tuple[str | None, int]]:
    """Type and number of a job's instances, group by group: what was selected, else asked for."""
    groups = config.get("InstanceGroups")
    if groups:
        return [(each["InstanceType"], each["InstanceCount"]) for each in groups]
    machine_type = config.get("SelectedInstanceType") or config.get("InstanceType")
    count = config.get("SelectedInstanceCount") or config.get("InstanceCount") or 1
    return [(machine_type, count)]


def _variants(raw: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Shadow variants are billed as well."""
    return [*(raw.get("ProductionVariants") or ()), *(raw.get("ShadowProductionVariants") or ())]


def _pools(
    variant: Mapping[str, Any], configured: Mapping[str, Any]
) -> list[tuple[str, str | None, int]]:
    """How the instances are numbered, their type and their number."""
    pools = variant.get("InstancePools")
    if not pools:
        count = variant.get("CurrentInstanceCount") or 0
        return [("{}", configured.get("InstanceType"), count)] if count else []
    return [
        (
            f"{pool['InstanceType'].removeprefix(PREFIX).replace('.', '-')}-{{}}",
            pool["InstanceType"],
            pool["CurrentInstanceCount"],
        )
        for pool in pools
        if pool["CurrentInstanceCount"]
    ]


def _native_ids(rented: Rented) -> Iterator[str]:
    stem = ".".join((rented.kind, *rented.words))
    if rented.numbered_from is None:
        yield stem
        return
    for number in range(rented.numbered_from, rented.numbered_from + rented.count):
        yield f"{stem}.{rented.numbered.format(number)}"


def _on_readings(rented: Rented, gpus: int | None) -> str | None:
    summed = None
    if rented.kind in {TRAINING, PROCESSING, ENDPOINT} and (gpus or 0) > 1:
        summed = (
            f"SageMaker tells one sum over its {gpus} GPUs, so the busiest is at most as busy as"
            " shown"
        )
    return "; ".join(filter(None, (rented.on_readings, summed))) or None


def _purchase(*, spot: bool, plan: str | None) -> Purchase:
    if plan:
        return Purchase.RESERVED
    return Purchase.SPOT if spot else Purchase.ON_DEMAND


def _plan(arn: str | None) -> str | None:
    return f"training plan {_tail(arn)}" if arn else None


def _profile(arn: str | None) -> str | None:
    return _tail(arn) if arn else None


def _tail(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _utc(moment: datetime | None) -> datetime | None:
    return None if moment is None else utc(moment)
