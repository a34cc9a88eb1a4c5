"""3,586 real runs of 52 public projects, put into the columns of the contract, enter whole."""

import csv
import gzip
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest

from policies.maturity import reasons
from tests.watchdog.runs.histories import write_csv
from watchdog.ledger.store import Ledger
from watchdog.runs.files import import_files
from watchdog.workloads import known_workloads

HISTORY = (
    Path(__file__).resolve().parents[4] / "shared" / "data" / "runs" / "sacred_runs_dev.csv.gz"
)
OUTCOMES = {
    "COMPLETED": "succeeded",
    "COMPLETED_OSEXIT": "succeeded",
    "FAILED": "failed",
    "INTERRUPTED": "cancelled",
    "LOST": "lost",
}
WORKLOAD = ("experiment", "mainfile", "algo", "env", "map")
NOW = datetime(2026, 11, 23, tzinfo=UTC)

pytestmark = pytest.mark.shared


@pytest.fixture
def history(tmp_path: Path) -> Path:
    if not HISTORY.exists():
        pytest.skip(f"{HISTORY} is absent: it is no part of the project")
    with gzip.open(HISTORY, "rt", encoding="utf-8", newline="") as file:
        return write_csv(tmp_path / "history.csv", [_mapped(each) for each in csv.DictReader(file)])


def _mapped(run: dict[str, str]) -> dict[str, object]:
    return {
        "run_id": run["run_uid"],
        "workload": "|".join(run[name] for name in WORKLOAD),
        "group": run["repo"],
        "started_at": run["start"],
        "ended_at": run["stop"],
        "outcome": OUTCOMES[run["outcome"]],
        "cause": "user" if run["outcome"] == "INTERRUPTED" else "",
        "error": run["error"],
        "host": run["host"],
        "gpus": run["gpus"],
        "gpu_model": run["gpu_model"],
        "gpu_memory_mib": run["gpu_mem_mib"],
        "code": run["src_sha"],
        "config": run["config_sha"],
        "source": "sacred",
    }


def test_a_real_history_enters_whole_and_once(history: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))

    [first] = import_files(ledger, [history], now=NOW, strict=True)
    [second] = import_files(ledger, [history], now=NOW, strict=True)

    assert (first.rows, first.added, first.bad, first.problems, first.notices) == (
        3586,
        3586,
        0,
        (),
        (),
    )
    assert (second.added, second.unchanged) == (0, 3586)
    stored = ledger.rows("runs")
    assert Counter(each["outcome"] for each in stored) == {
        "failed": 1280,
        "succeeded": 1189,
        "cancelled": 743,
        "lost": 374,
    }
    assert len({each["workload_group"] for each in stored}) == 52
    assert sum(each["ended_at"] is None for each in stored) == 585
    assert sum(each["gpus"] == 0 for each in stored) == 785


def test_every_score_of_a_real_history_is_explained_whole(history: Path, tmp_path: Path) -> None:
    ledger = Ledger.open(str(tmp_path / "ledger"))
    import_files(ledger, [history], now=NOW, strict=True)
    known = known_workloads(ledger, now=NOW)
    explained = [
        (each, told)
        for each in known.workloads
        if (told := reasons(known.memory, each.key, as_of=NOW)) is not None
    ]
    assert len(explained) == sum(each.maturity.score is not None for each in known.workloads) > 100
    for each, told in explained:
        added = told.start + sum(term.points for term in told.terms)
        assert added == pytest.approx(told.score.value, abs=1e-9)
        assert each.maturity.score == round(told.score.value, 4)
        assert all(term.why and "None" not in term.why for term in told.terms)
