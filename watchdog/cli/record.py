"""`spend-watchdog record`: run a command, and tell the ledger how it went."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from policies.facts import WorkloadKind
from watchdog.cli import options

app = typer.Typer()


@app.command(context_settings={"allow_interspersed_args": False})
def record(
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND…", help="The command and its arguments.")
    ],
    *,
    workload: Annotated[
        str | None,
        typer.Option(
            metavar="W",
            help="The work that this is one attempt of; else the job's name, or FOLDER:SCRIPT.",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(help="The project that its workloads share.", show_default=False),
    ] = None,
    kind: Annotated[
        WorkloadKind, typer.Option(help="What kind of work it is.")
    ] = WorkloadKind.UNKNOWN,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PATH_OR_ID",
            help="Input data: files, folders, or an id such as a version. May be repeated.",
            show_default=False,
        ),
    ] = None,
    data_class: Annotated[
        str | None, typer.Option(help="How sensitive the data is.", show_default=False)
    ] = None,
    params: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="A configuration file that the command's words do not name. May be repeated.",
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        str | None,
        typer.Option(metavar="DIGEST", help="The container image it runs in.", show_default=False),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
) -> None:
    """Run COMMAND and record it as one run of a workload. Its exit code is the command's own.

    The command starts at once; its input, output, terminal and signals are its own. A ledger that
    cannot be reached delays nothing: the run is kept in this user's state folder and sent later.
    Exit codes: the command's; 128+N if signal N ended it; 127 no such command; 126 not runnable.
    """
    from watchdog.recording.fingerprints import Asked  # noqa: PLC0415 - not for --help
    from watchdog.recording.order import Order  # noqa: PLC0415
    from watchdog.recording.wrapper import record as run  # noqa: PLC0415

    order = Order(
        words=tuple(command),
        asked=Asked(data=tuple(data or ()), params=tuple(params or ()), image=image),
        workload=workload,
        group=group,
        kind=kind,
        data_class=data_class,
        config=config,
        ledger=ledger,
    )
    code = run(order)
    sys.stderr.flush()
    os._exit(code)  # a silent ledger must not hold up what comes after the command
