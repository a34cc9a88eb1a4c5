"""Weekly budgets of exploratory work: what is spent of them, and what follows from that."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from policies.facts import Attribution
from policies.rules import Budget

NEAR = Decimal("0.8")
"""From this share of a budget on, people are told."""
CENT = Decimal("0.01")


class Level(StrEnum):
    UNDER = "under"
    NEAR = "near"
    OVER = "over"
    UNKNOWN = "unknown"
    """Something has no price, and what has one does not say enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetState:
    """A budget, and what exploratory work within it cost in the last seven days."""

    budget: Budget
    usd: Decimal
    """The sum of what has a price."""
    whole: bool
    """False: something has none, so that the sum is the least that was spent."""

    @property
    def level(self) -> Level:
        """What was not priced counts neither as under nor as over."""
        if self.usd > self.budget.usd_per_week:
            return Level.OVER
        if not self.whole:
            return Level.UNKNOWN
        return Level.NEAR if self.usd >= NEAR * self.budget.usd_per_week else Level.UNDER

    @property
    def told(self) -> str:
        """`budget exploration: 412.00 of 500 USD a week are spent on exploratory work`."""
        budget = self.budget
        least = "" if self.whole else "at least "
        rest = "" if self.whole else "; the rest has no price, so nobody knows whether it is kept"
        if self.level is Level.OVER:
            rest = ""
        amount = f"{self.usd.quantize(CENT):,} of {budget.usd_per_week:,} USD a week"
        return f"budget {budget.name}: {least}{amount} are spent on exploratory work{rest}"

    def covers(self, attribution: Attribution) -> bool:
        """Whether this work is paid from it, were it exploratory."""
        budget = self.budget
        if budget.workload is not None:
            return budget.workload in {attribution.workload, str(attribution.key)}
        return budget.owner is None or budget.owner == attribution.owner
