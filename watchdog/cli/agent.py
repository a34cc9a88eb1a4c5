"""`spend-watchdog agent`: this machine tells the ledger what its GPUs do."""

from __future__ import annotations

import os
import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from watchdog.agent.order import Order
from watchdog.cli import options
from watchdog.settings import APPLICATION, SettingsError, load_settings

app = typer.Typer()

INTERVAL = timedelta(minutes=5)
LOOKS_AT_ONCE = 5
MACHINE = re.compile(r"[^:\s]+(:[^:\s]+){3}")


@app.command()
def agent(
    *,
    once: Annotated[
        bool, typer.Option("--once", help="Look for a few seconds, send, and end: for cron.")
    ] = False,
    every: Annotated[
        timedelta,
        typer.Option(parser=options.duration, metavar="D", help="Send what was seen each D."),
    ] = "5m",  # type: ignore[assignment]  # typer parses it
    sample_every: Annotated[
        timedelta,
        typer.Option(parser=options.duration, metavar="D", help="Look at the machine each D."),
    ] = "15s",  # type: ignore[assignment]
    machine: Annotated[
        str | None,
        typer.Option(metavar="ID", help="This machine's id; else found out.", show_default=False),
    ] = None,
    spool: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Folder for what is not sent yet.", show_default=False),
    ] = None,
    print_unit: Annotated[
        bool, typer.Option("--print-unit", help="Print a systemd unit for this call, and end.")
    ] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
) -> None:
    """Measure this machine's GPUs, processor, network and disks for the ledger's inbox.

    Needs no right but to create objects there. What cannot be sent is kept in a bounded folder.
    Ends within seconds of SIGTERM. Exit codes: 0 ended as asked, 2 settings wrong.
    """
    settings = load_settings(config, ledger=ledger)
    _check(every, sample_every, machine)
    if print_unit:
        _print_unit(ledger, machine, every, sample_every)
        return
    order = Order(
        ledger=settings.ledger,
        folder=str(spool or _state_folder()),
        machine=machine,
        batch_s=every.total_seconds(),
        sample_every_s=1.0 if once else sample_every.total_seconds(),
        looks=LOOKS_AT_ONCE if once else None,
    )
    _become(order)


def _become(order: Order) -> None:
    """The same process, begun again without what only settings and options need: half the memory.

    `-P`: what lies in the current folder is not taken for a module.
    """
    arguments = [sys.executable, "-P", "-m", "watchdog.agent", order.text()]
    os.execv(sys.executable, arguments)  # noqa: S606 - the point is that no shell comes between


def _print_unit(
    ledger: str | None, machine: str | None, every: timedelta, sample_every: timedelta
) -> None:
    """The same call in a unit, by the path of this very command."""
    from watchdog.agent.unit import unit_text  # noqa: PLC0415

    words = [str(Path(sys.argv[0]).resolve()), "agent"]
    if ledger is not None:
        words += ["--ledger", ledger]
    if machine is not None:
        words += ["--machine", machine]
    words += ["--every", f"{every.total_seconds():.0f}s"]
    words += ["--sample-every", f"{sample_every.total_seconds():.0f}s"]
    typer.echo(unit_text(words), nl=False)


def _check(every: timedelta, sample_every: timedelta, machine: str | None) -> None:
    if machine is not None and not MACHINE.fullmatch(machine):
        raise SettingsError(
            f"--machine {machine}: an id has the form provider:account:region:native-id"
        )
    if not timedelta(seconds=1) <= sample_every <= INTERVAL:
        raise SettingsError("--sample-every must lie between 1s and 5m")
    if not INTERVAL <= every <= timedelta(days=1):
        raise SettingsError("--every must lie between 5m and 1d: an interval is five minutes long")


def _state_folder() -> Path:
    import platformdirs  # noqa: PLC0415

    return platformdirs.user_state_path(APPLICATION) / "agent"
