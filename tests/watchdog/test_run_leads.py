"""What was metered for getting ready for a run."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from policies.confusion_cost import Rented
from policies.facts import Run
from tests.builders import NOW, run
from watchdog.run_leads import leads_of

ID = "aws:1:us-east-1:i-1"
MACHINES = {name: Rented(id=ID, gpus=8, hourly_usd=None) for name in (ID, "i-1")}
BEGIN = NOW - timedelta(days=1)


def at(begin: float, hours: float, run_id: str = "r", **changes: Any) -> Run:
    start = BEGIN + timedelta(hours=begin)
    end = start + timedelta(hours=hours)
    return run(run_id, started_at=start, ended_at=end, machine_id="i-1", **changes)


def hour(number: int, *, setup: float = 0, transfer: float = 0, hourly: str | None = "10") -> Any:
    def usd(hours: float) -> Decimal | None:
        return Decimal(hourly) * Decimal(str(hours)) if hourly and hours else None

    return {
        "ResourceId": ID,
        "hour": BEGIN + timedelta(hours=number),
        "setup_hours": setup,
        "setup_usd": usd(setup),
        "transfer_hours": transfer,
        "transfer_usd": usd(transfer),
    }


def test_set_up_and_transfers_before_a_run_are_its_own() -> None:
    rows = [hour(0, setup=0.5), hour(1, setup=0.25, transfer=0.75)]
    lead = leads_of([at(2, 1, setup_seconds=0.0)], rows, MACHINES)["r"]
    assert (lead.setup_s, lead.setup_usd) == (2700.0, Decimal("7.5"))
    assert (lead.transfer_s, lead.transfer_usd) == (2700.0, Decimal("7.5"))
    assert lead.gpus == 8


def test_each_hour_is_given_once() -> None:
    rows = [hour(0, transfer=0.5), hour(3, transfer=0.25)]
    leads = leads_of([at(1, 2, "a"), at(4, 1, "b")], rows, MACHINES)
    assert [leads[name].transfer_s for name in "ab"] == [1800.0, 900.0]
    together = leads_of([at(0, 2, "a"), at(0, 2, "b")], rows[:1], MACHINES)
    assert [together[name].transfer_s for name in "ab"] == [1800.0, None]


def test_what_was_before_the_run_before_belongs_to_that_one() -> None:
    first = at(0.5, 1, "a", setup_seconds=0.0)
    leads = leads_of([first, at(2, 1, "b", setup_seconds=0.0)], [hour(0, transfer=1)], MACHINES)
    assert [leads[name].transfer_s for name in "ab"] == [1800.0, None]


def test_what_a_run_moves_while_it_computes_is_not_before_it() -> None:
    later = [hour(2, transfer=1)]
    assert leads_of([at(0, 4, setup_seconds=600.0)], later, MACHINES)["r"].transfer_s is None
    assert leads_of([at(0, 4)], later, MACHINES)["r"].transfer_s == 3600.0


def test_of_an_hour_no_more_than_lies_before_the_run() -> None:
    lead = leads_of([at(0.25, 1, setup_seconds=0.0)], [hour(0, transfer=0.5)], MACHINES)["r"]
    assert lead.transfer_s == 900.0


def test_a_day_before_is_another_story() -> None:
    assert leads_of([at(30, 1)], [hour(0, setup=1)], MACHINES)["r"].setup_s is None


def test_no_price_is_no_dollars_and_no_meter_no_lead() -> None:
    lead = leads_of([at(1, 1)], [hour(0, setup=1, hourly=None)], MACHINES)["r"]
    assert (lead.setup_s, lead.setup_usd) == (3600.0, None)
    assert leads_of([at(1, 1)], [], MACHINES) == {}
    assert leads_of([run()], [hour(0, setup=1)], MACHINES) == {}


def test_of_several_machines_the_longest_and_the_dollars_of_all() -> None:
    other = "aws:1:us-east-1:i-2"
    machines = MACHINES | {"i-2": Rented(id=other, gpus=4, hourly_usd=None)}
    machines[other] = machines["i-2"]
    rows = [hour(0, setup=0.5), {**hour(0, setup=0.25), "ResourceId": other}]
    both = run(
        started_at=BEGIN + timedelta(hours=1),
        ended_at=BEGIN + timedelta(hours=2),
        machine_id="i-1;i-2",
    )
    lead = leads_of([both], rows, machines)["r1"]
    assert (lead.setup_s, lead.setup_usd, lead.gpus) == (1800.0, Decimal("7.5"), 12)
