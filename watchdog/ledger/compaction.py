"""Compaction: each partition becomes one file that holds what the table's view shows of it.

It replaces exactly the files that it has read, by one commit that says `dataChange=false`. An
append that comes between adds another file, which is none of those, and stays. Of two who compact
at once the later one is told so, and leaves it to the other. So nothing can be lost, and the tables
stay append-only for everybody else. `optimize.compact()` would merge files without dropping the
rows that were superseded, and an overwrite needs tables that anyone may overwrite.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from deltalake import DeltaTable

from policies.grids import PhaseLimits
from watchdog.ledger.datafiles import NO_VALUES, DataFile, written
from watchdog.ledger.delta import files_of
from watchdog.ledger.engine import Engine
from watchdog.ledger.place import Place
from watchdog.ledger.tables import MACHINES, READINGS, Table
from watchdog.ledger.tidying import Tidying
from watchdog.ledger.views import query

COMPACT, THINNED = "compact", "thinned"
"""The names of compacted files, and of those whose readings are thinned, begin with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """The files of one day, or of a table that has no days."""

    files: Sequence[DataFile]
    day: str | None
    thins: bool

    @property
    def prefix(self) -> str:
        return THINNED if self.thins else COMPACT

    @property
    def is_done(self) -> bool:
        done = (THINNED,) if self.thins else (COMPACT, THINNED)
        return len(self.files) == 1 and self.files[0].path.rpartition("/")[2].startswith(done)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Size:
    """Of one file."""

    rows: int
    bytes: int | None
    """None: it is not written yet."""


def compact(table: Table, place: Place, tidying: Tidying) -> dict[str, object]:
    """Compact one table; what it was and what it is. Of a dry run: what it would be.

    Raises `LedgerBusyError` where somebody else compacts it at the same time.
    """
    seen = place.tables.snapshot(table)
    before = files_of(table, seen)
    after: list[_Size] = []
    for part in _parts(table, before, tidying):
        if part.is_done:
            after += _sizes(part.files)
        else:
            after += _rewritten(table, part, seen, place, tidying)
    deleted = place.tables.vacuum(table, tidying.vacuum_after, dry_run=tidying.dry_run)
    return {
        "table": table.name,
        "rows_before": sum(file.rows for file in before),
        "rows_after": sum(size.rows for size in after),
        "files_before": len(before),
        "files_after": len(after),
        "bytes_before": sum(file.size_bytes for file in before),
        "bytes_after": _bytes(after),
        "old_files_deleted": deleted,
    }


def _parts(table: Table, files: Sequence[DataFile], tidying: Tidying) -> list[_Part]:
    found: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in files:
        found[file.partition.get("date")].append(file)
    return [
        _Part(files=several, day=day, thins=_is_thinned(table, day, tidying))
        for day, several in found.items()
    ]


def _is_thinned(table: Table, day: str | None, tidying: Tidying) -> bool:
    """Runs, events and charges never are."""
    if table is not READINGS or day is None or tidying.thin_before is None:
        return False
    return date.fromisoformat(day) < tidying.thin_before


def _rewritten(
    table: Table, part: _Part, seen: DeltaTable, place: Place, tidying: Tidying
) -> list[_Size]:
    _show(table, part, seen, place)
    select, values = _in_order(table), NO_VALUES
    if part.thins:
        place.engine.show(
            MACHINES,
            place.tables.fresh(MACHINES),
            in_folder=place.location.folder is not None,
        )
        select, values = _thinned(table), _limits(tidying.limits)
    if tidying.dry_run:
        return [_counted(select, values, place.engine)]
    added = written(
        place.engine.connection,
        select,
        table,
        place.location,
        place.objects,
        prefix=part.prefix,
        values=values,
    )
    place.tables.replace(table, seen, added, part.files)
    return _sizes(added)


def _counted(select: str, values: Mapping[str, object], engine: Engine) -> _Size:
    """What would be written."""
    count = f"select count(*) from ({select})"  # noqa: S608 - the ledger's own query
    [[rows]] = engine.connection.execute(count, dict(values)).fetchall()
    return _Size(rows=rows, bytes=None)


def _sizes(files: Sequence[DataFile]) -> list[_Size]:
    return [_Size(rows=file.rows, bytes=file.size_bytes) for file in files]


def _in_order(table: Table) -> str:
    """Neighbours are alike: smaller files, of which less has to be read."""
    return f"select * from ({query(table.name).sql}) order by {', '.join(table.key)}"  # noqa: S608 - the ledger's own query


def _thinned(table: Table) -> str:
    thin = query("thinned_readings").sql
    return f"select * from ({thin}) order by {', '.join(table.key)}"  # noqa: S608 - the ledger's own query


def _limits(limits: PhaseLimits) -> Mapping[str, object]:
    return {
        "threshold_pct": limits.active_pct,
        "transfer_bytes_per_s": limits.transfer_bytes_per_s,
        "parked_mib": limits.parked_mib,
    }


def _show(table: Table, part: _Part, seen: DeltaTable, place: Place) -> None:
    """Only these files, as the raw table: not what was appended since."""
    if place.location.folder is not None:
        root = place.location.folder / table.name
        place.engine.show_files(table, [str(root / file.path) for file in part.files])
        return
    predicate = None if part.day is None else f"date = '{part.day}'"
    place.engine.show(table, seen, in_folder=False, predicate=predicate)


def _bytes(sizes: Sequence[_Size]) -> int | None:
    known = [size.bytes for size in sizes if size.bytes is not None]
    return sum(known) if len(known) == len(sizes) else None
