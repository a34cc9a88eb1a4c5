"""`spend-watchdog ledger`: the store itself."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import (
    LEAST_THIN_AFTER,
    LEAST_VACUUM_AFTER,
    load_settings,
)

if TYPE_CHECKING:
    import pandas as pd

    from watchdog.ledger.store import Ledger
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
    store = reading.opened(config, ledger)
    _print(store, store.info(), json=json)
    _tell_where_nothing_is(store)


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
    store = reading.opened(config, ledger)
    if not store.exists():
        if json:
            output.print_json({"ledger": store.url, "dry_run": dry_run, "tables": []})
        _tell_where_nothing_is(store)
        return
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
        _show_done(store, done, tidying)


def _refuse_short(option: str, told: timedelta | None, least: timedelta) -> None:
    if told is not None and told < least:
        raise typer.BadParameter(f"{option} must be at least {least.days}d")


def _show_done(store: "Ledger", done: "pd.DataFrame", tidying: "Tidying") -> None:
    """Before and after side by side, as narrow as a terminal."""
    import pandas as pd  # noqa: PLC0415 - heavy

    from watchdog.frames import as_rows  # noqa: PLC0415

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
    output.show_frame(pd.DataFrame(lines), title=f"Ledger {store.url}: {title}", first=("table",))
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
    from watchdog.frames import as_rows  # noqa: PLC0415 - heavy, and not for --help

    store = reading.opened(config, ledger)
    checks = as_rows(store.verify()) if store.exists() else []
    is_sound = all(check["state"] != "broken" for check in checks)
    if json:
        output.print_json(
            {
                "schema": "spend-watchdog/ledger-verify/1",
                "ledger": store.url,
                "sound": is_sound,
                "checks": checks,
            }
        )
    else:
        for check in checks:
            typer.echo(f"{check['state']:<6}  {check['what']}: {check['told']}")
    _tell_where_nothing_is(store)
    raise typer.Exit(0 if is_sound else 1)


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
