"""Laws of reading: a run survives every format; its revision is its content and nothing else."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from policies.facts import Run, RunCause, RunOutcome, WorkloadKind
from tests.watchdog.runs.histories import NOW, read, write_runs
from watchdog.runs.columns import COLUMN, Cell
from watchdog.runs.reading import Problem, read_runs
from watchdog.runs.revision import cells_of, revision_of
from watchdog.runs.rows import run_from

TEXT = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
    .map(str.strip)
    .filter(bool)
)
COUNT = st.integers(0, 2**63 - 1)
FIGURE = st.floats(0, allow_infinity=False)
STARTED = st.datetimes(datetime(2000, 1, 1), datetime(2026, 5, 1), timezones=st.just(UTC))  # noqa: DTZ001  # hypothesis wants naive bounds
VALUES = {
    Cell.TEXT: TEXT,
    Cell.INTEGER: COUNT,
    Cell.NUMBER: FIGURE,
    Cell.TIME: STARTED,
    Cell.MONEY: st.decimals(0, 999_999_999, places=9).map(lambda each: each + Decimal(0)),
}


@st.composite
def runs(draw: st.DrawFn) -> Run:
    optional = {
        name: VALUES[column.cell]
        for name, column in COLUMN.items()
        if column.cell is not Cell.WORD and not column.required and name != "ended_at"
    }
    values: dict[str, Any] = draw(st.fixed_dictionaries({}, optional=optional))
    values["gpu_utilisation_mean_pct"] = draw(st.none() | st.floats(0, 100))
    values["metric_value"] = draw(st.none() | st.floats(allow_nan=False, allow_infinity=False))
    values["cause"] = draw(st.none() | st.sampled_from(RunCause))
    values["location"] = draw(st.sampled_from([None, "local", "cloud"]))
    started = draw(STARTED)
    outcome = draw(st.sampled_from(RunOutcome))
    if outcome is not RunOutcome.RUNNING:
        lasted = st.timedeltas(timedelta(0), timedelta(days=30))
        values["ended_at"] = draw(st.none() | lasted.map(lambda each: started + each))
    return Run(
        run_id=draw(TEXT),
        workload=draw(TEXT),
        started_at=started,
        outcome=outcome,
        kind=draw(st.sampled_from(WorkloadKind)),
        **values,
    )


HISTORIES = st.lists(runs(), min_size=1, max_size=4, unique_by=lambda run: run.run_id)


@given(history=HISTORIES, suffix=st.sampled_from([".csv", ".jsonl", ".parquet"]))
@settings(deadline=None)
def test_runs_come_back_equal_from_every_format(history: list[Run], suffix: str) -> None:
    with TemporaryDirectory() as folder:
        found, said = read(write_runs(Path(folder, f"runs{suffix}"), history), strict=True)

    assert said == []
    assert found == history


@given(run=runs())
def test_equal_runs_have_equal_revisions_wherever_their_clocks_stood(run: Run) -> None:
    elsewhere = timezone(timedelta(hours=5, minutes=45))
    moved = replace(run, started_at=run.started_at.astimezone(elsewhere))
    again = run_from(
        {name: cell for name, cell in zip(COLUMN, cells_of(run), strict=True) if cell}, now=NOW
    )

    assert isinstance(again, Run)
    assert revision_of(cells_of(run)) == revision_of(cells_of(moved))
    assert revision_of(cells_of(run)) == revision_of(cells_of(again))


@given(run=runs(), other=runs(), name=st.sampled_from([field.name for field in fields(Run)]))
def test_runs_that_differ_in_any_field_have_different_revisions(
    run: Run, other: Run, name: str
) -> None:
    changed = replace(run, **{name: getattr(other, name)})

    assert (revision_of(cells_of(run)) == revision_of(cells_of(changed))) == (run == changed)


def test_a_revision_stays_what_it_is_from_version_to_version() -> None:
    run = Run(
        run_id="r1",
        workload="llama",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        outcome=RunOutcome.FAILED,
        gpus=8,
        throughput=2,
        cost_usd=Decimal("1.50"),
    )

    assert revision_of(cells_of(run)) == "37996d9eddf2e05ae91204abaf30aa35"


@given(data=st.binary(max_size=400), suffix=st.sampled_from([".csv", ".jsonl"]))
@settings(deadline=None)
def test_no_bytes_behind_a_good_row_raise_or_lose_it(data: bytes, suffix: str) -> None:
    good = Run(
        run_id="good",
        workload="w",
        started_at=datetime(2026, 1, 1, tzinfo=UTC),
        outcome=RunOutcome.LOST,
    )
    with TemporaryDirectory() as folder:
        path = write_runs(Path(folder, f"runs{suffix}"), [good])
        path.write_bytes(path.read_bytes() + data)
        found = [each for _, each in read_runs(path, now=NOW)]

    assert found[0] == good
    assert all(isinstance(each, Problem) for each in found[1:])
