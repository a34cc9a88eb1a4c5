"""`spend-watchdog ledger`: the store itself."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.ledger.store import Ledger

app = typer.Typer(no_args_is_help=True, help="The store: what it holds; compact it, export it.")


class ExportFormat(StrEnum):
    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@app.command()
def info(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """What each table holds: rows, keys, files, bytes and the newest observation."""
    store = reading.opened(config, ledger)
    _print(store, store.info(), json=json)
    _tell_where_nothing_is(store)


@app.command()
def compact(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Rewrite small files as large ones. Safe beside a patrol."""
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help

    store = reading.opened(config, ledger)
    if store.exists():
        store = open_ledger(load_settings(config, ledger=ledger))
        _print(store, store.compact(), json=json)
    elif json:
        output.print_json({"ledger": store.url, "tables": []})
    _tell_where_nothing_is(store)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A table or a view: runs, charges, machines …")],
    target: Annotated[Path, typer.Argument(help="The file to write.")],
    *,
    format: Annotated[  # noqa: A002 - the option's name
        ExportFormat | None,
        typer.Option(help="The file's format; its ending tells unless given.", show_default=False),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Write a table or a view to a file: whole, or not at all."""
    chosen = format or _by_ending(target)
    store = reading.opened(config, ledger)
    written = store.export(what, target, chosen.value)
    if json:
        output.print_json({"what": what, "file": str(target), "rows": written})
    else:
        output.notice(f"{written} rows of {what} written to {target}")
    _tell_where_nothing_is(store)


def _by_ending(target: Path) -> ExportFormat:
    ending = target.suffix.lower().lstrip(".")
    known = {each.value: each for each in ExportFormat}
    if ending not in known:
        raise typer.BadParameter(f"{target}: say --format, or end the name in {', '.join(known)}")
    return known[ending]


def _tell_where_nothing_is(store: "Ledger") -> None:
    if not store.exists():
        remedy = "`spend-watchdog patrol` or `spend-watchdog runs import` makes it"
        output.notice(reading.empty_state(store, "it is gone", remedy))


def _print(store: "Ledger", frame: "pd.DataFrame", *, json: bool) -> None:
    from watchdog.frames import as_rows  # noqa: PLC0415

    if json:
        output.print_json({"ledger": store.url, "tables": as_rows(frame)})
    else:
        output.show_frame(frame, title=f"Ledger {store.url}", first=())
