"""Whether a table's log and its files are whole: each is read, to its last byte."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile

import duckdb
from deltalake import DeltaTable

from watchdog.ledger.check import Check, broken, counted, fine, note
from watchdog.ledger.datafiles import DataFile, digest, digest_in, quoted
from watchdog.ledger.delta import files_of, is_whole
from watchdog.ledger.failures import LedgerError, explained, foreign
from watchdog.ledger.objects import Objects
from watchdog.ledger.place import Place
from watchdog.ledger.tables import DAY, Table

READERS = 16
FROM_BACKUP = "restore it from a backup"
LOG = "_delta_log"


def table_checks(table: Table, place: Place) -> Iterator[Check]:
    """The log, the columns and every file of one table; then what else lies in its folder."""
    faults = list(_log_faults(table, place.objects))
    try:
        seen = place.tables.snapshot(table)
        files = files_of(table, seen)
    except (LedgerError, *foreign()) as error:  # type: ignore[misc]
        yield broken(table.name, f"does not open: {error}")
        yield from faults
        return
    faults += _column_faults(table, seen)
    sizes = place.objects.sizes(table.name)
    faults += _file_faults(table, files, sizes, place)
    if not faults:
        rows = sum(file.rows for file in files)
        told = f"{counted(len(files), 'file')} with {counted(rows, 'row')}"
        yield fine(table.name, f"{told}; log, columns and bytes are whole")
    yield from faults
    yield from _orphans(table, files, sizes)


def _log_faults(table: Table, objects: Objects) -> Iterator[Check]:
    """Commits that are damaged or missing, also those that a checkpoint hides until it is lost."""
    keys = [key for key in objects.keys(f"{table.name}/{LOG}") if _is_json(key)]
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        bodies = list(pool.map(objects.find, keys))
    for key, body in zip(keys, bodies, strict=True):
        # A body that is gone by now is a commit that has expired in the meantime.
        if body is not None and not is_whole(body):
            yield broken(table.name, f"{key} is damaged: {FROM_BACKUP}")
    numbers = [int(name) for key in keys if (name := Path(key).stem).isdecimal()]
    for before, after in pairwise(numbers):
        if after != before + 1:
            yield broken(
                table.name,
                f"its log lacks the commits from {before + 1} to {after - 1}: {FROM_BACKUP}",
            )


def _is_json(key: str) -> bool:
    return key.endswith((".json", "/_last_checkpoint"))


def _column_faults(table: Table, seen: DeltaTable) -> list[Check]:
    """Names are compared when a table is opened; here their types, and how it is parted."""
    told = {field.name: getattr(field.type, "type", "?") for field in seen.schema().fields}
    faults = [
        broken(table.name, f"{column.name} is {told[column.name]}, not {column.type.delta}")
        for column in table.columns
        if told[column.name] != column.type.delta
    ]
    parted = seen.metadata().partition_columns
    if parted != list(table.partitions):
        faults.append(broken(table.name, f"is parted by {parted}, not {list(table.partitions)}"))
    return faults


def _file_faults(
    table: Table, files: Sequence[DataFile], sizes: Mapping[str, int], place: Place
) -> Iterator[Check]:
    connection = place.engine.connection
    with ThreadPoolExecutor(max_workers=READERS) as pool:
        for first in range(0, len(files), READERS):
            several = files[first : first + READERS]
            bodies = pool.map(place.objects.find, [_key(table, file) for file in several])
            for file, body in zip(several, bodies, strict=True):
                fault = _fault(connection, table, file, body, sizes)
                if fault is not None:
                    yield broken(table.name, f"{_key(table, file)} {fault}")


def _fault(
    connection: duckdb.DuckDBPyConnection,
    table: Table,
    file: DataFile,
    body: bytes | None,
    sizes: Mapping[str, int],
) -> str | None:
    if body is None or _key(table, file) not in sizes:
        return f"is missing: {FROM_BACKUP}"
    if len(body) != file.size_bytes:
        return f"has {len(body):,} bytes, not {file.size_bytes:,}: {FROM_BACKUP}"
    told = digest_in(file.path)
    if told is not None and digest(body) != told:
        return f"was changed since it was written: {FROM_BACKUP}"
    try:
        return _content_fault(connection, table, file, body)
    except duckdb.Error as error:
        return f"cannot be read ({explained(error)}): {FROM_BACKUP}"


def _content_fault(
    connection: duckdb.DuckDBPyConnection, table: Table, file: DataFile, body: bytes
) -> str | None:
    """Reads every value."""
    stored = [column for column in table.columns if column is not DAY]
    values = ", ".join(f'"{column.name}"' for column in stored)
    lacking = " or ".join(f'"{column.name}" is null' for column in stored if column.required)
    day = file.partition.get(DAY.name)
    elsewhere = "false" if day is None else f"cast(\"{table.day_of}\" as date) <> date '{day}'"
    with _as_file(body) as path:
        [[rows, missing, astray, _]] = connection.execute(
            f"select count(*), count(*) filter (where {lacking}),"  # noqa: S608 - the table's own names
            f" count(*) filter (where {elsewhere}), bit_xor(hash({values}))"
            f" from read_parquet({quoted(path)}, hive_partitioning = false)"
        ).fetchall()
    if rows != file.rows:
        return f"has {counted(rows, 'row')}, and the log says {file.rows:,}: {FROM_BACKUP}"
    if missing:
        return f"has {counted(missing, 'row')} without a value that every row needs"
    if astray:
        return f"has {counted(astray, 'row')} of another day than its folder says"
    return None


@contextmanager
def _as_file(body: bytes) -> Iterator[str]:
    with NamedTemporaryFile(prefix="spend-watchdog-", suffix=".parquet") as file:
        file.write(body)
        file.flush()
        yield file.name


def _orphans(table: Table, files: Sequence[DataFile], sizes: Mapping[str, int]) -> Iterator[Check]:
    """Files that nothing refers to are no fault: somebody may be writing them just now."""
    known = {_key(table, file) for file in files}
    orphans = [
        size
        for key, size in sizes.items()
        if key not in known and not key.startswith(f"{table.name}/{LOG}/")
    ]
    if orphans:
        told = (
            f"{counted(len(orphans), 'file')} ({sum(orphans):,} bytes) that the table does not"
            " refer to, replaced or never committed: `ledger compact` deletes them in time"
        )
        yield note(table.name, told)


def _key(table: Table, file: DataFile) -> str:
    return f"{table.name}/{file.path}"
