"""The ledger: facts in tables that only grow, beside objects that are created once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from watchdog.ledger.compaction import compact
from watchdog.ledger.datafiles import written
from watchdog.ledger.delta import DeltaTables
from watchdog.ledger.engine import Engine, at_microsecond
from watchdog.ledger.export import export, refuse_unknown
from watchdog.ledger.failures import LedgerError, LedgerUrlError, NothingThereError, told_as
from watchdog.ledger.inbox import INBOX, FoldResult, drop, fold
from watchdog.ledger.incoming import registered
from watchdog.ledger.location import Location, located
from watchdog.ledger.objects import Objects
from watchdog.ledger.place import Place
from watchdog.ledger.tables import TABLES, Table
from watchdog.ledger.tidying import Tidying
from watchdog.ledger.views import RAW, query

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    from deltalake import DeltaTable

PLAIN = Tidying()

__all__ = ["FoldResult", "Ledger", "LedgerError", "LedgerUrlError"]


class Ledger:
    """One ledger. Not to be shared by threads; processes may share the place."""

    def __init__(self, location: Location, *, read_only: bool) -> None:
        self._location = location
        self._read_only = read_only
        self._objects = Objects(location)
        self._tables = DeltaTables(location, self._objects)
        self._engine_made: Engine | None = None

    @classmethod
    def open(
        cls,
        url: str,
        *,
        storage_options: Mapping[str, str] | None = None,
        read_only: bool = False,
    ) -> Ledger:
        """The ledger at a folder, or at a `file://`, `s3://`, `gs://` or `az://` URL.

        Makes what is missing there. Read-only, nothing is asked of the place yet, no table is ever
        made or added to, and one that was never made reads as empty; rows may still be dropped into
        the inbox.
        """
        ledger = cls(located(url, storage_options or {}), read_only=read_only)
        if not read_only:
            ledger._set_up()
        return ledger

    @property
    def url(self) -> str:
        return self._location.url

    def exists(self) -> bool:
        """Whether anything of a ledger lies there."""
        return self._location.is_there() and any(map(self._objects.any_in, (*TABLES, INBOX)))

    def append(self, table: str, rows: Sequence[Mapping[str, object]] | pd.DataFrame) -> int:
        """Add rows by one commit; how many. No rows, no commit.

        What the table cannot hold as it is, is refused, and nothing is added: 1.5 in a whole
        number, a naive time, a column that it does not have, a key that is missing.
        """
        known = _table(table)
        self._refuse_if_read_only(f"rows of {table}")
        if not len(rows):
            return 0
        connection = self._engine.connection
        with registered(connection, known, rows) as incoming:
            files = written(connection, incoming.select, known, self._location, self._objects)
        self._tables.commit(known, files)
        return incoming.rows

    def query(self, view: str, **parameters: object) -> pd.DataFrame:
        """A view as a frame. Money becomes doubles there; `rows` keeps it exact."""
        with told_as(f"ledger {self.url}: {view} cannot be read"):
            frame: pd.DataFrame = self._asked(view, parameters).df()
        return frame

    def rows(self, view: str, **parameters: object) -> list[dict[str, object]]:
        """A view as Python values: aware UTC times, exact decimals, None for unknown."""
        with told_as(f"ledger {self.url}: {view} cannot be read"):
            return self._engine.rows(self._asked(view, parameters))

    def put_once(self, key: str, body: bytes) -> bool:
        """Whether `body` stands under the key now; False: somebody else's does."""
        self._refuse_if_read_only(key)
        return self._objects.put_once(key, body)

    def objects(self, prefix: str) -> list[str]:
        """The keys in the folder `prefix`, sorted."""
        return self._objects.keys(prefix)

    def get_object(self, key: str) -> bytes:
        return self._objects.get(key)

    def remove_objects(self, keys: Sequence[str]) -> None:
        """What is gone already is no error."""
        self._refuse_if_read_only("a removal")
        if keys:
            self._objects.remove(keys)

    def patrols_told(self) -> int:
        """How many rows the patrols' table holds, by its log alone: no data is read."""
        table = TABLES["patrols"]
        with told_as(f"ledger {self.url}: {table.name} cannot be read"):
            return sum(file.rows for file in self._tables.files(table))

    def drop_in_inbox(self, kind: str, rows: Sequence[Mapping[str, object]]) -> str:
        """Leave rows of the table `kind` for the next writer; the key under which they lie.

        Needs no right but to create an object.
        """
        self._make_folder()
        return drop(self._objects, kind, rows)

    def fold_inbox(self) -> FoldResult:
        """Append what lies in the inbox. An object that cannot be read is put aside and told."""
        self._refuse_if_read_only("the inbox")
        return fold(self._objects, self.append)

    def info(self) -> pd.DataFrame:
        """What each table holds."""
        import pandas as pd  # noqa: PLC0415 - heavy, and not needed to write

        return pd.DataFrame([self._info(table) for table in TABLES.values()])

    def compact(self, tidying: Tidying = PLAIN) -> pd.DataFrame:
        """Make the tables small: newest rows only, one file a partition, old files deleted.

        Raises `LedgerBusyError` where another process does so at the same time.
        """
        import pandas as pd  # noqa: PLC0415

        if not tidying.dry_run:
            self._refuse_if_read_only("tables")
        with told_as(f"ledger {self.url} cannot be compacted"):
            done = [compact(table, self._place, tidying) for table in TABLES.values()]
        return pd.DataFrame(done)

    def verify(self) -> pd.DataFrame:
        """Everything that can be wrong with a ledger, looked at: `what`, `state` and `told`.

        `state` is `fine`, `note` or `broken`. Reads every file and changes nothing.
        """
        import pandas as pd  # noqa: PLC0415

        from watchdog.ledger.verifying import verified  # noqa: PLC0415 - one command needs it

        found = [asdict(check) for check in verified(self._place, self._show)]
        return pd.DataFrame(found, columns=["what", "state", "told"])

    def export(self, what: str, target: Path, format: str) -> int:  # noqa: A002 - the CLI's word
        """Write a view, or with `raw_` before its name a table, to a file; how many rows."""
        refuse_unknown(what)
        with told_as(f"ledger {self.url}: {what} cannot be read"):
            relation = self._asked(what, {})
        asked = query(what)
        return export(
            self._engine, relation, asked.sql, asked.values({}), target=target, kind=format
        )

    @property
    def _place(self) -> Place:
        return Place(
            location=self._location,
            objects=self._objects,
            tables=self._tables,
            engine=self._engine,
        )

    @property
    def _engine(self) -> Engine:
        if self._engine_made is None:
            self._engine_made = Engine()
        return self._engine_made

    def _set_up(self) -> None:
        self._make_folder()
        self._tables.create_missing()

    def _make_folder(self) -> None:
        if self._location.folder is not None:
            with told_as(f"ledger {self.url} cannot be made"):
                self._location.folder.mkdir(parents=True, exist_ok=True)

    def _asked(self, view: str, parameters: Mapping[str, object]) -> duckdb.DuckDBPyRelation:
        asked = query(view)
        values = asked.values(parameters)
        self._show(view, values)
        return self._engine.relation(asked.sql, values)

    def _show(self, view: str, values: Mapping[str, object]) -> None:
        asked = query(view)
        for name in asked.tables:
            delta = self._found(TABLES[name])
            if delta is None:
                self._engine.show_files(TABLES[name], ())
                continue
            self._engine.show(
                TABLES[name],
                delta,
                in_folder=self._location.folder is not None,
                predicate=asked.predicate(name, values),
            )

    def _found(self, table: Table) -> DeltaTable | None:
        """The table as it is now; None where it was never made and must not be."""
        try:
            return self._tables.fresh(table)
        except NothingThereError:
            if self._read_only:
                return None
            raise

    def _info(self, table: Table) -> dict[str, object]:
        raw = f"{RAW}{table.name}"
        counts = (
            f"select (select count(*) from {raw}),"  # noqa: S608 - names are the tables' own
            f" (select count(*) from (select distinct {', '.join(table.key)} from {raw})),"
            f' (select epoch_us(max("{table.observed}")) from {raw})'
        )
        with told_as(f"ledger {self.url}: {table.name} cannot be read"):
            self._show(raw, {})
            [[rows, keys, newest]] = self._engine.connection.execute(counts).fetchall()
        delta = self._found(table)
        files = [] if delta is None else self._tables.files(table)
        return {
            "table": table.name,
            "rows": rows,
            "distinct_keys": keys,
            "files": len(files),
            "bytes": sum(file.size_bytes for file in files),
            "newest_observed_at": at_microsecond(newest),
            "version": None if delta is None else delta.version(),
        }

    def _refuse_if_read_only(self, what: str) -> None:
        if self._read_only:
            raise LedgerError(
                f"ledger {self.url}: it was opened for reading; {what} cannot be added"
            )


def _table(name: str) -> Table:
    if name not in TABLES:
        raise LedgerError(f"the ledger has no table {name}; it has {', '.join(TABLES)}")
    return TABLES[name]
