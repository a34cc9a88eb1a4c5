"""`spend-watchdog ledger`: the store itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output
from watchdog.settings import (
    LEAST_THIN_AFTER,
    LEAST_VACUUM_AFTER,
    Settings,
    load_settings,
)

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.ledger.tidying import Tidying

app = typer.Typer(
    no_args_is_help=True, help="The store: what it holds; verify, compact, export it."
)


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
    thin_after: Annotated[
        timedelta | None,
        typer.Option(
            parser=options.duration,
            metavar="D",
            help="Make readings older than D coarse: rows of at most an hour. [default: 90d]",
            show_default=False,
        ),
    ] = None,
    vacuum_after: Annotated[
        timedelta | None,
        typer.Option(
            parser=options.duration,
            metavar="D",
            help="Delete files that nothing refers to since D. [default: 7d]",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")
    ] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Rewrite small files as large ones, thin old readings, delete old files.

    Safe beside a patrol. Runs, events and charges are never thinned.
    """
    from watchdog.composition import care_of, open_ledger  # noqa: PLC0415 - heavy, not for --help

    _refuse_short("--thin-after", thin_after, LEAST_THIN_AFTER)
    _refuse_short("--vacuum-after", vacuum_after, LEAST_VACUUM_AFTER)
    settings = load_settings(config, ledger=ledger)
    care = care_of(settings)
    care = replace(
        care,
        thin_after=thin_after or care.thin_after,
        vacuum_after=vacuum_after or care.vacuum_after,
    )
    tidying = care.tidying(datetime.now(UTC), dry_run=dry_run)
    done = open_ledger(settings, read_only=dry_run).compact(tidying)
    if json:
        from watchdog.frames import as_rows  # noqa: PLC0415

        output.print_json(
            {
                "ledger": settings.ledger,
                "dry_run": dry_run,
                "thinned_before": str(tidying.thin_before),
                "tables": as_rows(done),
            }
        )
    else:
        _show_done(settings, done, tidying)


def _refuse_short(option: str, told: timedelta | None, least: timedelta) -> None:
    if told is not None and told < least:
        raise typer.BadParameter(f"{option} must be at least {least.days}d")


def _show_done(settings: Settings, done: "pd.DataFrame", tidying: "Tidying") -> None:
    """Before and after side by side, as narrow as a terminal."""
    import pandas as pd  # noqa: PLC0415 - heavy

    from watchdog.frames import as_rows, as_table  # noqa: PLC0415

    lines = [
        {"table": row["table"]}
        | {
            what: f"{row[f'{what}_before']} → {_known(row[f'{what}_after'])}"
            for what in ("rows", "files", "bytes")
        }
        | {"old files deleted": row["old_files_deleted"]}
        for row in as_rows(done)
    ]
    title = "what would be done" if tidying.dry_run else "what was done"
    output.show(as_table(pd.DataFrame(lines), title=f"Ledger {settings.ledger}: {title}"))
    output.notice(f"readings from before {tidying.thin_before} are thinned")


def _known(value: object) -> object:
    return "?" if value is None else value


@app.command()
def verify(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Read everything and say what is wrong, a line each. Exit codes: 0 fine, 1 broken."""
    from watchdog.composition import open_ledger  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.frames import as_rows  # noqa: PLC0415

    settings = load_settings(config, ledger=ledger)
    checks = as_rows(open_ledger(settings, read_only=True).verify())
    is_sound = all(check["state"] != "broken" for check in checks)
    if json:
        output.print_json(
            {
                "schema": "spend-watchdog/ledger-verify/1",
                "ledger": settings.ledger,
                "sound": is_sound,
                "checks": checks,
            }
        )
    else:
        for check in checks:
            typer.echo(f"{check['state']:<6}  {check['what']}: {check['told']}")
    raise typer.Exit(0 if is_sound else 1)


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
