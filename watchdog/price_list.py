"""The offline prices as a frame, for `prices show` and for notebooks."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from providers.catalog import egress_offers
from providers.catalog.offers import rows, sources

if TYPE_CHECKING:
    import pandas as pd


def price_frame(
    *, provider: str | None, region: str | None, machine_type: str | None
) -> pd.DataFrame:
    """One row an offer; None does not filter. `machine_type` may be the beginning of one."""
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    wanted = [
        {
            "provider": each.provider,
            "region": each.region,
            "machine_type": each.machine_type,
            "purchase": each.purchase.value,
            "hourly_usd": each.hourly_usd,
            "source": each.source.name,
            "as_of": each.source.as_of,
            "note": each.note,
        }
        for each in rows()
        if (provider is None or each.provider == provider)
        and (region is None or each.region == region)
        and (machine_type is None or each.machine_type.startswith(machine_type))
    ]
    return pd.DataFrame(wanted)


def source_rows() -> list[dict[str, object]]:
    return [asdict(each) for each in (*sources(), *egress_offers.SOURCES.values())]


def egress_rows(*, provider: str | None, region: str | None) -> list[dict[str, object]]:
    """One row a tier: what a GB of 2^30 bytes costs from this volume of the month on."""
    return [
        {
            "provider": each.provider,
            "region": each.region,
            "service": each.tariff.service,
            "from_gb": f"{tier.from_gb:f}",
            "usd_per_gb": f"{tier.usd_per_gb:f}",
            "source": each.tariff.source,
            "as_of": each.tariff.as_of,
        }
        for each in egress_offers.offers()
        if (provider is None or each.provider == provider)
        and (region is None or each.region == region)
        for tier in each.tariff.tiers
    ]
