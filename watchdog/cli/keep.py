"""`spend-watchdog keep`: nobody stops this machine for a while."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from watchdog.cli import options, output, reading

app = typer.Typer()


@app.command()
def keep(
    machine: Annotated[str, typer.Argument(metavar="MACHINE", help="Its id, native id or name.")],
    *,
    lasting: Annotated[
        timedelta | None,
        typer.Option(
            "--for", parser=options.duration, metavar="D", help="So long.", show_default=False
        ),
    ] = None,
    until: Annotated[
        datetime | None,
        typer.Option(
            "--until", parser=options.deadline, metavar="T", help="Until then.", show_default=False
        ),
    ] = None,
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="Who wants it.", show_default=False)
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Keep a machine from being stopped, for a while or until a time. The newest keep counts.

    Whoever keeps a machine is warned anew afterwards. A date keeps through its last minute, UTC.
    The tag spend-watchdog:keep-until on the machine says the same to every ledger.
    """
    from watchdog.explain import machine_named  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.keeps import keep_row  # noqa: PLC0415

    if (lasting is None) == (until is None):
        raise typer.BadParameter("say either --for D or --until T")
    now = datetime.now(UTC)
    end = until if until is not None else now + (lasting or timedelta())
    if end <= now:
        raise typer.BadParameter(f"{end:%Y-%m-%d %H:%M} UTC is over")
    store = reading.opened(config, ledger)
    row = machine_named(store, machine)
    who = by or getpass.getuser()
    store.drop_in_inbox("events", [keep_row(str(row["id"]), end, who, now)])
    if json:
        output.print_json(
            {
                "schema": "spend-watchdog/keep/1",
                "machine": row["id"],
                "until": f"{end:%Y-%m-%dT%H:%M:%SZ}",
                "by": who,
            }
        )
        return
    output.say(f"{row['name'] or row['id']} is kept until {end:%Y-%m-%d %H:%M} UTC, by {who}")
