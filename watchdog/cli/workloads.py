"""`spend-watchdog workloads`: who is ready to leave home."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from watchdog.cli import options, output, reading
from watchdog.settings import load_settings

app = typer.Typer()


class By(StrEnum):
    RISK = "risk"
    NAME = "name"
    VERDICT = "verdict"
    SCORE = "score"
    TREND = "trend"
    BURNED = "burned"
    RUNS = "runs"
    GPU_HOURS = "gpu_hours"


@app.command()
def workloads(
    *,
    sort: Annotated[
        By, typer.Option("--sort", help="What comes first; risk is the lowest score.")
    ] = By.RISK,
    config: options.Config = None,
    ledger: options.LedgerUrl = None,
    json: options.Json = False,
    format: options.Output = options.Format.TABLE,  # noqa: A002 - the option's name
) -> None:
    """Every workload with its verdict, score, trend, what it burns, and what it lacks.

    The score is the probability that its next run completes, in percent, with a 90 % interval. The
    trend compares it with a week ago. "7 days" is what was metered for it; – is nothing.
    """
    from watchdog.workload_table import (  # noqa: PLC0415 - heavy, not for --help
        FIRST,
        bursts_told,
        for_people,
        sorted_by,
    )
    from watchdog.workloads import (  # noqa: PLC0415
        known_workloads,
        to_frame,
        with_figures,
        workloads_json,
    )

    store = reading.opened(config, ledger)
    regions = load_settings(config).regions
    known = known_workloads(store, now=datetime.now(UTC))
    found = sorted_by(with_figures(store, known, regions=regions), sort.value)
    chosen = options.chosen(format, json=json)
    if chosen is options.Format.JSON:
        output.print_json(workloads_json(found))
    elif chosen is options.Format.CSV:
        output.print_csv(to_frame(found))
    elif found:
        output.show_frame(for_people(found), title="Workloads", first=FIRST)
        output.say_wrapped(bursts_told(found))
    if not found:
        remedy = "import runs (`spend-watchdog runs import FILE`) or run `spend-watchdog patrol`"
        output.notice(reading.empty_state(store, "no workload is known yet", remedy))
