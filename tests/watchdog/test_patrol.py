"""A whole pass over facts that lie ready, into a real ledger."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Gap, Machine, MachineState, Reading, RunOutcome
from policies.rules import load_pack
from policies.verdicts import Phase, Result, Verdict, Wanted
from tests.builders import NOW, machine, price, reading
from tests.shelf import SCOPE, Shelf
from watchdog.alerts.delivery import Delivery
from watchdog.alerts.message import Alert
from watchdog.costs.breakdown import breakdown
from watchdog.ledger.store import Ledger
from watchdog.mapping import load_mapping
from watchdog.patrol import Parts, accepted, patrol
from watchdog.patrol_json import patrol_json
from watchdog.patrol_report import PatrolReport

FREE: dict[str, Any] = {"memory_used_mib": [10.0] * 36}


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def parts(ledger: Ledger, provider: Shelf, **changes: Any) -> Parts:
    values: dict[str, Any] = {
        "providers": [provider],
        "ledger": ledger,
        "policy": load_pack("observe"),
    }
    return Parts(**(values | changes))


def idle(of: Machine, until: datetime = NOW) -> Reading:
    """Busy for an hour, then two hours of nothing."""
    start = until - timedelta(hours=3)
    return reading([90.0] * 12 + [0.0] * 24, resource=of.id, started_at=start, **FREE)


def costs_of(ledger: Ledger, since: datetime, until: datetime, by: str = "machine") -> Any:
    return breakdown(ledger, since=since, until=until, by=by).to_json()


def seen(report: PatrolReport, name: str = "trainer-1") -> dict[str, Any]:
    machines: Any = patrol_json(report)["machines"]
    return next(each for each in machines if each["name"] == name)


def views(ledger: Ledger) -> dict[str, list[dict[str, object]]]:
    """What every view says, without when it was said."""
    told = {}
    for view in ("readings", "charges", "events", "attributions", "machines_now"):
        rows = [{k: v for k, v in row.items() if k != "observed_at"} for row in ledger.rows(view)]
        told[view] = sorted(rows, key=str)
    return told


def test_an_idle_machine_is_found_judged_priced_and_told(ledger: Ledger) -> None:
    one = machine(tags={"spend-watchdog:workload": "llama", "spend-watchdog:owner": "ana"})
    report = patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    told = seen(report)
    assert (told["phase"], told["idle_minutes"], told["decision"]) == ("idle", 120.0, "notify")
    assert (told["workload"], told["owner"]) == ("llama", "ana")
    assert told["attributed_by"] == "tag spend-watchdog:workload"
    assert told["hourly_cost_usd"] == "1.00"
    assert report.outcomes[0].result is Result.DESCRIBED


def test_metered_time_costs_what_the_machine_costs(ledger: Ledger) -> None:
    one = machine()
    patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    costs = costs_of(ledger, NOW - timedelta(hours=3), NOW, "machine")
    (row,) = costs["rows"]
    assert (Decimal(row["active"]), Decimal(row["idle"])) == (Decimal(1), Decimal(2))
    assert Decimal(row["total"]) == Decimal(3)


def test_the_same_patrol_twice_shows_everything_once(ledger: Ledger) -> None:
    one = machine()
    provider = Shelf(one, readings=[idle(one)])
    patrol(parts(ledger, provider), now=NOW)
    before = views(ledger)
    patrol(parts(ledger, provider), now=NOW)
    assert views(ledger) == before


def test_patrols_that_overlap_by_half_a_window_count_nothing_twice(ledger: Ledger) -> None:
    one = machine()
    patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    later = NOW + timedelta(minutes=90)
    start = later.replace(minute=0) - timedelta(hours=3)
    more = reading(
        [90.0] * 0 + [0.0] * 42, resource=one.id, started_at=start, memory_used_mib=[10.0] * 42
    )
    patrol(parts(ledger, Shelf(one, readings=[more])), now=later)
    keys = [(r["resource"], r["gpu"], r["started_at"]) for r in ledger.rows("readings")]
    assert len(keys) == len(set(keys))
    total = costs_of(ledger, NOW - timedelta(hours=3), later, "machine")
    hours = (later - (NOW - timedelta(hours=3))).total_seconds() / 3600
    assert Decimal(total["totals"]["total"]) == Decimal(str(hours))


def test_a_late_metric_turns_unknown_hours_into_known_ones(ledger: Ledger) -> None:
    one = machine()
    patrol(parts(ledger, Shelf(one)), now=NOW)
    patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW + timedelta(minutes=5))
    row = costs_of(ledger, NOW - timedelta(hours=3), NOW, "phase")
    known = {each["key"] for each in row["rows"]}
    assert known == {"active", "idle"}


def test_re_tagging_re_attributes_the_past(ledger: Ledger) -> None:
    one = machine(tags={"spend-watchdog:workload": "old-name"})
    patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    renamed = replace(one, tags={"spend-watchdog:workload": "new-name"})
    later = NOW + timedelta(minutes=5)
    patrol(parts(ledger, Shelf(renamed, readings=[idle(one)])), now=later)
    costs = costs_of(ledger, NOW - timedelta(hours=3), NOW, "workload")
    assert [row["key"] for row in costs["rows"]] == ["new-name"]


def test_a_pause_is_as_long_as_the_ledger_remembers(ledger: Ledger) -> None:
    one = machine()
    for hours in range(0, 10, 2):
        now = NOW + timedelta(hours=hours)
        quiet = (
            [idle(one)]
            if not hours
            else [reading([0.0] * 36, resource=one.id, started_at=now - timedelta(hours=3), **FREE)]
        )
        report = patrol(parts(ledger, Shelf(one, readings=quiet)), now=now)
        assert seen(report)["idle_minutes"] == 120.0 + hours * 60
        assert seen(report)["coverage"] == pytest.approx(1.0)


def test_an_unmeasured_machine_is_unknown_and_told_with_its_price(ledger: Ledger) -> None:
    big = machine(price=price("98.32"))
    report = patrol(parts(ledger, Shelf(big)), now=NOW)
    told = seen(report)
    assert (told["phase"], told["decision"], told["idle_minutes"]) == ("unknown", "unknown", None)
    assert told["why"][-1] == "install the agent"
    assert report.outcomes[0].machine == big.id


def test_an_unpriced_machine_costs_null_and_never_zero(ledger: Ledger) -> None:
    one = machine(price=price(None))
    report = patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    assert seen(report)["hourly_cost_usd"] is None
    costs = costs_of(ledger, NOW - timedelta(hours=3), NOW, "machine")
    assert costs["unpriced"]


def test_a_gap_is_shown_unless_the_settings_accept_it(ledger: Ledger) -> None:
    gap = Gap(provider="aws", region="eu-west-1", what="machines", why="denied")
    report = patrol(parts(ledger, Shelf(gaps=[gap])), now=NOW)
    assert report.gaps == (gap,)
    quiet = patrol(parts(ledger, Shelf(gaps=[gap]), accepted_gaps=["aws:eu-*:machines"]), now=NOW)
    assert quiet.gaps == ()
    assert accepted(gap, ["machines"])
    assert not accepted(gap, ["aws:us-*:machines"])


def test_a_mapping_file_that_matches_nothing_is_told(ledger: Ledger) -> None:
    text = (
        'schema: spend-watchdog/mapping/1\nworkloads: [{workload: a, match: {name: "no-such-*"}}]\n'
    )
    mapping = load_mapping(text, "mapping.yaml")
    report = patrol(parts(ledger, Shelf(machine()), mapping=mapping), now=NOW)
    assert report.gaps[0].why == (
        "none of the 1 entries of mapping.yaml matches any of 1 machines; names seen: trainer-1"
    )


def test_runs_make_the_verdict(ledger: Ledger) -> None:
    rows = [
        {
            "run_id": f"r{n}",
            "workload": "llama",
            "started_at": NOW - timedelta(days=n + 1),
            "ended_at": NOW - timedelta(days=n + 1) + timedelta(hours=2),
            "outcome": RunOutcome.SUCCEEDED.value,
            "kind": "training",
            "gpus": 1,
            "revision": "1",
            "observed_at": NOW,
        }
        for n in range(12)
    ]
    ledger.append("runs", rows)
    one = machine(tags={"spend-watchdog:workload": "llama"})
    report = patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    (judged,) = report.machines
    assert judged.maturity.verdict is Verdict.MATURE
    assert judged.decision.wanted is Wanted.LEAVE


def test_a_stopped_machine_is_shown_and_costs_nothing_more(ledger: Ledger) -> None:
    one = machine()
    patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=NOW)
    stopped = replace(one, state=MachineState.STOPPED, stopped_at=NOW, metered=False)
    later = NOW + timedelta(hours=2)
    report = patrol(parts(ledger, Shelf(stopped)), now=later)
    assert seen(report)["state"] == "stopped"
    costs = costs_of(ledger, NOW, later, "machine")
    assert Decimal(costs["totals"]["total"] or 0) == 0


def test_a_boot_that_ended_at_an_unknown_time_keeps_what_patrols_saw_of_it(ledger: Ledger) -> None:
    one = machine()
    for minutes in range(10, 60, 10):
        now = NOW + timedelta(minutes=minutes)
        patrol(parts(ledger, Shelf(one, readings=[idle(one)])), now=now)
    stopped = replace(one, state=MachineState.STOPPED, metered=False)
    later = NOW + timedelta(hours=1)
    patrol(parts(ledger, Shelf(stopped)), now=later)
    patrol(parts(ledger, Shelf(stopped)), now=later + timedelta(minutes=10))
    total = costs_of(ledger, NOW - timedelta(hours=3), later, "machine")
    seen_minutes = 3 * 60 + 50
    cost = Decimal(total["totals"]["total"])
    assert cost == (Decimal(seen_minutes) / 60).quantize(Decimal("0.000000001"))


def test_a_machine_that_is_listed_no_more_is_remembered_as_terminated(ledger: Ledger) -> None:
    patrol(parts(ledger, Shelf(machine("kept"), machine("gone"))), now=NOW)
    patrol(parts(ledger, Shelf(machine("kept"))), now=NOW + timedelta(minutes=5))
    states = {row["name"]: row["state"] for row in ledger.rows("machines_now")}
    assert states == {"kept": "running", "gone": "terminated"}


def test_what_did_not_change_is_not_written_again(ledger: Ledger) -> None:
    for minutes in (0, 5, 10):
        patrol(parts(ledger, Shelf(machine())), now=NOW + timedelta(minutes=minutes))
    assert len(ledger.rows("raw_machines")) == 1
    assert len(ledger.rows("raw_attributions")) == 1


def test_the_first_patrol_says_what_two_weeks_burnt(ledger: Ledger) -> None:
    one = machine(started_at=NOW - timedelta(days=5), first_launched_at=NOW - timedelta(days=5))
    coarse = reading(
        [0.0] * (14 * 24 - 3),
        resource=one.id,
        period_s=3600,
        started_at=NOW - timedelta(days=14),
        memory_used_mib=[10.0] * (14 * 24 - 3),
    )
    fine = reading([0.0] * 36, resource=one.id, **FREE)
    report = patrol(parts(ledger, Shelf(one, readings=[coarse, fine])), now=NOW)
    (line,) = report.backfill
    assert (line.idle_hours, line.total_hours) == (118.0, 120.0)
    assert line.idle_usd == Decimal(118)
    second = patrol(parts(ledger, Shelf(one, readings=[fine])), now=NOW + timedelta(minutes=5))
    assert second.backfill == ()


class Channel:
    """A person's channel that works, or does not."""

    def __init__(self, *, works: bool) -> None:
        self.works = works
        self.alerts: list[Alert] = []

    def __call__(self, alert: Alert) -> Delivery:
        self.alerts.append(alert)
        return Delivery(channel="C1", delivered=self.works, why="ok" if self.works else "down")


def test_one_message_a_patrol_and_its_delivery_is_an_event(ledger: Ledger) -> None:
    one = machine()
    channel = Channel(works=True)
    report = patrol(parts(ledger, Shelf(one, readings=[idle(one)]), notifiers=[channel]), now=NOW)
    assert len(channel.alerts) == 1
    assert [each.result for each in report.outcomes] == [Result.DELIVERED]
    assert "delivered" in {row["kind"] for row in ledger.rows("events")}


def test_a_channel_that_is_down_is_a_gap(ledger: Ledger) -> None:
    one = machine()
    channel = Channel(works=False)
    report = patrol(parts(ledger, Shelf(one, readings=[idle(one)]), notifiers=[channel]), now=NOW)
    assert [each.result for each in report.outcomes] == [Result.FAILED]
    assert report.gaps == (Gap(provider="slack", what="alert", why="C1: down"),)


def test_the_patrols_own_row_is_the_watermark(ledger: Ledger) -> None:
    patrol(parts(ledger, Shelf(machine())), now=NOW)
    (row,) = ledger.rows("patrols")
    (scope,) = json.loads(str(row["scopes_json"]))
    assert (scope["account"], scope["region"]) == (SCOPE.account, SCOPE.region)
    assert scope["watched_until"] == "2026-11-23T08:00:00Z"
    (mark,) = ledger.rows("watermarks")
    assert mark["watched_until"] == NOW


def test_phases_of_the_report_are_the_words_of_the_contract() -> None:
    words = {"setup", "transfer", "active", "parked", "idle", "hung", "unknown"}
    assert {phase.value for phase in Phase} == words
