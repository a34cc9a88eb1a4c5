"""Which machine of the catalogue the next run fits, and what it costs to rent."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from policies.next_run import NextRun
from providers.catalog.fitting import Rentable, maker_of, smallest

CENT = Decimal("0.01")
USUAL_MAKER = "NVIDIA"
"""Of a GPU that the catalogue does not know, a workstation's card most of all."""


def fitting_machines(need: NextRun, *, regions: Sequence[str] | None) -> tuple[Rentable, ...]:
    """One a cloud, the smallest first. Empty: none fits, or what it needs is unknown."""
    if need.needs_mib is None or not need.gpus_a_node:
        return ()
    return smallest(
        gpus=need.gpus_a_node,
        memory_mib=need.needs_mib,
        maker=maker_of(need.gpu_model) or USUAL_MAKER,
        regions=regions,
    )


def rent_usd(machine: Rentable, *, hours: float, nodes: int) -> Decimal | None:
    """None: no price is known."""
    hourly = machine.price.hourly_usd
    if hourly is None:
        return None
    return (hourly * nodes * Decimal(str(hours))).quantize(CENT)
