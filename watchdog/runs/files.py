"""Run files into the ledger: good rows enter, each file by one commit; bad rows are told."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from watchdog.runs.column_map import ColumnMap
from watchdog.runs.reading import Problem, RunFile, checked_suffix, read_runs
from watchdog.runs.staging import StagedRuns
from watchdog.runs.text_lines import RunFileError

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Progress: TypeAlias = Callable[[int, int | None], None]
"""Bytes read of all files, and in all."""

PROBLEMS_KEPT = 10_000
"""Of one file. A file with more was written by a program that has to be mended."""
ROWS_BETWEEN_REPORTS = 2_000
SOURCE = {"source": "file"}
"""Where the file does not say who told of a run, the file did."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What became of one file. Unless it was refused, rows = added + unchanged + bad."""

    file: str
    rows: int
    added: int
    """New runs, and runs that are known with other content."""
    unchanged: int
    bad: int
    problems: tuple[Problem, ...]
    """One for each bad field of each bad row, up to `PROBLEMS_KEPT`."""
    problem_count: int
    notices: tuple[str, ...]
    """What was read in a way that the file's writer may not mean."""
    refused: str | None
    """Why nothing of the file entered; None where its good rows did."""


def exit_code_of(imported: Sequence[Imported]) -> int:
    """1: a file was refused. 4: bad rows were left out. 0: everything entered or was known."""
    if any(each.refused for each in imported):
        return 1
    return 4 if any(each.bad for each in imported) else 0


def nobody_watches(read: int, total: int | None) -> None:
    """Progress that is shown to nobody."""


def import_files(
    ledger: "Ledger",
    paths: Sequence[Path],
    *,
    now: datetime,
    strict: bool = False,
    columns: ColumnMap | None = None,
    progress: Progress = nobody_watches,
) -> list[Imported]:
    """Each file by itself: the good rows of one enter by one commit, whatever befalls another.

    Strict: a file with a bad row is refused whole. A path that is no run file raises before
    anything enters. `columns` says what the columns mean where they are not the product's own.
    """
    for path in paths:
        checked_suffix(path, mapped=columns is not None)
    total = sum(path.stat().st_size for path in paths)
    before = 0
    imported = []
    for path in paths:
        report = partial(_report, progress, before, total)
        file = read_runs(path, now=now, strict=strict, defaults=SOURCE, columns=columns)
        imported.append(_import(ledger, file, now=now, strict=strict, report=report))
        before += path.stat().st_size
        progress(before, total)
    return imported


def _report(progress: Progress, before: int, total: int, read: int) -> None:
    progress(before + read, total)


@dataclass(slots=True)
class _Tally:
    rows: int = 0
    bad: int = 0
    problem_count: int = 0
    problems: list[Problem] = field(default_factory=list)
    last_line: int = 0

    def count(self, line: int) -> None:
        self.rows += line != self.last_line
        self.last_line = line

    def tell(self, problem: Problem) -> None:
        """Several problems may stem from one row; it is bad once."""
        self.bad += problem.line != self.last_line
        self.count(problem.line)
        self.problem_count += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


def _import(
    ledger: "Ledger", file: RunFile, *, now: datetime, strict: bool, report: Callable[[int], None]
) -> Imported:
    tally = _Tally()
    with StagedRuns() as staged:
        refused = _stage(file, staged, tally, report)
        if refused is None and strict and tally.bad:
            refused = f"{file.path}: refused whole for {_count(tally.bad, 'bad row')} (--strict)"
        added = 0 if refused else _append(ledger, staged, now)
    good = tally.rows - tally.bad
    return Imported(
        file=str(file.path),
        rows=tally.rows,
        added=added,
        unchanged=0 if refused else good - added,
        bad=tally.bad,
        problems=tuple(tally.problems),
        problem_count=tally.problem_count,
        notices=file.notices,
        refused=refused,
    )


def _stage(
    file: RunFile, staged: StagedRuns, tally: _Tally, report: Callable[[int], None]
) -> str | None:
    """Reads a file to its end; why it cannot be read as a whole, if so."""
    try:
        for line, found in file:
            if isinstance(found, Problem):
                tally.tell(found)
            else:
                tally.count(line)
                staged.add(found)
            if tally.rows % ROWS_BETWEEN_REPORTS == 0:
                report(file.bytes_read)
    except RunFileError as error:
        return str(error)
    return None


def _append(ledger: "Ledger", staged: StagedRuns, now: datetime) -> int:
    return ledger.append("runs", staged.news(ledger.query("run_revisions"), now=now))


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}" + ("" if number == 1 else "s")
