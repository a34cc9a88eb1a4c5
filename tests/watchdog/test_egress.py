"""Egress in whole patrols: from what an adapter counted to the report, the ledger and the costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from policies.facts import Gap, Machine, Scope, Window
from policies.rules import load_pack
from providers.base import Seen
from providers.catalog.egress_offers import egress_tariff
from providers.egress import INTERNET, NAT_PROCESSING, EgressCounter
from tests.builders import NOW, machine
from tests.shelf import SCOPE, Shelf
from watchdog.costs.breakdown import Breakdown, breakdown
from watchdog.ledger.store import Ledger
from watchdog.mapping import load_mapping
from watchdog.patrol import Parts, patrol
from watchdog.patrol_json import patrol_json
from watchdog.patrol_report import PatrolReport

GB = 2**30
HOUR = timedelta(hours=1)


class Counting(Shelf):
    """Counts bytes by the hour, and tells those of the window that it is asked for."""

    def __init__(self, *machines: Machine, **shelf: Any) -> None:
        super().__init__(*machines, **shelf)
        self.counters: list[EgressCounter] = []
        self.egress_gaps: tuple[Gap, ...] = ()
        self.breaks_down = False
        self.windows: list[Window] = []

    def egress(
        self, machines: Sequence[Machine], scopes: Sequence[Scope], window: Window
    ) -> Seen[EgressCounter]:
        del machines, scopes
        self.windows.append(window)
        if self.breaks_down:
            raise KeyError("Values")
        if self.egress_gaps:
            return Seen(gaps=self.egress_gaps)
        told = [
            replace(
                each,
                hours={
                    hour: count
                    for hour, count in each.hours.items()
                    if window.started_at <= hour < window.ended_at
                },
            )
            for each in self.counters
        ]
        return Seen(values=tuple(told))


def counter(of: str, *counts: int | None, begin: datetime = NOW - 3 * HOUR, **more: Any) -> Any:
    """Counts by the hour from `begin` on; None: not measured."""
    service = more.pop("service", INTERNET)
    values: dict[str, Any] = {
        "id": of,
        "kind": "machine",
        "scope": SCOPE,
        "name": None,
        "hours": {
            begin + HOUR * place: count for place, count in enumerate(counts) if count is not None
        },
        "reach": "all",
        "tariff": egress_tariff("aws", "us-east-1", service),
    }
    return EgressCounter(**(values | more))


def nat(*counts: int | None, **more: Any) -> EgressCounter:
    of = f"aws:{SCOPE.account}:{SCOPE.region}:nat-1"
    told: EgressCounter = counter(of, *counts, kind="nat-gateway", service=NAT_PROCESSING, **more)
    return told


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


@pytest.fixture
def shelf() -> Counting:
    return Counting(machine("trainer-1"))


def run(ledger: Ledger, shelf: Shelf, now: datetime = NOW, **changes: Any) -> PatrolReport:
    parts = Parts(providers=[shelf], ledger=ledger, policy=load_pack("observe"), **changes)
    return patrol(parts, now=now)


def costs(ledger: Ledger, **options: Any) -> Breakdown:
    asked: dict[str, Any] = {
        "since": NOW - timedelta(days=40),
        "until": NOW + timedelta(days=40),
        "by": "workload",
    }
    return breakdown(ledger, **(asked | options))


def egress_of(ledger: Ledger, key: str) -> str:
    amounts = {row.key: row.amounts()["egress"] for row in costs(ledger).rows}
    return f"{amounts[key]:.2f}"


def test_what_a_machine_sent_reaches_the_report_and_the_costs(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 100 * GB, 10 * GB, 20 * GB)]
    report = run(ledger, shelf)
    told: Any = patrol_json(report)["egress"]
    (row,) = told
    assert {name: row[name] for name in row if name != "why"} == {
        "id": machine("trainer-1").id,
        "kind": "machine",
        "workload": "trainer",
        "attributed_by": "name without its counter",
        "bytes": 130 * GB,
        "from": "2026-11-23T05:00:00Z",
        "until": "2026-11-23T08:00:00Z",
        "scope": "all",
        "cost_usd": "2.700000000",
    }
    assert any("the first 100 GB of a month are free" in why for why in row["why"])
    found = costs(ledger)
    assert egress_of(ledger, "trainer") == "2.70"
    (line,) = found.rows
    spent = [usd for name, usd in line.amounts().items() if name in line.spent]
    assert line.total == sum(usd for usd in spent if usd is not None)
    assert any("their meters cannot tell" in note for note in found.notes)


def test_costs_without_egress_bear_no_note(ledger: Ledger, shelf: Counting) -> None:
    run(ledger, shelf)
    assert not any("meters cannot tell" in note for note in costs(ledger).notes)


def test_a_second_patrol_counts_nothing_twice(ledger: Ledger, shelf: Counting) -> None:
    """Its window overlaps the first one's by half."""
    shelf.counters = [counter(machine("trainer-1").id, *[60 * GB] * 6)]
    run(ledger, shelf)
    assert egress_of(ledger, "trainer") == "7.20"
    run(ledger, shelf, NOW + timedelta(minutes=90))
    assert egress_of(ledger, "trainer") == "12.60"
    run(ledger, shelf, NOW + 3 * HOUR)
    run(ledger, shelf, NOW + 3 * HOUR)
    assert egress_of(ledger, "trainer") == "23.40", "360 GB, of which 100 are free"
    rows = [row for row in ledger.rows("raw_charges") if row["x_Meter"] == "egress"]
    assert len(rows) == 6, "an hour that says nothing new is not written again"


def test_a_late_point_finds_its_place(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 100 * GB, 10 * GB)]
    run(ledger, shelf)
    shelf.counters = [counter(machine("trainer-1").id, 100 * GB, 40 * GB)]
    run(ledger, shelf, NOW + HOUR)
    assert egress_of(ledger, "trainer") == "3.60"


def test_an_hour_is_asked_for_once_and_told_until_the_next_one_ends(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 150 * GB), nat(10 * GB)]
    first = run(ledger, shelf)
    assert len(shelf.windows) == 1
    for minutes in (5, 30, 59):
        again = run(ledger, shelf, NOW + timedelta(minutes=minutes))
        assert patrol_json(again)["egress"] == patrol_json(first)["egress"]
    assert len(shelf.windows) == 1
    run(ledger, shelf, NOW + HOUR)
    assert len(shelf.windows) == 2


def test_egress_that_could_not_be_read_is_asked_for_again(ledger: Ledger, shelf: Counting) -> None:
    shelf.egress_gaps = (Gap(provider="aws", what="egress metrics", why="not allowed"),)
    run(ledger, shelf)
    shelf.egress_gaps = ()
    shelf.counters = [counter(machine("trainer-1").id, 150 * GB)]
    assert run(ledger, shelf, NOW + timedelta(minutes=5)).egress
    assert len(shelf.windows) == 2


def test_the_month_is_remembered_between_patrols(ledger: Ledger, shelf: Counting) -> None:
    begin = NOW - timedelta(days=5)
    shelf.counters = [counter(machine("trainer-1").id, 100 * GB, begin=begin)]
    run(ledger, shelf)
    assert egress_of(ledger, "trainer") == "0.00"
    later = NOW + timedelta(days=1)
    shelf.counters = [counter(machine("trainer-1").id, 10 * GB, begin=later - HOUR)]
    run(ledger, shelf, later)
    assert egress_of(ledger, "trainer") == "0.90"


def test_a_new_month_is_free_again(ledger: Ledger, shelf: Counting) -> None:
    december = datetime(2026, 12, 1, tzinfo=UTC)
    shelf.counters = [
        counter(machine("trainer-1").id, 150 * GB, 50 * GB, 80 * GB, begin=december - 2 * HOUR)
    ]
    report = run(ledger, shelf, december + HOUR)
    assert report.egress[0].meter.cost_usd == Decimal("9.00")


def test_the_hour_that_is_not_over_is_not_asked_for(ledger: Ledger, shelf: Counting) -> None:
    run(ledger, shelf, NOW + timedelta(minutes=59))
    assert [(each.ended_at, each.period_s) for each in shelf.windows] == [(NOW, 3600)]


def test_a_meter_that_stops_has_no_row_and_keeps_its_past(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 200 * GB)]
    run(ledger, shelf)
    report = run(ledger, shelf, NOW + 5 * HOUR)
    assert report.egress == ()
    assert egress_of(ledger, "trainer") == "9.00"


def test_holes_are_told_and_the_row_ends_where_it_was_measured(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [counter(machine("trainer-1").id, GB, None, GB, begin=NOW - 4 * HOUR)]
    (row,) = run(ledger, shelf).egress
    assert row.meter.bytes == 2 * GB
    assert (row.meter.started_at, row.meter.ended_at) == (NOW - 4 * HOUR, NOW - HOUR)
    assert "2 of 3 hours were measured" in row.meter.why[-1]


def test_a_reading_that_fails_is_a_gap_and_changes_no_figure(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 200 * GB)]
    run(ledger, shelf)
    shelf.egress_gaps = (Gap(provider="aws", what="egress metrics", why="not allowed"),)
    report = run(ledger, shelf, NOW + HOUR)
    assert report.egress == ()
    assert "egress metrics" in {gap.what for gap in report.gaps}
    assert egress_of(ledger, "trainer") == "9.00"


def test_an_adapter_that_breaks_is_a_gap(ledger: Ledger, shelf: Counting) -> None:
    shelf.breaks_down = True
    report = run(ledger, shelf)
    assert len(report.machines) == 1
    (gap,) = report.gaps
    assert (gap.what, gap.why) == ("egress metrics", "the aws adapter broke: KeyError: 'Values'")


def test_it_may_be_turned_off(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [counter(machine("trainer-1").id, 200 * GB)]
    report = run(ledger, shelf, egress=False)
    assert report.egress == ()
    assert shelf.windows == []


def test_an_unknown_price_is_unpriced_and_never_free(ledger: Ledger, shelf: Counting) -> None:
    nowhere = egress_tariff("aws", "xx-moon-1", INTERNET)
    shelf.counters = [counter(machine("trainer-1").id, GB, tariff=nowhere)]
    (row,) = run(ledger, shelf).egress
    assert row.meter.cost_usd is None
    assert "no offline price of data transfer to the internet in xx-moon-1" in row.meter.why
    (line,) = costs(ledger).rows
    assert line.amounts()["egress"] is None
    assert not line.complete


def test_what_costs_less_than_can_be_written_is_no_free_volume(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [nat(1), counter(machine("trainer-1").id, 0)]
    told = {each.meter.kind: each.meter for each in run(ledger, shelf).egress}
    assert all(each.cost_usd == 0 for each in told.values())
    assert not any("are free" in why for each in told.values() for why in each.why)


def test_a_gateway_belongs_to_whom_its_tag_says(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [nat(10 * GB, tags={"spend-watchdog:workload": "llama"})]
    (row,) = run(ledger, shelf).egress
    assert row.attribution.workload == "llama"
    assert row.attribution.rule == "tag spend-watchdog:workload"
    assert egress_of(ledger, "llama") == "0.45"


def test_a_gateway_belongs_to_whom_the_mapping_file_says(ledger: Ledger, shelf: Counting) -> None:
    mapping = load_mapping(
        "schema: spend-watchdog/mapping/1\n"
        "workloads:\n"
        "  - workload: vision\n"
        "    group: lab\n"
        "    match: {name: nat-*}\n",
        origin="mapping.yaml",
    )
    shelf.counters = [nat(10 * GB, name="nat-a")]
    (row,) = run(ledger, shelf, mapping=mapping).egress
    assert str(row.attribution.key) == "lab/vision"
    assert egress_of(ledger, "vision") == "0.45"


def test_a_gateway_of_nobody_is_unattributed(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [nat(10 * GB, name="trainer-1")]
    (row,) = run(ledger, shelf).egress
    assert row.attribution.workload is None
    assert egress_of(ledger, "unattributed") == "0.45"


def test_tags_that_cannot_be_read_leave_it_to_whom_it_belonged(
    ledger: Ledger, shelf: Counting
) -> None:
    shelf.counters = [nat(10 * GB, tags={"spend-watchdog:workload": "llama"})]
    run(ledger, shelf)
    shelf.counters = [nat(10 * GB, tags=None)]
    (row,) = run(ledger, shelf, NOW + timedelta(minutes=5)).egress
    assert row.attribution.workload == "llama"
    assert egress_of(ledger, "llama") == "0.45"


def test_a_tag_that_changes_moves_the_past(ledger: Ledger, shelf: Counting) -> None:
    shelf.counters = [nat(10 * GB, begin=NOW - HOUR, tags={"spend-watchdog:workload": "llama"})]
    run(ledger, shelf)
    shelf.counters = [nat(10 * GB, begin=NOW - HOUR, tags={"spend-watchdog:workload": "vision"})]
    run(ledger, shelf, NOW + HOUR)
    assert egress_of(ledger, "vision") == "0.45"


def test_calls_and_dollars_of_the_meters_count_as_watching(
    ledger: Ledger, shelf: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shelf, "api_calls", lambda: {"cloudwatch:GetMetricData": 7})
    spent = [Decimal("0.001"), Decimal("0.001"), Decimal("0.004")]
    monkeypatch.setattr(shelf, "watching_usd", lambda: spent.pop(0))
    watching = run(ledger, shelf).cost_of_watching
    assert watching.api_calls == {"cloudwatch:GetMetricData": 7}
    assert watching.usd == Decimal("0.004")
