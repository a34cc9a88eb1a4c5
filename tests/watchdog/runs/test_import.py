"""Run files into a real ledger: what enters, what is left out, and that nothing enters twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from policies.facts import Run, RunOutcome
from tests.watchdog.runs.histories import (
    GOOD,
    NOW,
    row,
    write_csv,
    write_gzip,
    write_jsonl,
    write_runs,
)
from watchdog.ledger.store import Ledger
from watchdog.runs import files, staging
from watchdog.runs.files import exit_code_of, import_files
from watchdog.runs.reading import RunPathError
from watchdog.runs.staging import StagingError

LATER = NOW + timedelta(hours=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(str(tmp_path / "ledger"))


def test_every_field_of_a_run_reaches_the_ledger(ledger: Ledger, tmp_path: Path) -> None:
    run = Run(
        run_id="r1",
        workload="llama",
        started_at=datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC),
        outcome=RunOutcome.FAILED,
        ended_at=datetime(2026, 1, 2, tzinfo=UTC),
        group="vision",
        error='line one\nline "two", with \x85 and é',
        location="cloud",
        gpus=8,
        peak_gpu_memory_mib=61234.56789,
        metric_value=-0.1,
        sent_bytes=2**62 + 1,
        cost_usd=Decimal("123456789.123456789"),
        source="mlflow",
    )

    [imported] = import_files(ledger, [write_runs(tmp_path / "runs.csv", [run])], now=NOW)

    [stored] = ledger.rows("runs")
    assert imported.added == 1
    assert stored.pop("observed_at") == NOW
    assert stored.pop("revision")
    assert stored.pop("told_by") == "mlflow"
    stored["group"] = stored.pop("workload_group")
    assert stored == {name: getattr(run, name) for name in Run.__slots__}


def test_what_is_not_told_is_unknown_and_the_source_is_the_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    import_files(ledger, [write_csv(tmp_path / "runs.csv", [row(gpus="", cost_usd="")])], now=NOW)

    [stored] = ledger.rows("runs")
    told = {name: value for name, value in stored.items() if value is not None}
    assert told.pop("revision")
    assert told.pop("told_by") == "file"
    assert told == {
        **GOOD,
        "started_at": datetime(2026, 1, 1, tzinfo=UTC),
        "kind": "unknown",
        "source": "file",
        "observed_at": NOW,
    }


def test_the_same_file_twice_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(run_id=f"r{number}", gpus=number) for number in range(5)]
    as_csv = write_csv(tmp_path / "runs.csv", rows)
    as_lines = write_jsonl(tmp_path / "runs.jsonl", rows)
    packed = write_gzip(tmp_path / "runs.csv.gz", as_csv.read_bytes())

    [first] = import_files(ledger, [as_csv], now=NOW)
    others = import_files(ledger, [as_csv, as_lines, packed], now=LATER)

    assert (first.rows, first.added, first.unchanged) == (5, 5, 0)
    assert [(each.rows, each.added, each.unchanged) for each in others] == [(5, 0, 5)] * 3
    assert _stored(ledger) == 5


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_what_a_ledger_exports_another_one_takes_whole(
    ledger: Ledger, tmp_path: Path, kind: str
) -> None:
    rows = [row(group="vision", gpus=8, cost_usd="0.1"), row(run_id="r2", error="one\ntwo")]
    import_files(ledger, [write_csv(tmp_path / "runs.csv", rows)], now=NOW)
    exported = tmp_path / f"exported.{kind}"
    ledger.export("runs", exported, kind)

    [again] = import_files(ledger, [exported], now=LATER, strict=True)
    other = Ledger.open(str(tmp_path / "other"))
    import_files(other, [exported], now=NOW, strict=True)

    assert (again.added, again.unchanged, again.notices) == (0, 2, ())
    assert _by_id(other) == _by_id(ledger)


def test_a_run_that_changed_enters_as_a_newer_revision(ledger: Ledger, tmp_path: Path) -> None:
    running = row(outcome="running")
    ended = row(outcome="succeeded", ended_at="2026-01-01T03:00:00Z")
    path = tmp_path / "runs.csv"

    import_files(ledger, [write_csv(path, [running, row(run_id="r2")])], now=NOW)
    [second] = import_files(ledger, [write_csv(path, [ended, row(run_id="r2")])], now=LATER)

    assert (second.added, second.unchanged) == (1, 1)
    outcomes = {stored["run_id"]: stored["outcome"] for stored in ledger.rows("runs")}
    assert outcomes == {"r1": "succeeded", "r2": "succeeded"}


def test_a_revision_that_was_replaced_may_come_back(ledger: Ledger, tmp_path: Path) -> None:
    right = write_csv(tmp_path / "right.csv", [row(gpus=8)])
    wrong = write_csv(tmp_path / "wrong.csv", [row(gpus=1)])

    for hours, path in enumerate([right, wrong, right]):
        [imported] = import_files(ledger, [path], now=NOW + timedelta(hours=hours))
        assert imported.added == 1

    assert [stored["gpus"] for stored in ledger.rows("runs")] == [8]


def test_a_newer_revision_wins_even_where_the_clock_is_behind(
    ledger: Ledger, tmp_path: Path
) -> None:
    old = write_csv(tmp_path / "old.csv", [row(gpus=1)])
    new = write_csv(tmp_path / "new.csv", [row(gpus=8)])

    import_files(ledger, [old], now=NOW)
    import_files(ledger, [new], now=NOW - timedelta(minutes=3))

    assert [stored["gpus"] for stored in ledger.rows("runs")] == [8]


def test_good_rows_enter_and_bad_ones_are_counted(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(), row(run_id="r2", gpus="x", cost_usd="y"), row(run_id=""), row(run_id="r4")]
    path = write_csv(tmp_path / "runs.csv", rows)

    [imported] = import_files(ledger, [path], now=NOW)

    assert (imported.rows, imported.added, imported.unchanged, imported.bad) == (4, 2, 0, 2)
    assert imported.problem_count == 3
    assert [str(each) for each in imported.problems] == [
        f"{path}:3: gpus: 'x' is not a number",
        f"{path}:3: cost_usd: 'y' is not a number",
        f"{path}:4: run_id: empty; every run needs one",
    ]
    assert exit_code_of([imported]) == 4
    assert {stored["run_id"] for stored in ledger.rows("runs")} == {"r1", "r4"}


def test_strict_refuses_a_file_with_one_bad_row_but_not_the_next_file(
    ledger: Ledger, tmp_path: Path
) -> None:
    bad = write_csv(tmp_path / "bad.csv", [row(), row(run_id="r2", gpus="x")])
    good = write_csv(tmp_path / "good.csv", [row(run_id="r3")])

    refused, entered = import_files(ledger, [bad, good], now=NOW, strict=True)

    assert refused.refused == f"{bad}: refused whole for 1 bad row (--strict)"
    assert (refused.added, refused.unchanged, refused.bad) == (0, 0, 1)
    assert [str(each) for each in refused.problems] == [f"{bad}:3: gpus: 'x' is not a number"]
    assert (entered.added, entered.refused) == (1, None)
    assert exit_code_of([refused, entered]) == 1
    assert [stored["run_id"] for stored in ledger.rows("runs")] == ["r3"]


def test_a_file_that_breaks_off_enters_not_at_all(ledger: Ledger, tmp_path: Path) -> None:
    rows = [row(run_id=f"r{number}") for number in range(2000)]
    whole = write_csv(tmp_path / "runs.csv", rows).read_bytes()
    broken = write_gzip(tmp_path / "runs.csv.gz", whole)
    broken.write_bytes(broken.read_bytes()[:-30])

    [imported] = import_files(ledger, [broken], now=NOW)

    assert imported.refused
    assert imported.refused.startswith(f"{broken}: the gzip data is damaged after line ")
    assert (imported.added, imported.unchanged) == (0, 0)
    assert exit_code_of([imported]) == 1
    assert ledger.rows("runs") == []


def test_a_wrong_path_is_found_before_anything_enters(ledger: Ledger, tmp_path: Path) -> None:
    good = write_csv(tmp_path / "good.csv", [row()])

    with pytest.raises(RunPathError, match="does not exist"):
        import_files(ledger, [good, tmp_path / "nowhere.csv"], now=NOW)

    assert ledger.rows("runs") == []


def test_a_file_with_a_header_only_is_fine_and_adds_nothing(ledger: Ledger, tmp_path: Path) -> None:
    path = tmp_path / "runs.csv"
    path.write_text(",".join(GOOD) + "\n")

    [imported] = import_files(ledger, [path], now=NOW)

    assert (imported.rows, imported.added, imported.refused) == (0, 0, None)
    assert exit_code_of([imported]) == 0


def test_the_list_of_problems_is_capped_but_not_their_count(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PROBLEMS_KEPT", 3)
    rows = [row(run_id=f"r{number}", gpus="x") for number in range(10)]

    [imported] = import_files(ledger, [write_csv(tmp_path / "runs.csv", rows)], now=NOW)

    assert (len(imported.problems), imported.problem_count, imported.bad) == (3, 10, 10)


def test_each_file_is_one_commit_and_one_without_news_is_none(
    ledger: Ledger, tmp_path: Path
) -> None:
    rows = [row(run_id=f"r{number}") for number in range(12_000)]
    path = write_csv(tmp_path / "runs.csv", rows)
    before = _commits(tmp_path)

    import_files(ledger, [path], now=NOW)
    after = _commits(tmp_path)
    import_files(ledger, [path], now=LATER)

    assert (after - before, _commits(tmp_path) - after) == (1, 0)
    assert _stored(ledger) == 12_000


def test_no_room_for_many_rows_is_one_clear_line(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staging, "MEMORY", "2MB")
    rows = [row(run_id=f"r{number}", error="x" * 500) for number in range(12_000)]

    with pytest.raises(StagingError) as caught:
        import_files(ledger, [write_csv(tmp_path / "runs.csv", rows)], now=NOW)

    assert str(caught.value).startswith("no room for the rows before they enter the ledger: ")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 1
    assert ledger.rows("runs") == []


def test_progress_grows_to_the_size_of_all_files(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "ROWS_BETWEEN_REPORTS", 100)
    rows = [row(run_id=f"r{number}", error="x" * 1000) for number in range(1000)]
    paths = [
        write_csv(tmp_path / "a.csv", rows),
        write_jsonl(tmp_path / "b.jsonl", rows),
    ]
    sizes = [path.stat().st_size for path in paths]
    steps: list[tuple[int, int | None]] = []

    import_files(ledger, paths, now=NOW, progress=_noted(steps))

    done = [read for read, _ in steps]
    assert done == sorted(done)
    assert {total for _, total in steps} == {sum(sizes)}
    assert steps[-1] == (sum(sizes), sum(sizes))
    assert len(set(done)) > 15


def _noted(steps: list[tuple[int, int | None]]) -> Callable[[int, int | None], None]:
    return lambda read, total: steps.append((read, total))


def _by_id(ledger: Ledger) -> list[dict[str, object]]:
    return sorted(ledger.rows("runs"), key=lambda stored: str(stored["run_id"]))


def _stored(ledger: Ledger) -> int:
    return len(ledger.query("runs"))


def _commits(tmp_path: Path) -> int:
    return len(list((tmp_path / "ledger" / "runs" / "_delta_log").glob("*.json")))
