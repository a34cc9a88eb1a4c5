"""The tables as Delta Lake: made whole at set-up, appended to, rewritten without loss."""

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from math import ceil
from typing import Any, NoReturn

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from watchdog.ledger.datafiles import DataFile
from watchdog.ledger.failures import (
    LedgerBusyError,
    LedgerError,
    NothingThereError,
    explained,
    told_as,
)
from watchdog.ledger.location import Location
from watchdog.ledger.objects import Objects
from watchdog.ledger.tables import TABLES, Table

AT_MOST = 100
"""Times that a commit is tried again while others commit."""
RETRIES = CommitProperties(max_commit_retries=AT_MOST)
REWRITE = "spend-watchdog/rewrite"
"""Whoever replaces files says so by this name in the log. Two who do it at once are told by it."""
PROPERTIES = {"delta.appendOnly": "true", "delta.checkpointInterval": "10"}
LOGS_LOOKED_AT = 200


@dataclass(slots=True)
class _Held:
    table: DeltaTable
    options: dict[str, str]


class DeltaTables:
    def __init__(self, location: Location, objects: Objects) -> None:
        self._location = location
        self._objects = objects
        self._held: dict[str, _Held] = {}

    def create_missing(self) -> None:
        """Each table's first commit is an object that is created once, so that two who set up the
        same ledger at once make the same table.
        """
        existing = self._objects.folders()
        for table in TABLES.values():
            if table.name not in existing:
                self._objects.put_once(_log_key(table, 0), first_commit(table))

    def fresh(self, table: Table) -> DeltaTable:
        """The table as it is now."""
        options = self._location.storage_options()
        held = self._held.get(table.name)
        try:
            if held is None or held.options != options:
                return self._opened(table, options)
            held.table.update_incremental()
        except TableNotFoundError:
            self._refuse_absent(table)
        except DeltaError as error:
            raise LedgerError(self._damage(table, error)) from error
        except OSError as error:
            raise LedgerError(f"{self._place(table)} cannot be read: {explained(error)}") from error
        self._refuse_cut_commit(table, held.table.version())
        return held.table

    def commit(self, table: Table, added: Sequence[DataFile]) -> None:
        """Add files with new rows."""
        self._write(self.fresh(table), table, [_add(each, new=True) for each in added], RETRIES)

    def snapshot(self, table: Table) -> DeltaTable:
        """The table as it is now, by a handle of its own, for `replace`."""
        self.fresh(table)  # says what is wrong, where something is
        uri = self._location.table_uri(table.name)
        return DeltaTable(uri, storage_options=self._location.storage_options())

    def replace(
        self,
        table: Table,
        seen: DeltaTable,
        added: Sequence[DataFile],
        removed: Sequence[DataFile],
    ) -> None:
        """Put files in the place of others that say the same; `seen` is then the table after it.

        Takes away exactly the files that it names: what others append meanwhile is none of them,
        and stays. Raises `LedgerBusyError` where somebody else replaced files since `seen` was
        taken, for those may be the same ones.
        """
        actions = [_add(each, new=False) for each in added] + [_remove(each) for each in removed]
        claim = Transaction(REWRITE, seen.version() + 1)
        properties = CommitProperties(max_commit_retries=AT_MOST, app_transactions=[claim])
        try:
            self._write(seen, table, actions, properties)
        except LedgerError as error:
            if isinstance(error.__cause__, CommitFailedError):
                raise LedgerBusyError(
                    f"{self._place(table)}: somebody else compacts it at the same time; nothing was"
                    " changed: run the command again, if it is still needed"
                ) from error
            raise
        with told_as(f"{self._place(table)} cannot be read"):
            seen.update_incremental()

    def _write(
        self,
        delta: DeltaTable,
        table: Table,
        actions: Sequence[AddAction | RemoveAction],
        properties: CommitProperties,
    ) -> None:
        with told_as(f"{self._place(table)} cannot be written"):
            delta.create_write_transaction(
                list(actions),
                mode="append",
                schema=delta.schema(),
                partition_by=list(table.partitions),
                commit_properties=properties,
            )

    def files(self, table: Table) -> list[DataFile]:
        """The files that hold the table now."""
        return files_of(table, self.fresh(table))

    def vacuum(self, table: Table, kept: timedelta, *, dry_run: bool = False) -> int:
        """Delete files that were replaced or never committed so long ago; how many."""
        hours = ceil(kept / timedelta(hours=1))
        delta = self.fresh(table)
        with told_as(f"{self._place(table)} cannot be tidied"):
            found = len(self._vacuumed(delta, hours, dry_run=True))
            if found and not dry_run:
                found = len(self._vacuumed(delta, hours, dry_run=False))
        return found

    def _vacuumed(self, delta: DeltaTable, hours: int, *, dry_run: bool) -> list[str]:
        """`full`: what a killed writer left is in no log, and found only by listing."""
        return delta.vacuum(hours, dry_run=dry_run, full=True, enforce_retention_duration=False)

    def _opened(self, table: Table, options: dict[str, str]) -> DeltaTable:
        delta = DeltaTable(self._location.table_uri(table.name), storage_options=options)
        self._refuse_cut_commit(table, delta.version())
        self._refuse_other_columns(table, delta)
        self._held[table.name] = _Held(delta, options)
        return delta

    def _refuse_other_columns(self, table: Table, delta: DeltaTable) -> None:
        found = {field.name for field in delta.schema().fields}
        if found != set(table.names):
            odd = ", ".join(sorted(found ^ set(table.names)))
            raise LedgerError(
                f"{self._place(table)} was made by another version of the watchdog: it differs in"
                f" {odd}; use the version that made it, or name another ledger"
            )

    def _refuse_cut_commit(self, table: Table, version: int) -> None:
        """After a power cut the newest commit may be an empty file, which the library reads as
        nothing.
        """
        if self._location.folder is None:
            return
        key = _log_key(table, version)
        file = self._location.folder / key
        if file.exists() and not file.stat().st_size:
            raise LedgerError(f"{self._place(table)}: {_cut(key)}")

    def _refuse_absent(self, table: Table) -> NoReturn:
        self._location.refuse_absent()
        if self._objects.any_in(table.name):
            raise LedgerError(
                f"{self._place(table)}: its log is gone: restore {table.name}/_delta_log from a"
                " backup"
            ) from None
        raise NothingThereError(
            f"{self._place(table)} does not exist: a command that may write makes it, such as"
            " `spend-watchdog patrol`; if there should be one, check the ledger's URL"
        ) from None

    def _damage(self, table: Table, error: DeltaError) -> str:
        """Which file of the log is broken."""
        keys = [k for k in self._objects.keys(f"{table.name}/_delta_log") if k.endswith(".json")]
        for key in keys[-LOGS_LOOKED_AT:]:
            if not is_whole(self._objects.get(key)):
                if key == keys[-1]:
                    return f"{self._place(table)}: {_cut(key)}"
                return f"{self._place(table)}: {key} is damaged: restore it from a backup"
        return (
            f"{self._place(table)}: its log is damaged ({explained(error)}): restore"
            f" {table.name}/_delta_log from a backup"
        )

    def _place(self, table: Table) -> str:
        return f"ledger {self._location.url}: table {table.name}"


def files_of(table: Table, delta: DeltaTable) -> list[DataFile]:
    """The files that hold the table, as this handle knows it."""
    found = delta.get_add_actions(flatten=True)
    told: list[list[Any]] = [
        list(found.column(name).to_pylist()) for name in ("path", "size_bytes", "num_records")
    ]
    days: list[object] = [None] * len(told[0])
    if table.partitions:
        days = list(found.column("partition.date").to_pylist())
    if None in told[2]:
        path = told[0][told[2].index(None)]
        raise LedgerError(
            f"table {table.name}: its log does not say how many rows {path} has: restore"
            f" {table.name}/_delta_log from a backup"
        )
    return [
        DataFile(
            path=path,
            size_bytes=size,
            rows=rows,
            partition={"date": str(day)} if table.partitions else {},
        )
        for path, size, rows, day in zip(*told, days, strict=True)
    ]


def _add(file: DataFile, *, new: bool) -> AddAction:
    return AddAction(file.path, file.size_bytes, file.partition, _now_ms(), new, file.stats)


def _remove(file: DataFile) -> RemoveAction:
    return RemoveAction(
        path=file.path,
        data_change=False,
        deletion_timestamp=_now_ms(),
        size=file.size_bytes,
        partition_values=dict(file.partition),
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _cut(key: str) -> str:
    return (
        f"{key} is half-written, as after a power cut: move that file away to go on without what"
        " it added, and run the last command again"
    )


def is_whole(body: bytes) -> bool:
    """Whether the body is a commit, JSON line by line."""
    lines = body.split(b"\n")
    try:
        return bool([json.loads(line) for line in lines if line.strip()])
    except ValueError:
        return False


def _log_key(table: Table, version: int) -> str:
    return f"{table.name}/_delta_log/{version:020d}.json"


def first_commit(table: Table) -> bytes:
    """Version 0 of the table's log: its columns, with their meaning for whoever reads it."""
    now_ms = time.time_ns() // 1_000_000
    fields = [
        {
            "name": column.name,
            "type": column.type.delta,
            "nullable": True,
            "metadata": {"comment": column.meaning},
        }
        for column in table.columns
    ]
    metadata = {
        "id": str(uuid.uuid4()),
        "name": table.name,
        "description": table.meaning,
        "format": {"provider": "parquet", "options": {}},
        "schemaString": json.dumps({"type": "struct", "fields": fields}),
        "partitionColumns": list(table.partitions),
        "createdTime": now_ms,
        "configuration": PROPERTIES,
    }
    actions = (
        {"commitInfo": {"timestamp": now_ms, "operation": "CREATE TABLE"}},
        {"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}},
        {"metaData": metadata},
    )
    return "\n".join(json.dumps(action) for action in actions).encode()
