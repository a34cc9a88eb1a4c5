"""Notices: told once an interval, by one of several patrols, and again where no channel took it."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from threading import Barrier, Thread

import pytest

from policies.budgets import BudgetState
from policies.facts import MachineState
from policies.rules import Budget, Exemption, load_pack
from policies.verdicts import Finding, Result, Wanted
from tests.builders import NOW, machine, price
from tests.shelf import Shelf
from tests.watchdog.alerts.reports import judged, report
from tests.watchdog.test_verdict_changes import Channel
from watchdog.alerts.console import plain_text
from watchdog.alerts.message import alert_from
from watchdog.alerts.slack_blocks import blocks, fallback
from watchdog.ledger.store import Ledger
from watchdog.notice import DAILY, WEEKLY, Notice, claimed, notice_events, notices_of
from watchdog.patrol import Parts, patrol
from watchdog.patrol_report import JudgedMachine

WEEK = timedelta(days=7)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def notice(**changes: object) -> Notice:
    values = {
        "kind": "budget",
        "subject": "all/near",
        "name": "all",
        "text": "budget all: 90 of 100 USD a week",
        "since": NOW - timedelta(hours=1),
        "again": DAILY,
    }
    return Notice(**(values | changes))  # type: ignore[arg-type]


def told(ledger: Ledger, each: Notice, *, after: timedelta, result: Result | None) -> bool:
    """Whether a patrol at that time tells it, with that result."""
    at = NOW + after
    mine = claimed(ledger, [each], f"p{at}", now=at)
    if result is not None:
        done = [replace(one, result=result) for one in mine]
        ledger.append("events", notice_events(done, at))
    return bool(mine)


def test_once_an_interval(ledger: Ledger) -> None:
    hours = [0, 1, 22, 23, 30, 46, 47]
    seen = [
        told(ledger, notice(), after=timedelta(hours=hour), result=Result.DELIVERED)
        for hour in hours
    ]
    assert seen == [True, False, False, True, False, False, True]


def test_what_no_channel_took_is_told_by_the_next_patrol(ledger: Ledger) -> None:
    minutes = timedelta(minutes=5)
    assert told(ledger, notice(), after=0 * minutes, result=Result.FAILED)
    assert told(ledger, notice(), after=1 * minutes, result=Result.FAILED)
    assert told(ledger, notice(), after=2 * minutes, result=Result.DELIVERED)
    assert not told(ledger, notice(), after=3 * minutes, result=Result.DELIVERED)


def test_a_patrol_that_dies_after_its_claim_is_not_told_again_in_this_interval(
    ledger: Ledger,
) -> None:
    assert told(ledger, notice(), after=timedelta(0), result=None)
    assert not told(ledger, notice(), after=timedelta(hours=1), result=Result.DELIVERED)
    assert told(ledger, notice(), after=timedelta(hours=24), result=Result.DELIVERED)


def test_of_two_patrols_at_once_one_tells(tmp_path: Path) -> None:
    url = str(tmp_path / "ledger")
    Ledger.open(url)
    start = Barrier(4)
    won: list[Notice] = []

    def one(number: int) -> None:
        ledger = Ledger.open(url)
        start.wait()
        won.extend(claimed(ledger, [notice()], f"p{number}", now=NOW))

    threads = [Thread(target=one, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1


def forgotten(name: str, stopped: str | None, days: int = 12) -> JudgedMachine:
    told = replace(price("1.00"), stopped_hourly_usd=None if stopped is None else Decimal(stopped))
    each = judged(name, wanted=Wanted.LEAVE, state=MachineState.STOPPED, price=told)
    finding = Finding(rule="forgotten", because="b", waste_usd_per_hour=None)
    decision = replace(each.decision, findings=(finding,), why=("it is stopped", f"since {days}"))
    return replace(each, decision=decision, stopped_since=NOW - timedelta(days=days))


def test_the_dearest_forgotten_machine_stands_first_and_an_unknown_cost_is_not_nothing() -> None:
    several = [forgotten("a", "0.01"), forgotten("b", None), forgotten("c", "0.10"), judged("d")]
    found = notices_of(several, (), (), forgotten_after=WEEK, now=NOW)
    assert [(each.name, each.month_usd) for each in found] == [
        ("c", Decimal("73.00")),
        ("a", Decimal("7.30")),
        ("b", None),
    ]
    assert {each.again for each in found} == {WEEKLY}
    assert {each.interval(NOW) for each in found} == {0}


def test_exemptions_are_told_three_days_before_they_end_and_weekly_afterwards() -> None:
    def exempt(days: float) -> Exemption:
        return Exemption(
            machine="demo-*",
            workload=None,
            owner=None,
            tag=None,
            until=NOW + timedelta(days=days),
            because="A demo.",
        )

    def texts(days: float) -> list[tuple[str, int]]:
        found = notices_of((), (), [exempt(days)], forgotten_after=WEEK, now=NOW)
        return [(each.text, each.interval(NOW)) for each in found]

    assert texts(3.1) == []
    assert texts(2) == [
        ("the exemption of machine demo-* ends at 2026-11-25 08:00 UTC (A demo.)", 0)
    ]
    ended = (
        "the exemption of machine demo-* ended at {} UTC; take it out of the policy file (A demo.)"
    )
    assert texts(0) == [(ended.format("2026-11-23 08:00"), 0)]
    assert texts(-8) == [(ended.format("2026-11-15 08:00"), 1)]


@pytest.mark.parametrize(
    ("usd", "whole", "again"),
    [("79", True, None), ("80", True, DAILY), ("101", False, DAILY), ("50", False, WEEKLY)],
)
def test_budgets_are_told_daily_from_80_percent_on(
    usd: str,
    whole: bool,  # noqa: FBT001 - a case
    again: timedelta | None,
) -> None:
    budget = Budget(
        name="all",
        workload=None,
        owner=None,
        usd_per_week=Decimal(100),
        then=Wanted.NOTIFY,
        grace=timedelta(0),
    )
    state = BudgetState(budget=budget, usd=Decimal(usd), whole=whole)
    found = notices_of((), [state], (), forgotten_after=WEEK, now=NOW)
    assert [each.again for each in found] == ([] if again is None else [again])


def test_news_stands_in_the_message_by_each_channel_and_alone_makes_one() -> None:
    alert = alert_from(report(news=[notice(text="<b>90 of 100")]))
    assert alert is not None
    assert alert.headline == "1 thing to know"
    assert "Also to know\n  all: <b>90 of 100" in plain_text(alert)
    assert "all: &lt;b&gt;90 of 100" in str([each.to_dict() for each in blocks(alert)])
    assert "Also: all:" in fallback(alert)


def test_observing_tells_a_forgotten_machine_once_and_then_after_a_week(ledger: Ledger) -> None:
    old = machine(state=MachineState.STOPPED, metered=False, stopped_at=NOW - timedelta(days=9))
    channel = Channel()

    def passed(after: timedelta) -> tuple[int, int]:
        parts = Parts(
            providers=[Shelf(old)],
            ledger=ledger,
            policy=load_pack("observe"),
            notifiers=[channel],
        )
        found = patrol(parts, now=NOW + after)
        return len(found.notices), len(found.news)

    assert passed(timedelta(0)) == (1, 1)
    assert passed(timedelta(hours=1)) == (1, 0)
    assert passed(timedelta(days=4)) == (1, 0)
    assert passed(timedelta(days=6)) == (1, 1)
    assert [alert.notices for alert in channel.alerts] == [
        (
            (
                "trainer-1: stopped for 9 days, since 2026-11-14:"
                " its disks and addresses cost an unknown amount"
            ),
        ),
        (
            (
                "trainer-1: stopped for 15 days, since 2026-11-14:"
                " its disks and addresses cost an unknown amount"
            ),
        ),
    ]


def test_a_shutdown_from_within_counts_from_its_first_sight(ledger: Ledger) -> None:
    old = machine(state=MachineState.STOPPED, metered=False)
    parts = Parts(providers=[Shelf(old)], ledger=ledger, policy=load_pack("observe"))
    assert patrol(parts, now=NOW).notices == ()
    assert patrol(parts, now=NOW + timedelta(days=6)).notices == ()
    (found,) = patrol(parts, now=NOW + timedelta(days=7)).notices
    assert "stopped for 7 days, since 2026-11-23" in found.text
