"""May this leave home? As a launch script asks it, on imported histories."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.watchdog.cli.seeded import NOW, attempts, history
from tests.watchdog.cli.shells import Shell
from tests.watchdog.ledger.facts import attribution
from watchdog.ledger.store import Ledger


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path, {})


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    """A mature workload at home, one that fails, one whose runs nobody saw end. Not written to."""
    shell = Shell(tmp_path_factory.mktemp("known"), {})
    failing: dict[str, Any] = {
        "outcome": "failed",
        "cause": "error",
        "gpus": 8,
        "location": "cloud",
    }
    imported(
        shell,
        attempts("llama", 14, data_class="internal"),
        attempts("probe", 6, hours=0.1, **failing),
        attempts("lost", 3, outcome="lost"),
    )
    return shell


def imported(shell: Shell, *several: Sequence[Mapping[str, Any]]) -> None:
    assert shell("runs", "import", history(shell.folder, *several)).code == 0


def test_mature_work_may_leave_and_everything_is_told(known: Shell) -> None:
    done = known("preflight", "llama", "--json")
    told = done.json
    assert done.code == 0
    assert (told["schema"], told["may_leave"]) == ("spend-watchdog/preflight/1", True)
    assert (told["verdict"], len(told["questions"]), told["missing"]) == ("mature", 7, [])
    assert told["data"] == {
        "classes": ["internal"],
        "may_leave": True,
        "why": "its data is internal, which no setting restricts",
    }
    assert told["memory"]["needs_mib"] == pytest.approx(19800)
    machine = told["machine"]
    assert (machine["gpus"], machine["fits"], machine["in_proven_scope"]) == (1, True, True)
    assert machine["gpu_memory_mib"] >= 19800
    assert machine["gpu_memory_mib"] < 2 * 19800
    (home,) = told["home"]
    assert home["why"] == "fits the 24 GB RTX 3090 on desk, with 6.4 GiB to spare"


def test_what_a_run_costs_is_its_time_at_the_price_of_that_machine(shell: Shell) -> None:
    hours = [1.0, 2.0, 3.0, 4.0, 5.0]
    rows = [
        row
        for number, length in enumerate(hours)
        for row in attempts("llama", 5, hours=length)[number : number + 1]
    ]
    imported(shell, rows, attempts("llama-2", 3))
    told = shell("preflight", "llama", "--machine", "g5.xlarge", "--json").json
    assert told["machine"]["machine_type"] == "g5.xlarge"
    price = Decimal(told["machine"]["hourly_usd"])
    assert told["next_run"]["minutes"] == {"low": 84.0, "likely": 180.0, "high": 276.0, "runs": 5}
    assert told["next_run"]["cost_usd"] == {
        name: str((price * Decimal(minutes) / 60).quantize(Decimal("0.01")))
        for name, minutes in (("low", 84), ("likely", 180), ("high", 276))
    }


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("probe",), 3, "no: probe is exploratory"),
        (("lost",), 4, "unknown: the maturity of lost is unknown"),
        (("llama", "--machine", "g4dn.xlarge"), 3, "it does not fit g4dn.xlarge"),
        (("llama", "--machine", "g5.12xlarge"), 3, "g5.12xlarge has 4 GPUs: only 1 GPU is proven"),
        (("llama", "--machine", "g6.xlarge"), 0, "Asked about: g6.xlarge (aws), 1 × L4"),
        (("llama", "--machine", "g6.xlargee"), 4, "did you mean g6.xlarge"),
        (("llamas",), 4, "did you mean llama?"),
        (("zzz",), 4, "`spend-watchdog workloads` lists those that are known"),
    ],
)
def test_the_exit_code_lets_a_script_fail_open_or_closed(
    known: Shell, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = known("preflight", *arguments)
    assert done.code == code
    assert words in done.out + done.err


@pytest.mark.parametrize(("name", "code", "may"), [("probe", 3, False), ("zzz", 4, None)])
def test_the_json_says_the_same_as_the_exit_code(
    known: Shell, name: str, code: int, *, may: bool | None
) -> None:
    done = known("preflight", name, "--json")
    assert (done.code, done.json["may_leave"]) == (code, may)
    assert done.json["verdict"] == {3: "exploratory", 4: "unknown"}[code]


def test_data_that_must_not_leave_keeps_mature_work_at_home(known: Shell) -> None:
    done = known("preflight", "llama", SPEND_WATCHDOG_RESTRICTED_DATA_CLASSES="phi,Internal")
    assert done.code == 3
    assert "against it: its data is internal, which must not leave" in done.out
    allowed = known("preflight", "llama", SPEND_WATCHDOG_RESTRICTED_DATA_CLASSES="phi")
    assert allowed.code == 0


def test_data_of_an_unknown_class_is_said_and_counts_only_where_a_class_is_restricted(
    shell: Shell,
) -> None:
    imported(shell, attempts("llama", 14))
    open_ = shell("preflight", "llama", "--json")
    assert (open_.code, open_.json["data"]["may_leave"]) == (0, None)
    assert "nobody tells its data class" in open_.json["data"]["why"]
    closed = shell("preflight", "llama", SPEND_WATCHDOG_RESTRICTED_DATA_CLASSES="phi")
    assert closed.code == 4
    assert "unknown: nobody tells its data class" in closed.out


def test_the_data_class_of_a_tag_counts_like_that_of_a_run(shell: Shell, tmp_path: Path) -> None:
    imported(shell, attempts("llama", 14))
    ledger = Ledger.open(str(tmp_path / "ledger"))
    ledger.append("attributions", [attribution(data_class="phi")])
    done = shell("preflight", "llama", SPEND_WATCHDOG_RESTRICTED_DATA_CLASSES="phi")
    assert done.code == 3


def test_what_was_not_measured_is_said_and_never_a_figure(shell: Shell) -> None:
    imported(shell, attempts("llama", 14, peak_gpu_memory_mib=None, gpu_memory_mib=None))
    done = shell("preflight", "llama", "--json")
    assert (done.code, done.json["machine"], done.json["alternatives"]) == (0, None, [])
    assert done.json["machine_why"] == "no recent run tells its peak GPU memory"
    assert done.json["next_run"]["cost_usd"] == {"low": None, "likely": None, "high": None}
    assert done.json["home"] == []
    asked = shell("preflight", "llama", "--machine", "g6.xlarge", "--json")
    assert (asked.code, asked.json["machine"]["fits"]) == (0, None)


def test_a_price_that_is_unknown_stays_unknown(known: Shell) -> None:
    done = known("preflight", "llama", "--json", SPEND_WATCHDOG_REGIONS="mars-north-1")
    assert done.json["machine"]["hourly_usd"] is None
    assert done.json["next_run"]["cost_usd"]["likely"] is None
    assert "no offline price" in done.json["next_run"]["why"]
    assert "price unknown" in known("preflight", "llama", SPEND_WATCHDOG_REGIONS="mars-1").out


def test_more_gpus_than_ever_succeeded_are_beyond_what_is_proven(shell: Shell) -> None:
    newer = {"started_at": NOW - timedelta(minutes=5), "ended_at": None, "outcome": "running"}
    running = [row | newer | {"run_id": "big"} for row in attempts("llama", 1, gpus=64)]
    imported(shell, attempts("llama", 14), running)
    done = shell("preflight", "llama")
    assert done.code == 3
    assert "its newest run used 64 GPUs: only 1 GPU is proven" in done.out


def test_the_burst_is_told_with_its_figures(shell: Shell) -> None:
    imported(shell, attempts("llama", 14, wait=timedelta(minutes=90)))
    burst = shell("preflight", "llama", "--json").json["burst"]
    assert (burst["median_wait_minutes"], burst["queued_hours"]) == (90.0, 21.0)
    assert (burst["runs"], burst["rent_hours"]) == (14, 28.0)
    machine = shell("prices", "show", burst["machine_type"], "--region", burst["region"], "--json")
    prices = {
        Decimal(each["hourly_usd"])
        for each in machine.json["prices"]
        if each["machine_type"] == burst["machine_type"] and each["purchase"] == "on_demand"
    }
    assert Decimal(burst["rent_usd"]) in {(each * 28).quantize(Decimal("0.01")) for each in prices}
    for command in (("preflight", "llama"), ("workloads",), ("explain", "llama")):
        assert "Rent the burst" in shell(*command).out


def test_work_that_is_not_mature_or_does_not_wait_rents_no_burst(shell: Shell) -> None:
    imported(
        shell,
        attempts("llama", 14, wait=timedelta(minutes=1)),
        attempts("probe", 14, wait=timedelta(hours=9), outcome="failed"),
    )
    told = shell("workloads", "--json").json["rows"]
    assert [row["burst"] for row in told] == [None, None]


def test_a_name_of_two_groups_is_asked_back(shell: Shell) -> None:
    one = attempts("llama", 3, group="nlp")
    other = [row | {"run_id": f"cv-{row['run_id']}", "group": "cv"} for row in one]
    imported(shell, one, other)
    done = shell("preflight", "llama")
    assert (done.code, done.out) == (2, "")
    assert "llama names 2 workloads; say which:" in done.err
    assert shell("preflight", "nlp/llama").code in {0, 3}


def test_without_a_ledger_it_is_unknown_and_no_ledger_is_made(shell: Shell, tmp_path: Path) -> None:
    done = shell("preflight", "llama")
    assert done.code == 4
    assert "there is nothing yet" in done.err
    assert not (tmp_path / "ledger").exists()


def test_the_shell_completes_workloads(known: Shell) -> None:
    asked = {"_SPEND_WATCHDOG_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    assert known(**asked, COMP_WORDS="spend-watchdog preflight ll").out.split() == ["llama"]
    assert known(**asked, COMP_WORDS="spend-watchdog explain pr").out.split() == ["probe"]


def test_the_shell_completes_nothing_where_the_settings_are_wrong(shell: Shell) -> None:
    asked = {"_SPEND_WATCHDOG_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    done = shell(**asked, COMP_WORDS="spend-watchdog preflight ll", SPEND_WATCHDOG_LEDGR="x")
    assert done.out.split() == []


def test_a_person_reads_the_answer_first(known: Shell) -> None:
    done = known("preflight", "llama")
    assert done.out.startswith("May it leave home? yes: llama is mature, ")
