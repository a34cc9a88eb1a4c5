"""Good rows on their way into the ledger: in DuckDB, spilled to disk where they are many."""

from datetime import datetime
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

TYPES = {
    Cell.TEXT: "varchar",
    Cell.WORD: "varchar",
    Cell.TIME: "timestamptz",
    Cell.INTEGER: "bigint",
    Cell.NUMBER: "double",
    Cell.MONEY: "decimal(18, 9)",
}
STAGED = (*(LEDGER_NAMES.get(column.name, column.name) for column in COLUMNS), "revision")


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

    def _flush(self) -> None:
        if not self._batch:
            return
        by_column = zip(STAGED, zip(*self._batch, strict=True), strict=True)
        columns = {name: np.array(cells, dtype=object) for name, cells in by_column if any(cells)}
        self._connection.register("batch", columns)
        self._connection.execute("insert into staged by name select * from batch")
        self._connection.unregister("batch")
        self._batch.clear()

    def news(self, newest: pd.DataFrame, *, now: datetime) -> duckdb.DuckDBPyRelation:
        """Rows for the ledger: the runs whose content is not what `newest` holds already.

        `newest` has the newest `revision` of each `run_id` and when it was observed. A revision
        that replaces it is observed later, even if this clock is behind the other one.
        """
        self._flush()
        self._connection.register("newest", newest)
        types = (*(TYPES[column.cell] for column in COLUMNS), "varchar")
        cells = ", ".join(
            f"staged.{name}::{kind} as {name}" for name, kind in zip(STAGED, types, strict=True)
        )
        return self._connection.sql(
            f"""
            select {cells},
                greatest(?::timestamptz, newest.observed_at + interval 1 microsecond) as observed_at
            from staged left join newest on staged.run_id = newest.run_id
            where staged.revision is distinct from newest.revision
            """,  # noqa: S608 - the names are those of the table of columns
            params=[now],
        )
