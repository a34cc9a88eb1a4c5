"""`spend-watchdog explain`: why."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.cli.completing import workload_names
from watchdog.settings import load_settings

app = typer.Typer()


@app.command()
def explain(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="WORKLOAD_OR_MACHINE",
            help="A name, an id, or group/name.",
            autocompletion=workload_names,
        ),
    ],
    *,
    events: Annotated[bool, typer.Option("--events", help="Show its history.")] = False,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
) -> None:
    """Why a workload or a machine is judged as it is: the score's terms, answers, what is missing.

    The terms are points of a hundred; with the start they add up to the score.
    """
    from watchdog.explain import explain as explained  # noqa: PLC0415 - heavy, not for --help
    from watchdog.explain import explain_json, lines  # noqa: PLC0415

    store = reading.opened(config, ledger)
    regions = load_settings(config).regions
    told = explained(store, subject, now=datetime.now(UTC), regions=regions)
    if json:
        output.print_json(explain_json(told, events=events))
        return
    for line in lines(told, events=events):
        output.say(line)
