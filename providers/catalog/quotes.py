"""What each source says that a machine type costs: one quote a source, region, type, purchase."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from providers.catalog import origins
from providers.catalog.reading import csv_rows

ON_DEMAND = "on_demand"
SPOT = "spot"
Key: TypeAlias = tuple[str, str, str, str]
"""Provider, region, machine type, purchase."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """One price as one source gives it."""

    provider: str
    region: str
    machine_type: str
    purchase: str
    usd: str
    """Dollars an hour, exact decimal text, above zero."""
    source: str

    @property
    def key(self) -> Key:
        return (self.provider, self.region, self.machine_type, self.purchase)


def quotes(folder: Path) -> tuple[Quote, ...]:
    """Every quote of every source that is carried. Prices of AWS China are in yuan: not read."""
    return (
        *_aws(folder, "aws_karpenter_aws_accel_ondemand.csv.gz", origins.KARPENTER_AWS.id),
        *_aws(folder, "aws_karpenter_gov_accel_ondemand.csv.gz", origins.KARPENTER_AWS.id),
        *_aws(folder, "aws_libcloud2023_accel_all_regions.csv.gz", origins.LIBCLOUD_AWS.id),
        *_azure(folder),
        *_gcp_cyclenerd(folder),
        *_gcp_karpenter(folder),
    )


def _aws(folder: Path, name: str, source: str) -> Iterator[Quote]:
    for row in csv_rows(folder, name, ("region", "instance_type", "usd_per_hour")):
        usd = row.price("usd_per_hour")
        if usd is not None:
            yield Quote(
                provider="aws",
                region=row.text("region"),
                machine_type=row.text("instance_type"),
                purchase=ON_DEMAND,
                usd=usd,
                source=source,
            )


def _azure(folder: Path) -> Iterator[Quote]:
    """Sizes of machines only: the source also lists dedicated hosts, which have other names."""
    name = "azure_karpenter_N_series_ondemand.csv.gz"
    for row in csv_rows(folder, name, ("region", "sku", "usd_per_hour")):
        usd = row.price("usd_per_hour")
        if usd is not None and row.text("sku").startswith("Standard_N"):
            yield Quote(
                provider="azure",
                region=row.text("region"),
                machine_type=row.text("sku"),
                purchase=ON_DEMAND,
                usd=usd,
                source=origins.KARPENTER_AZURE.id,
            )


def _gcp_cyclenerd(folder: Path) -> Iterator[Quote]:
    name = "gcp_cyclenerd_accel.csv.gz"
    for row in csv_rows(folder, name, ("machine_type", "region", "hour", "hour_spot")):
        for purchase, field in ((ON_DEMAND, "hour"), (SPOT, "hour_spot")):
            usd = row.price(field)
            if usd is not None:
                yield Quote(
                    provider="gcp",
                    region=row.text("region"),
                    machine_type=row.text("machine_type"),
                    purchase=purchase,
                    usd=usd,
                    source=origins.CYCLENERD_GCP.id,
                )


def _gcp_karpenter(folder: Path) -> Iterator[Quote]:
    name = "gcp_karpenter_accel.csv.gz"
    for row in csv_rows(folder, name, ("region", "machine_type", "kind", "usd_per_hour")):
        usd = row.price("usd_per_hour")
        if usd is not None:
            yield Quote(
                provider="gcp",
                region=row.text("region"),
                machine_type=row.text("machine_type"),
                purchase=row.one_of("kind", (ON_DEMAND, SPOT)),
                usd=usd,
                source=origins.KARPENTER_GCP.id,
            )
