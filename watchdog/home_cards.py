"""The cards at home: those that NVML sees here, else those that runs at home told of."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from policies.burst import HOME
from policies.facts import Run
from policies.next_run import NextRun
from providers.base import ProviderUnavailable
from providers.local import nvml
from providers.local.nvml import Sample

HERE = "this workstation"


@dataclass(frozen=True, slots=True, kw_only=True)
class HomeCards:
    """Cards of one kind at one place."""

    where: str
    model: str | None
    gpus: int
    memory_mib: int | None
    seen_by: str
    """`NVML`, or `runs`: then as many as a run used, and there may be more."""


def home_cards(
    runs: Sequence[Run], *, sampler: Callable[[], Sample] = nvml.sample
) -> tuple[HomeCards, ...]:
    """Empty: neither a driver nor a run at home tells of one."""
    return _here(sampler) or _of_runs(runs)


def _here(sampler: Callable[[], Sample]) -> tuple[HomeCards, ...]:
    try:
        devices = sampler().devices
    except (ProviderUnavailable, ModuleNotFoundError):
        return ()
    kinds = Counter((device.model, _whole(device.memory_total_mib)) for device in devices)
    return tuple(
        HomeCards(where=HERE, model=model, gpus=count, memory_mib=memory_mib, seen_by="NVML")
        for (model, memory_mib), count in kinds.items()
    )


def _whole(mib: float | None) -> int | None:
    return None if mib is None else int(mib)


def _of_runs(runs: Sequence[Run]) -> tuple[HomeCards, ...]:
    """By host the newest kind of card, with the most of them that a run used."""
    found: dict[str, HomeCards] = {}
    for run in sorted(runs, key=lambda each: each.started_at):
        if run.location != HOME or not run.gpus or run.gpu_memory_mib is None:
            continue
        where = run.host or "a host without a name"
        before = found.get(where)
        same = before is not None and before.memory_mib == run.gpu_memory_mib
        gpus = max(run.gpus, before.gpus) if before is not None and same else run.gpus
        found[where] = HomeCards(
            where=where,
            model=run.gpu_model,
            gpus=gpus,
            memory_mib=run.gpu_memory_mib,
            seen_by="runs",
        )
    return tuple(found.values())


def fit_told(cards: HomeCards, need: NextRun) -> str:
    """`fits the 24 GB RTX 3090 in this workstation, with 1.2 GiB to spare`."""
    size = "size unknown" if cards.memory_mib is None else f"{cards.memory_mib / 1024:.0f} GB"
    count = "the" if cards.gpus == 1 else f"the {cards.gpus} ×"
    name = f"{count} {size} {cards.model or 'card'} {'in' if cards.where == HERE else 'on'}"
    place = f"{name} {cards.where}"
    fits = need.fits(cards.gpus, cards.memory_mib)
    if fits is None:
        return f"whether it fits {place} is unknown: {unknown_need(need)}"
    if not fits:
        return f"does not fit {place}: {_short_of(cards, need)}"
    spare_mib = (cards.memory_mib or 0) - (need.peak_mib or 0)
    return f"fits {place}, with {spare_mib / 1024:.1f} GiB to spare"


def unknown_need(need: NextRun) -> str:
    if need.peak_mib is None:
        return "no recent run tells its peak GPU memory"
    if need.gpus is None:
        return "no run tells its number of GPUs"
    return "the card's memory is unknown"


def _short_of(cards: HomeCards, need: NextRun) -> str:
    if need.gpus_a_node is not None and cards.gpus < need.gpus_a_node:
        more = "" if cards.seen_by == "NVML" else " as far as runs tell"
        return (
            f"its newest run used {need.gpus_a_node} GPUs a machine, there are {cards.gpus}{more}"
        )
    if need.too_small_mib is not None and (cards.memory_mib or 0) <= need.too_small_mib:
        return "a recent run ran out of memory on a card of that size"
    return f"it peaked at {(need.peak_mib or 0) / 1024:.1f} GiB on one GPU"
