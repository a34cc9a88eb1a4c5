"""What was metered lately, for the conditions and budgets of a policy that ask for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from policies.budgets import BudgetState
from policies.facts import Attribution, WorkloadKey
from policies.maturity import matching
from policies.rules import Budget, Policy
from policies.verdicts import Maturity, Verdict
from watchdog.costs.running_time import hour_of
from watchdog.rows import Row, attribution_from

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

DAY, WEEK, HOUR = timedelta(days=1), timedelta(days=7), timedelta(hours=1)
FIELDS = {
    "cost.day_usd": "day_usd",
    "cost.week_usd": "week_usd",
    "cost.owner_day_usd": "owner_day_usd",
    "cost.owner_week_usd": "owner_week_usd",
    "cost.fleet_day_usd": "fleet_day_usd",
    "cost.fleet_week_usd": "fleet_week_usd",
}
"""By name of a condition, where a case holds it."""
OVER = {name: WEEK if "week" in name else DAY for name in FIELDS}


@dataclass(frozen=True, slots=True)
class Sum:
    """Dollars of what is priced, and whether that is all of it."""

    usd: Decimal
    whole: bool

    def __add__(self, other: Sum) -> Sum:
        return Sum(self.usd + other.usd, self.whole and other.whole)


NOTHING = Sum(Decimal(0), whole=True)
Sums = Mapping[WorkloadKey | str | None, Sum]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """By name of a condition: what was metered of each workload, owner or of all."""

    sums: Mapping[str, Sums]
    budgets: tuple[BudgetState, ...] = ()

    def of(self, attribution: Attribution) -> dict[str, Decimal]:
        """The fields of a case that are known; what a part of has no price is not."""
        found = {}
        for name, sums in self.sums.items():
            metered = _metered(name, sums, attribution)
            if metered is not None and metered.whole:
                found[FIELDS[name]] = metered.usd
        return found


NO_SPENDING = Spending(sums={})


def _metered(name: str, sums: Sums, attribution: Attribution) -> Sum | None:
    """None: nothing was metered, or nobody knows whose it is."""
    if "fleet" in name:
        return sums.get(None)
    if "owner" in name:
        return None if attribution.owner is None else sums.get(attribution.owner)
    workloads = {key: told for key, told in sums.items() if isinstance(key, WorkloadKey)}
    return matching(workloads, attribution.key)


def spending_of(
    ledger: Ledger,
    policy: Policy,
    maturities: Mapping[WorkloadKey, Maturity],
    now: datetime,
) -> Spending:
    """Asks the ledger only for what the policy asks for."""
    asked = sorted(policy.names & FIELDS.keys())
    weekly = _by_workload(ledger, WEEK, now) if policy.budgets else {}
    return Spending(
        sums={name: _sums(ledger, name, now) for name in asked},
        budgets=_budgets(ledger, policy.budgets, weekly, maturities),
    )


def _sums(ledger: Ledger, name: str, now: datetime) -> Sums:
    over = OVER[name]
    if "owner" in name:
        return _added((row["key"], row) for row in _cells(ledger, "owner", over, now))
    if "fleet" in name:
        return _added((None, row) for row in _cells(ledger, "phase", over, now))
    return _by_workload(ledger, over, now)


def _by_workload(ledger: Ledger, over: timedelta, now: datetime) -> Sums:
    return _added(
        (
            WorkloadKey(
                group=None if row["qualifier"] is None else str(row["qualifier"]),
                name=str(row["key"]),
            ),
            row,
        )
        for row in _cells(ledger, "workload", over, now)
        if row["key"] is not None
    )


def _cells(ledger: Ledger, by: str, over: timedelta, now: datetime) -> list[Row]:
    """Whole clock hours, and the one that runs."""
    since = hour_of(now) - over
    return list(ledger.rows("breakdown", by=by, since=since, until=hour_of(now) + HOUR))


def _added(cells: Iterable[tuple[object, Row]]) -> Sums:
    sums: dict[WorkloadKey | str | None, Sum] = defaultdict(lambda: NOTHING)
    for key, row in cells:
        usd = row["usd"]
        known = usd if isinstance(usd, Decimal) else Decimal(0)
        named = key if isinstance(key, WorkloadKey | str) else None
        sums[named] += Sum(known, whole=not row["unpriced"])
    return dict(sums)


def _budgets(
    ledger: Ledger,
    budgets: Sequence[Budget],
    weekly: Sums,
    maturities: Mapping[WorkloadKey, Maturity],
) -> tuple[BudgetState, ...]:
    """Only what is known to be exploratory counts."""
    if not budgets:
        return ()
    exploratory: dict[WorkloadKey, Sum] = {}
    for key, metered in weekly.items():
        if isinstance(key, WorkloadKey):
            maturity = matching(maturities, key)
            if maturity is not None and maturity.verdict is Verdict.EXPLORATORY:
                exploratory[key] = metered
    owners = _owners(ledger) if any(each.owner is not None for each in budgets) else {}
    states = []
    for budget in budgets:
        spent = sum(
            (_share(budget, key, each, owners) for key, each in exploratory.items()), NOTHING
        )
        states.append(BudgetState(budget=budget, usd=spent.usd, whole=spent.whole))
    return tuple(states)


def _share(
    budget: Budget, key: WorkloadKey, metered: Sum, owners: Mapping[WorkloadKey, set[str | None]]
) -> Sum:
    """What counts to the budget. Of work that several people own nobody knows how much is whose."""
    if budget.workload is not None:
        return metered if budget.workload in {key.name, str(key)} else NOTHING
    if budget.owner is None:
        return metered
    known = owners.get(key, set())
    if known == {budget.owner}:
        return metered
    return Sum(Decimal(0), whole=False) if budget.owner in known and metered.usd else NOTHING


def _owners(ledger: Ledger) -> Mapping[WorkloadKey, set[str | None]]:
    found: dict[WorkloadKey, set[str | None]] = defaultdict(set)
    for row in ledger.rows("attributions"):
        attribution = attribution_from(row)
        if attribution.key is not None:
            found[attribution.key].add(attribution.owner)
    return found
