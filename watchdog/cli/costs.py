"""`spend-watchdog costs`: what the work cost, and on what the money went."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from watchdog.cli import options, output, reading

app = typer.Typer()


class By(StrEnum):
    WORKLOAD = "workload"
    OWNER = "owner"
    PROVIDER = "provider"
    REGION = "region"
    MACHINE = "machine"
    PHASE = "phase"
    DAY = "day"
    KIND = "kind"
    GROUP = "group"


@app.command()
def costs(
    *,
    since: options.Since = None,
    until: options.Until = None,
    by: Annotated[By, typer.Option(help="What a row is.")] = By.WORKLOAD,
    workload: Annotated[
        str | None, typer.Option(help="This workload only.", show_default=False)
    ] = None,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """What each workload cost, phase by phase. Metered at the prices that `prices show` lists."""
    from watchdog.costs.breakdown import breakdown, table  # noqa: PLC0415 - heavy, not for --help
    from watchdog.workloads import near_workloads, verdicts_by_label  # noqa: PLC0415

    now = datetime.now(UTC)
    end = until or now
    start = options.since_of(since, end)
    store = reading.opened(config, ledger)
    verdicts = verdicts_by_label(store, now=now) if by is By.WORKLOAD else {}
    found = breakdown(
        store, since=start, until=end, by=by.value, workload=workload, verdicts=verdicts
    )
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        output.print_json(found.to_json())
    elif chosen is options.Format.CSV:
        output.print_csv(found.to_frame())
    elif found.rows:
        output.show(table(found))
    if not found.rows:
        lacking = f"no charge between {start:%Y-%m-%d %H:%M} and {end:%Y-%m-%d %H:%M} UTC"
        remedy = "run `spend-watchdog patrol` first, or widen --since"
        near = None if workload is None else near_workloads(store, workload, now=now)
        if near is not None:
            lacking = f"no workload is called {workload}"
            remedy = "`spend-watchdog workloads` lists those that are known"
            remedy = f"did you mean {' or '.join(near)}?" if near else remedy
        output.notice(reading.empty_state(store, lacking, remedy))
