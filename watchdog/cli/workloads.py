"""`spend-watchdog workloads`: who is ready to leave home."""

from datetime import UTC, datetime

import typer

from watchdog.cli import options, output, reading

app = typer.Typer()


@app.command()
def workloads(
    *,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """Every workload with its verdict, its score and what is missing before it counts as mature."""
    from watchdog.workloads import table, to_frame, workloads_json  # noqa: PLC0415 - heavy
    from watchdog.workloads import workloads as all_workloads  # noqa: PLC0415

    store = reading.opened(config, ledger)
    found = all_workloads(store, now=datetime.now(UTC))
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        output.print_json(workloads_json(found))
    elif chosen is options.Format.CSV:
        output.print_csv(to_frame(found))
    elif found:
        output.unbounded_console().print(table(found))
    if not found:
        remedy = "import runs (`spend-watchdog runs import FILE`) or run `spend-watchdog patrol`"
        output.notice(reading.empty_state(store, "no workload is known yet", remedy))
