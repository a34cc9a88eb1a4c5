"""Files that hold what `sacct -P` or `sacct --json` printed, packed or not."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, tzinfo
from pathlib import Path
from typing import TextIO

from policies.facts import Run
from providers.base import RunNotRead, RunsAsked, RunSourceError
from providers.slurm.document import rows_of
from providers.slurm.jobs import Jobs
from providers.slurm.text import CellError, Columns, delimiter_of, names_of, numbered

GZIP = b"\x1f\x8b"
LINES_BETWEEN_REPORTS = 2_000


class SacctFile:
    """A file is read whole each time: repeating that adds nothing to a ledger."""

    prefix = "slurm:"
    incremental = False
    look_again = None

    def __init__(
        self,
        path: Path,
        *,
        zone: tzinfo | None = None,
        columns: str | None = None,
        cluster: str | None = None,
        report: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`zone` None: times without an offset are taken for UTC, and a notice says so.

        `columns`: the names of a file without a header. `cluster`: where the file has none.
        """
        self._path = path
        self._zone = zone
        self._columns = columns
        self._cluster = cluster
        self._report = report
        self._local_times = False
        self._never_ran = 0

    @property
    def name(self) -> str:
        return str(self._path)

    @property
    def notices(self) -> Sequence[str]:
        found = []
        if self._local_times and self._zone is None:
            told = "its times name no time zone and were taken for UTC; sacct prints local time"
            found.append(f"{self._path}: {told}: name its zone by --time-zone")
        if self._never_ran:
            told = "rows of jobs that wait, or ended in the queue, are no runs"
            found.append(f"{self._path}: {self._never_ran:,} {told}")
        return tuple(found)

    def runs(self, asked: RunsAsked) -> Iterator[Run | RunNotRead]:
        del asked
        jobs = Jobs()
        with self._opened() as file:
            yield from self._read(file, jobs)
        self._never_ran = jobs.never_ran
        yield from jobs.runs()

    def _read(self, file: TextIO, jobs: Jobs) -> Iterator[RunNotRead]:
        start = file.readline()
        while start and not start.strip():
            start = file.readline()
        if start.lstrip().startswith("{"):
            yield from self._document(start + file.read(), jobs)
        else:
            yield from self._lines(start, file, jobs)

    def _lines(self, start: str, file: TextIO, jobs: Jobs) -> Iterator[RunNotRead]:
        columns = self._columns_of(start)
        if self._columns is not None:
            yield from self._line(1, start, columns, jobs)
        for number, line in numbered(file, first=2):
            yield from self._line(number, line, columns, jobs)
            if number % LINES_BETWEEN_REPORTS == 0:
                self._report(f"{self._path}: {number:,} lines, {len(jobs):,} jobs")

    def _columns_of(self, start: str) -> Columns:
        names = names_of(self._columns) if self._columns is not None else None
        delimiter = delimiter_of(start)
        header = start.rstrip("\r\n").rstrip(delimiter).split(delimiter)
        try:
            found = Columns(names or header, delimiter)
        except CellError as error:
            raise RunSourceError(
                f"{self._path}:1: {error.field}: {error}; `sacct -P` writes one; "
                "name the fields of a file without a header by --columns, and map anything else: "
                "runs import --map"
            ) from None
        if not found.tell_the_cluster and self._cluster is None:
            raise RunSourceError(
                f"{self._path}:1: header: has no Cluster, and jobs of two clusters may share an id;"
                " name it by --cluster"
            )
        return found

    def _line(self, number: int, line: str, columns: Columns, jobs: Jobs) -> Iterator[RunNotRead]:
        try:
            row = columns.row(line, zone=self._zone or UTC, cluster=self._cluster or "cluster")
            self._local_times = self._local_times or columns.has_local_times(line)
            jobs.add(row)
        except CellError as error:
            yield self._not_read(f"{self._path}:{number}", error.field, error)
        except ValueError as error:
            yield self._not_read(f"{self._path}:{number}", "JobID", error)

    def _document(self, text: str, jobs: Jobs) -> Iterator[RunNotRead]:
        try:
            told = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RunSourceError(f"{self._path}: is not JSON: {error}") from None
        listed = told.get("jobs")
        if not isinstance(listed, list):
            errors = [str(each.get("description", each)) for each in told.get("errors") or ()]
            why = f"; sacct said: {'; '.join(errors)}" if errors else ""
            raise RunSourceError(f"{self._path}: has no list called jobs, as `sacct --json`{why}")
        for place, job in enumerate(listed):
            try:
                for row in rows_of(job, cluster=self._cluster or "cluster"):
                    jobs.add(row)
            except CellError as error:
                yield self._not_read(f"{self._path}: jobs[{place}]", error.field, error)

    @contextmanager
    def _opened(self) -> Iterator[TextIO]:
        try:
            with self._path.open("rb") as raw:
                packed = raw.peek(2).startswith(GZIP)
            opened = gzip.open if packed else open
            with opened(self._path, "rt", encoding="utf-8", errors="replace") as file:
                yield file
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise RunSourceError(f"{self._path}: the gzip data is damaged: {error}") from None
        except OSError as error:
            raise RunSourceError(f"{self._path}: cannot be read: {error.strerror}") from None

    @staticmethod
    def _not_read(where: str, field: str, error: Exception) -> RunNotRead:
        return RunNotRead(where=where, field=field, why=str(error))
