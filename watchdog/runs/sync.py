"""The runs of a source into the ledger: what changed since last time, by one commit."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from policies.facts import Run
from providers.base import KnownRun, ListsRuns, RunNotRead, RunsAsked, RunSourceError
from watchdog.json_values import moment
from watchdog.rows import Row, moment_of
from watchdog.runs.revision import NAMES, cells_of
from watchdog.runs.rows import run_from
from watchdog.runs.staging import StagedRuns

if TYPE_CHECKING:
    from watchdog.ledger.store import Ledger

Progress = Callable[[str], None]

CLOCKS_AND_LATE_ROWS = timedelta(hours=1)
"""How much further back than the last time is asked: clocks differ, and accounting comes late."""
LOOK_AGAIN_EVERY = timedelta(days=1)
SMALL = 2_000
"""Runs. A source that does not tell what changed and holds no more is read whole each time."""
PROBLEMS_KEPT = 1_000
RUNS_BETWEEN_REPORTS = 500
WATERMARK = "watermark"


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """What became of one source: read = added + unchanged + bad."""

    source: str
    since: datetime | None
    """Since when changes were asked for; None: it was read whole."""
    read: int
    added: int
    """New runs, and runs that are known with other content."""
    unchanged: int
    bad: int
    problems: tuple[RunNotRead, ...]
    """Up to `PROBLEMS_KEPT`."""
    notices: tuple[str, ...]
    """What was read in a way that may not be meant."""
    failed: str | None
    """Why it could not be read to its end. What was read entered; the next sync asks again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """What is asked of a source, and what is noted when it answered."""

    since: datetime | None
    looks_again: bool
    """Whether this reading also finds changes that show in no time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What the ledger notes of a source."""

    begins: datetime | None = None
    """Since when runs were asked for the first time; None: all there are."""
    until: datetime | None = None
    """None: it was never read."""
    looked_again_at: datetime | None = None


@dataclass(slots=True)
class _Tally:
    read: int = 0
    problems: list[RunNotRead] = field(default_factory=list)
    bad: int = 0

    def tell(self, problem: RunNotRead) -> None:
        self.bad += 1
        if len(self.problems) < PROBLEMS_KEPT:
            self.problems.append(problem)


def exit_code_of(synced: list[Synced]) -> int:
    """1: a source could not be read. 4: some of its runs could not. 0: all entered or is known."""
    if any(each.failed for each in synced):
        return 1
    return 4 if any(each.bad for each in synced) else 0


def sync(
    ledger: Ledger,
    source: ListsRuns,
    *,
    now: datetime,
    since: datetime | None = None,
    whole: bool = False,
    progress: Progress = lambda _: None,
) -> Synced:
    """Runs that are new or changed enter; a second call adds nothing.

    `since`: asked for in place of the watermark. `whole`: everything is read, as the first time.
    """
    mark = _mark(ledger, source)
    held = _held(ledger, source)
    window = (
        Window(since=since, looks_again=False)
        if since is not None
        else window_of(source, mark, held=held, whole=whole, now=now)
    )
    asked = RunsAsked(since=window.since, known=_known(ledger, source) if held else {})
    tally = _Tally()
    with StagedRuns() as staged:
        failed = _stage(source, asked, staged, tally, now=now, progress=progress)
        added = ledger.append("runs", staged.news(ledger.query("run_revisions"), now=now))
    if failed is None and source.incremental and _reaches(window, mark):
        ledger.append("events", [_watermark(source, mark, window, now=now, whole=whole)])
    return Synced(
        source=source.name,
        since=window.since,
        read=tally.read,
        added=added,
        unchanged=tally.read - tally.bad - added,
        bad=tally.bad,
        problems=tuple(tally.problems),
        notices=tuple(source.notices),
        failed=failed,
    )


def window_of(source: ListsRuns, mark: Mark, *, held: int, whole: bool, now: datetime) -> Window:
    """Everything at first, then what changed since; now and then further back where a source does
    not tell all that changes.
    """
    if whole or mark.until is None or not source.incremental:
        return Window(since=None, looks_again=True)
    since = mark.until - CLOCKS_AND_LATE_ROWS
    if source.look_again is None:
        return Window(since=since, looks_again=True)
    if held <= SMALL:
        return Window(since=mark.begins, looks_again=True)
    if mark.looked_again_at is None or now - mark.looked_again_at >= LOOK_AGAIN_EVERY:
        return Window(since=min(since, now - source.look_again), looks_again=True)
    return Window(since=since, looks_again=False)


def _reaches(window: Window, mark: Mark) -> bool:
    """Whether nothing is left out between what was read earlier and now."""
    return mark.until is None or window.since is None or window.since <= mark.until


def _held(ledger: Ledger, source: ListsRuns) -> int:
    known = ledger.query("run_revisions")["run_id"]
    return int(known.str.startswith(source.prefix).sum()) if len(known) else 0


def _stage(
    source: ListsRuns,
    asked: RunsAsked,
    staged: StagedRuns,
    tally: _Tally,
    *,
    now: datetime,
    progress: Progress,
) -> str | None:
    """Reads a source to its end; why that was not possible, if so."""
    seen: set[str] = set()
    progress(f"{source.name}: asking")
    try:
        for found in source.runs(asked):
            tally.read += 1
            if isinstance(found, RunNotRead):
                tally.tell(found)
                continue
            checked = _checked(found, source, now)
            if isinstance(checked, RunNotRead):
                tally.tell(checked)
            elif found.run_id in seen:
                tally.tell(_problem(found, source, "run_id", "was told twice; the first counts"))
            else:
                seen.add(found.run_id)
                staged.add(checked)
            if tally.read % RUNS_BETWEEN_REPORTS == 0:
                progress(f"{source.name}: {tally.read:,} runs")
    except RunSourceError as error:
        return str(error)
    return None


def _checked(run: Run, source: ListsRuns, now: datetime) -> Run | RunNotRead:
    """As the row of a file is checked: no outside system is better than a file."""
    found = run_from(dict(zip(NAMES, cells_of(run), strict=True)), now=now)
    if isinstance(found, Run):
        return found
    return _problem(run, source, found[0].field, found[0].why)


def _problem(run: Run, source: ListsRuns, field_name: str, why: str) -> RunNotRead:
    return RunNotRead(where=f"{source.name}: {run.run_id}", field=field_name, why=why)


def _mark(ledger: Ledger, source: ListsRuns) -> Mark:
    for row in ledger.rows("sync_watermarks"):
        if row["source"] == _subject(source):
            return Mark(
                begins=_moment(row, "synced_from"),
                until=_moment(row, "synced_until"),
                looked_again_at=_moment(row, "looked_again_at"),
            )
    return Mark()


def _moment(row: Row, name: str) -> datetime | None:
    return None if row[name] is None else moment_of(row[name])


def _known(ledger: Ledger, source: ListsRuns) -> dict[str, KnownRun]:
    return {
        str(row["run_id"]): KnownRun(
            running=bool(row["running"]),
            ended_at=_moment(row, "ended_at"),
            gpus=row["gpus"],  # type: ignore[arg-type]
            peak_gpu_memory_mib=row["peak_gpu_memory_mib"],  # type: ignore[arg-type]
            gpu_utilisation_mean_pct=row["gpu_utilisation_mean_pct"],  # type: ignore[arg-type]
        )
        for row in ledger.rows("runs_of_source", prefix=source.prefix)
    }


def _watermark(
    source: ListsRuns, mark: Mark, window: Window, *, now: datetime, whole: bool
) -> dict[str, object]:
    """One row a source, of which the newest is believed."""
    begins = window.since if mark.until is None or whole else mark.begins
    told = {
        "from": moment(begins),
        "until": moment(now),
        "looked_again_at": moment(now if window.looks_again else mark.looked_again_at),
    }
    return {
        "subject": _subject(source),
        "n": WATERMARK,
        "at": now,
        "kind": "runs_synced",
        "detail_json": json.dumps(told),
        "observed_at": now,
    }


def _subject(source: ListsRuns) -> str:
    return f"runs sync {source.name}"
