"""Good rows on their way into the ledger: in DuckDB, spilled to disk where they are many."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

import duckdb
import numpy as np
import pandas as pd

from policies.facts import Run
from watchdog.runs.columns import COLUMNS, Cell
from watchdog.runs.revision import cells_of, revision_of

MEMORY = "256MB"
ROWS_AT_ONCE = 5_000

LEDGER_NAMES = {"group": "workload_group"}
"""Columns that the ledger calls otherwise: `group` is a word of SQL."""

_TYPE = {
    Cell.TEXT: "varchar",
    Cell.WORD: "varchar",
    Cell.TIME: "timestamptz",
    Cell.INTEGER: "bigint",
    Cell.NUMBER: "double",
    Cell.MONEY: "decimal(18, 9)",
}
TYPES = {
    **{LEDGER_NAMES.get(each.name, each.name): _TYPE[each.cell] for each in COLUMNS},
    "revision": "varchar",
}
STAGED = tuple(TYPES)
MONEY = frozenset(column.name for column in COLUMNS if column.cell is Cell.MONEY)

NEWS = """
    create or replace temp table news as
    select
        staged.*,
        greatest(?::timestamptz, newest.observed_at + interval 1 microsecond) as observed_at
    from staged left join newest on staged.run_id = newest.run_id
    where staged.revision is distinct from newest.revision
"""


class StagingError(Exception):
    """There is no room for the rows of a file, in memory or on the disk for temporary files."""

    exit_code = 1


class StagedRuns:
    """A table of runs and their revisions, kept as text until it is known what is news."""

    def __init__(self) -> None:
        self._spill = TemporaryDirectory(prefix="spend-watchdog-")
        self._connection = duckdb.connect(
            config={
                "memory_limit": MEMORY,
                "temp_directory": self._spill.name,
                "pandas_analyze_sample": 0,  # object columns hold text: no guessing of types
            }
        )
        self._batch: list[list[str | None]] = []

    def __enter__(self) -> Self:
        columns = ", ".join(f"{name} varchar" for name in STAGED)
        self._connection.execute(f"create table staged ({columns})")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._connection.close()
        self._spill.cleanup()

    def add(self, run: Run) -> None:
        cells = cells_of(run)
        cells.append(revision_of(cells))
        self._batch.append(cells)
        if len(self._batch) == ROWS_AT_ONCE:
            self._flush()

    @contextmanager
    def _room(self) -> Iterator[None]:
        try:
            yield
        except duckdb.Error as error:
            said = str(error).splitlines()[0]
            raise StagingError(
                f"no room for the rows before they enter the ledger: {said}; "
                f"make room in {Path(self._spill.name).parent}, or let TMPDIR name a larger disk"
            ) from error

    def _flush(self) -> None:
        if not self._batch:
            return
        by_column = zip(STAGED, zip(*self._batch, strict=True), strict=True)
        columns = {name: np.array(cells, dtype=object) for name, cells in by_column if any(cells)}
        with self._room():
            self._connection.register("batch", columns)
            self._connection.execute("insert into staged by name select * from batch")
            self._connection.unregister("batch")
        self._batch.clear()

    def news(self, newest: pd.DataFrame, *, now: datetime) -> pd.DataFrame:
        """Rows for the ledger: the runs whose content is not what `newest` holds already.

        `newest` has the newest `revision` of each `run_id` and when it was observed. A revision
        that replaces it is observed later, even if this clock is behind the other one. Columns that
        no row knows are left out.
        """
        self._flush()
        with self._room():
            self._connection.register("newest", newest)
            self._connection.execute(NEWS, [now])
            return self._frame()

    def _frame(self) -> pd.DataFrame:
        counts = ", ".join(f"count({name})" for name in STAGED)
        [known] = self._of_news(counts).fetchall()
        names = [name for name, count in zip(STAGED, known, strict=True) if count]
        cells = [f"{name}::{TYPES[name]} as {name}" for name in names]
        frame: pd.DataFrame = self._of_news(", ".join([*cells, "observed_at"])).df()
        for name in MONEY.intersection(names):  # as it is: in a frame of DuckDB it is a double
            frame[name] = [value for (value,) in self._of_news(f"{name}::{TYPES[name]}").fetchall()]
        return frame

    def _of_news(self, what: str) -> duckdb.DuckDBPyConnection:
        return self._connection.execute(f"select {what} from news")  # noqa: S608 - own names
