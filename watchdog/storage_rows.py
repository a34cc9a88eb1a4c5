"""Storage becomes rows of the ledger, and its rows become eras again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal

from policies.facts import Storage, StorageEra, StorageMeter
from watchdog.gather import NANO

Row = Mapping[str, object]
PRESENT, GONE = "present", "gone"


def storage_row(storage: Storage, observed_at: datetime) -> dict[str, object]:
    """`storage` with its eras completed: the last one is stored."""
    era = storage.eras[-1] if storage.eras else None
    return {
        "observed_at": observed_at,
        "id": storage.id,
        "kind": storage.kind,
        "provider": storage.provider,
        "account": storage.account,
        "region": storage.region,
        "name": storage.name,
        "state": PRESENT,
        "size_bytes": storage.size_bytes,
        "monthly_cost_usd": rounded(storage.monthly_cost_usd),
        "billed_from": era.started_at if era else None,
        "meters_json": _meters_json(era.meters) if era else None,
        "attached_to": storage.attached_to,
        "attached_at": storage.attached_at,
        "unattached_since": storage.unattached_since,
        "made_from": storage.made_from,
        "created_at": storage.created_at,
        "sized_at": storage.sized_at,
        "tags_json": json.dumps(dict(sorted(storage.tags.items()))),
        "why_json": json.dumps(list(storage.why)),
    }


def era_from(row: Row) -> StorageEra | None:
    """What was billed by this row; None where nothing was known."""
    started_at, told = row["billed_from"], row["meters_json"]
    if not isinstance(started_at, datetime) or told is None:
        return None
    return StorageEra(
        started_at=started_at,
        meters=tuple(
            StorageMeter(
                name=each["name"],
                unit=each["unit"],
                quantity=_decimal(each["quantity"]),
                unit_month_usd=_decimal(each["unit_month_usd"]),
            )
            for each in json.loads(str(told))
        ),
    )


def rounded(amount: Decimal | None) -> Decimal | None:
    """Money is kept to nine places."""
    if amount is None:
        return None
    exact = amount.normalize()
    return exact.quantize(NANO) if exact != exact.quantize(NANO) else amount


def _meters_json(meters: Sequence[StorageMeter]) -> str:
    told = [
        {
            "name": meter.name,
            "unit": meter.unit,
            "quantity": _text(meter.quantity),
            "unit_month_usd": _text(meter.unit_month_usd),
        }
        for meter in meters
    ]
    return json.dumps(told)


def _text(amount: Decimal | None) -> str | None:
    return None if amount is None else str(amount)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)
