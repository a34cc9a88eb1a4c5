"""What a policy file says beside its rules, through whole patrols."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Accelerator, Machine, Reading, RunOutcome
from policies.rules import GpuClass, Policy, load_pack, load_policy
from policies.verdicts import Verdict, Wanted
from tests.builders import NOW, machine, price, reading
from tests.policies.test_rules import LIMITS
from tests.shelf import Shelf
from tests.watchdog.alerts.reports import judged
from tests.watchdog.ledger.facts import run as run_row
from tests.watchdog.test_verdict_changes import Channel, ran
from watchdog.composition import parts_of
from watchdog.ledger.incidents import IncidentLog, Kept
from watchdog.ledger.store import Ledger
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import JudgedMachine, PatrolReport
from watchdog.settings import Settings
from watchdog.stop_limits import StopBudget

RULES = """
rules:
  - name: dear
    when: cost.day_usd > 0 && cost.fleet_week_usd >= cost.week_usd && confusion.findings >= 1
    because: It cost something and learnt nothing.
    then: notify
"""
HEAD = "schema: spend-watchdog/policy/1\nmode: act\n"
LOST = RunOutcome.FAILED


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def idle(machine: Machine) -> list[Reading]:
    quiet = [0.0] * 36
    host: dict[str, Any] = {
        "received_bytes": quiet,
        "sent_bytes": quiet,
        "written_bytes": quiet,
    }
    return [
        reading(quiet, resource=machine.id, memory_used_mib=quiet),
        reading(quiet, resource=machine.id, gpu=None, **host),
    ]


def passed(ledger: Ledger, policy: Policy, *, channel: Channel | None = None) -> PatrolReport:
    box = machine(tags={"spend-watchdog:workload": "llama", "spend-watchdog:owner": "ana"})
    parts = Parts(
        providers=[Shelf(box, readings=idle(box))],
        ledger=ledger,
        policy=policy,
        notifiers=[] if channel is None else [channel],
    )
    return patrol(parts, now=NOW)


def again(ledger: Ledger) -> None:
    """The same failure five times."""
    hours = [timedelta(hours=3 * n) for n in range(1, 6)]
    ledger.append(
        "runs",
        [
            run_row(
                f"r{n}",
                outcome="failed",
                error="ValueError: no such layer",
                started_at=NOW - ago,
                ended_at=NOW - ago + timedelta(hours=2),
                gpus=1,
            )
            for n, ago in enumerate(hours)
        ],
    )


def test_the_first_patrol_already_knows_dollars_and_confusion(ledger: Ledger) -> None:
    again(ledger)
    (each,) = passed(ledger, load_policy(HEAD + RULES, "p.yaml")).machines
    assert each.maturity.verdict is Verdict.EXPLORATORY
    assert (each.decision.rule, each.decision.wanted) == ("dear", Wanted.NOTIFY), each.decision.why
    assert each.confusion


def test_a_budget_is_told_once_a_day_and_goes_as_far_as_it_says(ledger: Ledger) -> None:
    ran(ledger, [LOST] * 5)
    budget = "budgets: [{name: exploration, owner: ana, usd_per_week: 1, then: warn}]\n"
    rules = load_policy(
        HEAD + budget + "rules: [{name: a, when: phase == 'idle', because: b, then: notify}]", "p"
    )
    channel = Channel()
    (each,) = passed(ledger, rules, channel=channel).machines
    assert each.decision.wanted is Wanted.WARN
    assert "above its budget it goes as far as warn" in each.decision.why
    passed(ledger, rules, channel=channel)
    first, second = channel.alerts
    assert first.notices[0].startswith("exploration: budget exploration: ")
    assert second.notices == ()


def test_an_exempt_machine_is_left_alone_and_the_end_is_told(ledger: Ledger) -> None:
    until = f"{NOW + timedelta(days=1):%Y-%m-%d}"
    exempt = f"exemptions: [{{owner: ana, until: {until}, because: A demo.}}]\n"
    own = load_policy(HEAD + exempt + "rules: [{name: a, when: true, because: b, then: stop}]", "p")
    report = passed(ledger, own)
    (each,) = report.machines
    assert each.decision.wanted is Wanted.LEAVE
    assert each.decision.why[0].startswith("it is exempt until 2026-11-25 00:00 UTC: A demo.")
    assert [one.kind for one in report.notices] == ["exemption"]


def test_how_long_set_up_may_last_comes_from_the_policy(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(HEAD + "setup_limit: 45m\n" + RULES, encoding="utf-8")
    settings = Settings(
        ledger=str(tmp_path / "ledger"),
        policy=str(file),
        providers=("aws",),
        regions=("us-east-1",),
    )
    parts = parts_of(settings, alerts=False, progress=lambda _: None)
    assert parts.limits.setup == timedelta(minutes=45)


# --- Limits by GPU class.


def due(ledger: Ledger, name: str, model: str, usd: str) -> tuple[JudgedMachine, Kept]:
    card = Accelerator(model=model, count=1, kind="gpu", manufacturer=None, memory_mib=None)
    each = judged(name, accelerators=(card,), price=price(usd))
    kept = IncidentLog(ledger).open(each.machine, NOW, "p", NOW)
    assert kept is not None
    return each, kept


def test_of_each_class_one_patrol_stops_no_more_than_its_limit(
    ledger: Ledger,
) -> None:
    limits = replace(
        LIMITS,
        stop_share=1.0,
        gpu_classes=(GpuClass(model="H100", stops_per_patrol=1), GpuClass(model="A10*")),
    )
    budget = StopBudget(limits=limits, machines=5)
    against = []
    for one in (
        due(ledger, "b", "H100", "5"),
        due(ledger, "a", "H100", "4"),
        due(ledger, "c", "A10G", "1"),
        due(ledger, "d", "A10G", "1"),
        due(ledger, "e", "T4", "1"),
    ):
        against.append(budget.against([one[0].machine]))
        budget.spend([one[0].machine], 0 if against[-1] else 1)
    assert against == [None, "this patrol stops at most 1 H100", None, None, None]


def test_the_packs_know_no_classes_budgets_or_exemptions() -> None:
    loaded = load_pack("default")
    assert (loaded.limits.gpu_classes, loaded.budgets, loaded.exemptions) == ((), (), ())
    assert loaded.limits.stop_usd_per_hour == Decimal(200)
