"""What a person sees of the breakdown, on 80 columns."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from tests.builders import machine, price
from tests.watchdog.costs.accounts import BOOTED, Accounts, belonged, run_row
from watchdog.costs.breakdown import Breakdown, table
from watchdog.costs.lines import BUCKETS


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return Accounts(tmp_path / "ledger")


def shown(told: Breakdown, width: int = 80) -> list[str]:
    out = io.StringIO()
    Console(file=out, width=width).print(table(told))
    return [line.rstrip() for line in out.getvalue().splitlines()]


def fill(accounts: Accounts, hourly_usd: str) -> None:
    """Two workloads with every phase and meter, a third without a price."""
    phases = ("setup", "transfer", "active", "parked", "idle", "hung", "unknown")
    hours = [(f"{6 + n}:00", f"{7 + n}:00", phase) for n, phase in enumerate(phases)]
    for name in ("llama-70b-pretraining-run-of-november", "bert"):
        box = machine(name, started_at=BOOTED, price=price(hourly_usd))
        accounts.ran(*hours, box=box)
        accounts.belongs(belonged(name, resource=box.id))
    for meter in ("storage", "egress", "address"):
        accounts.charged(meter, "8:00", "0.25")
    new = machine("new", started_at=BOOTED, price=price(None))
    accounts.ran(("8:00", "10:30", "idle"), box=new)
    accounts.attempted(run_row("a", "8:00", "9:00", machine_id="i-bert"))


def test_empty_columns_are_left_out_and_totals_close_the_table(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"), ("9:00", "10:30", "active"))
    accounts.belongs(belonged("llama"))
    assert shown(accounts.costs(verdicts={"llama": "mature"})) == [
        "Costs by workload, 2026-11-23 00:00 to 2026-11-24 00:00 UTC, USD, metered",
        "                                        failed  not pro-",
        "workload  verdict  active  idle  total    runs   ductive",
        "────────────────────────────────────────────────────────",
        "llama     mature     1.50  1.00   2.50    0.00      1.00",
        "",
        "total     –          1.50  1.00   2.50    0.00      1.00",
    ]


@pytest.mark.parametrize("hourly_usd", ["0.01", "98.32", "123456.78"])
def test_everything_at_once_fits_eighty_columns(accounts: Accounts, hourly_usd: str) -> None:
    fill(accounts, hourly_usd)
    told = accounts.costs(verdicts={"bert": "exploratory"})
    lines = shown(told)
    assert max(map(len, lines)) <= 80
    assert not any("…" in line for line in lines)


def test_small_columns_are_summed_where_there_is_no_room(accounts: Accounts) -> None:
    fill(accounts, "98.32")
    assert shown(accounts.costs()) == [
        "Costs by workload, 2026-11-23 00:00 to 2026-11-24 00:00 UTC, USD, metered",
        "                                                                failed  not pro-",
        "workload             parked  idle  hung  unknown  rest   total    runs   ductive",
        "────────────────────────────────────────────────────────────────────────────────",
        "bert                     98    98    98       98   295     688      98       590",
        "llama-70b-pretraini      98    98    98       98   295     688       0       492",
        "ng-run-of-november",
        "unattributed              0     ?     0        0     1      ≥1       0         0",
        "",
        "total                   197   197   197      197   591  ≥1,377      98     1,082",
        "egress is what it would cost if all that machines and buckets sent went to the",
        "internet: their meters cannot tell",
        "No price, so in no figure (≥): new 2.5 h",
    ]


def test_unmeasured_money_is_the_last_to_lose_its_column(accounts: Accounts) -> None:
    box = machine("big", started_at=BOOTED, price=price("123456.78"))
    phases = ("setup", "transfer", "active", "parked", "idle", "hung")
    hours = [(f"{6 + n}:00", f"{7 + n}:00", phase) for n, phase in enumerate(phases)]
    accounts.ran(*hours, ("12:00", "12:01", "unknown"), box=box)
    accounts.belongs(belonged("bert", resource=box.id))
    lines = shown(accounts.costs(verdicts={"bert": "exploratory"}))
    assert {"unknown", "rest"} <= set(lines[2].split())
    assert max(map(len, lines)) <= 80


def test_by_phase_the_rows_are_the_columns(accounts: Accounts) -> None:
    fill(accounts, "1.00")
    lines = shown(accounts.costs(by="phase"))
    assert lines[2].split() == ["phase", "total", "runs", "ductive"]
    assert [line.split()[0] for line in lines[4:14]] == list(BUCKETS)


def test_machines_are_called_by_name_and_by_native_id(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"), box=machine("big", started_at=BOOTED))
    nameless = replace(machine("x", started_at=BOOTED), name=None)
    accounts.ran(("8:00", "8:30", "idle"), box=nameless)
    told = accounts.costs(by="machine")
    assert [row.label for row in told.rows] == ["big i-big", "i-x"]
    assert told.rows[0].key == "aws:123456789012:us-east-1:i-big"
    rows = told.to_json()["rows"]
    assert isinstance(rows, list)
    assert [row["name"] for row in rows] == ["big", None]
    assert list(told.to_frame()["name"]) == ["big", None]
    assert "name" not in accounts.costs(by="day").to_frame()


def test_what_has_no_price_and_no_hours_is_told_too(accounts: Accounts) -> None:
    accounts.charged("storage", "8:00", None, ResourceName="bucket")
    accounts.charged("storage", "9:00", "0.10")
    lines = shown(accounts.costs())
    assert "≥0.10" in lines[4]
    assert lines[-1] == "No price, so in no figure (≥): bucket"


def test_names_are_not_markup(accounts: Accounts) -> None:
    accounts.ran(("8:00", "9:00", "idle"), box=machine("[red]x[/red]", started_at=BOOTED))
    accounts.ran(("8:00", "9:00", "idle"), box=machine("[b]", price=price(None), started_at=BOOTED))
    accounts.belongs(belonged("[bold]evil[/]", resource=machine("[red]x[/red]").id))
    lines = "\n".join(shown(accounts.costs()))
    assert "[bold]evil[/]" in lines
    assert "[b] 1.0 h" in lines
    by_machine = "\n".join(shown(accounts.costs(by="machine")))
    assert "[red]x[/red]" in by_machine
