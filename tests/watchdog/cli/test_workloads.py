"""`workloads` and `explain` as people and scripts see them."""

import shutil
from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.watchdog.cli.seeded import NOW, attempts, history
from tests.watchdog.cli.shells import Shell, on_a_terminal
from tests.watchdog.ledger.facts import attribution, charge, event, machine
from watchdog.ledger.store import Ledger

CONTRACT = {
    "workload", "group", "kind", "verdict", "score", "low", "high", "runs", "gpu_hours",
    "succeeded", "failed", "questions", "missing",
}  # fmt: skip
BOX = "aws:123456789012:us-east-1:i-2"


def filled(folder: Path) -> Shell:
    """A mature workload that queues at home, two that fail, and one that nobody saw end."""
    shell = Shell(folder, {})
    file = history(
        folder,
        attempts("steady", 14, wait=timedelta(hours=2)),
        attempts("better", 7, outcome="failed"),
        [row | {"run_id": f"n{row['run_id']}"} for row in attempts("probe", 3, outcome="failed")],
        attempts("lost", 2, outcome="lost"),
    )
    assert shell("runs", "import", file).code == 0
    return shell


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """Not written to."""
    return filled(tmp_path_factory.mktemp("known"))


@pytest.fixture
def shell(tmp_path: Path, known: Shell) -> Shell:
    """The same to write to."""
    shutil.copytree(known.folder, tmp_path, dirs_exist_ok=True)
    return Shell(tmp_path, {})


@pytest.fixture(scope="module")
def burning(tmp_path_factory: pytest.TempPathFactory, known: Shell) -> Shell:
    """The same, with dollars on one of them. Not written to."""
    folder = tmp_path_factory.mktemp("burning")
    shutil.copytree(known.folder, folder, dirs_exist_ok=True)
    metered(folder, {"ListCost": Decimal(5)}, workload="probe")
    return Shell(folder, {})


def rows(shell: Shell, *arguments: str) -> dict[str, Mapping[str, Any]]:
    told: Sequence[Mapping[str, Any]] = shell("workloads", "--json", *arguments).json["rows"]
    return {str(row["workload"]): row for row in told}


def metered(folder: Path, *charges: Mapping[str, Any], workload: str = "steady") -> None:
    """Charges of two hours ago, on a machine that belongs to the workload."""
    ledger = Ledger.open(str(folder / "ledger"))
    hour = NOW.replace(minute=0, second=0) - timedelta(hours=2)
    times = {
        "ChargePeriodStart": hour,
        "ChargePeriodEnd": hour + timedelta(hours=1),
        "ConsumedUnit": "Hours",
        "observed_at": NOW,
    }
    ledger.append("charges", [charge(**{**times, **each}) for each in charges])
    ledger.append("attributions", [attribution(workload=workload)])


def test_the_json_keeps_the_contract_and_adds_to_it(known: Shell) -> None:
    told = rows(known)
    assert all(row.keys() >= CONTRACT for row in told.values())
    steady = told["steady"]
    assert (steady["verdict"], steady["proven_gpus"]) == ("mature", 1)
    assert steady["trend"]["direction"] in {"steady", "rising"}
    assert steady["trend"]["runs_since"] == 8
    assert steady["burst"]["median_wait_minutes"] == 120.0
    assert (told["lost"]["trend"], told["lost"]["score"], told["lost"]["burst"]) == (None,) * 3


def test_what_was_not_metered_is_null_and_not_zero(known: Shell) -> None:
    spent = rows(known)["steady"]["spent_7d"]
    assert (spent["usd"], spent["why"]) == (None, "nothing was metered for it")


def test_what_it_burned_is_the_last_seven_days_and_only_those(shell: Shell, tmp_path: Path) -> None:
    old = NOW.replace(minute=0, second=0) - timedelta(days=9)
    metered(
        tmp_path,
        {"ListCost": Decimal("12.34")},
        {"ListCost": Decimal(99), "ChargePeriodStart": old, "ChargePeriodEnd": old},
    )
    told = rows(shell)
    assert Decimal(told["steady"]["spent_7d"]["usd"]) == Decimal("12.34")
    assert told["steady"]["spent_7d"]["why"] is None
    assert told["probe"]["spent_7d"]["usd"] is None
    assert "12.34 USD" in shell("workloads").out
    costs = shell("costs", "--since", "7d", "--json").json["totals"]["total"]
    assert Decimal(costs) == Decimal("12.34")


def test_a_part_without_a_price_is_said(shell: Shell, tmp_path: Path) -> None:
    metered(tmp_path, {"ListCost": None}, {"ListCost": Decimal(3), "x_Phase": "active"})
    spent = rows(shell)["steady"]["spent_7d"]
    assert (Decimal(spent["usd"]), spent["unpriced_hours"]) == (Decimal(3), 0.5)
    assert "3.00 USD and more" in shell("workloads").out
    assert "have no price" in shell("explain", "steady").out


@pytest.mark.parametrize(
    ("by", "first"),
    [
        ("risk", {"better", "probe"}),
        ("name", {"better"}),
        ("verdict", {"steady"}),
        ("score", {"steady"}),
        ("runs", {"steady"}),
        ("gpu_hours", {"steady"}),
        ("burned", {"probe"}),
        ("trend", {"steady"}),
    ],
)
def test_the_table_is_sorted_as_asked_and_the_unknown_stand_last(
    burning: Shell, by: str, first: set[str]
) -> None:
    names = list(rows(burning, "--sort", by))
    assert names[0] in first
    if by in {"risk", "score", "verdict", "trend"}:
        assert names[-1] == "lost"


def test_an_order_that_does_not_exist_is_a_usage_error(known: Shell) -> None:
    assert known("workloads", "--sort", "colour").code == 2


@pytest.mark.parametrize("columns", [80, 200])
def test_the_table_fits_the_terminal_with_score_trend_and_burst(known: Shell, columns: int) -> None:
    lines = on_a_terminal(known.folder, "workloads", columns=columns)
    assert max(map(len, lines)) <= columns
    (row,) = [line for line in lines if line.startswith("steady ")]
    assert "mature" in row
    assert "(" in row
    assert any("Rent the burst" in line for line in lines)


def test_the_terms_of_a_score_add_up_to_it(known: Shell) -> None:
    for name in ("steady", "better", "probe"):
        told = known("explain", name, "--json").json
        terms = told["score_terms"]
        added = terms["start"] + sum(term["points"] for term in terms["terms"])
        assert added == pytest.approx(terms["score"], abs=1e-5)
        assert terms["score"] == pytest.approx(told["workload"]["score"], abs=1e-4)
    assert known("explain", "lost", "--json").json["score_terms"] is None


def test_the_terms_shown_to_people_add_up_as_well(known: Shell) -> None:
    lines = known("explain", "steady").out.splitlines()
    start = float(lines[1].split("from ")[1].split("%")[0])
    signs = {"+": 1, "−": -1}
    points = [
        signs[line.split()[0]] * float(line.split()[1])
        for line in lines[2:]
        if line.split()[0] in signs
    ]
    score = float(lines[0].split("mature, ")[1].split("%")[0])
    assert start + sum(points) == pytest.approx(score, abs=1.5)
    assert any("its newest 14 runs that count succeeded in a row" in line for line in lines)
    assert "  proven scope: 1 GPU; more has never succeeded" in lines


def test_what_is_missing_is_told(known: Shell) -> None:
    told = known("explain", "probe").out
    assert "still missing:" in told
    assert "3 more successful runs of over a minute" in told


def test_a_verdict_that_changed_stands_in_the_history_of_its_workload(shell: Shell) -> None:
    first = shell("patrol", "--json").json["verdict_changes"]
    assert {(each["workload"], each["from"], each["to"]) for each in first} == {
        ("steady", "unknown", "mature"),
        ("better", "unknown", "exploratory"),
        ("probe", "unknown", "exploratory"),
    }
    assert shell("patrol", "--json").json["verdict_changes"] == []
    events = shell("explain", "steady", "--events", "--json").json["events"]
    (change,) = [each for each in events if each["kind"] == "verdict"]
    assert (change["from"], change["to"]) == ("unknown", "mature")
    assert change["at"].endswith("Z")
    assert "verdict  unknown → mature" in shell("explain", "steady", "--events").out
    assert "events" not in shell("explain", "steady", "--json").json


def test_a_workloads_history_holds_what_befell_its_machines(shell: Shell, tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    ledger.append("attributions", [attribution(resource=BOX, workload="steady")])
    ledger.append("events", [event(machine=BOX), event("finding/2", machine="aws:1:r:other")])
    events = shell("explain", "steady", "--events", "--json").json["events"]
    assert [each["kind"] for each in events] == ["finding"]


def test_a_machine_of_a_name_that_two_groups_bear_shows_the_one_of_its_group(
    tmp_path: Path,
) -> None:
    shell = Shell(tmp_path, {})
    one = attempts("llama", 3, group="nlp")
    other = [row | {"run_id": f"cv-{row['run_id']}", "group": "cv"} for row in one]
    assert shell("runs", "import", history(tmp_path, one, other)).code == 0
    ledger = Ledger.open(str(tmp_path / "ledger"))
    ledger.append("machines", [machine(id=BOX)])
    ledger.append("attributions", [attribution(resource=BOX, workload_group="cv")])
    assert shell("explain", "i-2", "--json").json["workload"]["group"] == "cv"
