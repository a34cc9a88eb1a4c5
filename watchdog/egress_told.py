"""What was told of egress when it was read last: it is told again until the next hour ends."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from policies.facts import Attribution, EgressMeter, Scope, WorkloadKind
from watchdog import rows
from watchdog.patrol_report import MeteredEgress

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

KIND = "egress_read"


@dataclass(frozen=True, slots=True, kw_only=True)
class EgressTold:
    """The meters of one scope, as the patrol told them that read them."""

    read_at: datetime
    read_from: datetime
    """Where the hours begin that were read."""
    meters: tuple[MeteredEgress, ...]


def egress_told(ledger: Ledger) -> dict[Scope, EgressTold]:
    """By scope, what was told last."""
    found = {}
    for row in ledger.rows("egress_told"):
        detail: Any = json.loads(str(row["detail_json"]))
        found[Scope(**detail["scope"])] = EgressTold(
            read_at=rows.moment_of(row["at"]),
            read_from=datetime.fromisoformat(detail["read_from"]),
            meters=tuple(_meter_from(each) for each in detail["meters"]),
        )
    return found


def remember_told(
    ledger: Ledger,
    read: Mapping[Scope, datetime],
    meters: Sequence[MeteredEgress],
    now: datetime,
) -> None:
    """`read`: the scopes that were read whole, and from when on. One row a scope, the newest."""
    by_place: dict[tuple[str, ...], list[MeteredEgress]] = defaultdict(list)
    for each in meters:
        by_place[tuple(each.meter.id.split(":", 3)[:3])].append(each)
    ledger.append(
        "events",
        [
            rows.event_row(
                subject=f"egress/{':'.join(_place(scope))}",
                n="told",
                at=now,
                kind=KIND,
                machine=None,
                detail={
                    "scope": asdict(scope),
                    "read_from": begin.isoformat(),
                    "meters": [asdict(each) for each in by_place[_place(scope)]],
                },
                observed_at=now,
            )
            for scope, begin in read.items()
        ],
    )


def told_again(
    told: EgressTold, attributed: Mapping[str, Attribution]
) -> tuple[MeteredEgress, ...]:
    """The same meters; `attributed`: what their resources are attributed to by now."""
    return tuple(
        replace(each, attribution=attributed.get(each.meter.id, each.attribution))
        for each in told.meters
    )


def _place(scope: Scope) -> tuple[str, ...]:
    return (scope.provider, scope.account or "unknown", scope.region or "unknown")


def _meter_from(told: Mapping[str, Any]) -> MeteredEgress:
    meter, attribution = told["meter"], told["attribution"]
    cost = meter["cost_usd"]
    return MeteredEgress(
        meter=EgressMeter(
            **{
                **meter,
                "started_at": datetime.fromisoformat(meter["started_at"]),
                "ended_at": datetime.fromisoformat(meter["ended_at"]),
                "cost_usd": None if cost is None else Decimal(cost),
                "why": tuple(meter["why"]),
            }
        ),
        name=told["name"],
        attribution=Attribution(
            **{
                **attribution,
                "started_at": datetime.fromisoformat(attribution["started_at"]),
                "ended_at": _moment(attribution["ended_at"]),
                "kind": WorkloadKind(attribution["kind"]),
            }
        ),
        upper_bound=told["upper_bound"],
    )


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
