"""May this leave home? What is known of a workload, held against a machine to be rented."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from policies.facts import Run, WorkloadKey, WorkloadKind
from policies.maturity import unknown_maturity
from policies.next_run import NextRun, next_run
from policies.verdicts import Maturity, Verdict
from providers.catalog.fitting import Rentable, near_types, rentable
from watchdog.home_cards import HomeCards, home_cards, unknown_need
from watchdog.machine_choice import fitting_machines, rent_usd
from watchdog.rows import Row
from watchdog.workloads import Known, Workload, named, with_burst

HOUR_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DataAnswer:
    """Whether the workload's data may leave home."""

    classes: tuple[str, ...]
    may_leave: bool | None
    """None: nobody tells its class."""
    why: str
    must_be_known: bool
    """Whether the settings restrict any class."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One machine type, held against what the next run needs."""

    machine: Rentable
    fits: bool | None
    in_scope: bool | None
    """Whether a success has been seen on so many GPUs. None: no success tells its GPUs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Dollars of the next run on the first choice; None where price or duration is unknown."""

    low_usd: Decimal | None
    likely_usd: Decimal | None
    high_usd: Decimal | None
    failure_usd: Decimal | None
    """What a failure costs at the median time to one; None also: none was seen."""
    why: str | None
    """Why there is no range."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Preflight:
    at: datetime
    workload: Workload
    asked: str | None
    """The machine type that was asked about."""
    choices: tuple[Choice, ...]
    """The type that was asked about alone; else one a cloud, the smallest first."""
    no_choice: str | None
    """Why there is no machine."""
    need: NextRun
    data: DataAnswer
    home: tuple[HomeCards, ...]
    cost: Cost

    @property
    def may_leave(self) -> bool | None:
        """None: its maturity, or something else that was asked for, is unknown."""
        if self.workload.maturity.verdict is Verdict.UNKNOWN:
            return None
        if any(self.against):
            return False
        unknown_type = self.asked is not None and not self.choices
        unknown_data = self.data.may_leave is None and self.data.must_be_known
        return None if unknown_type or unknown_data else True

    @property
    def against(self) -> tuple[str, ...]:
        """What forbids it, each in a sentence."""
        return tuple(self._against())

    def _against(self) -> Iterator[str]:
        maturity = self.workload.maturity
        if maturity.verdict is Verdict.EXPLORATORY:
            yield "it is not mature"
        if self.data.may_leave is False:
            yield self.data.why
        if _beyond(self.need.gpus, maturity):
            yield f"its newest run used {self.need.gpus} GPUs: {_proven(maturity)}"
        if self.asked is None:
            return
        for each in self.choices:
            if each.fits is False:
                yield f"it does not fit {each.machine.machine_type}"
            if each.in_scope is False:
                gpus = each.machine.gpus * self.need.nodes
                yield f"{each.machine.machine_type} has {gpus} GPUs: {_proven(maturity)}"


def preflight(
    known: Known,
    name: str,
    *,
    machine_type: str | None,
    regions: Sequence[str] | None,
    restricted: Sequence[str],
) -> Preflight:
    """`name`: a workload's, or `group/name`. One that nobody knows has an unknown maturity."""
    workload = named(known.workloads, name) or _nobody(name, known.now)
    workload = with_burst(workload, known, regions=regions)
    runs = known.runs.get(workload.key, ())
    need = next_run(runs, as_of=known.now)
    choices, no_choice = _choices(need, workload.maturity, machine_type, regions)
    return Preflight(
        at=known.now,
        workload=workload,
        asked=machine_type,
        choices=choices,
        no_choice=no_choice,
        need=need,
        data=_data(need, workload.key, known.attributions, restricted),
        home=home_cards(_everything(known)),
        cost=_cost(need, choices),
    )


def _nobody(name: str, now: datetime) -> Workload:
    group, _, bare = name.rpartition("/")
    return Workload(
        key=WorkloadKey(group=group or None, name=bare),
        kind=WorkloadKind.UNKNOWN,
        maturity=unknown_maturity(now),
    )


def _everything(known: Known) -> list[Run]:
    return [run for several in known.runs.values() for run in several]


def _choices(
    need: NextRun, maturity: Maturity, asked: str | None, regions: Sequence[str] | None
) -> tuple[tuple[Choice, ...], str | None]:
    if asked is not None:
        found = rentable(asked, regions)
        if found is None:
            near = near_types(asked)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            return (), f"the catalogue does not know the machine type {asked}{hint}"
        return (_choice(found, need, maturity),), None
    if need.gpus == 0:
        return (), "its newest run used no GPU, and the catalogue lists machines with accelerators"
    if need.needs_mib is None or need.gpus is None:
        return (), unknown_need(need)
    machines = fitting_machines(need, regions=regions)
    if not machines:
        size = f"{need.gpus_a_node} GPUs of {need.needs_mib / 1024:.1f} GiB"
        return (), f"no machine in the catalogue has {size}"
    return tuple(_choice(each, need, maturity) for each in machines), None


def _choice(machine: Rentable, need: NextRun, maturity: Maturity) -> Choice:
    proven = maturity.proven_gpus
    return Choice(
        machine=machine,
        fits=need.fits(machine.gpus, machine.gpu_memory_mib),
        in_scope=None if proven is None else machine.gpus * need.nodes <= proven,
    )


def _beyond(gpus: int | None, maturity: Maturity) -> bool:
    return gpus is not None and maturity.proven_gpus is not None and gpus > maturity.proven_gpus


def _proven(maturity: Maturity) -> str:
    if maturity.proven_gpus == 1:
        return "only 1 GPU is proven"
    return f"only {maturity.proven_gpus} GPUs are proven"


def _data(
    need: NextRun, key: WorkloadKey, attributions: Sequence[Row], restricted: Sequence[str]
) -> DataAnswer:
    """By the newest runs and by tags or mapping of its machines. Classes in any case."""
    classes = tuple(sorted({*need.data_classes, *_classes_of(key, attributions)}))
    forbidden = {each.lower() for each in restricted}
    kept = [each for each in classes if each.lower() in forbidden]
    may: bool | None = not kept
    if kept:
        why = f"its data is {', '.join(kept)}, which must not leave (restricted_data_classes)"
    elif classes:
        why = f"its data is {', '.join(classes)}, which no setting restricts"
    else:
        may = None
        must_not = (
            f"{', '.join(restricted)} must not leave" if restricted else "no class is restricted"
        )
        why = f"nobody tells its data class (data_class of runs, tags or mapping); {must_not}"
    return DataAnswer(classes=classes, may_leave=may, why=why, must_be_known=bool(restricted))


def _classes_of(key: WorkloadKey, attributions: Sequence[Row]) -> Iterator[str]:
    for row in attributions:
        group = row["workload_group"] or row["owner"]
        if row["workload"] == key.name and group in {key.group, None} and row["data_class"]:
            yield str(row["data_class"])


def _cost(need: NextRun, choices: Sequence[Choice]) -> Cost:
    nothing = Cost(low_usd=None, likely_usd=None, high_usd=None, failure_usd=None, why=None)
    if not choices:
        return replace(nothing, why="no machine to price")
    machine = choices[0].machine
    if machine.price.hourly_usd is None:
        return replace(nothing, why=machine.price.why)
    failure = _usd(machine, need.failure_s, need)
    if need.duration is None:
        few = f"{need.timed} of at least 3 successes tell their duration"
        return replace(nothing, failure_usd=failure, why=few)
    return Cost(
        low_usd=_usd(machine, need.duration.low_s, need),
        likely_usd=_usd(machine, need.duration.median_s, need),
        high_usd=_usd(machine, need.duration.high_s, need),
        failure_usd=failure,
        why=None,
    )


def _usd(machine: Rentable, seconds: float | None, need: NextRun) -> Decimal | None:
    if seconds is None:
        return None
    return rent_usd(machine, hours=seconds / HOUR_S, nodes=need.nodes)
