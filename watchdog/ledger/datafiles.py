"""Parquet files of a table, and what the log of the table has to know of them.

DuckDB writes them: where a disk is full or read-only it says so and leaves nothing, while the
writer of deltalake 1.6.6 also prints a panic of its own. Until a commit names a file, nobody reads
it.
"""

import hashlib
import json
import re
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import duckdb

from watchdog.ledger.failures import told_as
from watchdog.ledger.location import Location
from watchdog.ledger.objects import Objects
from watchdog.ledger.tables import Table

NO_VALUES: Mapping[str, object] = MappingProxyType({})
DIGITS = 16
"""Of the SHA-256 of its bytes, in each file's name: nobody changes a file unseen."""
_DIGEST = re.compile(rf"-([0-9a-f]{{{DIGITS}}})\.parquet$")


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    path: str
    """Within the table's folder."""
    size_bytes: int
    rows: int
    partition: Mapping[str, str | None]

    @property
    def stats(self) -> str:
        return json.dumps({"numRecords": self.rows})


def written(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    table: Table,
    location: Location,
    objects: Objects,
    *,
    prefix: str = "part",
    values: Mapping[str, object] = NO_VALUES,
) -> list[DataFile]:
    """The rows of a query as files in the table's folder, one a partition.

    `values`: of the query's parameters.
    """
    name = f"{prefix}-{uuid.uuid4().hex}"
    with (
        told_as(f"ledger {location.url}: {table.name} cannot be written"),
        _folder(table, location) as folder,
    ):
        files = _copied(connection, select, table, folder, name, values)
        if location.folder is None:
            for file in files:
                objects.upload(f"{table.name}/{file.path}", folder / file.path)
    return files


def _copied(
    connection: duckdb.DuckDBPyConnection,
    select: str,
    table: Table,
    folder: Path,
    name: str,
    values: Mapping[str, object],
) -> list[DataFile]:
    options = "format parquet, compression zstd, return_stats"
    target = folder
    if table.partitions:
        options += f", partition_by (date), overwrite_or_ignore, filename_pattern '{name}-{{i}}'"
    else:
        target = folder / f"{name}.parquet"
    copy = f"copy ({select}) to {quoted(str(target))} ({options})"
    copied = connection.execute(copy, dict(values)).fetchall()
    return [
        DataFile(
            path=_named_by_digest(Path(file)).relative_to(folder).as_posix(),
            size_bytes=size,
            rows=rows,
            partition=dict(partition or {}),
        )
        for file, rows, size, _, _, partition, *_ in copied
        if rows
    ]


def _named_by_digest(file: Path) -> Path:
    return file.rename(file.with_name(f"{file.stem}-{digest(file.read_bytes())}.parquet"))


def digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:DIGITS]


def digest_in(path: str) -> str | None:
    """What a file's bytes must hash to; None: its name does not say."""
    found = _DIGEST.search(path)
    return found[1] if found else None


def quoted(text: str) -> str:
    """As a literal of SQL."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def _folder(table: Table, location: Location) -> Iterator[Path]:
    """Where files are written: in place, or somewhere from where they are sent to the bucket."""
    if location.folder is not None:
        yield location.folder / table.name
        return
    with TemporaryDirectory(prefix="spend-watchdog-") as folder:
        yield Path(folder)
