"""The prices in use as a frame, for `prices show` and for notebooks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.facts import Purchase
from providers.catalog import egress_offers
from providers.catalog.offers import rows, sources
from watchdog.refreshing_prices import LINUX

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.refreshing_prices import Refreshed

Row = Mapping[str, object]


def price_frame(
    *,
    provider: str | None,
    region: str | None,
    machine_type: str | None,
    refreshed: Iterable[Row] = (),
) -> pd.DataFrame:
    """One row an offer; None does not filter. `machine_type` may be the beginning of one.

    `refreshed`: rows of the ledger's view `prices`, which stand in place of the catalogue's.
    """
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    local = [_of_ledger(row) for row in refreshed]
    replaced = {_place(row) for row in local if row["component"] is None}
    catalogue = [row for row in _of_catalogue() if _place(row) not in replaced]
    wanted = [
        row
        for row in (*local, *catalogue)
        if (provider is None or row["provider"] == provider)
        and (region is None or row["region"] == region)
        and (machine_type is None or str(row["machine_type"]).startswith(machine_type))
    ]
    return pd.DataFrame(wanted)


def _of_catalogue() -> Iterable[dict[str, object]]:
    for each in rows():
        yield {
            "provider": each.provider,
            "region": each.region,
            "machine_type": each.machine_type,
            "purchase": each.purchase.value,
            "hourly_usd": each.hourly_usd,
            "source": each.source.name,
            "as_of": each.source.as_of,
            "note": each.note,
            "operating_system": LINUX,
            "component": None,
        }


def _of_ledger(row: Row) -> dict[str, object]:
    return {
        "provider": row["provider"],
        "region": row["region"],
        "machine_type": row["machine_type"],
        "purchase": Purchase.ON_DEMAND.value,
        "hourly_usd": row["hourly_usd"],
        "source": row["source"],
        "as_of": row["as_of"],
        "note": _note(row),
        "operating_system": row["operating_system"],
        "component": row["component"],
    }


def _note(row: Row) -> str | None:
    told = [] if row["why"] is None else [str(row["why"])]
    was, at = row["changed_from_usd"], row["changed_at"]
    if isinstance(was, Decimal) and isinstance(at, datetime):
        told.append(f"it was {was.normalize():f} until {at.astimezone(UTC):%Y-%m-%d}")
    return "; ".join(told) or None


def _place(row: Row) -> tuple[object, ...]:
    names = ("provider", "region", "machine_type", "purchase", "operating_system")
    return tuple(row[name] for name in names)


def refreshed_frame(refreshed: Iterable[Refreshed]) -> pd.DataFrame:
    """One row a price that was read, with the one that was in use before."""
    import pandas as pd  # noqa: PLC0415 - the command line must start without it

    return pd.DataFrame(
        [
            {
                "provider": each.price.provider,
                "region": each.price.region,
                "machine_type": each.price.machine_type,
                "operating_system": each.price.operating_system,
                "component": each.price.component,
                "hourly_usd": each.price.hourly_usd,
                "was_usd": each.was_usd,
                "changed": each.changed,
                "source": each.price.source,
                "as_of": each.price.as_of,
                "why": each.price.why,
            }
            for each in refreshed
        ]
    )


def source_rows(refreshed: Iterable[Row] = ()) -> list[dict[str, object]]:
    """`refreshed`: as in `price_frame`; each price list is a source."""
    newest: dict[str, str] = {}
    for row in refreshed:
        name = str(row["source"])
        newest[name] = max(newest.get(name, ""), str(row["as_of"] or ""))
    lists = [
        {
            "id": name,
            "name": name,
            "origin": "prices refresh",
            "licence": None,
            "as_of": as_of or None,
            "covers": "what patrols saw and what was asked for",
            "leaves_out": "discounts, disks, addresses and traffic",
        }
        for name, as_of in sorted(newest.items())
    ]
    catalogue = [asdict(each) for each in (*sources(), *egress_offers.SOURCES.values())]
    return [*lists, *catalogue]


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
