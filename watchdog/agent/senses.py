"""What the agent perceives: one callable each, so that a test may tell it something else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from providers.identity import Identity, Unidentified, whoami
from providers.local.containers import ContainerEnd, ended_containers
from providers.local.host import Counters, counters, out_of_memory_kills
from providers.local.last_input import last_input_at
from providers.local.nvml import Driver, Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Senses:
    sample: Callable[[], Sample]
    """Raises `ProviderUnavailable` where no GPU can be asked."""
    counters: Callable[[], Counters | None] = counters
    last_input: Callable[[], datetime | None] = last_input_at
    ended_containers: Callable[[datetime, datetime], tuple[ContainerEnd, ...] | None] = (
        ended_containers
    )
    memory_kills: Callable[[], int | None] = out_of_memory_kills
    """How many processes the kernel ended since boot because memory ran out."""
    whoami: Callable[[], Identity | Unidentified] = whoami


def of_this_machine() -> Senses:
    return Senses(sample=Driver().sample)
