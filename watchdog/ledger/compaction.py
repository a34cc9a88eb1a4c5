"""Compaction: each partition becomes one file that holds what the table's view shows of it.

It replaces exactly the files that it has read, by one commit that says `dataChange=false`. An
append that comes between adds another file, which is none of those, and stays. Two compactions at
once may leave rows twice, which the view shows once and the next compaction merges. So nothing can
be lost, and the tables stay append-only for everybody else. `optimize.compact()` would merge files
without dropping the rows that were superseded, and an overwrite needs tables that anyone may
overwrite.
"""

from collections import defaultdict
from collections.abc import Sequence

from watchdog.ledger.datafiles import DataFile, written
from watchdog.ledger.delta import DeltaTables
from watchdog.ledger.engine import Engine
from watchdog.ledger.location import Location
from watchdog.ledger.objects import Objects
from watchdog.ledger.tables import Table
from watchdog.ledger.views import query

PREFIX = "compact"
"""The names of compacted files begin with it."""


def compact(
    table: Table, *, location: Location, objects: Objects, tables: DeltaTables, engine: Engine
) -> dict[str, object]:
    """Compact one table; what it was and what it is."""
    before = tables.files(table)
    for files in _partitions(before):
        if len(files) > 1 or not _is_compact(files[0]):
            _show(table, files, location, tables, engine)
            select = _in_order(table)
            added = written(engine.connection, select, table, location, objects, prefix=PREFIX)
            tables.commit(table, added, files)
    deleted = tables.vacuum(table)
    after = tables.files(table)
    return {
        "table": table.name,
        "rows_before": _rows(before),
        "rows_after": _rows(after),
        "files_before": len(before),
        "files_after": len(after),
        "bytes_before": sum(file.size_bytes for file in before),
        "bytes_after": sum(file.size_bytes for file in after),
        "old_files_deleted": deleted,
    }


def _in_order(table: Table) -> str:
    """Neighbours are alike: smaller files, of which less has to be read."""
    return f"select * from ({query(table.name).sql}) order by {', '.join(table.key)}"  # noqa: S608 - the ledger's own query


def _partitions(files: Sequence[DataFile]) -> list[list[DataFile]]:
    found: dict[str | None, list[DataFile]] = defaultdict(list)
    for file in files:
        found[file.partition.get("date")].append(file)
    return list(found.values())


def _is_compact(file: DataFile) -> bool:
    return file.path.rpartition("/")[2].startswith(PREFIX)


def _show(
    table: Table,
    files: Sequence[DataFile],
    location: Location,
    tables: DeltaTables,
    engine: Engine,
) -> None:
    """Only the partition of these files, as the raw table."""
    if location.folder is not None:
        root = location.folder / table.name
        engine.show_files(table, [str(root / file.path) for file in files])
        return
    day = files[0].partition.get("date")
    predicate = None if day is None else f"date = '{day}'"
    engine.show(table, tables.fresh(table), in_folder=False, predicate=predicate)


def _rows(files: Sequence[DataFile]) -> int:
    return sum(file.rows for file in files)
