"""What conditions and budgets are told of dollars: from the ledger's charges, and never a guess."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.budgets import Level
from policies.facts import WorkloadKey
from policies.maturity import unknown_maturity
from policies.rules import Policy, load_policy
from policies.verdicts import Maturity, Verdict
from tests.builders import attribution
from tests.watchdog.ledger.facts import NOW, charge
from tests.watchdog.ledger.facts import attribution as attributed
from watchdog.ledger.store import Ledger
from watchdog.spending import Spending, spending_of

EVERY_NAME = """
schema: spend-watchdog/policy/1
rules:
  - name: all
    when: >-
      cost.day_usd > 1 || cost.week_usd > 1 || cost.owner_day_usd > 1 || cost.owner_week_usd > 1
      || cost.fleet_day_usd > 1 || cost.fleet_week_usd > 1
    because: a test wants it
    then: notify
"""
BUDGETS = """
budgets:
  - {name: all, usd_per_week: 100, then: stop}
  - {name: ana's, owner: ana, usd_per_week: 100}
  - {name: llama's, workload: llama, usd_per_week: 100}
  - {name: bert's, workload: ana/bert, usd_per_week: 100}
"""
EXPLORATORY, MATURE = Verdict.EXPLORATORY, Verdict.MATURE


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def spent(ledger: Ledger, machine: str, *usd: str | None, hours_ago: int = 2, **told: Any) -> None:
    """A charge an hour, of a machine that belongs to a workload of an owner."""
    ledger.append(
        "charges",
        [
            charge(
                hours_ago=hours_ago + n,
                ResourceId=machine,
                ListCost=None if each is None else Decimal(each),
                ConsumedUnit="Hours",
            )
            for n, each in enumerate(usd)
        ],
    )
    ledger.append("attributions", [attributed(resource=machine, **told)])


def policy(budgets: str = "") -> Policy:
    return load_policy(EVERY_NAME + budgets, "p.yaml")


def told(ledger: Ledger, budgets: str = "", **verdicts: Verdict) -> Spending:
    maturities: dict[WorkloadKey, Maturity] = {
        WorkloadKey(group=None, name=name): replace(unknown_maturity(NOW), verdict=verdict)
        for name, verdict in verdicts.items()
    }
    return spending_of(ledger, policy(budgets), maturities, NOW)


def test_dollars_of_workload_owner_and_fleet_by_day_and_week(ledger: Ledger) -> None:
    spent(ledger, "m-1", "10", "20", workload="llama", owner="ana")
    spent(ledger, "m-2", "5", hours_ago=50, workload="bert", owner="ana")
    spent(ledger, "m-3", "7", hours_ago=200, workload="llama", owner="ana")
    spent(ledger, "m-4", "100", workload="other", owner="bob")
    spent(ledger, "m-5", "1", workload=None, owner=None)
    assert told(ledger).of(attribution("llama", owner="ana")) == {
        "day_usd": Decimal(30),
        "week_usd": Decimal(30),
        "owner_day_usd": Decimal(30),
        "owner_week_usd": Decimal(35),
        "fleet_day_usd": Decimal(131),
        "fleet_week_usd": Decimal(136),
    }


def test_a_sum_of_which_a_part_has_no_price_is_unknown(ledger: Ledger) -> None:
    spent(ledger, "m-1", "10", None, workload="llama", owner="ana")
    spent(ledger, "m-2", "5", workload="bert", owner="bob")
    spending = told(ledger)
    assert spending.of(attribution("llama", owner="ana")) == {}
    assert spending.of(attribution("bert", owner="bob")) == {
        "day_usd": Decimal(5),
        "week_usd": Decimal(5),
        "owner_day_usd": Decimal(5),
        "owner_week_usd": Decimal(5),
    }


def test_what_was_never_metered_is_unknown_and_not_zero(ledger: Ledger) -> None:
    spent(ledger, "m-1", "10", workload="llama", owner="ana")
    fleet = {"fleet_day_usd": Decimal(10), "fleet_week_usd": Decimal(10)}
    spending = told(ledger)
    assert spending.of(attribution("new", owner="eve")) == fleet
    assert spending.of(attribution(None)) == fleet


def test_nothing_is_asked_that_the_policy_does_not_ask_for(ledger: Ledger) -> None:
    plain = load_policy(
        "schema: spend-watchdog/policy/1\n"
        "rules: [{name: a, when: cost.idle_usd > 1, because: b, then: notify}]",
        "p.yaml",
    )
    spending = spending_of(ledger, plain, {}, NOW)
    assert (spending.sums, spending.budgets) == ({}, ())


def levels(spending: Spending) -> dict[str, tuple[str, Level]]:
    return {each.budget.name: (f"{each.usd:.0f}", each.level) for each in spending.budgets}


def test_only_what_is_known_to_be_exploratory_counts_to_budgets(ledger: Ledger) -> None:
    spent(ledger, "m-1", "90", workload="llama", owner="ana")
    spent(ledger, "m-2", "30", workload="bert", owner="ana")
    spent(ledger, "m-3", "500", workload="ready", owner="ana")
    spent(ledger, "m-4", "500", workload="unheard", owner="ana")
    spent(ledger, "m-5", "500", workload=None)
    verdicts = {"llama": EXPLORATORY, "bert": EXPLORATORY, "ready": MATURE}
    assert levels(told(ledger, BUDGETS, **verdicts)) == {
        "all": ("120", Level.OVER),
        "ana's": ("120", Level.OVER),
        "llama's": ("90", Level.NEAR),
        "bert's": ("30", Level.UNDER),
    }


def test_an_unpriced_part_makes_a_budget_unknown_unless_the_rest_is_over(ledger: Ledger) -> None:
    spent(ledger, "m-1", "90", None, workload="llama", owner="ana")
    spent(ledger, "m-2", "30", workload="bert", owner="bob")
    verdicts = {"llama": EXPLORATORY, "bert": EXPLORATORY}
    spending = told(ledger, BUDGETS, **verdicts)
    assert levels(spending) == {
        "all": ("120", Level.OVER),
        "ana's": ("90", Level.UNKNOWN),
        "llama's": ("90", Level.UNKNOWN),
        "bert's": ("0", Level.UNDER),
    }
    sentences = [each.told for each in spending.budgets]
    assert sentences[0] == (
        "budget all: at least 120.00 of 100 USD a week are spent on exploratory work"
    )
    assert sentences[1].startswith("budget ana's: at least 90.00 of 100 USD a week are spent")
    assert "nobody knows whether it is kept" in sentences[1]


def test_of_work_that_several_people_own_nobody_knows_how_much_is_whose(ledger: Ledger) -> None:
    spent(ledger, "m-1", "50", workload="llama", owner="ana", workload_group="nlp")
    spent(ledger, "m-2", "50", workload="llama", owner="bob", workload_group="nlp")
    found = levels(told(ledger, BUDGETS, llama=EXPLORATORY))
    assert found["ana's"] == ("0", Level.UNKNOWN)
    assert found["llama's"] == ("100", Level.NEAR)


def test_a_week_is_seven_days(ledger: Ledger) -> None:
    spent(ledger, "m-1", "300", hours_ago=7 * 24 + 1, workload="llama")
    assert levels(told(ledger, BUDGETS, llama=EXPLORATORY))["all"] == ("0", Level.UNDER)
    later = spending_of(ledger, policy(), {}, NOW - timedelta(hours=2))
    assert later.of(attribution("llama"))["week_usd"] == 300
