"""`spend-watchdog ledger`: the store itself."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output
from watchdog.settings import Settings, load_settings

if TYPE_CHECKING:
    import pandas as pd

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
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help

    settings = load_settings(config, ledger=ledger)
    _print(settings, open_ledger(settings, read_only=True).info(), json=json)


@app.command()
def compact(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Rewrite small files as large ones. Safe beside a patrol."""
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help

    settings = load_settings(config, ledger=ledger)
    _print(settings, open_ledger(settings).compact(), json=json)


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="A table or a view: runs, charges, breakdown …")],
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
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help

    chosen = format or _by_ending(target)
    settings = load_settings(config, ledger=ledger)
    written = open_ledger(settings, read_only=True).export(what, target, chosen.value)
    if json:
        output.print_json({"what": what, "file": str(target), "rows": written})
    else:
        output.notice(f"{written} rows of {what} written to {target}")


def _by_ending(target: Path) -> ExportFormat:
    ending = target.suffix.lower().lstrip(".")
    known = {each.value: each for each in ExportFormat}
    if ending not in known:
        raise typer.BadParameter(f"{target}: say --format, or end the name in {', '.join(known)}")
    return known[ending]


def _print(settings: Settings, frame: "pd.DataFrame", *, json: bool) -> None:
    from watchdog.frames import as_rows, as_table  # noqa: PLC0415

    if json:
        output.print_json({"ledger": settings.ledger, "tables": as_rows(frame)})
    else:
        output.show(as_table(frame, title=f"Ledger {settings.ledger}"))
