"""From metered hours to who spent what on what, computed by hand and to the cent."""

import json
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import WorkloadKind
from tests.builders import machine, price
from tests.watchdog.costs.accounts import (
    BOOTED,
    PATROL,
    Accounts,
    at,
    belonged,
    cents,
    column,
    dollars,
    run_row,
)
from watchdog.costs.breakdown import BY

BIG = machine("big", started_at=BOOTED, price=price("98.32"))


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "ledger")


def test_an_hour_with_three_phases_keeps_a_column_each(accounts: Accounts) -> None:
    accounts.ran(
        ("8:00", "8:20", "setup"), ("8:20", "8:40", "active"), ("8:40", "9:00", "idle"), box=BIG
    )
    accounts.belongs(belonged("llama", resource=BIG.id))
    row = accounts.costs().rows[0]
    assert row.key == "llama"
    told = {name: f"{usd:f}" for name, usd in row.amounts().items() if usd}
    assert told == {
        "setup": "32.773333333",
        "active": "32.773333334",
        "idle": "32.773333333",
        "total": "98.320000000",
        "not_productive": "65.546666666",
    }


def test_a_stop_at_twenty_past_costs_a_third_of_an_hour(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:20", "idle"), box=BIG)
    accounts.belongs(belonged("llama", resource=BIG.id))
    assert accounts.spent() == {"llama": "131.09"}


def test_a_resize_at_a_quarter_to_is_paid_at_both_prices(accounts: Accounts) -> None:
    small = machine("big", started_at=BOOTED, price=price("1.00"))
    accounts.ran(("8:00", "8:45", "active"), box=small)
    accounts.ran(("9:00", "10:00", "active"), box=BIG)
    assert accounts.spent() == {"unattributed": "99.07"}


def test_two_runs_of_twenty_and_forty_minutes_share_their_hour(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.belongs(
        belonged("llama", None, "8:20", rule="run a"), belonged("bert", "8:20", rule="run b")
    )
    assert accounts.spent() == {"bert": "0.67", "llama": "0.33"}
    usd = {row.key: row.total for row in accounts.costs().rows}
    assert usd == {"llama": Decimal("0.333333333"), "bert": Decimal("0.666666667")}


def test_two_workloads_at_the_same_time_share_by_their_gpus(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.belongs(
        belonged("llama", share=0.75, rule="run a"), belonged("bert", share=0.25, rule="run b")
    )
    assert accounts.spent() == {"llama": "0.75", "bert": "0.25"}


def test_shares_that_are_no_round_figures_leave_nothing_over(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.belongs(
        *[belonged(name, share=1 / 13, rule=f"run {name}") for name in "abcdefghijklm"]
    )
    assert sorted(accounts.spent()) == list("abcdefghijklm")
    assert dollars(column(accounts.costs(), "total")) == Decimal(1)


def test_what_shares_leave_over_is_unattributed(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.belongs(belonged("llama", share=0.25))
    assert accounts.spent() == {"unattributed": "0.75", "llama": "0.25"}


def test_a_boot_within_the_hour_belongs_to_the_run_that_came_with_it(accounts: Accounts) -> None:
    """The machine's name speaks for the time before 8:40, in which nothing was billed."""
    accounts.ran(("8:40", "9:00", "active"), box=machine(started_at=at("8:40")))
    accounts.belongs(belonged("trainer", None, "8:40"), belonged("llama", "8:40", rule="run a"))
    assert accounts.spent() == {"llama": "0.33"}


def test_an_hour_that_is_still_open_is_split_by_what_was_billed_of_it(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:40", "active"))
    accounts.belongs(belonged("trainer", None, "8:20"), belonged("llama", "8:20", rule="run a"))
    assert accounts.spent() == {"llama": "0.33", "trainer": "0.33"}


def test_two_boots_in_an_hour_are_split_by_the_whole_hour(accounts: Accounts) -> None:
    box = machine(started_at=at("8:50"))
    accounts.ran(("8:00", "8:10", "idle"), ("8:50", "9:00", "idle"), box=box)
    accounts.belongs(belonged("a", None, "8:30"), belonged("b", "8:30"))
    assert accounts.spent() == {"a": "0.17", "b": "0.17"}


def test_what_no_attribution_covers_is_unattributed(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged("llama", "8:15", "8:30"))
    assert accounts.spent() == {"unattributed": "0.75", "llama": "0.25"}


def test_an_attribution_without_a_workload_is_unattributed_but_may_have_an_owner(
    accounts: Accounts,
) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged(None, owner="ann", rule="unattributed"))
    assert accounts.spent() == {"unattributed": "1.00"}
    assert accounts.spent("owner") == {"ann": "1.00"}


def test_an_hour_metered_again_is_replaced_with_all_its_phases(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:30", "idle"), ("8:30", "9:00", "unknown"))
    later = PATROL + timedelta(minutes=15)
    accounts.ran(("8:00", "8:20", "idle"), ("8:20", "9:00", "active"), patrol=later)
    amounts = accounts.costs().totals.amounts()
    assert (cents(amounts["idle"]), cents(amounts["active"])) == ("0.33", "0.67")
    assert cents(amounts["unknown"]) == "0.00"
    assert cents(amounts["total"]) == "1.00"


def test_the_same_patrol_told_twice_counts_once(accounts: Accounts) -> None:
    for _ in range(2):
        accounts.ran(("8:00", "9:30", "idle"))
        accounts.belongs(belonged("llama"))
    assert accounts.spent() == {"llama": "1.50"}


def test_tagging_a_machine_again_moves_its_past(accounts: Accounts) -> None:
    accounts.ran(("8:00", "10:00", "idle"))
    accounts.belongs(belonged("llama"))
    assert accounts.spent() == {"llama": "2.00"}
    accounts.belongs(belonged("bert"), patrol=PATROL + timedelta(hours=1))
    assert accounts.spent() == {"bert": "2.00"}


def test_a_month_ends_at_midnight_utc(accounts: Accounts) -> None:
    accounts.ran(("190:00", "194:00", "active"))
    november = accounts.costs("0:00", "192:00", by="day")
    december = accounts.costs("192:00", "216:00", by="day")
    assert [(row.key, cents(row.total)) for row in november.rows] == [("2026-11-30", "2.00")]
    assert [(row.key, cents(row.total)) for row in december.rows] == [("2026-12-01", "2.00")]


def test_an_unpriced_machine_is_shown_and_never_free(accounts: Accounts) -> None:
    accounts.ran(("8:00", "10:30", "idle"), box=machine(started_at=BOOTED, price=price(None)))
    accounts.ran(("8:00", "9:00", "idle"), box=machine("known", started_at=BOOTED))
    accounts.belongs(belonged("llama"))
    told = accounts.costs()
    llama = next(row for row in told.rows if row.key == "llama")
    assert llama.total is None
    assert llama.amounts()["idle"] is None
    assert llama.failed_runs is None
    assert llama.not_productive is None
    assert cents(told.totals.total) == "1.00"
    assert [(each.id, each.name, each.hours) for each in told.unpriced] == [
        (machine().id, "trainer-1", 2.5)
    ]


def test_a_line_that_is_unpriced_in_part_tells_what_is_known(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.ran(("9:00", "10:00", "idle"), box=machine(started_at=BOOTED, price=price(None)))
    accounts.belongs(belonged("llama"))
    told = accounts.costs()
    assert (cents(told.rows[0].total), told.rows[0].unpriced_hours) == ("1.00", 1.0)
    assert [each.hours for each in told.unpriced] == [1.0]


def test_unpriced_hours_of_another_workload_are_not_told(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"), box=machine(started_at=BOOTED, price=price(None)))
    accounts.belongs(belonged("a", None, "8:45"), belonged("b", "8:45"))
    assert [each.hours for each in accounts.costs(workload="b").unpriced] == [0.25]
    assert accounts.costs(workload="c").unpriced == ()


def test_failed_runs_are_a_view_and_count_each_moment_once(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:30", "active"), ("8:30", "9:00", "idle"))
    accounts.belongs(belonged("llama"))
    accounts.attempted(
        run_row("a", "8:00", "8:15"),
        run_row("b", "8:10", "8:30"),
        run_row("c", "8:30", "9:00", "succeeded"),
    )
    row = accounts.costs().rows[0]
    # half of the hour failed: half of each phase, as the order of phases is not kept
    assert row.failed_runs == Decimal("0.500000000")
    assert row.not_productive == Decimal("0.750000000")
    assert row.total == Decimal(1)


def test_a_failed_run_names_its_machines_by_either_id(accounts: Accounts) -> None:
    other = machine("other", started_at=BOOTED)
    accounts.ran(("8:00", "9:00", "active"))
    accounts.ran(("8:00", "9:00", "active"), box=other)
    accounts.belongs(belonged("llama"), belonged("llama", resource=other.id))
    accounts.attempted(run_row("a", "8:00", "8:30", machine_id=f"{machine().id};i-other"))
    assert cents(accounts.costs().rows[0].failed_runs) == "1.00"


def test_beside_another_workload_a_run_fails_with_its_own_share_only(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.belongs(
        belonged("llama", share=0.75, rule="run a"), belonged("bert", share=0.25, rule="run b")
    )
    accounts.attempted(
        run_row("a", "8:00", "9:00", "succeeded"), run_row("b", "8:00", "9:00", workload="bert")
    )
    assert [(row.key, cents(row.failed_runs)) for row in accounts.costs().rows] == [
        ("llama", "0.00"),
        ("bert", "0.25"),
    ]


def test_a_failed_run_without_an_end_is_not_guessed_at(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.attempted(run_row("a", "8:00", None))
    assert cents(accounts.costs().totals.failed_runs) == "0.00"


def test_storage_egress_and_the_rest_have_columns_and_never_fail(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.charged("storage", "8:00", "0.10")
    accounts.charged("egress", "8:00", "0.20")
    accounts.charged("address", "8:00", "0.03")
    accounts.charged("snapshot", "8:00", "0.04")
    accounts.charged("storage", "9:00", None)
    accounts.attempted(run_row("a", "8:00", "9:00"))
    told = accounts.costs()
    amounts = told.totals.amounts()
    assert [cents(amounts[name]) for name in ("storage", "egress", "other", "total")] == [
        "0.10",
        "0.20",
        "0.07",
        "1.37",
    ]
    assert cents(amounts["failed_runs"]) == "1.00"
    assert [(each.id, each.hours) for each in told.unpriced] == [(machine().id, None)]


def test_a_machine_is_one_line_though_not_every_meter_tells_its_name(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "active"))
    accounts.charged("storage", "8:00", "0.10", ResourceName=None)
    told = accounts.costs(by="machine")
    assert [(row.key, row.label, cents(row.total)) for row in told.rows] == [
        (machine().id, "trainer-1 i-trainer-1", "1.10")
    ]


def test_equal_names_in_two_groups_are_told_apart(accounts: Accounts) -> None:
    for name, group in (("a", "nlp"), ("b", "vision"), ("c", None)):
        box = machine(name, started_at=BOOTED)
        accounts.ran(("8:00", "9:00", "idle"), box=box)
        accounts.belongs(belonged("train", resource=box.id, group=group, owner=None))
    solo = machine("d", started_at=BOOTED)
    accounts.ran(("8:00", "9:00", "idle"), box=solo)
    accounts.belongs(belonged("serve", resource=solo.id, owner="ann"))
    verdicts = {"nlp/train": "mature", "ann/serve": "exploratory", "train": "unknown"}
    rows = accounts.costs(verdicts=verdicts).rows
    assert [(row.key, row.verdict) for row in rows] == [
        ("nlp/train", "mature"),
        ("serve", "exploratory"),
        ("train", "unknown"),
        ("vision/train", "unknown"),
    ]
    assert accounts.spent(workload="train").keys() == {"nlp/train", "train", "vision/train"}
    assert accounts.spent(workload="vision/train") == {"train": "1.00"}


def test_every_way_to_break_down_gives_the_same_total(accounts: Accounts) -> None:
    accounts.ran(("8:00", "8:50", "setup"), ("8:50", "30:00", "active"))
    accounts.ran(("8:00", "20:00", "parked"), box=BIG)
    accounts.belongs(
        belonged("llama", None, "9:25", group="nlp", kind=WorkloadKind.TRAINING, owner="ann"),
        belonged("bert", "9:25", owner="bob"),
    )
    told = {by: accounts.costs("0:00", "48:00", by=by) for by in BY}
    keys = {by: [row.key for row in each.rows] for by, each in told.items()}
    assert keys == {
        "workload": ["unattributed", "bert", "llama"],
        "owner": ["unattributed", "bob", "ann"],
        "group": ["unattributed", "nlp"],
        "kind": ["unknown", "training"],
        "provider": ["aws"],
        "region": ["us-east-1"],
        "machine": [BIG.id, machine().id],
        "day": ["2026-11-23", "2026-11-24"],
        "phase": ["setup", "active", "parked"],
    }
    assert {each.totals.total for each in told.values()} == {Decimal("1201.84")}
    for each in told.values():
        assert dollars(column(each, "total")) == each.totals.total


def test_a_workloads_days_add_up_to_its_line(accounts: Accounts) -> None:
    accounts.ran(("7:00", "31:00", "active"), box=BIG)
    accounts.belongs(
        belonged("llama", None, "9:07", resource=BIG.id), belonged("bert", "9:07", resource=BIG.id)
    )
    lines = {row.key: row.total for row in accounts.costs("0:00", "48:00").rows}
    for name, usd in lines.items():
        days = accounts.costs("0:00", "48:00", by="day", workload=name)
        assert dollars(column(days, "total")) == usd


def test_a_span_off_the_clock_hour_is_widened_and_says_so(accounts: Accounts) -> None:
    accounts.ran(("8:00", "12:00", "idle"))
    told = accounts.costs("9:20", "10:40")
    assert (told.since, told.until) == (at("9:00"), at("11:00"))
    assert cents(told.totals.total) == "2.00"
    assert told.notes == (
        "costs are kept by the clock hour: these are of 2026-11-23 09:00 to 2026-11-23 11:00 UTC",
    )
    assert accounts.costs("9:00", "11:00").notes == ()


def test_nothing_spent_is_nothing_and_not_unknown(accounts: Accounts) -> None:
    told = accounts.costs()
    assert told.rows == ()
    assert told.totals.total == 0
    assert told.to_json()["totals"] == dict.fromkeys(told.totals.amounts(), "0.000000000")


def test_an_unknown_way_to_break_down_is_refused(accounts: Accounts) -> None:
    with pytest.raises(ValueError, match="costs by colour: there are only workload, owner"):
        accounts.costs(by="colour")


def test_json_has_the_shape_of_the_contract(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.belongs(belonged("llama"))
    told = json.loads(json.dumps(accounts.costs(verdicts={"llama": "mature"}).to_json()))
    zeros = ("setup", "transfer", "active", "parked", "hung", "unknown", "storage", "egress")
    amounts = dict.fromkeys((*zeros, "other", "failed_runs"), "0.000000000")
    amounts |= dict.fromkeys(("idle", "total", "not_productive"), "1.000000000")
    assert told == {
        "schema": "spend-watchdog/costs/1",
        "currency": "USD",
        "from": "2026-11-23T00:00:00Z",
        "until": "2026-11-24T00:00:00Z",
        "basis": "metered",
        "by": "workload",
        "rows": [{"key": "llama", "verdict": "mature", **amounts}],
        "totals": amounts,
        "unpriced": [],
        "notes": [],
    }


def test_the_frame_keeps_money_exact_and_unknown_empty(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"))
    accounts.ran(("8:00", "9:00", "idle"), box=machine("x", started_at=BOOTED, price=price(None)))
    frame = accounts.costs(by="machine").to_frame()
    assert list(frame["idle"]) == [Decimal("1.000000000"), None]
    assert list(frame["unpriced_hours"]) == [0.0, 1.0]
    assert list(frame.columns[:3]) == ["key", "verdict", "setup"]
