"""`spend-watchdog keep`: nobody stops this machine for a while."""

from __future__ import annotations

import getpass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

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
    end: Annotated[bool, typer.Option("--end", help="Keep it no longer.")] = False,
    by: Annotated[
        str | None, typer.Option("--by", metavar="WHO", help="Who wants it.", show_default=False)
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Keep a machine from being stopped, for a while or until a time. The newest keep counts.

    Whoever keeps a machine is warned anew afterwards. A date keeps through its last minute, UTC.
    The tag spend-watchdog:keep-until on the machine says the same to every ledger: it is written
    where the credentials here allow it, and else the keep holds in this ledger alone.
    """
    from watchdog.composition import keep_writer_of  # noqa: PLC0415 - heavy, and not for --help
    from watchdog.explain import machine_named  # noqa: PLC0415
    from watchdog.keeps import keep_row  # noqa: PLC0415
    from watchdog.workloads import UnknownSubject  # noqa: PLC0415

    now = datetime.now(UTC)
    last = _last(now, lasting, until, end=end)
    settings = load_settings(config, ledger=ledger)
    store = reading.opened(config, ledger)
    row = machine_named(store, machine)
    if row["state"] == "terminated":
        raise UnknownSubject(f"{machine} was terminated: there is nothing to keep")
    who, of = by or getpass.getuser(), str(row["id"])
    store.drop_in_inbox("events", [keep_row(of, last, who, now)])
    why = keep_writer_of(settings)(of, last)
    if json:
        output.print_json(
            {
                "schema": "spend-watchdog/keep/1",
                "machine": of,
                "until": f"{last:%Y-%m-%dT%H:%M:%SZ}",
                "by": who,
                "tag_written": why is None,
                "tag_why": why,
            }
        )
        return
    kept = "is kept no longer" if end else f"is kept until {last:%Y-%m-%d %H:%M} UTC"
    output.say(f"{row['name'] or of} {kept}, by {who}")
    if why is not None:
        output.notice(f"It holds in this ledger; the tag on the machine was not written: {why}")


def _last(
    now: datetime, lasting: timedelta | None, until: datetime | None, *, end: bool
) -> datetime:
    """Until when; `end`: until now."""
    if sum((lasting is not None, until is not None, end)) != 1:
        raise typer.BadParameter("say one of --for D, --until T and --end")
    if end:
        return now
    last = until if until is not None else now + (lasting or timedelta())
    if last <= now:
        raise typer.BadParameter(f"{last:%Y-%m-%d %H:%M} UTC is over")
    return last
