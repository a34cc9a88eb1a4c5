"""What workloads burn: metered dollars of the last seven days, by workload."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.facts import WorkloadKey
from watchdog.costs.running_time import hour_of
from watchdog.json_values import moment, money
from watchdog.rows import Row

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

BURNED_OVER = timedelta(days=7)
HOUR = timedelta(hours=1)
CENT = Decimal("0.01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was metered for one workload, on whatever cloud."""

    since: datetime
    until: datetime
    """Both on a clock hour."""
    usd: Decimal | None
    """The sum of what is priced; None: nothing was metered, or nothing of it has a price."""
    unpriced_hours: float
    """Machine hours without a price, which are in no dollars."""
    metered: bool
    """Whether anything was."""
    whole: bool
    """False: something has no price, and is in no dollars."""

    @property
    def why(self) -> str | None:
        """What the figure leaves out; None: nothing."""
        if not self.metered:
            return "nothing was metered for it"
        if self.whole:
            return None
        return f"{self.unpriced_hours:.1f} machine hours, or other use, have no price"


def spent_lately(
    ledger: Ledger, keys: Collection[WorkloadKey], *, now: datetime
) -> dict[WorkloadKey, Spent]:
    """For each of the workloads; charges of others are left out."""
    since, until = hour_of(now) - BURNED_OVER, hour_of(now) + HOUR
    cells: Mapping[WorkloadKey, list[Row]] = defaultdict(list)
    for cell in ledger.rows("breakdown", by="workload", since=since, until=until):
        key = _owner_of(cell, keys)
        if key is not None:
            cells[key].append(cell)
    return {key: _spent(cells.get(key, []), since, until) for key in keys}


def _owner_of(cell: Row, keys: Collection[WorkloadKey]) -> WorkloadKey | None:
    """Where the group is told on one side only, the name must be unique."""
    name, group = cell["key"], cell["qualifier"]
    if name is None:
        return None
    exact = WorkloadKey(group=None if group is None else str(group), name=str(name))
    if exact in keys:
        return exact
    named = [key for key in keys if key.name == exact.name]
    if len(named) != 1 or (exact.group is not None and named[0].group is not None):
        return None
    return named[0]


def _spent(cells: list[Row], since: datetime, until: datetime) -> Spent:
    known = [usd for cell in cells if isinstance(usd := cell["usd"], Decimal)]
    hours = [each for cell in cells if isinstance(each := cell["unpriced_hours"], float)]
    return Spent(
        since=since,
        until=until,
        usd=sum(known, Decimal(0)) if known else None,
        unpriced_hours=sum(hours),
        metered=bool(cells),
        whole=not any(cell["unpriced"] for cell in cells),
    )


def spent_json(spent: Spent) -> dict[str, object]:
    return {
        "from": moment(spent.since),
        "until": moment(spent.until),
        "usd": money(spent.usd),
        "unpriced_hours": round(spent.unpriced_hours, 6),
        "why": spent.why,
    }


def spent_told(spent: Spent) -> str:
    """`12.34 USD`, `12.34 USD and more`, `unpriced`, `–` where nothing was metered."""
    if not spent.metered:
        return "–"
    if spent.usd is None:
        return "unpriced"
    dollars = f"{spent.usd.quantize(CENT):,} USD"
    return dollars if spent.whole else f"{dollars} and more"
