"""`spend-watchdog preflight`: may this leave home? For people, and for launch scripts."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.cli.completing import workload_names
from watchdog.settings import load_settings

app = typer.Typer()

EXIT = {True: 0, False: 3, None: 4}


@app.command()
def preflight(
    workload: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD", help="Its name, or group/name.", autocompletion=workload_names
        ),
    ],
    *,
    machine: Annotated[
        str | None,
        typer.Option(
            "--machine",
            metavar="TYPE",
            help="Ask about this machine type, as g5.xlarge; else the smallest that fits.",
            show_default=False,
        ),
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """May this workload leave home? Verdict, data, the machine it fits, and what a run costs.

    Exit codes: 0 it is mature and nothing forbids it; 3 it is not mature, its data must not leave,
    or the machine asked about is too small or beyond what was proven; 4 unknown, also where no
    workload of that name or no such machine type is known.
    """
    from watchdog.preflight import preflight as asked  # noqa: PLC0415 - heavy, not for --help
    from watchdog.preflight_told import lines, preflight_json  # noqa: PLC0415
    from watchdog.workloads import known_workloads, near_names  # noqa: PLC0415

    settings = load_settings(config)
    store = reading.opened(config, ledger)
    known = known_workloads(store, now=datetime.now(UTC))
    told = asked(
        known,
        workload,
        machine_type=machine,
        regions=settings.regions,
        restricted=settings.restricted_data_classes,
    )
    if json:
        output.print_json(preflight_json(told))
    else:
        for line in lines(told):
            output.say(line)
    near = near_names(known, workload)
    if near is not None:
        remedy = "`spend-watchdog workloads` lists those that are known"
        remedy = f"did you mean {' or '.join(near)}?" if near else remedy
        output.notice(reading.empty_state(store, f"no workload is called {workload}", remedy))
    raise typer.Exit(EXIT[told.may_leave])
